"""The use case that gives a bill as its utility has it on paper: read there for each answer, and kept nowhere."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from functions.bill_aggregation_service.adapters.base import Access, NeedsAction, NoDocument, ProviderError
from functions.bill_aggregation_service.finding import BillsById, found_bill
from functions.bill_aggregation_service.model import Bill, FetchedBill, UserId
from functions.bill_aggregation_service.reading import bill_key
from functions.bill_aggregation_service.refresh import Refresher
from functions.common import logs
from functions.common.errors import AppError, Conflict, NotFound, Unavailable

log = logging.getLogger(__name__)

WAITS_FOR_USER = frozenset({"ACTION_REQUIRED", "MFA_REQUIRED"})
"""States in which the utility is left alone: each sign-in would be refused, and may lock the account for longer."""
SOON_SECONDS, LATER_SECONDS = 5, 3_600
Present = Callable[[Sequence[FetchedBill]], str | None]
"""Finds the bill's reference among the bills that the utility shows now."""


@dataclass(frozen=True, slots=True)
class Documents:
    store: BillsById
    refresher: Refresher
    read: Callable[[Access, str, Present, float], bytes]
    """A PDF, by its reference, within so many seconds; raises ProviderError."""

    def fetch_document(self, user_id: UserId, bill_id: str) -> bytes:
        """A PDF. Raises NotFound, Conflict when the utility wants something of the user first, Unavailable."""
        bill, link = found_bill(self.store, user_id, bill_id)
        reference = bill.content.document_url
        if reference is None:
            raise _none()
        if link.state in WAITS_FOR_USER:
            raise _action_required()

        def read(access: Access, seconds: float) -> bytes:
            return self.read(access, reference, lambda shown: _reference(bill, shown), seconds)

        try:
            return self.refresher.ask(user_id, bill.link_id, read)
        except ProviderError as error:
            told = logs.fields(provider_id=bill.provider_id, code=error.code, detail=str(error))
            log.warning("document_failed", extra=told)
            raise _told(error) from error


def _reference(bill: Bill, shown: Sequence[FetchedBill]) -> str | None:
    found = (each.content.document_url for each in shown if bill_key(bill.link_id, each.content) == bill.key)
    return next(found, None)


def _told(error: ProviderError) -> AppError:
    match error:
        case NoDocument():
            return _none()
        case NeedsAction():
            return _action_required()
    patience = error.retry_after or (SOON_SECONDS if error.retryable else LATER_SECONDS)
    return Unavailable("The utility does not give the document now.", code=error.code, retry_after=patience)


def _none() -> NotFound:
    return NotFound("The utility gives no document of this bill.", code="no_document")


def _action_required() -> Conflict:
    message = "The utility wants something of the user first; the linked account says what."
    return Conflict(message, code="action_required")
