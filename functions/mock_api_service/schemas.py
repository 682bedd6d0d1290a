"""Bodies of the operator's controls. What the utilities themselves say stands in `formats/`, one file each."""

import datetime as dt
from typing import Annotated

from msgspec import Meta, Struct

from functions.common.errors import FieldError, InvalidInput
from functions.mock_api_service.model import Scenario, UtilityName


class MoveClock(Struct, kw_only=True, forbid_unknown_fields=True):
    """Exactly one of these."""

    date: dt.date | None = None
    advance_months: Annotated[int, Meta(ge=1, le=120)] | None = None
    advance_days: Annotated[int, Meta(ge=1, le=3660)] | None = None
    reset: bool | None = None

    def checked(self) -> "MoveClock":
        """Itself. Raises InvalidInput unless it says exactly one thing."""
        said = (self.date, self.advance_months, self.advance_days, self.reset or None)
        if sum(part is not None for part in said) != 1:
            only_one = "Give exactly one of date, advance_months, advance_days and reset: true."
            raise InvalidInput.of(FieldError("date", "exactly_one", only_one))
        return self


class ClockReply(Struct, kw_only=True):
    date: dt.date


class Outage(Struct, kw_only=True, forbid_unknown_fields=True):
    utility: UtilityName
    down: bool


class SetScenario(Struct, kw_only=True, forbid_unknown_fields=True):
    """`scenario`: null lets the user name choose again."""

    utility: UtilityName
    account_number: Annotated[str, Meta(max_length=64)]
    scenario: Scenario | None


class AdjustBill(Struct, kw_only=True, forbid_unknown_fields=True):
    amount_minor: Annotated[int, Meta(ge=0, le=1_000_000_000)]


class AdjustedBill(Struct, kw_only=True):
    utility: UtilityName
    account_number: str
    bill_number: str
    amount_minor: int
    currency: str
    revision: int
