"""Whom a utility lets in: outages, the account's scenario, and codes beside the login (MFA)."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta

from functions.common.clock import Clock
from functions.mock_api_service.billing import adjusted
from functions.mock_api_service.memory import AccountMemory, Grant, SandboxTable
from functions.mock_api_service.model import AccountNumber, Bill, CodeDemand, Reason, Refusal, Scenario, UtilityName
from functions.mock_api_service.scenarios import PLAYS, Play
from functions.mock_api_service.utilities import UTILITIES

CODE = "246810"
CODE_METHODS = {
    UtilityName.ELECTRICITY: ("sms", "email"),
    UtilityName.GAS: ("sms",),
    UtilityName.WATER: ("app",),
    UtilityName.INTERNET: ("sms", "email"),
}
CHALLENGE_LIFETIME = timedelta(seconds=300)
TRUST_LIFETIME = timedelta(days=30)
"""By the virtual date; the table forgets by the calendar, later."""
REFUSED_LOGINS: Mapping[Reason, str] = {
    Reason.BAD_LOGIN: "user name or password is wrong",
    Reason.LOCKED: "the account is locked, call us",
}


@dataclass(frozen=True, slots=True)
class Login:
    """What a caller gave to say who it is; empty where it gave nothing."""

    username: str
    password: str = field(repr=False)
    code_token: str = field(default="", repr=False)
    code: str = field(default="", repr=False)

    def at(self, utility: UtilityName) -> str:
        """Stands for user name and password where neither is kept."""
        return digest(f"{utility}\0{self.username}\0{self.password}")


@dataclass(frozen=True, slots=True)
class Visit:
    """A request that was let in. `account` may be one that the utility cannot have: see `known`."""

    utility: UtilityName
    account: AccountNumber
    known: bool
    play: Play
    today: date
    memory: AccountMemory

    def bills(self) -> tuple[Bill, ...]:
        """What the utility shows of the account today. Raises Refusal."""
        if not self.known:
            raise Refusal(Reason.UNKNOWN_ACCOUNT, "no such account")
        issued = self.play.history(UTILITIES[self.utility], self.account, self.today)
        return adjusted(issued, self.memory.adjustments)


@dataclass(frozen=True, slots=True)
class FrontDesk:
    table: SandboxTable
    clock: Clock
    new_secret: Callable[[], str]

    def sign_in(self, utility: UtilityName, login: Login, account: str = "") -> Visit:
        """With user name and password. Raises Refusal."""
        if not (login.username and login.password):
            raise Refusal(Reason.BAD_LOGIN, "credentials are required")
        visit = self._visit(utility, login.username, account)
        if visit.play.refuses_login:
            raise Refusal(visit.play.refuses_login, REFUSED_LOGINS[visit.play.refuses_login])
        if visit.play.asks_for_code and not self._trusted(login.at(utility), visit.today):
            self._check_code(utility, login, visit.today)
        return visit

    def go_on(self, utility: UtilityName, grant: Grant, account: str) -> Visit:
        """With a token of an earlier sign-in, which is void when the account could not sign in now."""
        visit = self._visit(utility, grant.username, account)
        barred = visit.play.asks_for_code and not self._trusted(grant.login, visit.today)
        if visit.play.refuses_login or barred:
            raise Refusal(Reason.INVALID_TOKEN, "the access token was revoked")
        return visit

    def _visit(self, utility: UtilityName, username: str, account: str) -> Visit:
        """The scenario set on the account wins over the user name's. Raises Refusal while nothing is served."""
        controls = self.table.controls()
        number, known = AccountNumber(account), UTILITIES[utility].accepts(account)
        memory = self.table.account(utility, number) if known else AccountMemory()
        play = PLAYS[memory.scenario or Scenario.of(username)]
        if utility in controls.outages or play.out_of_service:
            raise Refusal(Reason.DOWN, "temporarily out of service")
        return Visit(utility, number, known, play, controls.today(self.clock.now()), memory)

    def _trusted(self, login: str, today: date) -> bool:
        until = self.table.trusted_until(login)
        return until is not None and today <= until

    def _check_code(self, utility: UtilityName, login: Login, today: date) -> None:
        """Trusts the login from now on, or raises Refusal with a fresh challenge. A challenge is good for one try."""
        now, key = self.clock.now(), login.at(utility)
        tried = bool(login.code_token) and self.table.use_challenge(digest(login.code_token), key, now)
        if tried and login.code == CODE:
            self.table.trust(key, today + TRUST_LIFETIME, now + 2 * TRUST_LIFETIME)
            return
        demand = CodeDemand(self.new_secret(), CODE_METHODS[utility], int(CHALLENGE_LIFETIME.total_seconds()))
        self.table.put_challenge(digest(demand.token), key, now + CHALLENGE_LIFETIME)
        if tried:
            raise Refusal(Reason.CODE_WRONG, "the code is wrong", demand)
        raise Refusal(Reason.CODE_NEEDED, "a code is needed", demand)


def digest(secret: str) -> str:
    """What is kept of a secret."""
    return hashlib.sha256(secret.encode()).hexdigest()
