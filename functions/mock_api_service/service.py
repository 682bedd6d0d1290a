"""Use cases of the sandbox: what each utility does when asked. The operator's stand in `controls.py`."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum

from functions.common import cursor
from functions.common.clock import Clock
from functions.common.errors import InvalidInput
from functions.mock_api_service.billing import twice
from functions.mock_api_service.memory import Grant, Reference, SandboxTable
from functions.mock_api_service.model import AccountNumber, Bill, Reason, Refusal, UtilityName
from functions.mock_api_service.signing_in import FrontDesk, Login, Visit, digest

REFERENCE_LIFETIME = timedelta(hours=1)
COUNT_LIFETIME = timedelta(days=1)
CLIENT_CREDENTIALS = "client_credentials"
CODE_GRANT = "http://auth0.com/oauth/grant-type/mfa-otp"
"""RFC 6749 section 4.5 lets a server name grants of its own; this is the most widely used one for a code."""


@dataclass(frozen=True, slots=True)
class TokenRequest:
    """`account`: whose bills are wanted, where the request says so."""

    grant_type: str
    login: Login
    account: str = ""


@dataclass(frozen=True, slots=True)
class Statements:
    """What a request for bills brought. `garbled`: the utility's software breaks while it says them."""

    account: AccountNumber
    bills: tuple[Bill, ...]
    today: date
    garbled: bool = False


@dataclass(frozen=True, slots=True)
class BillPage:
    account: AccountNumber
    bills: tuple[Bill, ...]
    limit: int
    next_cursor: str | None
    paid_through: date | None
    """The household has paid what was issued up to this day: all but the newest bill."""
    garbled: bool = False


class FetchState(StrEnum):
    PENDING = "PENDING"
    SUCCESS = "SUCCESS"
    FAILURE = "FAILURE"


@dataclass(frozen=True, slots=True)
class Fetched:
    state: FetchState
    bills: tuple[Bill, ...] = ()
    garbled: bool = False


@dataclass(frozen=True, slots=True)
class Sandbox:
    table: SandboxTable
    clock: Clock
    sleep: Callable[[float], None]
    new_secret: Callable[[], str]
    """Fresh, unguessable text in [A-Za-z0-9_-]: access tokens, references and tokens of challenges."""
    slow_seconds: float = 4.0
    token_lifetime: timedelta = timedelta(minutes=10)

    # --- electricity: OAuth 2.0 client credentials, then pages of bills ---

    def issue_token(self, asked: TokenRequest) -> str:
        """RFC 6749, section 4.4. The token is opaque; only its hash is kept."""
        self._desk.sign_in(UtilityName.ELECTRICITY, asked.login, asked.account)
        if asked.grant_type not in (CLIENT_CREDENTIALS, CODE_GRANT):
            raise Refusal(Reason.UNSUPPORTED_GRANT, f"grant_type must be {CLIENT_CREDENTIALS}")
        token, login = self.new_secret(), asked.login
        expires_at = self.clock.now() + self.token_lifetime
        self.table.put_grant(digest(token), Grant(login.username, login.at(UtilityName.ELECTRICITY), expires_at))
        return token

    def list_bills(self, token: str, account: str, after: str, limit: int | None) -> BillPage:
        """Newest first, a page of the scenario's size at most; a cursor stays right while new bills are issued."""
        visit = self._with_token(token, account)
        size = min(limit or visit.play.page_size, visit.play.page_size)
        before = _read_cursor(after) if after else date.max
        shown = self._request_bills(visit)
        rest = [bill for bill in shown if bill.statement_date < before]
        page, more = tuple(rest[:size]), len(rest) > size
        return BillPage(
            account=visit.account,
            bills=twice(page) if visit.play.twice else page,
            limit=size,
            next_cursor=cursor.encode({"before": page[-1].statement_date.isoformat()}) if more else None,
            paid_through=shown[1].statement_date if len(shown) > 1 else None,
            garbled=visit.play.garbled,
        )

    def bill_document(self, token: str, account: str, number: str) -> Bill:
        return _find(self._with_token(token, account), number)

    # --- gas and internet: one document each, for a user name and password ---

    def download(self, utility: UtilityName, login: Login, account: str) -> Statements:
        visit = self._desk.sign_in(utility, login, account)
        shown = self._request_bills(visit)
        return Statements(visit.account, twice(shown) if visit.play.twice else shown, visit.today, visit.play.garbled)

    def statement_document(self, login: Login, account: str, number: str) -> Bill:
        return _find(self._desk.sign_in(UtilityName.INTERNET, login, account), number)

    # --- water: ask for the bill, then poll the reference ---

    def request_bill(self, login: Login, account: str) -> str:
        """The reference to poll. Whether the account exists turns out only there."""
        visit = self._desk.sign_in(UtilityName.WATER, login, account)
        ref_id = self.new_secret()
        expires_at = self.clock.now() + REFERENCE_LIFETIME
        self.table.put_reference(ref_id, Reference(login.username, visit.account, expires_at))
        return ref_id

    def fetch_bill(self, login: Login, ref_id: str) -> Fetched:
        """PENDING when asked for the first time, then the answer."""
        if not (login.username and login.password):
            raise Refusal(Reason.BAD_LOGIN, "credentials are required")
        reference = self.table.poll_reference(ref_id)
        ours = reference is not None and reference.username == login.username
        visit = self._desk.sign_in(UtilityName.WATER, login, reference.account if reference and ours else "")
        if reference is None or not ours or reference.expires_at <= self.clock.now():
            raise Refusal(Reason.UNKNOWN_REFERENCE, "no such refId")
        if reference.polls <= 1:
            return Fetched(FetchState.PENDING)
        if not visit.known:
            return Fetched(FetchState.FAILURE)
        shown = self._request_bills(visit)
        return Fetched(FetchState.SUCCESS, twice(shown) if visit.play.twice else shown, visit.play.garbled)

    # --- what all four share ---

    @property
    def _desk(self) -> FrontDesk:
        return FrontDesk(self.table, self.clock, self.new_secret)

    def _with_token(self, token: str, account: str) -> Visit:
        grant = self.table.grant(digest(token)) if token else None
        if grant is None or grant.expires_at <= self.clock.now():
            raise Refusal(Reason.INVALID_TOKEN, "the access token is missing, unknown or expired")
        return self._desk.go_on(UtilityName.ELECTRICITY, grant, account)

    def _request_bills(self, visit: Visit) -> tuple[Bill, ...]:
        """Raises what the account's scenario makes of any request for bills, and takes as long."""
        shown, play = visit.bills(), visit.play
        if play.refuses_bills:
            raise Refusal(play.refuses_bills, "too many requests, come back later")
        if play.fails_every_odd_time:
            expires_at = self.clock.now() + COUNT_LIFETIME
            if self.table.count_request(visit.utility, visit.account, expires_at) % 2:
                raise Refusal(Reason.HICCUP, "something went wrong, try again")
        if play.slow:
            self.sleep(self.slow_seconds)
        return shown


def _find(visit: Visit, number: str) -> Bill:
    for bill in visit.bills():
        if bill.number == number:
            return bill
    raise Refusal(Reason.UNKNOWN_BILL, "no such bill")


def _read_cursor(text: str) -> date:
    try:
        return date.fromisoformat(cursor.decode(text)["before"])
    except (InvalidInput, KeyError, ValueError) as error:
        raise Refusal(Reason.MALFORMED, "cursor is not one of ours") from error
