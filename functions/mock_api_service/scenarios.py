"""What each scenario comes to: one row of differences from a good account. What a utility makes of it stands in
`signing_in.py` and `service.py`, its words in `refusals.py`, `garbling.py` and `formats/`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date

from functions.mock_api_service.billing import corrected, monthly, none, weekly
from functions.mock_api_service.model import AccountNumber, Bill, Reason, Scenario, Utility

History = Callable[[Utility, AccountNumber, date], tuple[Bill, ...]]
USUAL_PAGE, LARGEST_PAGE = 5, 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Play:
    """How a utility treats an account: when it signs in, when it asks for bills, and what those are."""

    out_of_service: bool = False
    refuses_login: Reason | None = None
    asks_for_code: bool = False

    refuses_bills: Reason | None = None
    fails_every_odd_time: bool = False
    slow: bool = False

    history: History = monthly
    page_size: int = USUAL_PAGE
    twice: bool = False
    garbled: bool = False


PLAYS: Mapping[Scenario, Play] = {
    Scenario.GOOD: Play(),
    Scenario.BAD_LOGIN: Play(refuses_login=Reason.BAD_LOGIN),
    Scenario.LOCKED: Play(refuses_login=Reason.LOCKED),
    Scenario.MFA: Play(asks_for_code=True),
    Scenario.SLOW: Play(slow=True),
    Scenario.DOWN: Play(out_of_service=True),
    Scenario.FLAKY: Play(fails_every_odd_time=True),
    Scenario.MALFORMED: Play(garbled=True),
    Scenario.RATE_LIMITED: Play(refuses_bills=Reason.RATE_LIMITED),
    Scenario.ADJUSTED: Play(history=corrected),
    Scenario.DUPLICATE: Play(twice=True),
    Scenario.EMPTY: Play(history=none),
    Scenario.HUGE: Play(history=weekly, page_size=LARGEST_PAGE),
}
