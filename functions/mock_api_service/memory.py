"""What the sandbox remembers between two requests, and the table that keeps it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Protocol

from functions.mock_api_service.model import AccountNumber, Adjustment, BillNumber, Scenario, UtilityName


@dataclass(frozen=True, slots=True)
class Controls:
    """What the operator has set for all: the virtual date (None: follow the calendar) and the utilities that are
    out."""

    virtual_date: date | None = None
    outages: frozenset[UtilityName] = frozenset()

    def today(self, now: datetime) -> date:
        return self.virtual_date or now.date()


@dataclass(frozen=True, slots=True)
class AccountMemory:
    """What the operator has set for one account."""

    scenario: Scenario | None = None
    adjustments: Mapping[BillNumber, Adjustment] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Grant:
    """What an access token stands for."""

    username: str
    login: str
    """Hash of user name and password: whom the utility trusts without a code, or not."""
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Reference:
    """A water bill being fetched; `polls` counts how often it was asked for."""

    username: str
    account: AccountNumber
    expires_at: datetime
    polls: int = 0


class SandboxTable(Protocol):
    """Updates raise Conflict when somebody else was faster. What has expired may still be there."""

    def controls(self) -> Controls: ...
    def move_clock(self, seen: date | None, to: date | None) -> None: ...
    def set_outage(self, utility: UtilityName, *, down: bool) -> None: ...

    def account(self, utility: UtilityName, account: AccountNumber) -> AccountMemory: ...
    def set_scenario(self, utility: UtilityName, account: AccountNumber, scenario: Scenario | None) -> None: ...
    def put_adjustment(
        self, utility: UtilityName, account: AccountNumber, number: BillNumber, adjustment: Adjustment
    ) -> None: ...
    def count_request(self, utility: UtilityName, account: AccountNumber, expires_at: datetime) -> int:
        """How many there were with this one; the count may start anew after `expires_at`."""
        ...

    def put_grant(self, token_hash: str, grant: Grant) -> None: ...
    def grant(self, token_hash: str) -> Grant | None: ...
    def put_reference(self, ref_id: str, reference: Reference) -> None: ...
    def poll_reference(self, ref_id: str) -> Reference | None: ...

    def put_challenge(self, token_hash: str, login: str, expires_at: datetime) -> None: ...
    def use_challenge(self, token_hash: str, login: str, now: datetime) -> bool:
        """Whether it was there, for this login, and is not any more."""
        ...

    def trust(self, login: str, until: date, expires_at: datetime) -> None: ...
    def trusted_until(self, login: str) -> date | None: ...
