"""The main job, end to end: what `make demo` shows, and the data that come out of it."""

import re

import pytest

from infra import demo
from tests.integration.household import UTILITIES, Household
from tests.integration.patience import await_value
from tests.integration.platform import Platform


def test_the_demo_passes_and_passes_again(platform: Platform, capsys: pytest.CaptureFixture[str]) -> None:
    assert demo.run(platform.base_url) == 0, capsys.readouterr().err
    first = capsys.readouterr().out
    assert demo.run(platform.base_url) == 0, capsys.readouterr().err

    assert "4 new bills" in first
    assert "invalid_credentials" in first
    assert "provider_unavailable" in first


def test_who_registers_finds_itself(household: Household) -> None:
    me = household.client.call("GET", "/users/me")

    assert me["user_id"] == household.user_id
    assert me["email"] == household.email
    assert "password" not in me


def test_linking_alone_brings_the_bills(household: Household) -> None:
    """account.linked.v1 starts the first refresh: nobody has to ask for one."""
    link_id = household.link(UTILITIES[3])

    bills = await_value(lambda: household.client.bills().of(link_id), 60, "the first bills of a new link")

    assert len(bills) >= 1


def test_each_utility_gives_canonical_bills(settled: Household) -> None:
    found = settled.client.bills()

    assert {bill["provider_id"] for bill in found.items} == set(UTILITIES)
    assert [source["outcome"] for source in found.sources] == ["fresh"] * 4 or {
        source["outcome"] for source in found.sources
    } <= {"fresh", "cached"}
    for bill in found.items:
        assert isinstance(bill["amount_minor"], int)
        assert re.fullmatch(r"[A-Z]{3}", bill["currency"])
        assert re.fullmatch(r"\d{4}-\d\d-\d\d", bill["period_start"])
        assert bill["period_start"] <= bill["period_end"]
        assert bill["status"] in {"upcoming", "due_soon", "overdue", "paid"}
        assert bill["bill_id"].startswith("bil_")
    assert len({bill["bill_id"] for bill in found.items}) == len(found.items)


def test_a_link_says_how_it_is_and_hides_its_number(settled: Household) -> None:
    for account in settled.client.accounts():
        assert account["state"] == "ACTIVE"
        assert not account["customer_action_required"]
        assert account["last_success_at"]
        assert not set(settled.secret) & set(map(str, account.values()))


def test_all_pages_together_are_the_whole_list(settled: Household) -> None:
    whole = [bill["bill_id"] for bill in settled.client.bills().items]

    paged = [bill["bill_id"] for bill in settled.client.bills(limit=7).items]

    assert paged == whole
    assert len(whole) > 7


def test_a_refresh_without_changes_leaves_the_bills_as_they_are(settled: Household) -> None:
    before = settled.client.bills().items

    job = settled.refresh()

    assert job["state"] == "succeeded"
    assert (job["total"], job["done"], job["failed"]) == (4, 4, 0)
    assert settled.client.bills().items == before
