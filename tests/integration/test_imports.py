"""Green Button files in and out, through real HTTP, S3 and the queue."""

import csv
import io
import json
from collections.abc import Iterator
from typing import Any  # JSON

import pytest
import requests

from functions.common.ids import new_id
from tests.integration.household import GAS, Household
from tests.integration.patience import await_value
from tests.integration.problems import refused

IMPORT_SECONDS = 60.0
MANY = 120
"""More than DynamoDB takes in one transaction."""
FEB_1_2026, DAY = 1769922000, 86_400
USAGE_POINT = "/espi/1_1/resource/Subscription/5/UsagePoint/1"
XML = {"Content-Type": "application/xml"}


def summary(number: str, amount: int, more: str = "<currency>840</currency>", start: int = FEB_1_2026) -> str:
    path = f"{USAGE_POINT}/UsageSummary/{number}"
    period = f"<duration>{28 * DAY}</duration><start>{start}</start>"
    return (
        f'<entry><id>urn:uuid:{number}</id><link rel="self" href="{path}"/><title>Z\u00e4hler</title>'
        f'<updated>2026-03-02T00:00:00Z</updated><content><espi:UsageSummary xmlns:espi="http://naesb.org/espi">'
        f"<espi:billingPeriod>{period}</espi:billingPeriod><espi:billLastPeriod>{amount}000</espi:billLastPeriod>{more}"
        "</espi:UsageSummary></content></entry>"
    )


def feed(*entries: str) -> str:
    return f'<feed xmlns="http://www.w3.org/2005/Atom">{"".join(entries)}</feed>'


def large_feed(size: int) -> bytes:
    """Two bills, and a meter's readings until it is that large."""
    reading = f"<IntervalReading><timePeriod><duration>900</duration><start>{FEB_1_2026}</start></timePeriod></IntervalReading>"  # noqa: E501
    link = f'<link rel="self" href="{USAGE_POINT}/MeterReading/1/IntervalBlock/1"/>'
    block = f"<entry>{link}<content><IntervalBlock>{reading * 90}</IntervalBlock></content></entry>"
    bills = summary("LARGE-1", 100), summary("LARGE-2", 200)
    return feed(*bills, block * (size // len(block) + 1)).encode()


def inline(user: Household, document: str | bytes, **query: str) -> requests.Response:
    body = document.encode() if isinstance(document, str) else document
    return user.client.send("POST", "/imports/green-button", data=body, query=query, headers=XML)


def upload(user: Household, document: bytes, **query: str) -> str:
    """Answers the import_id."""
    created = user.client.send("POST", "/imports", query=query)
    assert created.status_code == 201, created.text
    form = created.json()["upload"]
    stored = requests.post(form["url"], data=form["fields"], files={"file": ("usage.xml", document)}, timeout=60)
    assert stored.status_code in {200, 201, 204}, stored.text
    return str(created.json()["import_id"])


def ended(user: Household, import_id: str) -> dict[str, Any]:
    def done() -> dict[str, Any] | None:
        job: dict[str, Any] = user.client.send("GET", f"/imports/{import_id}").json()
        return job if job["state"] in {"succeeded", "failed"} else None

    return await_value(done, IMPORT_SECONDS, "the end of an import")


def counts(report: dict[str, Any]) -> tuple[int, int, int, int]:
    return report["created"], report["updated"], report["unchanged"], report["skipped_count"]


@pytest.fixture
def importer(household: Household) -> Iterator[Household]:
    yield household
    for account in household.client.accounts():
        household.client.unlink(account["link_id"])


def test_a_file_twice(importer: Household) -> None:
    document = feed(summary("B-1", 6752), summary("B-2", 7000, ""), summary("B-1", 6752))

    first = inline(importer, document, currency="CAD")
    assert first.status_code == 200, first.text
    assert counts(first.json()) == (2, 0, 0, 1)
    assert first.json()["skipped"][0]["reason"] == "duplicate"
    link_id = first.json()["link_id"]
    second = inline(importer, document, currency="CAD").json()
    assert (second["link_id"], counts(second)) == (link_id, (0, 0, 2, 1))

    bills = {bill["external_bill_id"]: bill for bill in importer.client.bills(refresh=False).items}
    assert {bill["source"] for bill in bills.values()} == {"green_button"}
    assert {bill["provider_id"] for bill in bills.values()} == {"prv_green_button"}
    assert (bills["B-1"]["amount_minor"], bills["B-1"]["currency"]) == (6752, "USD")
    assert "currency_assumed" in {note["code"] for note in bills["B-2"]["quality_notes"]}
    (account,) = importer.client.accounts()
    assert (account["link_id"], account["provider_id"], account["kind"]) == (link_id, "prv_green_button", "manual")


def test_bytes_that_are_no_utf_8_arrive_as_they_are(importer: Household) -> None:
    latin = b'<?xml version="1.0" encoding="iso-8859-1"?>' + feed(
        summary("B-1", 100, "<tariffProfile>Z\u00e4hler</tariffProfile>")
    ).encode("iso-8859-1")
    wide = feed(summary("B-2", 100, "<tariffProfile>Z\u00e4hler \u96fb</tariffProfile>")).encode("utf-16")

    for document in (latin, wide):
        answer = inline(importer, document)
        assert answer.status_code == 200, answer.text
        assert counts(answer.json()) == (1, 0, 0, 0)

    tariffs = {bill["tariff"] for bill in importer.client.bills(refresh=False).items}
    assert tariffs == {"Z\u00e4hler", "Z\u00e4hler \u96fb"}


def test_refusals(importer: Household, settled: Household) -> None:
    good, bomb = feed(summary("B-1", 1)), '<!DOCTYPE feed [<!ENTITY a "b">]><feed>&a;</feed>'
    theirs = settled.client.accounts()[0]["link_id"]

    assert refused(inline(importer, good, link_id=theirs), 404)["code"] == "link_not_found"
    assert refused(inline(importer, good, link_id=new_id("lnk")), 404)["code"] == "link_not_found"
    refused(inline(importer, good, currency="XXX"), 422, "currency")
    assert refused(inline(importer, bomb), 400)["code"] == "dtd_refused"
    assert refused(inline(importer, "<html/>"), 422)["code"] == "not_green_button"
    refused(importer.client.send("POST", "/imports/green-button", json={}), 415)
    refused(inline(importer, good + " " * 4_194_304), 413)
    refused(importer.client.send("GET", f"/imports/{new_id('imp')}"), 404)
    refused(importer.client.send("POST", f"/imports/{new_id('imp')}/start"), 404)
    assert importer.client.accounts() == []


def test_an_unlinked_link_takes_no_file(importer: Household) -> None:
    link_id = inline(importer, feed(summary("B-1", 1))).json()["link_id"]
    importer.client.unlink(link_id)

    refused(inline(importer, feed(summary("B-2", 1)), link_id=link_id), 404)


def test_a_large_file_by_upload(importer: Household) -> None:
    document = large_feed(15_000_000)
    refused(inline(importer, document[:5_000_000]), 413)

    import_id = upload(importer, document, currency="EUR")
    assert importer.client.send("GET", f"/imports/{import_id}").json()["state"] == "uploading"
    started = importer.client.send("POST", f"/imports/{import_id}/start")
    assert (started.status_code, started.json()["import_id"]) == (202, import_id), started.text
    job = ended(importer, import_id)

    assert (job["state"], job["error"], counts(job)) == ("succeeded", None, (2, 0, 0, 0))
    again = importer.client.send("POST", f"/imports/{import_id}/start")
    assert (again.status_code, again.json()["state"]) == (202, "succeeded")
    assert {bill["amount_minor"] for bill in importer.client.bills(refresh=False).items} == {100, 200}


def test_uploads_that_come_to_nothing(importer: Household, settled: Household) -> None:
    created = importer.client.send("POST", "/imports").json()
    path = f"/imports/{created['import_id']}"
    assert refused(importer.client.send("POST", f"{path}/start"), 409)["code"] == "upload_missing"
    refused(settled.client.send("GET", path), 404)
    refused(settled.client.send("POST", f"{path}/start"), 404)

    import_id = upload(importer, b"<html/>")
    importer.client.send("POST", f"/imports/{import_id}/start")
    job = ended(importer, import_id)
    assert (job["state"], job["error"]["code"]) == ("failed", "not_green_button")


def test_a_file_of_more_than_20_mb_is_refused_whatever_the_engine_lets_through(importer: Household) -> None:
    document = large_feed(20_971_520)
    created = importer.client.send("POST", "/imports").json()
    form = created["upload"]
    stored = requests.post(form["url"], data=form["fields"], files={"file": ("usage.xml", document)}, timeout=60)

    answer = importer.client.send("POST", f"/imports/{created['import_id']}/start")

    refused(answer, 413 if stored.ok else 409)


def test_exports(settled: Household) -> None:
    bills = {bill["bill_id"]: bill for bill in settled.client.bills(refresh=False).items}

    in_json = settled.client.send("GET", "/bills/export")
    in_csv = settled.client.send("GET", "/bills/export", query={"format": "csv"})
    of_gas = settled.client.send("GET", "/bills/export", query={"service_type": "gas"})

    assert {bill["bill_id"]: bill for bill in in_json.json()["items"]} == bills
    assert in_csv.headers["Content-Type"].startswith("text/csv")
    rows = list(csv.DictReader(io.StringIO(in_csv.text, newline="")))
    assert {row["bill_id"] for row in rows} == bills.keys()
    assert {bill["bill_id"] for bill in of_gas.json()["items"]} == {
        bill_id for bill_id, bill in bills.items() if bill["service_type"] == "gas"
    }


def test_an_export_imported_into_its_own_link_changes_nothing(settled: Household) -> None:
    link_id = next(a["link_id"] for a in settled.client.accounts() if a["provider_id"] == GAS)
    before = settled.client.bills(refresh=False).of(link_id)
    exported = settled.client.send("GET", "/bills/export", query={"format": "green-button", "link_id": link_id})
    assert exported.headers["Content-Type"].startswith("application/atom+xml")

    report = inline(settled, exported.content, link_id=link_id)

    assert report.status_code == 200, report.text
    assert counts(report.json()) == (0, 0, len(before), 0)
    after = settled.client.bills(refresh=False).of(link_id)
    assert [bill["content_hash"] for bill in after] == [bill["content_hash"] for bill in before]


def test_an_export_reads_back_in_another_household(settled: Household, importer: Household) -> None:
    """All but where a document is, which a file is not believed. By upload: a slow engine may take longer than a
    request may, and go on in a second delivery, which finds what the first has written unchanged."""
    exported = settled.client.send("GET", "/bills/export", query={"format": "green-button"})

    import_id = upload(importer, exported.content)
    importer.client.send("POST", f"/imports/{import_id}/start")

    created, updated, unchanged, skipped = counts(ended(importer, import_id))
    bills = settled.client.bills(refresh=False).items
    assert (created + unchanged, updated, skipped) == (len(bills), 0, 0)
    wanted = {bill["external_bill_id"]: bill for bill in bills}
    for bill in importer.client.bills(refresh=False).items:
        original = wanted[bill["external_bill_id"]]
        for name in ("amount_minor", "currency", "due_date", "period_start", "period_end", "line_items", "usage"):
            assert bill[name] == original[name], name
        assert bill["content_hash"] == original["content_hash"]
        assert bill["document_url"] is None


def test_a_file_of_many_bills_is_written_in_several_transactions(importer: Household) -> None:
    many = [summary(f"MANY-{n}", n + 1, start=FEB_1_2026 - 28 * n * DAY) for n in range(MANY)]
    import_id = upload(importer, feed(*many).encode())
    importer.client.send("POST", f"/imports/{import_id}/start")

    assert counts(ended(importer, import_id)) == (MANY, 0, 0, 0)
    assert {bill["amount_minor"] for bill in importer.client.bills(refresh=False).items} == set(range(1, MANY + 1))


def test_what_is_too_large_for_an_answer_is_a_download(importer: Household) -> None:
    note = "x" * 250
    items = "".join(
        f"<costAdditionalDetailLastPeriod><amount>1000</amount><note>{note}</note></costAdditionalDetailLastPeriod>"
        for _ in range(160)
    )
    many = [summary(f"MANY-{n}", n + 1, items, FEB_1_2026 - 28 * n * DAY) for n in range(90)]
    import_id = upload(importer, feed(*many).encode())
    importer.client.send("POST", f"/imports/{import_id}/start")
    assert counts(ended(importer, import_id)) == (90, 0, 0, 0)

    answer = importer.client.send("GET", "/bills/export")

    assert answer.status_code == 200
    assert set(answer.json()) == {"download"}
    document = requests.get(answer.json()["download"]["url"], timeout=30)
    assert "attachment" in document.headers["Content-Disposition"]
    assert len(json.loads(document.content)["items"]) == 90
