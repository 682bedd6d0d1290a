"""The RPCs of functions/contracts/rpc/accounts.proto: `handler` serves Accounts, `credentials_handler` Credentials."""

import re
from datetime import datetime, timedelta

from functions.account_linking_service import bootstrap
from functions.account_linking_service.model import Link, LinkEvent, OpenedLink, Outcome, UserId
from functions.account_linking_service.service import CredentialsDoor, LinkRegister, PersonalData
from functions.common.clock import parse_rfc3339, rfc3339
from functions.common.errors import FieldError, InvalidInput
from functions.common.rpc.server import LambdaRpcHandler, RpcContext
from functions.contracts.rpc import accounts_pb2
from functions.contracts.rpc.accounts_pb2 import (
    GetLinkedAccountRequest,
    GetLinkedAccountsReply,
    GetLinkedAccountsRequest,
    LinkedAccount,
    ListDueReply,
    ListDueRequest,
    OpenedAccount,
    OpenReply,
    OpenRequest,
    RecordOutcomeRequest,
)
from functions.contracts.rpc.common_pb2 import (
    ExportUserReply,
    ExportUserRequest,
    FlushOutboxReply,
    FlushOutboxRequest,
    PurgeUserReply,
    PurgeUserRequest,
)

EVENTS = {
    accounts_pb2.OUTCOME_KIND_SUCCESS: LinkEvent.SUCCEEDED,
    accounts_pb2.OUTCOME_KIND_ACTION_REQUIRED: LinkEvent.REFUSED,
    accounts_pb2.OUTCOME_KIND_TRANSIENT_FAILURE: LinkEvent.FAILED,
}
CODE = re.compile(r"[a-z0-9_]{0,64}")


class AccountsServicer:
    def __init__(self, register: LinkRegister, personal: PersonalData) -> None:
        self._register = register
        self._personal = personal

    def GetLinkedAccounts(self, request: GetLinkedAccountsRequest, _context: RpcContext) -> GetLinkedAccountsReply:
        links = self._register.get_linked_accounts(UserId(request.user_id)) if request.user_id else ()
        return GetLinkedAccountsReply(items=[_message(link) for link in links])

    def GetLinkedAccount(self, request: GetLinkedAccountRequest, _context: RpcContext) -> LinkedAccount:
        return _message(self._register.get_linked_account(request.link_id, request.user_id))

    def ListDue(self, request: ListDueRequest, _context: RpcContext) -> ListDueReply:
        lease = timedelta(seconds=max(request.lease_seconds, 1))
        links, more = self._register.list_due(max(request.limit, 1), lease)
        return ListDueReply(items=[_message(link) for link in links], more=more)

    def RecordOutcome(self, request: RecordOutcomeRequest, _context: RpcContext) -> LinkedAccount:
        outcome = _outcome(request)
        return _message(self._register.record_outcome(UserId(request.user_id), request.link_id, outcome))

    def FlushOutbox(self, request: FlushOutboxRequest, _context: RpcContext) -> FlushOutboxReply:
        published, more = self._register.flush_outbox(request.limit)
        return FlushOutboxReply(published=published, more=more)

    def ExportUser(self, request: ExportUserRequest, _context: RpcContext) -> ExportUserReply:
        page = self._personal.export_user(_user(request.user_id), request.cursor)
        return ExportUserReply(json=page.json, next_cursor=page.next_cursor)

    def PurgeUser(self, request: PurgeUserRequest, _context: RpcContext) -> PurgeUserReply:
        deleted, more = self._personal.purge_user(_user(request.user_id))
        return PurgeUserReply(deleted=deleted, more=more)


class CredentialsServicer:
    def __init__(self, door: CredentialsDoor) -> None:
        self._door = door

    def Open(self, request: OpenRequest, _context: RpcContext) -> OpenReply:
        opened = self._door.open(UserId(request.user_id), request.link_ids)
        return OpenReply(items=[_opened(link) for link in opened])


def _build_accounts() -> AccountsServicer:
    return AccountsServicer(bootstrap.register(), bootstrap.personal())


def _build_credentials() -> CredentialsServicer:
    return CredentialsServicer(bootstrap.door())


handler = LambdaRpcHandler(accounts_pb2.DESCRIPTOR.services_by_name["Accounts"], _build_accounts)
credentials_handler = LambdaRpcHandler(accounts_pb2.DESCRIPTOR.services_by_name["Credentials"], _build_credentials)


def _user(user_id: str) -> UserId:
    """Raises InvalidInput when it is empty."""
    if not user_id:
        raise InvalidInput.of(FieldError("user_id", "missing", "This field is required."))
    return UserId(user_id)


def _outcome(request: RecordOutcomeRequest) -> Outcome:
    """Raises InvalidInput. An ill-formed code is not shown to users, but keeps no outcome from being recorded."""
    event = EVENTS.get(request.kind)
    if event is None:
        raise InvalidInput.of(FieldError("kind", "invalid", "An outcome must say how the attempt ended."))
    try:
        # To the millisecond, as it is stored: else the same outcome would look newer the second time.
        attempted_at = parse_rfc3339(rfc3339(parse_rfc3339(request.attempted_at)))
    except ValueError as error:
        raise InvalidInput.of(FieldError("attempted_at", "invalid", "This is no RFC 3339 instant.")) from error
    code = request.code if CODE.fullmatch(request.code) else "other"
    return Outcome(event, attempted_at, code, max(request.bill_count, 0))


def _message(link: Link) -> LinkedAccount:
    return LinkedAccount(
        link_id=link.link_id,
        user_id=link.user_id,
        provider_id=link.provider_id,
        account_identifier=link.account_identifier,
        nickname=link.nickname or "",
        state=link.state.value,
        status_detail=link.status_detail,
        customer_action_required=link.customer_action_required,
        last_success_at=_text(link.last_success_at),
        last_attempt_at=_text(link.last_attempt_at),
        next_refresh_at=rfc3339(link.next_refresh_at),
        consecutive_failures=link.consecutive_failures,
        bill_count=link.bill_count,
        created_at=rfc3339(link.created_at),
        updated_at=rfc3339(link.updated_at),
        version=link.version,
    )


def _opened(link: OpenedLink) -> OpenedAccount:
    return OpenedAccount(
        link_id=link.link_id,
        provider_id=link.provider_id,
        params=dict(link.secrets.params),
        username=link.secrets.username,
        password=link.secrets.password,
    )


def _text(instant: datetime | None) -> str:
    return rfc3339(instant) if instant else ""
