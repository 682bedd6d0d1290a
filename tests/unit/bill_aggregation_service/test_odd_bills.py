"""Single bills that are odd within an answer that is not: through an adapter, into what is kept."""

from dataclasses import replace

from functions.bill_aggregation_service.adapters.base import Access
from functions.bill_aggregation_service.adapters.registry import ADAPTERS
from functions.bill_aggregation_service.model import ProviderId
from functions.bill_aggregation_service.quality import quality_notes
from functions.bill_aggregation_service.reading import Reading, Refused, reading_of
from tests.unit.bill_aggregation_service.fakes import LINK, PROVIDER, SAMPLES, FakeHttp

TOKEN = b'{"access_token": "tok", "token_type": "Bearer", "expires_in": 600}'


def read(adapter: str, answer: bytes, **more: bytes) -> Reading:
    account = {"oauth_json": "NP-10024817", "csv_statement": "FN20481537"}[adapter]
    provider = replace(PROVIDER, provider_id=ProviderId("prv_any"), adapter=adapter)
    access = Access(provider, {"account_number": account}, "good", "s3cret")
    return reading_of(LINK, ADAPTERS[adapter](FakeHttp(get=answer, **more)).fetch(access))


def statements() -> bytes:
    return (SAMPLES / "internet.csv").read_bytes()


def newest_number() -> str:
    return statements().decode().splitlines()[1].split('","')[1]


def test_a_statement_in_an_unknown_currency_costs_no_other() -> None:
    number = newest_number()
    lines = [line.replace('"INR"', '"XTS"') if number in line else line for line in statements().decode().splitlines()]
    before = read("csv_statement", statements())

    after = read("csv_statement", "\r\n".join(lines).encode())

    assert after.refused == (Refused(number, "currency_unknown"),)
    assert len(after.bills) == len(before.bills) - 1


def test_a_cancelled_statement_is_marked() -> None:
    number = newest_number()
    lines = [
        line.replace('"PAID"', '"Void"') if number in line else line for line in statements().decode().splitlines()
    ]

    reading = read("csv_statement", "\r\n".join(lines).encode())

    notes = {b.content.external_bill_id: [n.code for n in quality_notes(b.content)] for b in reading.bills.values()}
    assert {bill: codes for bill, codes in notes.items() if codes} == {number: ["cancelled"]}


def test_a_bill_in_an_unknown_currency_costs_no_other() -> None:
    page = (SAMPLES / "electricity_page_2.json").read_bytes()

    assert read("oauth_json", page, post=TOKEN).refused == ()
    reading = read("oauth_json", page.replace(b'"USD"', b'"???"'), post=TOKEN)

    assert not reading.bills
    assert {refused.code for refused in reading.refused} == {"currency_unknown"}
