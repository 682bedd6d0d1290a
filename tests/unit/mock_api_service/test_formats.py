"""What goes over the wire, read back the way a stranger would."""

import csv
import io
import json
from datetime import UTC, date, datetime
from decimal import Decimal
from xml.etree import ElementTree as ET
from zoneinfo import ZoneInfo

import msgspec
import pytest

from functions.mock_api_service.billing import adjusted, monthly, none, twice
from functions.mock_api_service.formats import bbps, csv_statement, green_button, oauth_json
from functions.mock_api_service.formats.amounts import grouped, major_units
from functions.mock_api_service.model import AccountNumber, Adjustment, Reason, Refusal
from functions.mock_api_service.service import BillPage, Fetched, FetchState
from functions.mock_api_service.utilities import CLEARWATER_UTILITY, FIBERNET, GREENLINE_GAS, NORTHWIND_POWER

TODAY = date(2026, 3, 15)
GAS_ACCOUNT = AccountNumber("4410029375")
NS = {"atom": green_button.ATOM, "espi": green_button.ESPI}


@pytest.mark.parametrize(
    ("minor", "plain", "with_groups"),
    [(0, "0.00", "0.00"), (5, "0.05", "0.05"), (-150, "-1.50", "-1.50"), (123456789, "1234567.89", "1,234,567.89")],
)
def test_money_as_text_is_exact(minor: int, plain: str, with_groups: str) -> None:
    assert (major_units(minor), grouped(minor)) == (plain, with_groups)


class TestOauthJson:
    def test_a_page_in_camel_case_with_decimal_text(self) -> None:
        shown = monthly(NORTHWIND_POWER, AccountNumber("NP-10024817"), TODAY)
        page = BillPage(AccountNumber("NP-10024817"), shown[:2], 2, "next", shown[1].statement_date)

        document = json.loads(msgspec.json.encode(oauth_json.bills_page(page)))

        assert set(document) == {"accountNumber", "paidThrough", "bills", "page"}
        assert document["page"] == {"limit": 2, "nextCursor": "next"}
        bill = document["bills"][0]
        assert Decimal(bill["totalAmount"]) == sum(Decimal(charge["amount"]) for charge in bill["charges"])
        assert Decimal(bill["totalAmount"]) * 100 == shown[0].amount_minor
        assert [charge["category"] for charge in bill["charges"]] == ["GENERATION", "DELIVERY", "FEE", "TAX", "CREDIT"]
        assert bill["charges"][0]["unitOfMeasure"] == "kWh"
        assert "quantity" not in bill["charges"][2]
        assert (bill["currency"], bill["dueOn"]) == ("USD", str(shown[0].due_date))

    def test_a_document_is_found_below_the_base_url(self) -> None:
        account = AccountNumber("NP-10024817")
        shown = monthly(NORTHWIND_POWER, account, TODAY)

        page = oauth_json.bills_page(BillPage(account, shown, 12, None, None))

        assert page.bills[0].document_url == f"/v1/accounts/{account}/bills/{shown[0].number}/document.pdf"

    def test_a_bill_said_twice_has_one_more_zero(self) -> None:
        account = AccountNumber("NP-10024817")
        page = oauth_json.bills_page(BillPage(account, twice(monthly(NORTHWIND_POWER, account, TODAY)), 12, None, None))

        first, second = page.bills[0], page.bills[12]

        assert second.total_amount == f"{first.total_amount}0"
        assert [charge.amount for charge in second.charges] == [f"{charge.amount}0" for charge in first.charges]
        assert [charge.description for charge in second.charges] == [f"{c.description} " for c in first.charges]

    def test_no_bills(self) -> None:
        page = oauth_json.bills_page(BillPage(AccountNumber("NP-10024817"), (), 5, None, None))

        assert json.loads(msgspec.json.encode(page)) == {
            "accountNumber": "NP-10024817", "paidThrough": None, "bills": [], "page": {"limit": 5, "nextCursor": None}
        }  # fmt: skip

    @pytest.mark.parametrize(("text", "limit"), [("", None), ("1", 1), ("200", 200)])
    def test_the_limit(self, text: str, limit: int | None) -> None:
        assert oauth_json.read_limit(text) == limit

    @pytest.mark.parametrize("text", ["0", "201", "-1", "x", "1.5", "٣", "9" * 5000])
    def test_a_limit_out_of_bounds(self, text: str) -> None:
        with pytest.raises(Refusal):
            oauth_json.read_limit(text)


class TestGreenButton:
    def feed(self, *, change: int = 0) -> ET.Element:
        shown = monthly(GREENLINE_GAS, GAS_ACCOUNT, TODAY)
        changes = {shown[0].number: Adjustment(change, TODAY)} if change else {}
        return ET.fromstring(green_button.feed(GREENLINE_GAS, GAS_ACCOUNT, adjusted(shown, changes), TODAY))

    def test_one_summary_per_bill_with_amounts_in_hundred_thousandths(self) -> None:
        shown = monthly(GREENLINE_GAS, GAS_ACCOUNT, TODAY)

        summaries = self.feed().findall(".//espi:UsageSummary", NS)

        totals = [int(summary.findtext("espi:billLastPeriod", "", NS)) for summary in summaries]
        assert totals == [bill.amount_minor * 1000 for bill in shown]
        for summary, total in zip(summaries, totals, strict=True):
            items = summary.findall("espi:costAdditionalDetailLastPeriod/espi:amount", NS)
            assert sum(int(item.text or "") for item in items) == total
            assert summary.findtext("espi:currency", "", NS) == "978"

    def test_a_period_goes_from_midnight_to_midnight_in_berlin(self) -> None:
        shown = monthly(GREENLINE_GAS, GAS_ACCOUNT, TODAY)

        for bill, period in zip(shown, self.feed().findall(".//espi:billingPeriod", NS), strict=True):
            start, duration = (int(period.findtext(f"espi:{tag}", "", NS)) for tag in ("start", "duration"))
            local = [
                datetime.fromtimestamp(t, UTC).astimezone(ZoneInfo("Europe/Berlin")) for t in (start, start + duration)
            ]
            assert [t.time().isoformat() for t in local] == ["00:00:00", "00:00:00"]
            assert (local[0].date(), local[1].date()) == (bill.period_start, bill.statement_date)

    def test_consumption_is_cubic_metres_by_the_litre(self) -> None:
        newest = monthly(GREENLINE_GAS, GAS_ACCOUNT, TODAY)[0]

        measured = self.feed().find(".//espi:overallConsumptionLastPeriod", NS)

        assert measured is not None
        power, unit, value = (
            int(measured.findtext(f"espi:{t}", "", NS)) for t in ("powerOfTenMultiplier", "uom", "value")
        )
        assert (Decimal(value).scaleb(power), unit) == (newest.volume, 42)

    def test_an_adjusted_bill_keeps_its_entry_and_has_a_newer_stamp(self) -> None:
        before, after = (self.feed(change=change).findall("atom:entry", NS)[1] for change in (0, 100))

        assert after.findtext("atom:id", "", NS) == before.findtext("atom:id", "", NS)
        assert after.findtext("atom:updated", "", NS) == f"{TODAY}T00:00:00Z"
        assert after.findtext(".//espi:billLastPeriod", "", NS) == "100000"

    def test_a_feed_without_bills_has_its_service_point_alone(self) -> None:
        root = ET.fromstring(
            green_button.feed(GREENLINE_GAS, GAS_ACCOUNT, none(GREENLINE_GAS, GAS_ACCOUNT, TODAY), TODAY)
        )

        assert [entry.findtext("atom:title", "", NS) for entry in root.findall("atom:entry", NS)] == [
            "Gas service point"
        ]
        assert root.findtext("atom:updated", "", NS) == f"{TODAY}T00:00:00Z"

    def test_a_bill_said_twice_has_the_same_entry_with_a_stamp_of_an_hour_later(self) -> None:
        shown = monthly(GREENLINE_GAS, GAS_ACCOUNT, TODAY)

        root = ET.fromstring(green_button.feed(GREENLINE_GAS, GAS_ACCOUNT, twice(shown), TODAY))

        entries = root.findall("atom:entry", NS)[1:]
        assert len(entries) == 24
        first, second = entries[0], entries[12]
        assert first.findtext("atom:id", "", NS) == second.findtext("atom:id", "", NS)
        assert [e.findtext("atom:updated", "", NS)[10:] for e in (first, second)] == ["T00:00:00Z", "T01:00:00Z"]

    def test_the_same_bills_give_the_same_ascii_bytes(self) -> None:
        texts = {
            green_button.feed(GREENLINE_GAS, GAS_ACCOUNT, monthly(GREENLINE_GAS, GAS_ACCOUNT, TODAY), TODAY)
            for _ in "ab"
        }

        assert len(texts) == 1
        assert texts.pop().isascii()


class TestBbps:
    def test_the_current_bill_and_the_recent_ones(self) -> None:
        account = AccountNumber("CW4819302K")
        shown = monthly(CLEARWATER_UTILITY, account, TODAY)

        document = json.loads(msgspec.json.encode(bbps.fetch_reply("ref", Fetched(FetchState.SUCCESS, shown))))

        response = document["billerResponse"]
        assert (document["refId"], document["status"]) == ("ref", "SUCCESS")
        assert {name: response[name] for name in response["bills"][0]} == response["bills"][0]
        assert [bill["billNumber"] for bill in response["bills"]] == [bill.number for bill in shown]
        assert int(response["amount"]) == shown[0].amount_minor
        assert sum(int(part["amount"]) for part in response["amountBreakup"]) == shown[0].amount_minor
        assert response["billPeriod"] == f"{shown[0].period_start}/{shown[0].period_end}"
        assert {tag["name"]: tag["value"] for tag in response["tags"]}["Consumption"] == str(shown[0].volume)

    def test_an_account_without_bills_has_no_current_one(self) -> None:
        document = json.loads(msgspec.json.encode(bbps.fetch_reply("ref", Fetched(FetchState.SUCCESS))))

        assert document["status"] == "SUCCESS"
        assert document["billerResponse"] == {"customerName": "Clearwater Customer", "bills": []}

    def test_pending_and_failure_have_no_bill(self) -> None:
        pending, failure = (
            json.loads(msgspec.json.encode(bbps.fetch_reply("ref", Fetched(state))))
            for state in (FetchState.PENDING, FetchState.FAILURE)
        )

        assert pending == {"refId": "ref", "status": "PENDING"}
        assert set(failure) == {"refId", "status", "failureReason"}

    def test_a_request_may_hold_more_than_is_read(self) -> None:
        request = {
            "billerId": bbps.BILLER_ID,
            "agent": {"x": 1},
            "customerParams": [{"name": "Account Number", "value": "CW1"}],
        }

        assert bbps.read_fetch_request(json.dumps(request).encode()) == "CW1"

    @pytest.mark.parametrize(
        "body",
        [b"", b"{", b"[]", b'{"billerId":"CLEARWATER00GBR01"}', b'{"billerId":"X","customerParams":[]}',
         b'{"billerId":"CLEARWATER00GBR01","customerParams":[{"name":"Mobile","value":"1"}]}',
         b'{"billerId":"CLEARWATER00GBR01","customerParams":[{"name":"Account Number","value":1}]}'],
    )  # fmt: skip
    def test_a_malformed_request_is_refused(self, body: bytes) -> None:
        with pytest.raises(Refusal) as refused:
            bbps.read_fetch_request(body)

        assert refused.value.reason is Reason.MALFORMED


def test_the_csv_has_a_row_per_item_and_comes_out_of_a_reader_as_it_went_in() -> None:
    account = AccountNumber("FN20481537")
    shown = monthly(FIBERNET, account, TODAY)

    text = csv_statement.statements_csv(account, shown)

    assert text.isascii()
    assert text.startswith('"Account No","Statement No"')
    assert text.count("\r\n") == 1 + sum(len(bill.line_items) for bill in shown)
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    for bill in shown:
        own = [row for row in rows if row["Statement No"] == bill.number]
        amounts = [int(Decimal(row["Amount"].replace(",", "")) * 100) for row in own]
        assert amounts == [item.amount_minor for item in bill.line_items]
        assert own[0]["Statement Total"] == grouped(bill.amount_minor)
        assert "," in own[0]["Statement Total"]
        assert own[0]["Period From"] == f"{bill.period_start:%d/%m/%Y}"
        assert own[0]["Description"] == "Fibre 300 plan, monthly"
        assert own[0]["Document"] == f"/statements/{account}/{bill.number}/document.pdf"
