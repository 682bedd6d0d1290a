"""What happens because of time: once a minute all that events alone would lose is looked for.

Two sweeps at once do no harm: due links are leased, and the services that own what is flushed send each event once.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass

from functions.common import logs
from functions.common.clock import Clock
from functions.common.context import remaining_seconds
from functions.common.errors import AppError
from functions.common.publisher import Publisher
from functions.common.rpc.client import Stub
from functions.contracts.events.bills import BillsRefreshRequestedV1
from functions.contracts.events.envelope import wrap
from functions.contracts.rpc.accounts_pb2 import ListDueReply, ListDueRequest
from functions.contracts.rpc.common_pb2 import FlushOutboxReply, FlushOutboxRequest
from functions.contracts.rpc.reminders_pb2 import EmitDueReply, EmitDueRequest
from functions.contracts.rpc.webhooks_pb2 import SendDueReply, SendDueRequest

log = logging.getLogger(__name__)

DUE_LINKS = 100
"""Links, or items with unsent events, in one call."""
DUE_BILLS = 200
LEASE_SECONDS = 900
"""How long a due link is left alone: longer than its refresh takes with all deliveries; then it is due again."""


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
