from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

import pytest
from moto import mock_aws

from functions.common.errors import Conflict, Unavailable
from functions.common.table import ConditionFailed
from functions.mock_api_service.memory import AccountMemory, Controls, Grant, Reference
from functions.mock_api_service.model import AccountNumber, Adjustment, BillNumber, Scenario, UtilityName
from functions.mock_api_service.table import DynamoSandboxTable, SandboxItem

DAY, LATER = date(2026, 3, 15), date(2026, 4, 15)
SOON = datetime(2026, 3, 15, 12, 10, tzinfo=UTC)
ACCOUNT, NUMBER = AccountNumber("4410029375"), BillNumber("GL-202603-ABCDEF")


@pytest.fixture
def table() -> Iterator[DynamoSandboxTable]:
    with mock_aws():
        repository = DynamoSandboxTable("mock")
        SandboxItem.create_table(billing_mode="PAY_PER_REQUEST", wait=True)
        yield repository


def test_nothing_is_set_at_first(table: DynamoSandboxTable) -> None:
    assert table.controls() == Controls()
    assert table.account(UtilityName.GAS, ACCOUNT) == AccountMemory()
    assert table.grant("unknown") is None
    assert table.trusted_until("login") is None
    assert table.poll_reference("unknown") is None


def test_the_clock_is_set_moved_and_reset(table: DynamoSandboxTable) -> None:
    table.move_clock(None, DAY)
    assert table.controls().virtual_date == DAY
    table.move_clock(DAY, LATER)
    assert table.controls().virtual_date == LATER
    table.move_clock(LATER, None)
    assert table.controls().virtual_date is None
    table.move_clock(None, None)


def test_who_saw_another_date_does_not_move_the_clock(table: DynamoSandboxTable) -> None:
    table.move_clock(None, DAY)

    for seen, to in [(None, LATER), (LATER, DAY), (LATER, None), (None, None)]:
        with pytest.raises(Conflict):
            table.move_clock(seen, to)

    assert table.controls().virtual_date == DAY


def test_outages_come_and_go(table: DynamoSandboxTable) -> None:
    table.set_outage(UtilityName.GAS, down=True)
    table.set_outage(UtilityName.WATER, down=True)
    table.set_outage(UtilityName.GAS, down=False)
    table.set_outage(UtilityName.INTERNET, down=False)

    assert table.controls().outages == {UtilityName.WATER}


def test_adjustments_belong_to_one_account(table: DynamoSandboxTable) -> None:
    table.put_adjustment(UtilityName.GAS, ACCOUNT, NUMBER, Adjustment(100, DAY, 1))
    table.put_adjustment(UtilityName.GAS, ACCOUNT, NUMBER, Adjustment(200, LATER, 2))

    assert table.account(UtilityName.GAS, ACCOUNT).adjustments == {NUMBER: Adjustment(200, LATER, 2)}
    assert table.account(UtilityName.WATER, ACCOUNT) == AccountMemory()


@pytest.mark.parametrize("times", [1, 3])
def test_an_adjustment_made_on_an_old_sight_is_refused(table: DynamoSandboxTable, times: int) -> None:
    table.put_adjustment(UtilityName.GAS, ACCOUNT, NUMBER, Adjustment(100, DAY, 1))

    with pytest.raises(Conflict):
        table.put_adjustment(UtilityName.GAS, ACCOUNT, NUMBER, Adjustment(200, DAY, times))


def test_a_scenario_is_set_changed_and_ended_beside_the_adjustments(table: DynamoSandboxTable) -> None:
    table.put_adjustment(UtilityName.GAS, ACCOUNT, NUMBER, Adjustment(100, DAY, 1))
    for scenario in (Scenario.LOCKED, Scenario.EMPTY, None, None):
        table.set_scenario(UtilityName.GAS, ACCOUNT, scenario)

        assert table.account(UtilityName.GAS, ACCOUNT) == AccountMemory(scenario, {NUMBER: Adjustment(100, DAY, 1)})
        assert table.account(UtilityName.WATER, ACCOUNT).scenario is None


def test_requests_are_counted_by_utility_and_account(table: DynamoSandboxTable) -> None:
    counts = [table.count_request(UtilityName.GAS, ACCOUNT, SOON) for _ in range(3)]

    assert counts == [1, 2, 3]
    assert table.count_request(UtilityName.WATER, ACCOUNT, SOON) == 1
    assert table.account(UtilityName.GAS, ACCOUNT) == AccountMemory()


def test_a_challenge_is_good_for_one_try_of_its_login_in_its_time(table: DynamoSandboxTable) -> None:
    before = SOON - timedelta(seconds=1)
    table.put_challenge("hash", "login", SOON)

    assert not table.use_challenge("unknown", "login", before)
    assert not table.use_challenge("hash", "another", before)
    assert not table.use_challenge("hash", "login", SOON)
    assert [table.use_challenge("hash", "login", before) for _ in range(2)] == [True, False]


def test_trust_is_kept_by_login_and_the_later_counts(table: DynamoSandboxTable) -> None:
    table.trust("login", DAY, SOON)
    table.trust("login", LATER, SOON)

    assert table.trusted_until("login") == LATER
    assert table.trusted_until("another") is None


def test_a_grant_is_found_by_its_tokens_hash(table: DynamoSandboxTable) -> None:
    table.put_grant("hash", Grant("good", "login", SOON))

    assert table.grant("hash") == Grant("good", "login", SOON)
    with pytest.raises(ConditionFailed):
        table.put_grant("hash", Grant("good", "login", SOON))


def test_each_poll_is_counted(table: DynamoSandboxTable) -> None:
    table.put_reference("ref", Reference("good", ACCOUNT, SOON))

    assert [poll.polls for poll in (table.poll_reference("ref"), table.poll_reference("ref")) if poll] == [1, 2]
    assert table.poll_reference("ref") == Reference("good", ACCOUNT, SOON, polls=3)


def test_without_the_table_the_sandbox_is_unavailable() -> None:
    with mock_aws(), pytest.raises(Unavailable):
        DynamoSandboxTable("no-such-table").controls()
