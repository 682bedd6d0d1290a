"""The sandbox in memory."""

import itertools
from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from typing import Any

from functions.common.errors import Conflict
from functions.mock_api_service.model import (
    AccountNumber,
    Adjustment,
    BillNumber,
    Controls,
    Grant,
    Reference,
    UtilityName,
)
from functions.mock_api_service.service import Sandbox
from tests.support.fakes import FakeClock


class FakeSandboxTable:
    def __init__(self) -> None:
        self.state = Controls()
        self.changes: dict[tuple[UtilityName, AccountNumber], dict[BillNumber, Adjustment]] = {}
        self.grants: dict[str, Grant] = {}
        self.references: dict[str, Reference] = {}

    def controls(self) -> Controls:
        return self.state

    def move_clock(self, seen: date | None, to: date | None) -> None:
        if seen != self.state.virtual_date:
            raise Conflict("changed meanwhile")
        self.state = replace(self.state, virtual_date=to)

    def set_outage(self, utility: UtilityName, *, down: bool) -> None:
        others = self.state.outages - {utility}
        self.state = replace(self.state, outages=others | {utility} if down else others)

    def adjustments(self, utility: UtilityName, account: AccountNumber) -> Mapping[BillNumber, Adjustment]:
        return self.changes.get((utility, account), {})

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
