"""The RPC service Bills: what the listener, and a live read, ask of the aggregator."""

from collections.abc import Callable

import msgspec

from functions.bill_aggregation_service import bootstrap
from functions.bill_aggregation_service.adapters.documents import MEDIA_TYPE
from functions.bill_aggregation_service.answers import Question
from functions.bill_aggregation_service.documents import Documents
from functions.bill_aggregation_service.model import LinkChoice, LinkId, Outcome, ProviderId, UserId
from functions.bill_aggregation_service.personal import PersonalData
from functions.bill_aggregation_service.projection import Projection
from functions.bill_aggregation_service.refresh import Refreshed, Refresher
from functions.bill_aggregation_service.renewal import PATHS, Renewal
from functions.common.errors import FieldError, InvalidInput
from functions.common.outbox import Outbox
from functions.common.rpc.server import LambdaRpcHandler, RpcContext
from functions.contracts.rpc.bills_pb2 import (
    DESCRIPTOR,
    FetchDocumentReply,
    FetchDocumentRequest,
    ProjectLinkReply,
    ProjectLinkRequest,
    RefreshedLink,
    RefreshLinkReply,
    RefreshLinkRequest,
    RefreshLinksReply,
    RefreshLinksRequest,
    RenewAnswerReply,
    RenewAnswerRequest,
)
from functions.contracts.rpc.common_pb2 import (
    ExportUserReply,
    ExportUserRequest,
    FlushOutboxReply,
    FlushOutboxRequest,
    PurgeUserReply,
    PurgeUserRequest,
)

BILLS = DESCRIPTOR.services_by_name["Bills"]
OUTCOMES = {Outcome.SUCCESS: "fresh", Outcome.FAILED: "failed", Outcome.ACTION_REQUIRED: "action_required"}
MAX_FLUSH = 500
REPLY_SECONDS = 1.0
"""Kept back from a read of several links, so that what is there arrives before its caller gives up."""


class BillsServicer:
    def __init__(
        self,
        refresher: Refresher,
        projection: Projection,
        outbox: Outbox,
        personal: PersonalData,
        documents: Documents,
        renewal: Callable[[], Renewal],
    ) -> None:
        self._refresher = refresher
        self._projection = projection
        self._outbox = outbox
        self._personal = personal
        self._renewal = renewal
        self._documents = documents

    def RefreshLink(self, request: RefreshLinkRequest, context: RpcContext) -> RefreshLinkReply:  # noqa: ARG002
        _named(user_id=request.user_id, link_id=request.link_id)
        return _reply(self._refresher.refresh_link(UserId(request.user_id), LinkId(request.link_id)))

    def RefreshLinks(self, request: RefreshLinksRequest, context: RpcContext) -> RefreshLinksReply:
        _named(user_id=request.user_id)
        choice = LinkChoice(
            frozenset(map(LinkId, request.link_ids)),
            frozenset(map(LinkId, request.except_link_ids)),
            ProviderId(request.provider_id) if request.provider_id else None,
        )
        seconds = max(0.0, context.time_remaining() - REPLY_SECONDS)
        results = self._refresher.refresh_links(UserId(request.user_id), choice, seconds)
        items = (
            RefreshedLink(link_id=one.link_id, provider_id=one.provider_id, result=_reply(one.refreshed))
            for one in results
        )
        return RefreshLinksReply(items=items)

    def FetchDocument(self, request: FetchDocumentRequest, context: RpcContext) -> FetchDocumentReply:  # noqa: ARG002
        _named(user_id=request.user_id, bill_id=request.bill_id)
        content = self._documents.fetch_document(UserId(request.user_id), request.bill_id)
        return FetchDocumentReply(content=content, content_type=MEDIA_TYPE)

    def RenewAnswer(self, request: RenewAnswerRequest, context: RpcContext) -> RenewAnswerReply:  # noqa: ARG002
        _named(user_id=request.user_id, path=request.path, query=request.query)
        done = self._renewal().renew_answer(UserId(request.user_id), _question(request), request.version)
        return RenewAnswerReply(kept=done.kept, requested=done.requested)

    def ProjectLink(self, request: ProjectLinkRequest, context: RpcContext) -> ProjectLinkReply:  # noqa: ARG002
        _named(user_id=request.user_id, link_id=request.link_id, provider_id=request.provider_id)
        applied = self._projection.project_link(
            UserId(request.user_id),
            LinkId(request.link_id),
            ProviderId(request.provider_id),
            request.state,
            request.status_detail,
            request.version,
        )
        return ProjectLinkReply(applied=applied)

    def FlushOutbox(self, request: FlushOutboxRequest, context: RpcContext) -> FlushOutboxReply:  # noqa: ARG002
        published, more = self._outbox.flush(min(max(request.limit, 1), MAX_FLUSH))
        return FlushOutboxReply(published=published, more=more)

    def ExportUser(self, request: ExportUserRequest, context: RpcContext) -> ExportUserReply:  # noqa: ARG002
        _named(user_id=request.user_id)
        page = self._personal.export_user(UserId(request.user_id), request.cursor)
        return ExportUserReply(json=page.json, next_cursor=page.next_cursor)

    def PurgeUser(self, request: PurgeUserRequest, context: RpcContext) -> PurgeUserReply:  # noqa: ARG002
        _named(user_id=request.user_id)
        deleted, more = self._personal.purge_user(UserId(request.user_id))
        return PurgeUserReply(deleted=deleted, more=more)


def _reply(done: Refreshed) -> RefreshLinkReply:
    return RefreshLinkReply(
        outcome=OUTCOMES[done.outcome],
        error_code=done.error_code,
        retryable=done.retryable,
        created=done.created,
        updated=done.updated,
        unchanged=done.unchanged,
    )


def _question(request: RenewAnswerRequest) -> Question:
    """Raises InvalidInput."""
    kind = PATHS.get(request.path)
    if kind is None:
        raise InvalidInput.of(FieldError("path", "invalid", "No answer of this path is kept."))
    try:
        return msgspec.json.decode(request.query, type=kind)
    except msgspec.DecodeError as error:
        raise InvalidInput.of(FieldError("query", "invalid", "This is no query of that path.")) from error


def _named(**ids: str) -> None:
    """Raises InvalidInput naming each id that is empty."""
    missing = [FieldError(name, "missing", "This field is required.") for name, value in ids.items() if not value]
    if missing:
        raise InvalidInput.of(*missing)


def _build() -> BillsServicer:
    return BillsServicer(
        bootstrap.refresher(),
        bootstrap.projection(),
        bootstrap.outbox(),
        bootstrap.personal(),
        bootstrap.documents(),
        bootstrap.renewal,
    )


handler = LambdaRpcHandler(BILLS, _build)
