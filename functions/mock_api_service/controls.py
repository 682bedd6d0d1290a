"""Use cases of the operator: what anybody with the role admin can do to the utilities."""

from dataclasses import dataclass
from datetime import date, timedelta

from functions.common.clock import Clock
from functions.common.errors import FieldError, InvalidInput, NotFound
from functions.mock_api_service.billing import add_months, adjusted
from functions.mock_api_service.memory import SandboxTable
from functions.mock_api_service.model import (
    FIRST_DATE,
    LAST_DATE,
    AccountNumber,
    Adjustment,
    Bill,
    BillNumber,
    Scenario,
    UtilityName,
)
from functions.mock_api_service.scenarios import PLAYS
from functions.mock_api_service.utilities import UTILITIES


@dataclass(frozen=True, slots=True)
class Operator:
    table: SandboxTable
    clock: Clock

    def virtual_date(self) -> date:
        return self.table.controls().today(self.clock.now())

    def move_clock(self, *, to: date | None = None, months: int = 0, days: int = 0, reset: bool = False) -> date:
        """Sets the virtual date, moves it on, or lets it follow the calendar again. Answers the date that holds now."""
        controls, now = self.table.controls(), self.clock.now()
        try:
            moved = None if reset else add_months(to or controls.today(now), months) + timedelta(days)
        except (OverflowError, ValueError):
            moved = date.max
        if moved and not FIRST_DATE <= moved <= LAST_DATE:
            raise InvalidInput.of(FieldError("date", "range", f"The date must lie from {FIRST_DATE} to {LAST_DATE}."))
        self.table.move_clock(controls.virtual_date, moved)
        return moved or now.date()

    def set_outage(self, utility: UtilityName, *, down: bool) -> None:
        self.table.set_outage(utility, down=down)

    def set_scenario(self, utility: UtilityName, account: str, scenario: Scenario | None) -> None:
        """How the utility treats the account whoever signs in; None: as the user name says."""
        if not UTILITIES[utility].accepts(account):
            expected = f"Account numbers of this utility look like {UTILITIES[utility].account_example}."
            raise InvalidInput.of(FieldError("account_number", "pattern", expected))
        self.table.set_scenario(utility, AccountNumber(account), scenario)

    def shown_bill(self, utility: UtilityName, account: AccountNumber, number: BillNumber) -> Bill:
        """A bill that the utility shows today to a user name that scripts nothing. Raises NotFound."""
        for bill in self._shown(utility, account):
            if bill.number == number:
                return bill
        raise NotFound("There is no such bill.")

    def adjust_bill(self, utility: UtilityName, account: AccountNumber, number: BillNumber, amount_minor: int) -> Bill:
        """Changes the amount of a bill that the utility shows today."""
        self.shown_bill(utility, account, number)
        earlier = self.table.account(utility, account).adjustments.get(number)
        adjustment = Adjustment(amount_minor, self.virtual_date(), times=1 + (earlier.times if earlier else 0))
        self.table.put_adjustment(utility, account, number, adjustment)
        return self.shown_bill(utility, account, number)

    def _shown(self, utility: UtilityName, account: AccountNumber) -> tuple[Bill, ...]:
        if not UTILITIES[utility].accepts(account):
            return ()
        memory = self.table.account(utility, account)
        history = PLAYS[memory.scenario or Scenario.GOOD].history
        return adjusted(history(UTILITIES[utility], account, self.virtual_date()), memory.adjustments)
