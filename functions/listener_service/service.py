"""Use cases of the listener: what happens because of an event, and because of time.

All of them may run twice, or twice at once: reading a link's bills, projecting a link and recording a job's result are
idempotent in the services that own them, and due links are leased.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from functions.common import logs
from functions.common.clock import Clock
from functions.common.context import remaining_seconds
from functions.common.errors import AppError, NotFound
from functions.common.publisher import Publisher
from functions.common.rpc.client import Stub
from functions.common.worker import UnknownEventError
from functions.contracts.events.accounts import AccountLinkedV1, AccountStateChangedV1, AccountUnlinkedV1
from functions.contracts.events.bills import BillsRefreshRequestedV1
from functions.contracts.events.envelope import CloudEvent, unwrap, wrap
from functions.contracts.events.users import UserDeletedV1
from functions.contracts.rpc.accounts_pb2 import ListDueReply, ListDueRequest
from functions.contracts.rpc.bills_pb2 import (
    ProjectLinkReply,
    ProjectLinkRequest,
    RefreshLinkReply,
    RefreshLinkRequest,
)
from functions.contracts.rpc.broker_pb2 import RecordJobResultReply, RecordJobResultRequest
from functions.contracts.rpc.common_pb2 import (
    FlushOutboxReply,
    FlushOutboxRequest,
    PurgeUserReply,
    PurgeUserRequest,
)
from functions.contracts.rpc.reminders_pb2 import EmitDueReply, EmitDueRequest
from functions.contracts.rpc.webhooks_pb2 import NotifyReply, NotifyRequest, SendDueReply, SendDueRequest

log = logging.getLogger(__name__)

LINK_NOT_FOUND = "link_not_found"
DUE_LINKS = 100
"""Links, or items with unsent events, in one call."""
DUE_BILLS = 200
LEASE_SECONDS = 900
"""How long a due link is left alone: longer than its refresh takes with all deliveries; then it is due again."""

AccountEvent = AccountLinkedV1 | AccountStateChangedV1 | AccountUnlinkedV1
ACCOUNT_EVENTS: dict[str, type[AccountEvent]] = {
    cls.TYPE: cls for cls in (AccountLinkedV1, AccountStateChangedV1, AccountUnlinkedV1)
}


class Refreshing:
    def __init__(self, bills: Stub, broker: Stub) -> None:
        self._bills = bills
        self._broker = broker

    def refresh(self, event: CloudEvent) -> None:
        """Has the link's bills read, and the job that waits for them told. Raises AppError when it must be tried again.

        A utility that fails is an outcome, not an error; so is a link that does not exist any more.
        """
        if event.type == AccountLinkedV1.TYPE:
            linked = unwrap(event, AccountLinkedV1)
            self._refresh_link(linked.user_id, linked.link_id)
        elif event.type == BillsRefreshRequestedV1.TYPE:
            wanted = unwrap(event, BillsRefreshRequestedV1)
            reply = self._refresh_link(wanted.user_id, wanted.link_id)
            if wanted.job_id:
                self._record_job_result(wanted, reply)
        else:
            raise UnknownEventError(f"refresh takes no {event.type}")

    def _refresh_link(self, user_id: str, link_id: str) -> RefreshLinkReply:
        request = RefreshLinkRequest(user_id=user_id, link_id=link_id)
        try:
            reply = self._bills.call("RefreshLink", request, RefreshLinkReply)
        except NotFound:
            reply = RefreshLinkReply(outcome="failed", error_code=LINK_NOT_FOUND)
        log.info(
            "refreshed",
            extra=logs.fields(
                link_id=link_id,
                outcome=reply.outcome,
                error_code=reply.error_code,
                created=reply.created,
                updated=reply.updated,
                unchanged=reply.unchanged,
            ),
        )
        return reply

    def _record_job_result(self, wanted: BillsRefreshRequestedV1, reply: RefreshLinkReply) -> None:
        result = RecordJobResultRequest(
            user_id=wanted.user_id,
            job_id=wanted.job_id,
            link_id=wanted.link_id,
            outcome=reply.outcome,
            error_code=reply.error_code,
            created=reply.created,
            updated=reply.updated,
            unchanged=reply.unchanged,
        )
        try:
            self._broker.call("RecordJobResult", result, RecordJobResultReply)
        except NotFound:
            # The job has expired: nobody waits any more, and the bills are read.
            log.info("job_gone", extra=logs.fields(job_id=wanted.job_id, link_id=wanted.link_id))


class Projecting:
    def __init__(self, bills: Stub) -> None:
        self._bills = bills

    def project(self, event: CloudEvent) -> None:
        """Tells the aggregator what became of a link. Raises AppError when it must be tried again."""
        if event.type not in ACCOUNT_EVENTS:
            raise UnknownEventError(f"project takes no {event.type}")
        account = unwrap(event, ACCOUNT_EVENTS[event.type])
        request = ProjectLinkRequest(
            user_id=account.user_id,
            link_id=account.link_id,
            provider_id=account.provider_id,
            state=account.state,
            status_detail=account.status_detail,
            version=account.version,
        )
        reply = self._bills.call("ProjectLink", request, ProjectLinkReply)
        fields = logs.fields(link_id=account.link_id, state=account.state, applied=reply.applied)
        log.info("projected", extra=fields)


class Notifying:
    def __init__(self, webhooks: Stub) -> None:
        self._webhooks = webhooks

    def notify(self, event: CloudEvent) -> None:
        """Has the user's webhooks told. Raises AppError when it must be tried again; what a receiver says is none."""
        request = NotifyRequest(cloud_event=event.to_json().encode())
        reply = self._webhooks.call("Notify", request, NotifyReply)
        log.info("notified", extra=logs.fields(event_id=event.id, type=event.type, deliveries=reply.deliveries))


class Purging:
    def __init__(self, *, holders: Mapping[str, Stub], users: Stub) -> None:
        """`holders`: who holds data of users, by name, in the order in which they are asked."""
        self._holders = holders
        self._users = users

    def purge(self, event: CloudEvent) -> None:
        """Has everything deleted that is held on a user. Raises AppError when it must be tried again.

        A service that is down keeps none of the others from deleting theirs. The user service comes last, and only
        after all others: what it still holds says that the deletion is not done.
        """
        if event.type != UserDeletedV1.TYPE:
            raise UnknownEventError(f"purge takes no {event.type}")
        user_id = unwrap(event, UserDeletedV1).user_id
        failures: list[AppError] = []
        for name, holder in self._holders.items():
            try:
                self._purge_user(name, holder, user_id)
            except AppError as error:
                failures.append(error)
        if failures:
            raise failures[0]
        self._purge_user("users", self._users, user_id)

    def _purge_user(self, name: str, holder: Stub, user_id: str) -> None:
        deleted, more = 0, True
        try:
            while more:
                reply = holder.call("PurgeUser", PurgeUserRequest(user_id=user_id), PurgeUserReply)
                deleted += reply.deleted
                more = reply.more
        except AppError as error:
            log.warning("purge_part_failed", extra=logs.fields(user_id=user_id, part=name, reason=error.code))
            raise
        log.info("purged", extra=logs.fields(user_id=user_id, part=name, items=deleted))


@dataclass(slots=True, kw_only=True)
class SweepReport:
    due: int = 0
    """Links whose time had come."""
    requested: int = 0
    """Of these, how many got their refresh asked for; the others come up again when their lease ends."""
    account_items: int = 0
    bill_items: int = 0
    user_items: int = 0
    provider_items: int = 0
    """Items that got rid of events left behind."""
    reminders: int = 0
    """Bills of which it was told that they are due soon, or overdue."""
    webhooks_tried: int = 0
    """Deliveries to webhooks that were due, whatever came of them."""
    failed_parts: tuple[str, ...] = ()


class Sweeping:
    def __init__(
        self,
        *,
        accounts: Stub,
        bills: Stub,
        reminders: Stub,
        users: Stub,
        providers: Stub,
        webhooks: Stub,
        publisher: Publisher,
        clock: Clock,
    ) -> None:
        self._accounts = accounts
        self._bills = bills
        self._reminders = reminders
        self._users = users
        self._providers = providers
        self._webhooks = webhooks
        self._publisher = publisher
        self._clock = clock

    def sweep(self) -> SweepReport:
        """Heals what events alone would lose: asks for due links' refresh, sends unsent events.

        A part that fails keeps none of the others from running, nor does one that takes long: each has its share of the
        time left.
        """
        report = SweepReport()
        parts: tuple[tuple[str, Callable[[SweepReport], bool]], ...] = (
            ("due_links", self._request_due),
            ("reminders", self._emit_due),
            ("account_outbox", self._flush_accounts),
            ("bill_outbox", self._flush_bills),
            ("user_outbox", self._flush_users),
            ("provider_outbox", self._flush_providers),
            ("webhooks", self._send_due),
        )
        for number, (name, part) in enumerate(parts):
            waiting = len(parts) - 1 - number
            kept = remaining_seconds() * waiting / (waiting + 1)
            try:
                while remaining_seconds() > kept and part(report):
                    pass
            except AppError as error:
                report.failed_parts += (name,)
                log.warning("sweep_part_failed", extra=logs.fields(part=name, reason=error.code))
        return report

    def _request_due(self, report: SweepReport) -> bool:
        """One call's worth of due links; whether there are more."""
        request = ListDueRequest(limit=DUE_LINKS, lease_seconds=LEASE_SECONDS)
        reply = self._accounts.call("ListDue", request, ListDueReply)
        report.due += len(reply.items)
        now = self._clock.now()
        events = [
            wrap(BillsRefreshRequestedV1(user_id=link.user_id, link_id=link.link_id, reason="sweep"), now)
            for link in reply.items
        ]
        refused = self._publisher.publish(events) if events else frozenset()
        report.requested += len(events) - len(refused)
        return reply.more and bool(events)

    def _emit_due(self, report: SweepReport) -> bool:
        reply = self._reminders.call("EmitDue", EmitDueRequest(limit=DUE_BILLS), EmitDueReply)
        report.reminders += reply.emitted
        return reply.more

    def _flush_accounts(self, report: SweepReport) -> bool:
        reply = _flush(self._accounts)
        report.account_items += reply.published
        return reply.more

    def _flush_bills(self, report: SweepReport) -> bool:
        reply = _flush(self._bills)
        report.bill_items += reply.published
        return reply.more

    def _flush_users(self, report: SweepReport) -> bool:
        reply = _flush(self._users)
        report.user_items += reply.published
        return reply.more

    def _flush_providers(self, report: SweepReport) -> bool:
        reply = _flush(self._providers)
        report.provider_items += reply.published
        return reply.more

    def _send_due(self, report: SweepReport) -> bool:
        reply = self._webhooks.call("SendDue", SendDueRequest(limit=DUE_LINKS), SendDueReply)
        report.webhooks_tried += reply.tried
        return reply.more


def _flush(owner: Stub) -> FlushOutboxReply:
    return owner.call("FlushOutbox", FlushOutboxRequest(limit=DUE_LINKS), FlushOutboxReply)
