"""Use case of the webhooks that utilities send: what they announce is read anew, for every household that linked the
account.

Whoever sends learns nothing but whether their signature is good: not whether anybody linked the account. Each webhook
id is heeded once. Nothing that was verified is lost: a 202 is answered when the events are out, anything else makes
the utility send again.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from typing import Protocol

from functions.broker_service.announcement_schemas import Announcement
from functions.common import logs
from functions.common.clock import Clock
from functions.common.errors import AppError, PayloadTooLarge, Unauthenticated, Unavailable
from functions.common.publisher import Publisher
from functions.common.rpc.client import Stub
from functions.common.validation import decode_object, parse
from functions.contracts.events.bills import BillsRefreshRequestedV1
from functions.contracts.events.envelope import wrap
from functions.contracts.rpc.accounts_pb2 import FindLinksReply, FindLinksRequest, LinkedAccount
from functions.contracts.rpc.providers_pb2 import VerifyWebhookReply, VerifyWebhookRequest

log = logging.getLogger(__name__)

MAX_BYTES = 65_536
MAX_HEADER_CHARS = 2_000
MAX_ID_CHARS = 200
MANUAL = "manual"
BILL_AVAILABLE = "bill.available"
CHALLENGE = {"WWW-Authenticate": 'Webhook-Signature realm="billing"'}
"""A 401 has one (RFC 9110 section 15.5.2); no token would help."""
WORKING = timedelta(seconds=30)
"""Longer than the function may take: who has not handed the work over by then never will."""
REMEMBERED = timedelta(hours=24)
"""Longer than a signature counts: ten minutes, for a clock that is five ahead."""


class Seen(Enum):
    NEW = "new"
    IN_WORK = "in work"
    DONE = "done"


@dataclass(frozen=True, slots=True)
class SignedWebhook:
    """As it came in: the headers of Standard Webhooks, and the very bytes of the body."""

    provider_id: str
    webhook_id: str
    timestamp: str
    signatures: str
    body: bytes


class WebhookMarks(Protocol):
    """Which webhooks came in already, by utility and webhook id."""

    def begin(self, provider_id: str, webhook_id: str, lease: timedelta) -> Seen:
        """NEW: the caller has it in work until the lease ends, and nobody else."""
        ...

    def finish(self, provider_id: str, webhook_id: str, kept: timedelta) -> None:
        """It is done, and remembered so."""
        ...

    def abandon(self, provider_id: str, webhook_id: str) -> None:
        """It is as if it had not come."""
        ...


class Announcements:
    def __init__(
        self, *, marks: WebhookMarks, providers: Stub, accounts: Stub, publisher: Publisher, clock: Clock
    ) -> None:
        self._marks = marks
        self._providers = providers
        self._accounts = accounts
        self._publisher = publisher
        self._clock = clock

    def receive_provider_webhook(self, webhook: SignedWebhook) -> None:
        """Has the bills read that it announces. Again, or of a type that is not known, it does nothing.

        Raises PayloadTooLarge, Unauthenticated when the utility did not sign it lately, MalformedBody or InvalidInput
        when it did and the body is wrong, Unavailable when it must be sent again.
        """
        if len(webhook.body) > MAX_BYTES:
            raise PayloadTooLarge(f"The body has {len(webhook.body)} bytes, {MAX_BYTES} are allowed.")
        if not self._verified(webhook):
            raise Unauthenticated("The signature does not verify.", code="signature_invalid", headers=CHALLENGE)
        announced = decode_object(webhook.body)
        fields = logs.fields(provider_id=webhook.provider_id, webhook_id=webhook.webhook_id)
        if _of_another_type(announced):
            log.info("webhook_ignored", extra=fields)
            return
        account_number = parse(Announcement, announced).account_number
        seen = self._marks.begin(webhook.provider_id, webhook.webhook_id, WORKING)
        if seen is Seen.IN_WORK:
            raise Unavailable("This webhook is being worked on; send it again.", retry_after=1)
        if seen is Seen.NEW:
            self._hand_over(webhook, account_number)
        else:
            log.info("webhook_replayed", extra=fields)

    def _verified(self, webhook: SignedWebhook) -> bool:
        headers = (webhook.webhook_id, webhook.timestamp, webhook.signatures)
        if not all(text.isascii() and 0 < len(text) <= MAX_HEADER_CHARS for text in headers):
            return False
        if len(webhook.webhook_id) > MAX_ID_CHARS or not webhook.provider_id.isascii():
            return False
        request = VerifyWebhookRequest(
            provider_id=webhook.provider_id,
            webhook_id=webhook.webhook_id,
            timestamp=webhook.timestamp,
            signatures=webhook.signatures,
            body=webhook.body,
        )
        return self._providers.call("VerifyWebhook", request, VerifyWebhookReply).verified

    def _hand_over(self, webhook: SignedWebhook, account_number: str) -> None:
        try:
            links = self._request_refreshes(webhook.provider_id, account_number)
            self._marks.finish(webhook.provider_id, webhook.webhook_id, REMEMBERED)
        except AppError:
            self._forget(webhook)
            raise
        log.info(
            "webhook_received",
            extra=logs.fields(provider_id=webhook.provider_id, webhook_id=webhook.webhook_id, links=links),
        )

    def _request_refreshes(self, provider_id: str, account_number: str) -> int:
        """Of how many links. Twice is as good as once, which is why one that did not get out repeats them all."""
        request = FindLinksRequest(provider_id=provider_id, account_number=account_number)
        found = self._accounts.call("FindLinks", request, FindLinksReply).items
        now = self._clock.now()
        events = [
            wrap(BillsRefreshRequestedV1(user_id=link.user_id, link_id=link.link_id, reason="provider"), now)
            for link in found
            if _may_be_read(link)
        ]
        if events and self._publisher.publish(events):
            raise Unavailable("Not every account could be told of; send it again.")
        return len(events)

    def _forget(self, webhook: SignedWebhook) -> None:
        try:
            self._marks.abandon(webhook.provider_id, webhook.webhook_id)
        except AppError as error:  # then the lease has to end first
            log.warning("webhook_not_abandoned", extra=logs.fields(reason=error.code))


def _of_another_type(announced: Mapping[str, object]) -> bool:
    """What a type is not told by is wrong, not ignored."""
    said = announced.get("type")
    return isinstance(said, str) and said != BILL_AVAILABLE


def _may_be_read(link: LinkedAccount) -> bool:
    """Not one that waits for its user: asking the utility with a login that it refused may lock the account."""
    return link.kind != MANUAL and not link.customer_action_required
