"""Adapters and sandbox agree on every word of docs/sandbox.md: the real adapters read the real sandbox over HTTP."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pytest

from functions.bill_aggregation_service.adapters.base import (
    Access,
    BadCredentials,
    Locked,
    MfaRequired,
    ProviderDown,
    ProviderError,
    ProviderMalformed,
    ProviderThrottled,
)
from functions.bill_aggregation_service.adapters.http_client import UtilityClient
from functions.bill_aggregation_service.adapters.registry import Utilities
from functions.bill_aggregation_service.model import BillContent, FetchedBill, LinkId, Provider, ProviderId
from functions.bill_aggregation_service.rules import collapse
from functions.mock_api_service import app as sandbox_app
from functions.mock_api_service.model import AccountNumber, Scenario, Utility, UtilityName
from functions.mock_api_service.signing_in import CODE, CODE_METHODS
from functions.mock_api_service.utilities import UTILITIES
from tests.contract.test_sandbox_facts import migration
from tests.support.http import configure
from tests.support.loopback import served
from tests.unit.mock_api_service.fakes import World

EACH = pytest.mark.parametrize("utility", UTILITIES.values(), ids=lambda utility: str(utility.name))
REFUSED: dict[Scenario, type[ProviderError]] = {
    Scenario.BAD_LOGIN: BadCredentials,
    Scenario.LOCKED: Locked,
    Scenario.MFA: MfaRequired,
    Scenario.DOWN: ProviderDown,
    Scenario.MALFORMED: ProviderMalformed,
    Scenario.RATE_LIMITED: ProviderThrottled,
}
BILLS = dict.fromkeys(set(Scenario) - set(REFUSED), 12) | {Scenario.EMPTY: 0, Scenario.HUGE: 600}


@dataclass
class Line:
    """The platform at one end, the sandbox at the other."""

    world: World
    origin: str

    def fetch(
        self, utility: Utility, username: str, *, password: str = "pw", code: str = "", reference: str = ""
    ) -> Sequence[FetchedBill]:
        [facts] = [f for f in migration.providers(f"{self.origin}/mock") if f.provider_id == utility.provider_id]
        provider = Provider(
            provider_id=ProviderId(facts.provider_id),
            name=facts.name,
            service_types=tuple(facts.service_types),
            currency=facts.currency,
            time_zone=facts.time_zone,
            adapter=facts.adapter,
            base_url=facts.base_url,
        )
        params = {"account_number": utility.account_example}
        return Utilities(self._connect).fetch(Access(provider, params, username, password, code, reference), 20)

    def contents(self, utility: Utility, username: str) -> list[BillContent]:
        """What would be kept, newest first."""
        kept = collapse(self.fetch(utility, username), LinkId("lnk"))
        return sorted((bill.content for bill in kept.values()), key=lambda c: c.period_start, reverse=True)

    def refused(self, utility: Utility, username: str, **login: str) -> ProviderError:
        with pytest.raises(ProviderError) as refusal:
            self.fetch(utility, username, **login)
        return refusal.value

    def challenged(self, utility: Utility, **login: str) -> MfaRequired:
        refusal = self.refused(utility, "mfa", **login)
        assert isinstance(refusal, MfaRequired)
        return refusal

    def _connect(self, base_url: str, seconds: float) -> UtilityClient:
        return UtilityClient(
            base_url, seconds, call_seconds=10, sandbox_origin=self.origin, sleep=self.world.naps.append
        )


@pytest.fixture
def line(monkeypatch: pytest.MonkeyPatch) -> Iterator[Line]:
    world = World()
    monkeypatch.setattr(sandbox_app, "sandbox", lambda: world.sandbox)
    monkeypatch.setattr(sandbox_app, "operator", lambda: world.operator)
    with served(configure(sandbox_app.app)) as origin:
        yield Line(world, origin)


@EACH
@pytest.mark.parametrize("scenario", sorted(BILLS))
def test_an_account_that_can_be_read_is_read_whole(line: Line, utility: Utility, scenario: Scenario) -> None:
    contents = line.contents(utility, scenario)

    assert len(contents) == BILLS[scenario]
    assert all(bill.amount_minor == sum(item.amount_minor for item in bill.line_items) for bill in contents)


@EACH
@pytest.mark.parametrize("scenario", sorted(REFUSED))
def test_an_account_that_cannot_be_read_says_why(line: Line, utility: Utility, scenario: Scenario) -> None:
    assert type(line.refused(utility, scenario)) is REFUSED[scenario]


@EACH
def test_who_wants_to_be_left_alone_says_for_how_long(line: Line, utility: Utility) -> None:
    assert line.refused(utility, "rate_limited").retry_after == 120
    assert line.refused(utility, "down").retry_after == 30


@EACH
def test_a_challenge_wrong_code_fresh_challenge_right_code(line: Line, utility: Utility) -> None:
    first = line.challenged(utility)
    assert set(first.methods) == set(CODE_METHODS[utility.name])
    assert (first.expires_in, first.code_refused) == (300, False)

    second = line.challenged(utility, code="000000", reference=first.reference)
    assert second.code_refused
    assert second.reference != first.reference
    late = line.challenged(utility, code=CODE, reference=first.reference)
    assert not late.code_refused

    assert len(line.fetch(utility, "mfa", code=CODE, reference=late.reference)) == 12
    assert len(line.fetch(utility, "mfa")) == 12


@EACH
def test_the_scenario_of_the_account_wins_over_the_user_name(line: Line, utility: Utility) -> None:
    line.world.operator.set_scenario(utility.name, utility.account_example, Scenario.LOCKED)
    assert isinstance(line.refused(utility, "good"), Locked)

    line.world.operator.set_scenario(utility.name, utility.account_example, Scenario.GOOD)
    assert len(line.fetch(utility, "bad_login")) == 12


@EACH
def test_what_is_said_twice_differs_from_what_is_said_once_in_nothing_that_counts(line: Line, utility: Utility) -> None:
    once, twice = line.contents(utility, "good"), line.contents(utility, "duplicate")

    def told(bills: list[BillContent]) -> list[tuple[object, ...]]:
        return [
            (b.external_bill_id, b.amount_minor, [(i.name.strip(), i.amount_minor) for i in b.line_items])
            for b in bills
        ]

    assert told(twice) == told(once)


@EACH
def test_a_correction_changes_one_bill(line: Line, utility: Utility) -> None:
    issued = line.contents(utility, "good")[0].statement_date
    line.world.operator.move_clock(to=issued)
    before = line.contents(utility, "adjusted")

    line.world.operator.move_clock(days=7)

    after = line.contents(utility, "adjusted")
    assert [new.external_bill_id for new, old in zip(after, before, strict=True) if new != old] == [
        before[0].external_bill_id
    ]
    assert after[0].line_items[-1].name == "Billing adjustment"


def test_every_page_of_a_flaky_account_is_asked_for_twice(line: Line) -> None:
    utility = UTILITIES[UtilityName.ELECTRICITY]

    assert len(line.fetch(utility, "flaky")) == 12

    account = AccountNumber(utility.account_example)
    assert line.world.table.requests == {(utility.name, account): 6}
