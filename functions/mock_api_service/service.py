"""Use cases of the sandbox: what each utility does when asked, and what the operator can do to all of them."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from typing import Protocol

from functions.common import cursor
from functions.common.clock import Clock
from functions.common.errors import FieldError, InvalidInput, NotFound, NotImplementedYet
from functions.mock_api_service.billing import add_months, adjusted, bills
from functions.mock_api_service.model import (
    FIRST_DATE,
    LAST_DATE,
    PLAYED,
    AccountNumber,
    Adjustment,
    Bill,
    BillNumber,
    Controls,
    Grant,
    Reason,
    Reference,
    Refusal,
    Scenario,
    UtilityName,
)
from functions.mock_api_service.utilities import UTILITIES

PAGE_SIZE = 5
REFERENCE_LIFETIME = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class BillPage:
    account: AccountNumber
    bills: tuple[Bill, ...]
    limit: int
    next_cursor: str | None
    paid_through: date
    """The household has paid what was issued up to this day: all but the newest bill."""


class FetchState(StrEnum):
    PENDING = "PENDING"
    SUCCESS = "SUCCESS"
    FAILURE = "FAILURE"


@dataclass(frozen=True, slots=True)
class Fetched:
    state: FetchState
    account: AccountNumber
    bills: tuple[Bill, ...] = ()


class SandboxTable(Protocol):
    """What the sandbox remembers. Updates raise Conflict when somebody else was faster."""

    def controls(self) -> Controls: ...
    def move_clock(self, seen: date | None, to: date | None) -> None: ...
    def set_outage(self, utility: UtilityName, *, down: bool) -> None: ...
    def adjustments(self, utility: UtilityName, account: AccountNumber) -> Mapping[BillNumber, Adjustment]: ...
    def put_adjustment(
        self, utility: UtilityName, account: AccountNumber, number: BillNumber, adjustment: Adjustment
    ) -> None: ...
    def put_grant(self, token_hash: str, grant: Grant) -> None: ...
    def grant(self, token_hash: str) -> Grant | None: ...
    def put_reference(self, ref_id: str, reference: Reference) -> None: ...
    def poll_reference(self, ref_id: str) -> Reference | None: ...


@dataclass(frozen=True, slots=True)
class Sandbox:
    table: SandboxTable
    clock: Clock
    sleep: Callable[[float], None]
    new_secret: Callable[[], str]
    """Fresh, unguessable text in [A-Za-z0-9_-]: access tokens and references."""
    slow_seconds: float = 4.0
    token_lifetime: timedelta = timedelta(minutes=10)

    # --- the operator's controls ---

    def virtual_date(self) -> date:
        return self._today(self.table.controls())

    def move_clock(self, *, to: date | None = None, months: int = 0, days: int = 0, reset: bool = False) -> date:
        """Sets the virtual date, moves it on, or lets it follow the calendar again. Answers the date that holds now."""
        controls = self.table.controls()
        try:
            moved = None if reset else add_months(to or self._today(controls), months) + timedelta(days)
        except (OverflowError, ValueError):
            moved = date.max
        if moved and not FIRST_DATE <= moved <= LAST_DATE:
            raise InvalidInput.of(FieldError("date", "range", f"The date must lie from {FIRST_DATE} to {LAST_DATE}."))
        self.table.move_clock(controls.virtual_date, moved)
        return moved or self.clock.now().date()

    def set_outage(self, utility: UtilityName, *, down: bool) -> None:
        self.table.set_outage(utility, down=down)

    def shown_bill(self, utility: UtilityName, account: AccountNumber, number: BillNumber) -> Bill:
        """A bill that the utility shows today. Raises NotFound."""
        known = UTILITIES[utility].accepts(account)
        shown = self._shown(utility, account, self.virtual_date()) if known else ()
        for bill in shown:
            if bill.number == number:
                return bill
        raise NotFound("There is no such bill.")

    def adjust_bill(self, utility: UtilityName, account: AccountNumber, number: BillNumber, amount_minor: int) -> Bill:
        """Changes the amount of a bill that the utility shows today."""
        bill = self.shown_bill(utility, account, number)
        adjustment = Adjustment(amount_minor, self.virtual_date(), times=bill.revision)
        self.table.put_adjustment(utility, account, number, adjustment)
        return self.shown_bill(utility, account, number)

    # --- electricity: OAuth 2.0 client credentials, then pages of bills ---

    def issue_token(self, grant_type: str, client_id: str, client_secret: str) -> str:
        """RFC 6749, section 4.4. The token is opaque; only its hash is kept."""
        self._sign_in(UtilityName.ELECTRICITY, client_id, client_secret)
        if grant_type != "client_credentials":
            raise Refusal(Reason.UNSUPPORTED_GRANT, "grant_type must be client_credentials")
        token = self.new_secret()
        self.table.put_grant(_digest(token), Grant(client_id, self.clock.now() + self.token_lifetime))
        return token

    def list_bills(self, token: str, account: str, after: str, limit: int) -> BillPage:
        """Newest first, at most PAGE_SIZE a page; a cursor stays right while new bills are issued."""
        grant = self.table.grant(_digest(token)) if token else None
        if grant is None or grant.expires_at <= self.clock.now():
            raise Refusal(Reason.INVALID_TOKEN, "the access token is missing, unknown or expired")
        controls = self._admit(UtilityName.ELECTRICITY, grant.username)
        size = min(limit, PAGE_SIZE)
        before = _read_cursor(after) if after else date.max
        shown = self._bills(UtilityName.ELECTRICITY, grant.username, account, controls)
        rest = [bill for bill in shown if bill.statement_date < before]
        more = len(rest) > size
        return BillPage(
            account=AccountNumber(account),
            bills=tuple(rest[:size]),
            limit=size,
            next_cursor=cursor.encode({"before": rest[size - 1].statement_date.isoformat()}) if more else None,
            paid_through=shown[1].statement_date,
        )

    # --- gas and internet: one document each, for a user name and password ---

    def download(self, utility: UtilityName, username: str, password: str, account: str) -> tuple[Bill, ...]:
        controls = self._sign_in(utility, username, password)
        return self._bills(utility, username, account, controls)

    # --- water: ask for the bill, then poll the reference ---

    def request_bill(self, username: str, password: str, account: str) -> str:
        """The reference to poll. Whether the account exists turns out only there."""
        self._sign_in(UtilityName.WATER, username, password)
        ref_id = self.new_secret()
        expires_at = self.clock.now() + REFERENCE_LIFETIME
        self.table.put_reference(ref_id, Reference(username, AccountNumber(account), expires_at))
        return ref_id

    def fetch_bill(self, username: str, password: str, ref_id: str) -> Fetched:
        """PENDING when asked for the first time, then the answer."""
        controls = self._sign_in(UtilityName.WATER, username, password)
        reference = self.table.poll_reference(ref_id)
        if reference is None or reference.username != username or reference.expires_at <= self.clock.now():
            raise Refusal(Reason.UNKNOWN_REFERENCE, "no such refId")
        if reference.polls <= 1:
            return Fetched(FetchState.PENDING, reference.account)
        try:
            found = self._bills(UtilityName.WATER, username, reference.account, controls)
        except Refusal:
            return Fetched(FetchState.FAILURE, reference.account)
        return Fetched(FetchState.SUCCESS, reference.account, found)

    # --- what all four share ---

    def _sign_in(self, utility: UtilityName, username: str, password: str) -> Controls:
        if username and password:
            return self._admit(utility, username)
        raise Refusal(Reason.BAD_LOGIN, "credentials are required")

    def _admit(self, utility: UtilityName, username: str) -> Controls:
        """Raises what the outages and the account's scenario make of any request."""
        controls = self.table.controls()
        scenario = Scenario.of(username)
        if utility in controls.outages or scenario is Scenario.DOWN:
            raise Refusal(Reason.DOWN, "temporarily out of service")
        if scenario is Scenario.BAD_LOGIN:
            raise Refusal(Reason.BAD_LOGIN, "user name or password is wrong")
        if scenario not in PLAYED:
            raise NotImplementedYet(
                f"The sandbox does not play the scenario {scenario} yet.", code="scenario_not_built"
            )
        return controls

    def _bills(self, utility: UtilityName, username: str, account: str, controls: Controls) -> tuple[Bill, ...]:
        if not UTILITIES[utility].accepts(account):
            raise Refusal(Reason.UNKNOWN_ACCOUNT, "no such account")
        if Scenario.of(username) is Scenario.SLOW:
            self.sleep(self.slow_seconds)
        return self._shown(utility, AccountNumber(account), self._today(controls))

    def _shown(self, utility: UtilityName, account: AccountNumber, today: date) -> tuple[Bill, ...]:
        return adjusted(bills(UTILITIES[utility], account, today), self.table.adjustments(utility, account))

    def _today(self, controls: Controls) -> date:
        return controls.virtual_date or self.clock.now().date()


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _read_cursor(text: str) -> date:
    try:
        return date.fromisoformat(cursor.decode(text)["before"])
    except (InvalidInput, KeyError, ValueError) as error:
        raise Refusal(Reason.MALFORMED, "cursor is not one of ours") from error
