"""The RPCs of functions/contracts/rpc/accounts.proto: `handler` serves Accounts, `credentials_handler` Credentials."""

import re
from datetime import datetime, timedelta

from functions.account_linking_service import bootstrap
from functions.account_linking_service.credentials import OpenedLink
from functions.account_linking_service.door import CredentialsDoor
from functions.account_linking_service.model import Link, MfaChallenge, Outcome, UserId
from functions.account_linking_service.personal import PersonalData
from functions.account_linking_service.register import LinkRegister
from functions.account_linking_service.repair import LinkRepair
from functions.account_linking_service.schemas import SubmitMfa
from functions.account_linking_service.states import LinkEvent
from functions.common.clock import parse_rfc3339, rfc3339
from functions.common.errors import FieldError, InvalidInput
from functions.common.rpc.server import LambdaRpcHandler, RpcContext
from functions.common.validation import parse
from functions.contracts.rpc import accounts_pb2
from functions.contracts.rpc.accounts_pb2 import (
    EnsureManualLinkRequest,
    FindLinksReply,
    FindLinksRequest,
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
    SubmitMfaRequest,
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
    accounts_pb2.OUTCOME_KIND_STARTED: LinkEvent.STARTED,
    accounts_pb2.OUTCOME_KIND_MFA_REQUIRED: LinkEvent.MFA_REQUESTED,
}
CODE = re.compile(r"[a-z0-9_]{0,64}")
MFA_METHODS = ("sms", "email", "app", "voice")
MAX_REFERENCE_CHARS = 2048


class AccountsServicer:
    def __init__(self, register: LinkRegister, repair: LinkRepair, personal: PersonalData) -> None:
        self._register = register
        self._repair = repair
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

    def SubmitMfa(self, request: SubmitMfaRequest, _context: RpcContext) -> LinkedAccount:
        given = parse(SubmitMfa, {"code": request.code})
        return _message(self._repair.submit_mfa(UserId(request.user_id), request.link_id, given.as_sent))

    def FindLinks(self, request: FindLinksRequest, _context: RpcContext) -> FindLinksReply:
        links = self._register.find_links(request.provider_id, request.account_number)
        return FindLinksReply(items=[_message(link) for link in links])

    def EnsureManualLink(self, request: EnsureManualLinkRequest, _context: RpcContext) -> LinkedAccount:
        return _message(self._register.ensure_manual_link(_user(request.user_id), request.provider_id))

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
    return AccountsServicer(bootstrap.register(), bootstrap.repair(), bootstrap.personal())


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
    mfa = _challenge(request.mfa) if event is LinkEvent.MFA_REQUESTED else None
    wish = timedelta(seconds=max(request.retry_after_seconds, 0))
    return Outcome(event, attempted_at, code, max(request.bill_count, 0), mfa, wish)


def _challenge(mfa: accounts_pb2.MfaChallenge) -> MfaChallenge:
    """What the utility said of it, as far as it makes sense: what does not is left out, and the challenge stands."""
    try:
        expires_at = parse_rfc3339(mfa.expires_at) if mfa.expires_at else None
    except ValueError:
        expires_at = None
    methods = tuple(method for method in MFA_METHODS if method in mfa.methods)
    return MfaChallenge(methods, expires_at, mfa.reference if len(mfa.reference) <= MAX_REFERENCE_CHARS else "")


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
        next_refresh_at=_text(link.next_refresh_at),
        consecutive_failures=link.consecutive_failures,
        bill_count=link.bill_count,
        created_at=rfc3339(link.created_at),
        updated_at=rfc3339(link.updated_at),
        version=link.version,
        mfa=_challenge_message(link.mfa) if link.mfa else None,
        kind=link.kind.value,
    )


def _challenge_message(mfa: MfaChallenge) -> accounts_pb2.MfaChallenge:
    """Without its reference: only who opens the credentials needs it."""
    return accounts_pb2.MfaChallenge(methods=mfa.methods, expires_at=_text(mfa.expires_at))


def _opened(link: OpenedLink) -> OpenedAccount:
    return OpenedAccount(
        link_id=link.link_id,
        provider_id=link.provider_id,
        params=dict(link.secrets.params),
        username=link.secrets.username,
        password=link.secrets.password,
        mfa_code=link.mfa.code if link.mfa else "",
        mfa_reference=link.mfa.reference if link.mfa else "",
    )


def _text(instant: datetime | None) -> str:
    return rfc3339(instant) if instant else ""
