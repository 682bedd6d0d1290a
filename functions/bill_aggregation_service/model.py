"""The canonical bill and the aggregator's view of a link; the rules on them stand in `rules.py`.

Money is in minor units (ISO 4217); dates are those of the provider's time zone.
"""

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import NewType

UserId = NewType("UserId", str)
LinkId = NewType("LinkId", str)
ProviderId = NewType("ProviderId", str)
BillId = NewType("BillId", str)
BillKey = NewType("BillKey", str)
"""What a bill is unique on, hashed: the last 16 characters of its id."""


class BillType(StrEnum):
    BILL = "bill"
    NOTICE = "notice"
    ADJUSTMENT = "adjustment"
    PREPAID = "prepaid"


class LineKind(StrEnum):
    GENERATION = "generation"
    DELIVERY = "delivery"
    USAGE = "usage"
    FEE = "fee"
    TAX = "tax"
    CREDIT = "credit"
    PAYMENT = "payment"
    OTHER = "other"

    @classmethod
    def of(cls, word: str) -> "LineKind":
        """The kind that a utility's own word names, in any case; OTHER for words that name none."""
        try:
            return cls(word.lower())
        except ValueError:
            return cls.OTHER


class ProviderStatus(StrEnum):
    UNPAID = "unpaid"
    PAID = "paid"
    PARTIAL = "partial"
    UNKNOWN = "unknown"


class Status(StrEnum):
    UPCOMING = "upcoming"
    DUE_SOON = "due_soon"
    OVERDUE = "overdue"
    PAID = "paid"


class Source(StrEnum):
    """Where a bill was read: from the utility's interface, or from a file that the user gave."""

    API = "api"
    GREEN_BUTTON = "green_button"


@dataclass(frozen=True, slots=True)
class Usage:
    service_type: str
    volume: Decimal
    unit: str
    meter_id: str | None = None


@dataclass(frozen=True, slots=True)
class LineItem:
    name: str
    kind: LineKind
    amount_minor: int
    volume: Decimal | None = None
    unit: str | None = None
    rate: Decimal | None = None
    """Major currency units per unit of volume."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BillContent:
    """What a utility says of one bill; equal contents are the same version. `period_end` is the last day covered."""

    external_bill_id: str
    """Empty when the utility numbers no bills."""
    type: BillType = BillType.BILL
    service_type: str
    usage_point: str = ""
    statement_date: date | None = None
    due_date: date | None = None
    period_start: date
    period_end: date
    amount_minor: int
    currency: str
    total_charges_minor: int | None = None
    previous_balance_minor: int | None = None
    outstanding_balance_minor: int | None = None
    usage: tuple[Usage, ...] = ()
    line_items: tuple[LineItem, ...] = ()
    tariff: str | None = None
    provider_status: ProviderStatus = ProviderStatus.UNKNOWN
    paid_at: date | None = None
    paid_amount_minor: int | None = None
    document_url: str | None = None
    """Where the utility gives it on paper, below its base URL, as `adapters/documents.py` keeps it; never shown. It may
    carry what changes from answer to answer, so it makes no version."""
    assumed: tuple[str, ...] = ()
    """What the source left unsaid and was filled in, as codes of quality notes (`rules.ASSUMPTIONS`)."""
    cancelled: bool = False
    """The utility took the bill back: it stays on record, and nothing is to be paid for it."""

    @property
    def sorted_on(self) -> date:
        """The day that lists are ordered and filtered by."""
        return self.due_date or self.statement_date or self.period_end


@dataclass(frozen=True, slots=True)
class FetchedBill:
    content: BillContent
    stamped_at: datetime | None = None
    """When the utility says that the bill last changed; None when it does not say."""


@dataclass(frozen=True, slots=True)
class QualityNote:
    """A doubt about a bill. `code` is stable; docs/quality-notes.md lists them all."""

    code: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """What the user says of a bill's payment. It stays when the bill gets a new version."""

    paid_at: date | None = None
    paid_amount_minor: int | None = None
    note: str | None = None
    covered_minor: int | None = None
    """What `paid_at` without an amount stands for: all that the bill asked for when the user said so."""
    revision: int = 0
    """Grows with each change that the user makes; 0: none yet."""

    @property
    def amount_minor(self) -> int | None:
        return self.covered_minor if self.paid_amount_minor is None else self.paid_amount_minor


@dataclass(frozen=True, slots=True, kw_only=True)
class Reminded:
    """How often the user was told that a version of a bill is due soon, and overdue; and when last."""

    version: int = 0
    due_soon: int = 0
    overdue: int = 0
    on: date | None = None
    """The user's day."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bill:
    """A bill as it is kept. `as_of` (the provider's stamp, else when the fetch began) orders its versions."""

    bill_id: BillId
    user_id: UserId
    link_id: LinkId
    provider_id: ProviderId
    content: BillContent
    content_hash: str
    source: Source
    version: int
    supersedes: int | None
    """The version that this one took the place of."""
    as_of: datetime
    discovered_at: datetime
    versioned_at: datetime
    """When this version was found."""
    updated_at: datetime
    """When this version was found, or the user's mark last changed."""
    mark: Mark = Mark()
    notes: tuple[QualityNote, ...] = ()
    """Doubts that come of its neighbours: no part of the content, so they make no version."""
    edition: int = 0
    """Grows with each write of the item, whatever it changes; 0: not stored yet, or before editions were counted."""
    unsent: tuple[str, ...] = ()
    """Events that tell of this bill and have not left yet, as CloudEvents JSON."""
    remind_at: datetime | None = None
    """When its due date is to be looked at; None: there is nothing to say of it."""
    reminded: Reminded = Reminded()

    @property
    def key(self) -> BillKey:
        return BillKey(self.bill_id[-16:])

    @property
    def position(self) -> str:
        """Where the bill stands in a list: by day, then period. Text that sorts; no other bill of the user has it."""
        return f"{self.content.sorted_on}#{self.content.period_start}#{self.key}"


class Freshness(StrEnum):
    """What a reader learns of a source: read just now, kept and young enough, kept and old, or not readable."""

    FRESH = "fresh"
    CACHED = "cached"
    STALE = "stale"
    FAILED = "failed"
    ACTION_REQUIRED = "action_required"


class Outcome(StrEnum):
    """How the latest attempt to read a link's bills ended."""

    NEVER = ""
    SUCCESS = "success"
    FAILED = "failed"
    ACTION_REQUIRED = "action_required"


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """The aggregator's own record of a linked account: what account.* events say of it, and how reading it went."""

    user_id: UserId
    link_id: LinkId
    provider_id: ProviderId = ProviderId("")
    provider_name: str = ""
    time_zone: str = ""
    state: str = ""
    status_detail: str = ""
    link_version: int = 0
    """Version of the account that `state` speaks of; 0: no event has come yet."""
    outcome: Outcome = Outcome.NEVER
    error_code: str = ""
    retryable: bool = False
    as_of: datetime | None = None
    """When the latest successful fetch began."""
    attempted_at: datetime | None = None
    bill_count: int = 0
    refused_count: int = 0
    """Bills of the latest successful answer that could not be kept (`rules.REFUSALS`)."""
    answer_digest: str = ""
    """Of the latest successful answer: the same again changes nothing. Empty: unknown, or bills came otherwise."""
    revision: int = 0
    """Grows with each write to the link or its bills, which makes them one after the other; 0: not stored yet."""
    gone: bool = False
    """A tombstone: the account was unlinked, its bills never come back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """What the aggregator needs to know of a utility."""

    provider_id: ProviderId
    name: str
    service_types: tuple[str, ...]
    currency: str
    time_zone: str
    adapter: str
    base_url: str
    deactivated: bool = False
    """An administrator took it out of service: it is not called."""
    health: str = ""
    """up, degraded or down, as the registry said last; empty: unknown."""


@dataclass(frozen=True, slots=True)
class LinkChoice:
    """Which of a user's links to read: those named, or all but some."""

    link_ids: frozenset[LinkId] = frozenset()
    """Empty: all."""
    excluded: frozenset[LinkId] = frozenset()
    provider_id: ProviderId | None = None

    def admits(self, link_id: LinkId, provider_id: ProviderId) -> bool:
        named = link_id in self.link_ids if self.link_ids else link_id not in self.excluded
        return named and self.provider_id in (None, provider_id)


class By(StrEnum):
    """What sums are made by."""

    MONTH = "month"
    PROVIDER = "provider"
    SERVICE_TYPE = "service_type"


@dataclass(frozen=True, slots=True, kw_only=True)
class Criteria:
    """Which bills to list. `since` and `until` bound the day that lists go by; `after` is a bill's position."""

    status: Status | None = None
    link_id: LinkId | None = None
    provider_id: ProviderId | None = None
    service_type: str | None = None
    since: date | None = None
    until: date | None = None
    limit: int = 50
    cursor: str = ""
    """As the caller gave it."""
    after: str = ""

    @property
    def is_partial(self) -> bool:
        """Whether rows between the bounds may be left out."""
        return (self.status, self.link_id, self.provider_id, self.service_type) != (None, None, None, None)

    def admits(self, link_id: LinkId, provider_id: ProviderId) -> bool:
        """Whether the bills of this link are asked for."""
        return self.link_id in (None, link_id) and self.provider_id in (None, provider_id)
