"""The sandbox in memory."""

import itertools
from collections import Counter
from dataclasses import replace
from datetime import date, datetime
from typing import Any

from functions.common.errors import Conflict
from functions.mock_api_service.controls import Operator
from functions.mock_api_service.memory import AccountMemory, Controls, Grant, Reference
from functions.mock_api_service.model import AccountNumber, Adjustment, BillNumber, Scenario, UtilityName
from functions.mock_api_service.service import Sandbox
from tests.support.fakes import FakeClock


class FakeSandboxTable:
    def __init__(self) -> None:
        self.state = Controls()
        self.scenarios: dict[tuple[UtilityName, AccountNumber], Scenario | None] = {}
        self.changes: dict[tuple[UtilityName, AccountNumber], dict[BillNumber, Adjustment]] = {}
        self.requests = Counter[tuple[UtilityName, AccountNumber]]()
        self.grants: dict[str, Grant] = {}
        self.references: dict[str, Reference] = {}
        self.challenges: dict[str, tuple[str, datetime]] = {}
        self.trusted: dict[str, date] = {}

    def controls(self) -> Controls:
        return self.state

    def move_clock(self, seen: date | None, to: date | None) -> None:
        if seen != self.state.virtual_date:
            raise Conflict("changed meanwhile")
        self.state = replace(self.state, virtual_date=to)

    def set_outage(self, utility: UtilityName, *, down: bool) -> None:
        others = self.state.outages - {utility}
        self.state = replace(self.state, outages=others | {utility} if down else others)

    def account(self, utility: UtilityName, account: AccountNumber) -> AccountMemory:
        return AccountMemory(self.scenarios.get((utility, account)), self.changes.get((utility, account), {}))

    def set_scenario(self, utility: UtilityName, account: AccountNumber, scenario: Scenario | None) -> None:
        self.scenarios[utility, account] = scenario

    def count_request(self, utility: UtilityName, account: AccountNumber, expires_at: datetime) -> int:
        self.requests[utility, account] += 1
        return self.requests[utility, account]

    def put_adjustment(
        self, utility: UtilityName, account: AccountNumber, number: BillNumber, adjustment: Adjustment
    ) -> None:
        self.changes.setdefault((utility, account), {})[number] = adjustment

    def put_grant(self, token_hash: str, grant: Grant) -> None:
        self.grants[token_hash] = grant

    def grant(self, token_hash: str) -> Grant | None:
        return self.grants.get(token_hash)

    def put_reference(self, ref_id: str, reference: Reference) -> None:
        self.references[ref_id] = reference

    def poll_reference(self, ref_id: str) -> Reference | None:
        if ref_id not in self.references:
            return None
        self.references[ref_id] = replace(self.references[ref_id], polls=self.references[ref_id].polls + 1)
        return self.references[ref_id]

    def put_challenge(self, token_hash: str, login: str, expires_at: datetime) -> None:
        self.challenges[token_hash] = (login, expires_at)

    def use_challenge(self, token_hash: str, login: str, now: datetime) -> bool:
        kept = self.challenges.get(token_hash)
        if kept is None or kept[0] != login or kept[1] <= now:
            return False
        del self.challenges[token_hash]
        return True

    def trust(self, login: str, until: date, expires_at: datetime) -> None:
        self.trusted[login] = until

    def trusted_until(self, login: str) -> date | None:
        return self.trusted.get(login)


class World:
    """A sandbox whose clock, memory and naps the test can see: 15 March 2026, noon UTC."""

    def __init__(self, **settings: Any) -> None:  # Any: Sandbox's own settings
        numbers = itertools.count(1)
        self.table = FakeSandboxTable()
        self.clock = FakeClock()
        self.naps: list[float] = []
        self.sandbox = Sandbox(
            table=self.table,
            clock=self.clock,
            sleep=self.naps.append,
            new_secret=lambda: f"secret-{next(numbers)}",
            **settings,
        )
        self.operator = Operator(self.table, self.clock)
