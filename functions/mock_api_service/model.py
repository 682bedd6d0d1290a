"""The sandbox's domain types: utilities and tariffs, bills, scenarios, and the ways in which a utility says no."""

import re
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import NewType

AccountNumber = NewType("AccountNumber", str)
BillNumber = NewType("BillNumber", str)

FIRST_DATE, LAST_DATE = date(2010, 1, 1), date(2089, 12, 31)
"""The virtual date stays within: tariffs and seasons are sensible there."""


class UtilityName(StrEnum):
    ELECTRICITY = "electricity"
    GAS = "gas"
    WATER = "water"
    INTERNET = "internet"


class Scenario(StrEnum):
    """How a utility treats an account: `scenarios.py` says what each comes to. The user name's part before the first
    dot chooses it, e.g. `slow.jane`."""

    GOOD = "good"
    BAD_LOGIN = "bad_login"
    LOCKED = "locked"
    MFA = "mfa"
    SLOW = "slow"
    DOWN = "down"
    FLAKY = "flaky"
    MALFORMED = "malformed"
    RATE_LIMITED = "rate_limited"
    ADJUSTED = "adjusted"
    DUPLICATE = "duplicate"
    EMPTY = "empty"
    HUGE = "huge"

    @classmethod
    def of(cls, username: str) -> "Scenario":
        """Any name that scripts nothing is a good one."""
        word = username.partition(".")[0]
        return cls(word) if word in cls._value2member_map_ else cls.GOOD


class Kind(StrEnum):
    """Kinds of a line item, in the words of the canonical bill."""

    GENERATION = "generation"
    DELIVERY = "delivery"
    USAGE = "usage"
    FEE = "fee"
    TAX = "tax"
    CREDIT = "credit"
    OTHER = "other"


class Basis(StrEnum):
    """What a charge's rate is multiplied by."""

    VOLUME = "volume"
    DAY = "day"
    BILL = "bill"
    SUBTOTAL = "subtotal"
    """All items before it: a tax."""


@dataclass(frozen=True, slots=True)
class Charge:
    """One line of a tariff. `rate`: major currency units of 2024, before the yearly rise; a fraction for SUBTOTAL."""

    name: str
    kind: Kind
    basis: Basis
    rate: Decimal


@dataclass(frozen=True, slots=True)
class Utility:
    """The facts of one utility. All currencies have two decimals. `season`: percent of mean usage, January first."""

    name: UtilityName
    provider_id: str
    label: str
    currency: str
    time_zone: str
    account_format: str
    account_example: str
    bill_prefix: str
    due_days: int | None
    """None: this utility's shape has no due date (NAESB ESPI)."""
    unit: str
    daily_usage: Decimal
    usage_step: Decimal
    season: tuple[int, ...]
    tariff: str
    charges: tuple[Charge, ...]

    def accepts(self, account: str) -> bool:
        return re.fullmatch(self.account_format, account, re.ASCII) is not None


@dataclass(frozen=True, slots=True)
class LineItem:
    name: str
    kind: Kind
    amount_minor: int
    volume: Decimal | None = None
    rate: Decimal | None = None
    """Major currency units per unit of volume."""


@dataclass(frozen=True, slots=True)
class Bill:
    """One issued bill; the line items sum to `amount_minor`. `period_end` is the last day covered."""

    number: BillNumber
    statement_date: date
    due_date: date | None
    period_start: date
    period_end: date
    currency: str
    volume: Decimal
    unit: str
    meter: str
    tariff: str
    line_items: tuple[LineItem, ...]
    updated_on: date
    revision: int = 1
    copy: bool = False
    """The utility says the bill a second time."""

    @property
    def amount_minor(self) -> int:
        return sum(item.amount_minor for item in self.line_items)


@dataclass(frozen=True, slots=True)
class Adjustment:
    """An amount that the sandbox's operator put in place of the computed one. `times`: how often, so far."""

    amount_minor: int
    adjusted_on: date
    times: int = 1


@dataclass(frozen=True, slots=True)
class CodeDemand:
    """A utility's wish for a code beside the login; `token` is to come back together with it."""

    token: str
    methods: tuple[str, ...]
    seconds: int


class Reason(StrEnum):
    """Why a utility turns a request down."""

    BAD_LOGIN = "bad_login"
    LOCKED = "locked"
    CODE_NEEDED = "code_needed"
    CODE_WRONG = "code_wrong"
    INVALID_TOKEN = "invalid_token"  # noqa: S105  # a reason, not a token
    UNSUPPORTED_GRANT = "unsupported_grant"
    UNKNOWN_ACCOUNT = "unknown_account"
    UNKNOWN_BILL = "unknown_bill"
    UNKNOWN_REFERENCE = "unknown_reference"
    MALFORMED = "malformed"
    RATE_LIMITED = "rate_limited"
    HICCUP = "hiccup"
    DOWN = "down"


class Refusal(Exception):  # an answer, not an error
    """A utility's own no; never a problem of the platform. `demand` comes with CODE_NEEDED and CODE_WRONG."""

    def __init__(self, reason: Reason, detail: str = "", demand: CodeDemand | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.detail = detail
        self.demand = demand
