from datetime import date, timedelta

import pytest

from functions.common.errors import Conflict, InvalidInput, NotFound
from functions.mock_api_service.model import AccountNumber, Bill, BillNumber, Scenario, UtilityName
from functions.mock_api_service.signing_in import Login
from functions.mock_api_service.utilities import UTILITIES
from tests.unit.mock_api_service.fakes import World

GAS = UtilityName.GAS
ACCOUNT = AccountNumber(UTILITIES[GAS].account_example)
START = date(2026, 3, 15)


@pytest.fixture
def world() -> World:
    return World()


def shown(world: World, utility: UtilityName = GAS, username: str = "good") -> tuple[Bill, ...]:
    """What the utilities that give one document show of their examples."""
    account = UTILITIES[utility].account_example
    return world.sandbox.download(utility, Login(username, "pw"), account).bills


class TestClock:
    def test_it_follows_the_calendar_until_set(self, world: World) -> None:
        assert world.operator.virtual_date() == START
        world.clock.advance(timedelta(days=1))
        assert world.operator.virtual_date() == date(2026, 3, 16)

    def test_it_moves_from_where_it_is(self, world: World) -> None:
        assert world.operator.move_clock(months=1) == date(2026, 4, 15)
        assert world.operator.move_clock(days=20) == date(2026, 5, 5)
        assert world.operator.move_clock(to=date(2025, 1, 1)) == world.operator.virtual_date() == date(2025, 1, 1)
        assert world.operator.move_clock(reset=True) == world.operator.virtual_date() == START

    @pytest.mark.parametrize("utility", [UtilityName.GAS, UtilityName.INTERNET])
    def test_a_month_brings_each_utility_one_new_bill(self, world: World, utility: UtilityName) -> None:
        before = shown(world, utility)

        world.operator.move_clock(months=1)

        after = shown(world, utility)
        assert after[1:] == before[:-1]

    @pytest.mark.parametrize("day", [date(1999, 12, 31), date(2090, 1, 1)])
    def test_it_stays_within_sense(self, world: World, day: date) -> None:
        with pytest.raises(InvalidInput) as refused:
            world.operator.move_clock(to=day)

        assert refused.value.errors[0].field == "date"

    def test_it_never_leaves_the_calendar(self, world: World) -> None:
        with pytest.raises(InvalidInput):
            world.operator.move_clock(to=date(9999, 12, 31), days=1)

    def test_two_who_move_it_at_a_time_do_not_both_win(self, world: World) -> None:
        with pytest.raises(Conflict):
            world.table.move_clock(START, date(2027, 1, 1))


class TestAdjusting:
    def test_the_bill_has_the_new_amount_each_time(self, world: World) -> None:
        number = shown(world)[3].number

        first = world.operator.adjust_bill(GAS, ACCOUNT, number, 1234)
        second = world.operator.adjust_bill(GAS, ACCOUNT, number, 4321)

        assert (first.amount_minor, first.revision, second.amount_minor, second.revision) == (1234, 2, 4321, 3)
        assert shown(world)[3] == second

    @pytest.mark.parametrize("account", [ACCOUNT, AccountNumber("nonsense")])
    def test_an_unknown_bill_is_not_found(self, world: World, account: AccountNumber) -> None:
        with pytest.raises(NotFound):
            world.operator.adjust_bill(GAS, account, BillNumber("GL-202601-XXXXXX"), 1)

    def test_in_a_scenario_that_corrects_bills_the_operator_has_the_last_word(self, world: World) -> None:
        number = shown(world, username="adjusted")[3].number

        world.operator.adjust_bill(GAS, ACCOUNT, number, 1234)
        world.operator.adjust_bill(GAS, ACCOUNT, number, 4321)

        assert shown(world, username="adjusted")[3].amount_minor == 4321

    def test_the_bill_is_one_of_those_that_the_accounts_scenario_shows(self, world: World) -> None:
        world.operator.set_scenario(GAS, ACCOUNT, Scenario.HUGE)
        number = shown(world)[599].number

        assert world.operator.adjust_bill(GAS, ACCOUNT, number, 1).amount_minor == 1
        world.operator.set_scenario(GAS, ACCOUNT, None)
        with pytest.raises(NotFound):
            world.operator.shown_bill(GAS, ACCOUNT, number)


class TestScenario:
    @pytest.mark.parametrize("account", ["", "123", "NP-10024817", ACCOUNT + "\n"])
    def test_it_needs_an_account_number_of_that_utility(self, world: World, account: str) -> None:
        with pytest.raises(InvalidInput) as refused:
            world.operator.set_scenario(GAS, account, Scenario.DOWN)

        assert [error.field for error in refused.value.errors] == ["account_number"]
