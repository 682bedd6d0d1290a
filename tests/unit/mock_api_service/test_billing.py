from datetime import date, timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from functions.mock_api_service.billing import (
    CORRECTED_AFTER,
    MONTHLY_BILLS,
    WEEKLY_BILLS,
    add_months,
    adjusted,
    corrected,
    monthly,
    none,
    twice,
    weekly,
)
from functions.mock_api_service.model import FIRST_DATE, LAST_DATE, AccountNumber, Adjustment, Kind, Scenario, Utility
from functions.mock_api_service.utilities import CLEARWATER_UTILITY, FIBERNET, GREENLINE_GAS, NORTHWIND_POWER, UTILITIES

utilities = st.sampled_from(list(UTILITIES.values()))
accounts = st.from_regex(r"[0-9A-Z]{4,12}", fullmatch=True).map(AccountNumber)
days = st.dates(FIRST_DATE, LAST_DATE)
TODAY = date(2026, 3, 15)
ACCOUNT = AccountNumber("NP-10024817")


@given(utilities, accounts, days)
def test_the_same_question_has_the_same_answer(utility: Utility, account: AccountNumber, today: date) -> None:
    assert monthly(utility, account, today) == monthly(utility, account, today)


@given(utilities, accounts, days)
def test_a_month_later_there_is_one_bill_more_and_the_others_are_as_they_were(
    utility: Utility, account: AccountNumber, today: date
) -> None:
    before, after = monthly(utility, account, today), monthly(utility, account, add_months(today, 1))

    assert after[1:] == before[:-1]
    assert after[0].statement_date > before[0].statement_date


@given(utilities, accounts, days)
def test_twelve_issued_bills_cover_a_year_without_gap_or_overlap(
    utility: Utility, account: AccountNumber, today: date
) -> None:
    shown = monthly(utility, account, today)

    assert len(shown) == MONTHLY_BILLS
    assert today - timedelta(31) < shown[0].statement_date <= today
    for newer, older in pairwise(shown):
        assert newer.period_start == older.period_end + timedelta(1)
    assert all(bill.period_end == bill.statement_date - timedelta(1) for bill in shown)


@given(utilities, accounts, days)
def test_amounts_are_sensible_and_items_sum_to_the_total(utility: Utility, account: AccountNumber, today: date) -> None:
    for bill in monthly(utility, account, today):
        assert bill.amount_minor == sum(item.amount_minor for item in bill.line_items) > 0
        assert bill.volume > 0
        assert len({item.name for item in bill.line_items}) == len(bill.line_items)


def test_gas_is_burnt_in_winter() -> None:
    shown = {
        bill.period_start.month: bill.volume for bill in monthly(GREENLINE_GAS, AccountNumber("4410029375"), TODAY)
    }

    assert shown[1] > 5 * shown[7]


def test_only_gas_has_no_due_date() -> None:
    due = {utility.name: monthly(utility, ACCOUNT, TODAY)[0].due_date for utility in UTILITIES.values()}

    assert [name for name, day in due.items() if day is None] == ["gas"]


def test_two_accounts_have_different_bills() -> None:
    other = monthly(NORTHWIND_POWER, AccountNumber("NP-10024818"), TODAY)

    assert not {bill.number for bill in monthly(NORTHWIND_POWER, ACCOUNT, TODAY)} & {bill.number for bill in other}


def test_an_adjusted_bill_still_sums_up_and_the_others_stay() -> None:
    shown = monthly(CLEARWATER_UTILITY, ACCOUNT, TODAY)
    lower = Adjustment(shown[2].amount_minor - 500, TODAY, times=1)
    higher = Adjustment(shown[3].amount_minor + 700, TODAY, times=2)

    changed = adjusted(shown, {shown[2].number: lower, shown[3].number: higher})

    assert [bill for bill in changed if bill not in shown] == [changed[2], changed[3]]
    assert changed[2].amount_minor == lower.amount_minor
    assert (changed[2].line_items[-1].kind, changed[2].line_items[-1].amount_minor) == (Kind.CREDIT, -500)
    assert (changed[3].line_items[-1].kind, changed[3].line_items[-1].amount_minor) == (Kind.OTHER, 700)
    assert (changed[2].revision, changed[3].revision, changed[3].updated_on) == (2, 3, TODAY)


def test_adjusting_to_the_same_amount_adds_no_item() -> None:
    shown = monthly(NORTHWIND_POWER, ACCOUNT, TODAY)

    changed = adjusted(shown, {shown[0].number: Adjustment(shown[0].amount_minor, TODAY)})

    assert changed[0].line_items == shown[0].line_items


def test_adjusting_a_corrected_bill_has_the_last_word() -> None:
    shown = corrected(NORTHWIND_POWER, ACCOUNT, TODAY)

    changed = adjusted(shown, {shown[3].number: Adjustment(1234, TODAY, times=2)})[3]

    assert (changed.amount_minor, changed.revision) == (1234, 4)
    assert [item.name for item in changed.line_items[-2:]] == ["Billing adjustment"] * 2


@given(utilities, accounts, days)
def test_a_correction_comes_on_the_seventh_day_and_stays(utility: Utility, account: AccountNumber, today: date) -> None:
    plain, shown = monthly(utility, account, today), corrected(utility, account, today)

    for before, after in zip(plain, shown, strict=True):
        due = before.statement_date + CORRECTED_AFTER
        assert (after == before) == (today < due)
        if today >= due:
            assert (after.revision, after.updated_on, after.line_items[-1].name) == (2, due, "Billing adjustment")
            assert 0 < abs(after.amount_minor - before.amount_minor) <= before.amount_minor * 8 // 100
    later = {bill.number: bill for bill in corrected(utility, account, add_months(today, 1))}
    assert all(later[bill.number] == bill for bill in shown[:-1] if bill.revision == 2)


@settings(max_examples=20)
@given(utilities, accounts, days)
def test_six_hundred_weeks_join_and_a_week_later_there_is_one_more(
    utility: Utility, account: AccountNumber, today: date
) -> None:
    shown, later = weekly(utility, account, today), weekly(utility, account, today + timedelta(7))

    assert len({bill.number for bill in shown}) == WEEKLY_BILLS
    assert today - timedelta(7) < shown[0].statement_date <= today
    assert all(newer.period_start == older.period_end + timedelta(1) for newer, older in pairwise(shown))
    assert all(bill.amount_minor > 0 for bill in shown)
    assert later[1:] == shown[:-1]


def test_an_account_may_have_no_bills() -> None:
    assert none(GREENLINE_GAS, ACCOUNT, TODAY) == ()


def test_what_is_said_twice_differs_in_nothing_that_counts() -> None:
    shown = monthly(FIBERNET, ACCOUNT, TODAY)

    said = twice(shown)

    assert said[:12] == shown
    for first, second in zip(said[:12], said[12:], strict=True):
        assert second.copy
        assert (second.number, second.amount_minor) == (first.number, first.amount_minor)
        assert [item.name.strip() for item in second.line_items] == [item.name for item in first.line_items]


def test_a_month_after_the_31st_is_the_last_of_the_next() -> None:
    assert add_months(date(2026, 1, 31), 1) == date(2026, 2, 28)
    assert add_months(date(2025, 12, 31), 2) == date(2026, 2, 28)


@pytest.mark.parametrize(
    ("username", "scenario"),
    [("good", "good"), ("slow.jane", "slow"), ("down", "down"), ("bad_login.x.y", "bad_login"), ("mfa", "mfa"),
     ("jane", "good"), ("slowly", "good"), ("", "good")],
)  # fmt: skip
def test_the_user_name_scripts_the_scenario(username: str, scenario: str) -> None:
    assert Scenario.of(username) == scenario


def test_every_example_is_an_account_number_and_all_are_safe_in_a_path() -> None:
    for utility in UTILITIES.values():
        assert utility.accepts(utility.account_example)
        assert not utility.accepts(utility.account_example + "0\n")
        assert utility.account_example.replace("-", "").isalnum()
