"""The services that the aggregator calls, as `refresh.py` sees them: RPCs behind plain Python."""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime

from functions.bill_aggregation_service.gathering import Gathered
from functions.bill_aggregation_service.model import Link, LinkChoice, LinkId, Outcome, Provider, ProviderId, UserId
from functions.bill_aggregation_service.refresh import LinkResult, OpenedAccount, Refreshed
from functions.bill_aggregation_service.upsert import Attempt, MfaChallenge
from functions.common.clock import rfc3339
from functions.common.context import correlation_id, invocation, traceparent
from functions.common.errors import DeadlineExceeded, Unavailable
from functions.common.rpc.client import Stub
from functions.contracts.rpc import accounts_pb2, bills_pb2, providers_pb2

PROVIDER_SECONDS = 60.0
"""How long an instance trusts what it knows of a provider."""
REVOKED = "REVOKED"
MANUAL = "manual"
CODE_REFUSED = "mfa_code_invalid"
KINDS = {
    Outcome.SUCCESS: accounts_pb2.OUTCOME_KIND_SUCCESS,
    Outcome.ACTION_REQUIRED: accounts_pb2.OUTCOME_KIND_ACTION_REQUIRED,
    Outcome.FAILED: accounts_pb2.OUTCOME_KIND_TRANSIENT_FAILURE,
}

OUTCOMES = {"fresh": Outcome.SUCCESS, "action_required": Outcome.ACTION_REQUIRED}
"""What is neither has failed."""


class LiveReadsClient:
    """Has the aggregator's other function ask the utilities."""

    def __init__(self, stub: Stub) -> None:
        """`stub` must have as much patience as a live read may take."""
        self._stub = stub

    def refresh_links(self, user_id: UserId, choice: LinkChoice, seconds: float) -> Sequence[LinkResult]:
        request = bills_pb2.RefreshLinksRequest(
            user_id=user_id,
            link_ids=sorted(choice.link_ids),
            except_link_ids=sorted(choice.excluded),
            provider_id=choice.provider_id or "",
        )
        with invocation(correlation_id(), seconds, traceparent()):
            reply = self._stub.call("RefreshLinks", request, bills_pb2.RefreshLinksReply)
        return [
            LinkResult(LinkId(item.link_id), ProviderId(item.provider_id), _refreshed(item.result))
            for item in reply.items
        ]

    def fetch_document(self, user_id: UserId, bill_id: str) -> bills_pb2.FetchDocumentReply:
        """Raises NotFound, Conflict, Unavailable."""
        request = bills_pb2.FetchDocumentRequest(user_id=user_id, bill_id=bill_id)
        try:
            return self._stub.call("FetchDocument", request, bills_pb2.FetchDocumentReply)
        except DeadlineExceeded as error:
            raise Unavailable("The utility did not answer in time.", code="provider_timeout") from error


class CredentialsClient:
    def __init__(self, stub: Stub) -> None:
        self._stub = stub

    def open(self, user_id: UserId, link_ids: Collection[LinkId]) -> Mapping[LinkId, OpenedAccount]:
        """Links that are not this user's, or not any more, are left out."""
        request = accounts_pb2.OpenRequest(user_id=user_id, link_ids=list(link_ids))
        reply = self._stub.call("Open", request, accounts_pb2.OpenReply)
        return {
            LinkId(item.link_id): OpenedAccount(
                ProviderId(item.provider_id),
                dict(item.params),
                item.username,
                item.password,
                item.mfa_code,
                item.mfa_reference,
            )
            for item in reply.items
        }


class RenewalsClient:
    def __init__(self, stub: Stub) -> None:
        self._stub = stub

    def ask(self, user_id: UserId, path: str, query: bytes, version: int) -> None:
        """Has the answer made anew, and does not wait. Raises Unavailable."""
        request = bills_pb2.RenewAnswerRequest(user_id=user_id, path=path, query=query.decode(), version=version)
        self._stub.post("RenewAnswer", request)


class ProvidersClient:
    def __init__(self, stub: Stub, now: Callable[[], float] = time.monotonic) -> None:
        self._stub = stub
        self._now = now
        self._known: dict[ProviderId, tuple[float, Provider]] = {}
        self._asking: dict[ProviderId, Gathered[ProviderId]] = {}

    def get(self, provider_id: ProviderId) -> Provider:
        """Raises NotFound. Threads that want to know of the same one at the same moment ask once."""
        while (provider := self._fresh(provider_id)) is None:  # a report of its health may make it forgotten at once
            self._asking.setdefault(provider_id, Gathered(self._ask))(provider_id)
        return provider

    def _fresh(self, provider_id: ProviderId) -> Provider | None:
        until, provider = self._known.get(provider_id, (0.0, None))
        return provider if self._now() < until else None

    def _ask(self, provider_ids: Sequence[ProviderId]) -> None:
        provider_id = provider_ids[0]
        if self._fresh(provider_id):
            return  # somebody has just asked
        request = providers_pb2.GetProviderRequest(provider_id=provider_id)
        reply = self._stub.call("GetProvider", request, providers_pb2.Provider)
        provider = Provider(
            provider_id=ProviderId(reply.provider_id),
            name=reply.name,
            service_types=tuple(reply.service_types),
            currency=reply.currency,
            time_zone=reply.time_zone,
            adapter=reply.adapter,
            base_url=reply.base_url,
            deactivated=reply.deactivated,
            health=reply.health.state,
        )
        self._known[provider_id] = (self._now() + PROVIDER_SECONDS, provider)

    def report_health(self, provider_id: ProviderId, state: str, at: datetime) -> None:
        self._known.pop(provider_id, None)  # whether the report arrives or not, what was known is in doubt
        request = providers_pb2.ReportHealthRequest(provider_id=provider_id, state=state, at=rfc3339(at))
        self._stub.call("ReportHealth", request, providers_pb2.ReportHealthReply)


class AccountsClient:
    def __init__(self, stub: Stub) -> None:
        self._stub = stub

    def linked(self, user_id: UserId) -> Mapping[LinkId, ProviderId]:
        """Without those that files alone feed: there is nobody to ask."""
        request = accounts_pb2.GetLinkedAccountsRequest(user_id=user_id)
        reply = self._stub.call("GetLinkedAccounts", request, accounts_pb2.GetLinkedAccountsReply)
        return {
            LinkId(item.link_id): ProviderId(item.provider_id)
            for item in reply.items
            if item.state != REVOKED and item.kind != MANUAL
        }

    def record_started(self, user_id: UserId, link_id: LinkId, at: datetime) -> None:
        request = accounts_pb2.RecordOutcomeRequest(
            user_id=user_id, link_id=link_id, kind=accounts_pb2.OUTCOME_KIND_STARTED, attempted_at=rfc3339(at)
        )
        self._stub.call("RecordOutcome", request, accounts_pb2.LinkedAccount)

    def record_outcome(self, link: Link, attempt: Attempt) -> None:
        request = accounts_pb2.RecordOutcomeRequest(
            user_id=link.user_id,
            link_id=link.link_id,
            kind=KINDS[attempt.outcome],
            code=attempt.error_code,
            attempted_at=rfc3339(attempt.began),
            bill_count=link.bill_count if attempt.outcome is Outcome.SUCCESS else 0,
            retry_after_seconds=attempt.retry_after,
        )
        if attempt.mfa:
            request.kind = accounts_pb2.OUTCOME_KIND_MFA_REQUIRED
            request.mfa.CopyFrom(_challenge(attempt.mfa))
            request.code = CODE_REFUSED if attempt.mfa.code_refused else attempt.error_code
        self._stub.call("RecordOutcome", request, accounts_pb2.LinkedAccount)


def _challenge(mfa: MfaChallenge) -> accounts_pb2.MfaChallenge:
    expires_at = rfc3339(mfa.expires_at) if mfa.expires_at else ""
    return accounts_pb2.MfaChallenge(methods=mfa.methods, expires_at=expires_at, reference=mfa.reference)


def _refreshed(result: bills_pb2.RefreshLinkReply) -> Refreshed:
    return Refreshed(
        OUTCOMES.get(result.outcome, Outcome.FAILED),
        result.error_code,
        result.retryable,
        result.created,
        result.updated,
        result.unchanged,
    )
