from datetime import date, timedelta

import pytest

from functions.common.errors import Conflict, InvalidInput, NotFound, NotImplementedYet
from functions.mock_api_service.model import (
    AccountNumber,
    Bill,
    BillNumber,
    Reason,
    Refusal,
    Scenario,
    UtilityName,
)
from functions.mock_api_service.service import PAGE_SIZE
from functions.mock_api_service.utilities import UTILITIES
from tests.unit.mock_api_service.fakes import World

POWER, GAS, WATER, INTERNET = UtilityName
ACCOUNTS = {name: AccountNumber(utility.account_example) for name, utility in UTILITIES.items()}
START = date(2026, 3, 15)


@pytest.fixture
def world() -> World:
    return World()


def fetch(world: World, utility: UtilityName, username: str, account: str = "") -> tuple[Bill, ...]:
    """All bills of an account, in that utility's way."""
    sandbox, number = world.sandbox, account or ACCOUNTS[utility]
    if utility is POWER:
        token, after, found = sandbox.issue_token("client_credentials", username, "pw"), "", list[Bill]()
        while True:
            page = sandbox.list_bills(token, number, after, 100)
            found += page.bills
            if not page.next_cursor:
                return tuple(found)
            after = page.next_cursor
    if utility is WATER:
        ref_id = sandbox.request_bill(username, "pw", number)
        assert sandbox.fetch_bill(username, "pw", ref_id).state == "PENDING"
        return sandbox.fetch_bill(username, "pw", ref_id).bills
    return sandbox.download(utility, username, "pw", number)


@pytest.mark.parametrize("utility", list(UtilityName))
@pytest.mark.parametrize("username", ["good", "good.jane", "jane@example.com"])
def test_a_good_account_has_a_year_of_bills(world: World, utility: UtilityName, username: str) -> None:
    assert len(fetch(world, utility, username)) == 12
    assert world.naps == []


@pytest.mark.parametrize("utility", list(UtilityName))
def test_a_slow_account_takes_its_time_for_the_bills_only(utility: UtilityName) -> None:
    world = World(slow_seconds=0.5)

    assert len(fetch(world, utility, "slow")) == 12
    assert world.naps == [0.5] * (3 if utility is POWER else 1)


@pytest.mark.parametrize("utility", list(UtilityName))
@pytest.mark.parametrize(("username", "reason"), [("bad_login", Reason.BAD_LOGIN), ("down.jane", Reason.DOWN)])
def test_a_scripted_account_is_refused(world: World, utility: UtilityName, username: str, reason: Reason) -> None:
    with pytest.raises(Refusal) as refused:
        fetch(world, utility, username)

    assert refused.value.reason is reason


@pytest.mark.parametrize("utility", list(UtilityName))
@pytest.mark.parametrize("scenario", sorted(set(Scenario) - {"good", "bad_login", "slow", "down"}))
def test_a_scenario_that_is_not_built_does_not_pass_for_good(
    world: World, utility: UtilityName, scenario: Scenario
) -> None:
    with pytest.raises(NotImplementedYet, match=scenario):
        fetch(world, utility, scenario)


@pytest.mark.parametrize(("username", "password"), [("", "pw"), ("good", ""), ("", "")])
def test_credentials_are_needed(world: World, username: str, password: str) -> None:
    with pytest.raises(Refusal) as refused:
        world.sandbox.download(GAS, username, password, ACCOUNTS[GAS])

    assert refused.value.reason is Reason.BAD_LOGIN


@pytest.mark.parametrize("utility", [POWER, GAS, INTERNET])
def test_an_ill_formed_account_number_is_unknown(world: World, utility: UtilityName) -> None:
    with pytest.raises(Refusal) as refused:
        fetch(world, utility, "good", "nonsense")

    assert refused.value.reason is Reason.UNKNOWN_ACCOUNT


def test_the_water_utility_tells_of_an_unknown_account_only_when_polled(world: World) -> None:
    ref_id = world.sandbox.request_bill("good", "pw", "nonsense")

    states = [world.sandbox.fetch_bill("good", "pw", ref_id).state for _ in range(2)]

    assert states == ["PENDING", "FAILURE"]


def test_an_outage_hits_one_utility_until_it_ends(world: World) -> None:
    world.sandbox.set_outage(GAS, down=True)

    with pytest.raises(Refusal) as refused:
        fetch(world, GAS, "good")
    assert refused.value.reason is Reason.DOWN
    assert fetch(world, INTERNET, "good")

    world.sandbox.set_outage(GAS, down=False)
    assert fetch(world, GAS, "good")


class TestElectricity:
    def test_pages_hold_five_and_join_without_gap(self, world: World) -> None:
        token = world.sandbox.issue_token("client_credentials", "good", "pw")

        first = world.sandbox.list_bills(token, ACCOUNTS[POWER], "", 100)
        small = world.sandbox.list_bills(token, ACCOUNTS[POWER], "", 2)

        assert (len(first.bills), first.limit, len(small.bills), small.limit) == (PAGE_SIZE, PAGE_SIZE, 2, 2)
        numbers = [bill.number for bill in fetch(world, POWER, "good")]
        assert len(numbers) == len(set(numbers)) == 12
        assert first.paid_through == first.bills[1].statement_date

    def test_a_cursor_stays_right_when_a_bill_is_issued_meanwhile(self, world: World) -> None:
        token = world.sandbox.issue_token("client_credentials", "good", "pw")
        first = world.sandbox.list_bills(token, ACCOUNTS[POWER], "", 5)
        expected = world.sandbox.list_bills(token, ACCOUNTS[POWER], first.next_cursor or "", 5)

        world.sandbox.move_clock(months=1)

        assert world.sandbox.list_bills(token, ACCOUNTS[POWER], first.next_cursor or "", 5).bills == expected.bills

    @pytest.mark.parametrize("after", ["x", "!!!", "e30", "W10", "eyJiZWZvcmUiOiJ4In0", "é"])
    def test_a_cursor_of_somebody_else_is_refused(self, world: World, after: str) -> None:
        token = world.sandbox.issue_token("client_credentials", "good", "pw")

        with pytest.raises(Refusal) as refused:
            world.sandbox.list_bills(token, ACCOUNTS[POWER], after, 5)

        assert refused.value.reason is Reason.MALFORMED

    def test_a_token_ends(self, world: World) -> None:
        token = world.sandbox.issue_token("client_credentials", "good", "pw")
        world.clock.advance(timedelta(minutes=10))

        with pytest.raises(Refusal) as refused:
            world.sandbox.list_bills(token, ACCOUNTS[POWER], "", 5)

        assert refused.value.reason is Reason.INVALID_TOKEN

    @pytest.mark.parametrize("token", ["", "made-up"])
    def test_a_token_must_be_known(self, world: World, token: str) -> None:
        with pytest.raises(Refusal) as refused:
            world.sandbox.list_bills(token, ACCOUNTS[POWER], "", 5)

        assert refused.value.reason is Reason.INVALID_TOKEN

    def test_neither_the_token_nor_the_password_is_kept(self, world: World) -> None:
        token = world.sandbox.issue_token("client_credentials", "good", "hunter2")

        kept = repr(world.table.grants)

        assert token not in kept
        assert "hunter2" not in kept

    def test_there_is_one_kind_of_grant(self, world: World) -> None:
        with pytest.raises(Refusal) as refused:
            world.sandbox.issue_token("password", "good", "pw")

        assert refused.value.reason is Reason.UNSUPPORTED_GRANT


class TestWater:
    def test_a_reference_belongs_to_who_asked(self, world: World) -> None:
        ref_id = world.sandbox.request_bill("good.jane", "pw", ACCOUNTS[WATER])

        for username, reference in [("good.joe", ref_id), ("good.jane", "unknown")]:
            with pytest.raises(Refusal) as refused:
                world.sandbox.fetch_bill(username, "pw", reference)
            assert refused.value.reason is Reason.UNKNOWN_REFERENCE

    def test_a_reference_ends(self, world: World) -> None:
        ref_id = world.sandbox.request_bill("good", "pw", ACCOUNTS[WATER])
        world.clock.advance(timedelta(hours=1))

        with pytest.raises(Refusal) as refused:
            world.sandbox.fetch_bill("good", "pw", ref_id)

        assert refused.value.reason is Reason.UNKNOWN_REFERENCE


class TestClock:
    def test_it_follows_the_calendar_until_set(self, world: World) -> None:
        assert world.sandbox.virtual_date() == START
        world.clock.advance(timedelta(days=1))
        assert world.sandbox.virtual_date() == date(2026, 3, 16)

    def test_it_moves_from_where_it_is(self, world: World) -> None:
        assert world.sandbox.move_clock(months=1) == date(2026, 4, 15)
        assert world.sandbox.move_clock(days=20) == date(2026, 5, 5)
        assert world.sandbox.move_clock(to=date(2025, 1, 1)) == world.sandbox.virtual_date() == date(2025, 1, 1)
        assert world.sandbox.move_clock(reset=True) == world.sandbox.virtual_date() == START

    @pytest.mark.parametrize("utility", list(UtilityName))
    def test_a_month_brings_each_utility_one_new_bill(self, world: World, utility: UtilityName) -> None:
        before = fetch(world, utility, "good")

        world.sandbox.move_clock(months=1)

        after = fetch(world, utility, "good")
        assert after[1:] == before[:-1]

    @pytest.mark.parametrize("day", [date(1999, 12, 31), date(2090, 1, 1)])
    def test_it_stays_within_sense(self, world: World, day: date) -> None:
        with pytest.raises(InvalidInput) as refused:
            world.sandbox.move_clock(to=day)

        assert refused.value.errors[0].field == "date"

    def test_it_never_leaves_the_calendar(self, world: World) -> None:
        with pytest.raises(InvalidInput):
            world.sandbox.move_clock(to=date(9999, 12, 31), days=1)

    def test_two_who_move_it_at_a_time_do_not_both_win(self, world: World) -> None:
        with pytest.raises(Conflict):
            world.table.move_clock(START, date(2027, 1, 1))


class TestAdjusting:
    def test_the_bill_has_the_new_amount_each_time(self, world: World) -> None:
        number = fetch(world, GAS, "good")[3].number

        first = world.sandbox.adjust_bill(GAS, ACCOUNTS[GAS], number, 1234)
        second = world.sandbox.adjust_bill(GAS, ACCOUNTS[GAS], number, 4321)

        assert (first.amount_minor, first.revision, second.amount_minor, second.revision) == (1234, 2, 4321, 3)
        assert fetch(world, GAS, "good")[3] == second

    @pytest.mark.parametrize("account", [ACCOUNTS[GAS], AccountNumber("nonsense")])
    def test_an_unknown_bill_is_not_found(self, world: World, account: AccountNumber) -> None:
        with pytest.raises(NotFound):
            world.sandbox.adjust_bill(GAS, account, BillNumber("GL-202601-XXXXXX"), 1)
