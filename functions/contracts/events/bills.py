"""What happens to bills. Owner: bill_aggregation_service, but for the request to refresh, which the broker owns."""

from typing import ClassVar

from functions.contracts.events.envelope import EventData


class BillsRefreshRequestedV1(EventData, frozen=True, kw_only=True):
    """Somebody wants one link's bills read again: the user, the utility, or the sweep."""

    TYPE: ClassVar[str] = "bills.refresh_requested.v1"
    SOURCE: ClassVar[str] = "broker"

    user_id: str
    link_id: str
    job_id: str = ""
    """The refresh job that waits for the result; empty when nobody does."""
    reason: str
    """user, provider or sweep."""

    @property
    def subject(self) -> str:
        return self.link_id


class BillsImportRequestedV1(EventData, frozen=True, kw_only=True):
    """A file that a user uploaded is to be imported. Goes from the aggregator's API straight to its worker's queue."""

    TYPE: ClassVar[str] = "bills.import_requested.v1"
    SOURCE: ClassVar[str] = "bill-aggregation"

    user_id: str
    import_id: str

    @property
    def subject(self) -> str:
        return self.import_id


class _BillEvent(EventData, frozen=True, kw_only=True):
    SOURCE: ClassVar[str] = "bill-aggregation"

    user_id: str
    link_id: str
    bill_id: str
    provider_id: str
    service_type: str
    version: int
    amount_minor: int
    """In minor units of `currency` (ISO 4217)."""
    currency: str
    due_date: str | None = None
    """YYYY-MM-DD in the provider's time zone."""

    @property
    def subject(self) -> str:
        return self.bill_id


class BillCreatedV1(_BillEvent, frozen=True, kw_only=True):
    """A bill that was not known before."""

    TYPE: ClassVar[str] = "bill.created.v1"


class BillUpdatedV1(_BillEvent, frozen=True, kw_only=True):
    """A known bill changed at the utility; the version before stays readable."""

    TYPE: ClassVar[str] = "bill.updated.v1"


class BillPaidV1(_BillEvent, frozen=True, kw_only=True):
    """A known bill became paid. A bill that is paid already when it is first read is no news: bill.created.v1 alone."""

    TYPE: ClassVar[str] = "bill.paid.v1"

    paid_at: str | None = None
    """YYYY-MM-DD, where somebody named the day."""
    paid_amount_minor: int | None = None
    said_by: str
    """user or provider."""


class _Reminder(_BillEvent, frozen=True, kw_only=True):
    outstanding_minor: int
    """What is left to pay."""
    day: str
    """YYYY-MM-DD where the user is: the day on which this is said."""
    time_zone: str
    """IANA name of the zone that `day` is of."""
    reminder: int
    """Each version of a bill is told of once, with 1; who asks for repetition hears again, with 2, 3…"""


class BillDueSoonV1(_Reminder, frozen=True, kw_only=True):
    """A bill that is not paid has to be, within as many days as the user wants to know it before."""

    TYPE: ClassVar[str] = "bill.due_soon.v1"


class BillOverdueV1(_Reminder, frozen=True, kw_only=True):
    """The day on which a bill was due has passed where the user is, and nobody has said that it is paid."""

    TYPE: ClassVar[str] = "bill.overdue.v1"
