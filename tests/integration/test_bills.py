"""Bills: versions of an adjusted one, marks of payment, sums, CSV, entity tags and cursors."""

import csv
import io
from collections.abc import Mapping
from typing import Any  # JSON

import pytest
import requests

from infra.client import Client, example_params
from tests.integration.household import GAS, INTERNET, POWER, UTILITIES, WATER, Household
from tests.integration.problems import refused

SOMEBODYS_BILL = f"bil_{'0' * 26}"


class Account:
    """An electricity account whose bills the operator can change."""

    def __init__(self, household: Household, operator: Client) -> None:
        self.household, self.operator = household, operator
        self.params = example_params(household.providers[POWER])
        self.link_id = household.link_with(POWER, "good", self.params)["link_id"]
        household.settle()

    def newest(self) -> dict[str, Any]:
        return self.household.client.bills(link_id=self.link_id).items[0]

    def adjust(self, bill: Mapping[str, Any], amount_minor: int) -> None:
        """As the utility would, and then the platform reads it."""
        path = f"/mock/bills/electricity/{self.params['account_number']}/{bill['external_bill_id']}"
        self.operator.call("PATCH", path, {"amount_minor": amount_minor})
        self.household.refresh(self.link_id)

    def read(self, bill: Mapping[str, Any]) -> dict[str, Any]:
        return self.household.client.call("GET", f"/bills/{bill['bill_id']}")

    def mark(
        self, bill: Mapping[str, Any], headers: Mapping[str, str] | None = None, **said: object
    ) -> requests.Response:
        return self.household.client.send("PATCH", f"/bills/{bill['bill_id']}", json=said, headers=headers)


@pytest.fixture
def account(household: Household, operator: Client) -> Account:
    return Account(household, operator)


class TestVersions:
    def test_an_adjusted_bill_shows_what_changed(self, account: Account) -> None:
        bill = account.newest()
        (only,) = account.read(bill)["versions"]
        account.adjust(bill, bill["amount_minor"] + 1234)

        now = account.read(bill)

        assert (only["version"], only["changes"]) == (1, [])
        assert (now["version"], now["supersedes"], now["amount_minor"]) == (2, 1, bill["amount_minor"] + 1234)
        assert [version["version"] for version in now["versions"]] == [2, 1]
        changes = {change["field"]: change for change in now["versions"][0]["changes"]}
        assert changes["amount_minor"] == {
            "field": "amount_minor", "before": bill["amount_minor"], "after": bill["amount_minor"] + 1234,
        }  # fmt: skip
        assert len(changes["line_items"]["after"]) == len(bill["line_items"]) + 1
        assert changes.keys() == {"amount_minor", "line_items"}
        assert account.newest()["version"] == 2

    def test_a_refresh_that_finds_the_same_makes_no_version(self, account: Account) -> None:
        before = account.household.client.bills().items
        job = account.household.refresh(account.link_id)

        assert [(row["created"], row["updated"]) for row in job["results"]] == [(0, 0)]
        assert account.household.client.bills().items == before

    def test_a_bill_of_somebody_else_does_not_exist(self, account: Account, stranger: Household) -> None:
        path = f"/bills/{account.newest()['bill_id']}"

        assert refused(stranger.client.send("GET", path), 404)["code"] == "bill_not_found"
        refused(stranger.client.send("PATCH", path, json={"paid_at": "2026-01-01"}), 404)
        refused(account.household.client.send("GET", f"/bills/{SOMEBODYS_BILL}"), 404)
        refused(account.household.client.send("GET", "/bills/bil_1"), 404)


class TestMarks:
    def test_paid_shows_at_once_and_survives_refreshes_and_new_versions(self, account: Account) -> None:
        bill = account.newest()
        assert bill["status"] != "paid"
        account.household.client.bills()  # now it is in the cache

        marked = account.mark(bill, paid_at=bill["statement_date"], note="by standing order")

        assert marked.status_code == 200, marked.text
        assert marked.json()["status"] == account.newest()["status"] == "paid"
        account.household.refresh(account.link_id)
        account.adjust(bill, bill["amount_minor"] - 1)
        now = account.read(bill)
        assert (now["version"], now["status"], now["note"]) == (2, "paid", "by standing order")
        assert (now["paid_at"], now["paid_amount_minor"]) == (bill["statement_date"], bill["amount_minor"])

    def test_what_a_bill_grew_by_after_it_was_paid_is_open(self, account: Account) -> None:
        bill = account.newest()
        account.mark(bill, paid_at=bill["statement_date"])
        account.adjust(bill, bill["amount_minor"] + 500)

        assert account.read(bill)["status"] == bill["status"]
        assert account.mark(bill, paid_amount_minor=bill["amount_minor"] + 500).json()["status"] == "paid"

    def test_partly_paid_and_taken_back(self, account: Account) -> None:
        bill = account.newest()

        part = account.mark(bill, paid_amount_minor=bill["amount_minor"] - 1).json()
        back = account.mark(bill, paid_amount_minor=None).json()

        assert (part["status"], part["paid_amount_minor"]) == (bill["status"], bill["amount_minor"] - 1)
        assert (back["status"], back["paid_amount_minor"], back["paid_at"]) == (bill["status"], None, None)
        assert back["version"] == 1

    def test_who_has_seen_an_older_state_is_told(self, account: Account) -> None:
        bill = account.newest()
        seen = account.household.client.send("GET", f"/bills/{bill['bill_id']}").headers["ETag"]

        first = account.mark(bill, {"If-Match": seen}, note="first")
        late = account.mark(bill, {"If-Match": seen}, note="late")

        assert first.status_code == 200, first.text
        refused(late, 412)
        assert account.mark(bill, {"If-Match": first.headers["ETag"]}, note="second").json()["note"] == "second"

    @pytest.mark.parametrize(
        ("body", "field"),
        [
            ({"paid_at": "2099-01-01"}, "paid_at"),
            ({"paid_at": "yesterday"}, "paid_at"),
            ({"paid_amount_minor": -1}, "paid_amount_minor"),
            ({"paid_amount_minor": 1.5}, "paid_amount_minor"),
            ({"note": ""}, "note"),
            ({"status": "paid"}, "status"),
        ],
    )
    def test_what_does_not_validate_is_named(self, settled: Household, body: dict[str, object], field: str) -> None:
        bill = settled.client.bills().items[0]

        refused(settled.client.send("PATCH", f"/bills/{bill['bill_id']}", json=body), 422, field)
        refused(settled.client.send("PATCH", f"/bills/{SOMEBODYS_BILL}", json=body), 404)


class TestSums:
    @pytest.mark.parametrize("by", ["month", "provider", "service_type"])
    def test_they_are_those_of_the_list_and_never_mix_currencies(self, settled: Household, by: str) -> None:
        summary = settled.client.call("GET", "/bills/summary", query={"by": by})
        bills = settled.client.bills(**{"from": summary["from"]}).items

        keys = [(row["key"], row["currency"]) for row in summary["items"]]
        assert keys == sorted(set(keys))
        assert {row["currency"] for row in summary["items"]} == {"USD", "EUR", "GBP", "INR"}
        assert sum(row["count"] for row in summary["items"]) == len(bills)
        for currency in ("USD", "EUR", "GBP", "INR"):
            of_it = [row for row in summary["items"] if row["currency"] == currency]
            assert sum(row["amount_minor"] for row in of_it) == sum(
                bill["amount_minor"] for bill in bills if bill["currency"] == currency
            )
            assert all(row["paid_minor"] + row["outstanding_minor"] == row["amount_minor"] for row in of_it)
        if by == "provider":
            assert {key for key, _ in keys} == set(UTILITIES)

    def test_a_mark_shows_in_the_next_sum(self, account: Account) -> None:
        bill = account.newest()
        before = self.outstanding(account)

        account.mark(bill, paid_at=bill["statement_date"])

        assert self.outstanding(account) == before - bill["amount_minor"]

    def test_what_does_not_validate_is_named(self, settled: Household) -> None:
        refused(settled.client.send("GET", "/bills/summary", query={"by": "day"}), 422, "by")
        refused(
            settled.client.send("GET", "/bills/summary", query={"from": "2026-02-01", "to": "2026-01-01"}), 422, "from"
        )

    @staticmethod
    def outstanding(account: Account) -> int:
        (row,) = account.household.client.call("GET", "/bills/summary", query={"by": "provider"})["items"]
        return int(row["outstanding_minor"])


class TestForms:
    def test_csv_has_the_rows_of_the_json(self, settled: Household) -> None:
        query: dict[str, str | int] = {"limit": 7, "provider_id": WATER}
        page = settled.client.send("GET", "/bills", query=query).json()
        answer = settled.client.send("GET", "/bills", query=query, headers={"Accept": "text/csv"})

        assert answer.status_code == 200, answer.text
        assert answer.headers["Content-Type"].startswith("text/csv")
        answer.encoding = "utf-8"
        rows = list(csv.DictReader(io.StringIO(answer.text, newline="")))
        assert [row["bill_id"] for row in rows] == [bill["bill_id"] for bill in page["items"]]
        assert [row["amount_minor"] for row in rows] == [str(bill["amount_minor"]) for bill in page["items"]]
        assert rows[0].keys() == page["items"][0].keys()
        assert page["next_cursor"] in answer.headers["Link"]

    def test_who_has_the_newest_copy_gets_no_other(self, account: Account) -> None:
        client, bill = account.household.client, account.newest()
        for path in ("/bills", f"/bills/{bill['bill_id']}", "/bills/summary"):
            tag = client.send("GET", path).headers["ETag"]
            known = client.send("GET", path, headers={"If-None-Match": tag})
            assert (known.status_code, known.text, known.headers["ETag"]) == (304, "", tag), path

            account.mark(bill, note=f"seen {path}")

            if path != "/bills/summary":
                assert client.send("GET", path, headers={"If-None-Match": tag}).status_code == 200, path

    def test_gas_bills_name_no_day_to_pay_by_and_are_never_late(self, settled: Household) -> None:
        for bill in settled.client.bills(provider_id=GAS).items:
            assert bill["due_date"] is None
            assert bill["status"] in {"upcoming", "paid"}
            assert "due_date_missing" in {note["code"] for note in bill["quality_notes"]}


class TestCursors:
    def test_pages_join_to_the_whole_while_bills_arrive(self, household: Household) -> None:
        household.link(POWER)
        household.settle()
        whole = [bill["bill_id"] for bill in household.client.bills().items]
        first = household.client.call("GET", "/bills", query={"limit": 3})
        household.link(INTERNET)
        household.settle()

        seen, cursor = [bill["bill_id"] for bill in first["items"]], first["next_cursor"]
        while cursor:
            page = household.client.call("GET", "/bills", query={"limit": 3, "cursor": cursor})
            seen += [bill["bill_id"] for bill in page["items"]]
            cursor = page["next_cursor"]

        assert len(seen) == len(set(seen))
        assert [bill_id for bill_id in seen if bill_id in whole] == whole

    def test_only_this_list_gives_out_cursors_and_only_to_their_user(
        self, settled: Household, stranger: Household
    ) -> None:
        cursor = settled.client.call("GET", "/bills", query={"limit": 1})["next_cursor"]
        other = ("A" if cursor[0] != "A" else "B") + cursor[1:]

        for wrong in (other, cursor[:-2], "e30", "%%%"):
            refused(settled.client.send("GET", "/bills", query={"cursor": wrong}), 422, "cursor")
        refused(stranger.client.send("GET", "/bills", query={"cursor": cursor}), 422, "cursor")
