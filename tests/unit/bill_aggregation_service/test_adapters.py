"""Each adapter on recorded answers of its utility, and on answers that are none."""

import contextlib
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.bill_aggregation_service.adapters.base import (
    Access,
    AccountUnknown,
    Adapter,
    BadCredentials,
    ProviderDown,
    ProviderError,
    ProviderMalformed,
    ProviderMisconfigured,
)
from functions.bill_aggregation_service.adapters.registry import ADAPTERS, Utilities
from functions.bill_aggregation_service.model import LineKind, Provider, ProviderId, ProviderStatus, Usage
from functions.bill_aggregation_service.quality import quality_notes
from tests.unit.bill_aggregation_service.fakes import PROVIDER, SAMPLES, FakeHttp

BASIC_GOOD = "Basic Z29vZDpzM2NyZXQ="


def sample(name: str) -> bytes:
    return (SAMPLES / name).read_bytes()


def access(provider: Provider = PROVIDER, account: str = "NP-10024817") -> Access:
    return Access(provider, {"account_number": account}, "good", "s3cret")


def provider(provider_id: str, service: str, currency: str, zone: str) -> Provider:
    return replace(
        PROVIDER, provider_id=ProviderId(provider_id), service_types=(service,), currency=currency, time_zone=zone
    )


GAS = provider("prv_greenline_gas", "gas", "EUR", "Europe/Berlin")
WATER = provider("prv_clearwater", "water", "GBP", "Europe/London")
INTERNET = provider("prv_fibernet", "internet", "INR", "Asia/Kolkata")
TOKEN = b'{"access_token": "tok", "token_type": "Bearer", "expires_in": 600}'


class TestOAuthJson:
    def test_reads_all_pages(self) -> None:
        http = FakeHttp(post=TOKEN, get=[sample("electricity_page_1.json"), sample("electricity_page_2.json")])

        bills = [bill.content for bill in ADAPTERS["oauth_json"](http).fetch(access())]

        assert [bill.external_bill_id[:9] for bill in bills] == ["NP-202602", "NP-202601", "NP-202512"]
        newest = bills[0]
        assert (newest.statement_date, newest.due_date) == (date(2026, 2, 20), date(2026, 3, 13))
        assert (newest.period_start, newest.period_end) == (date(2026, 1, 20), date(2026, 2, 19))
        assert (newest.amount_minor, newest.currency, newest.tariff) == (13632, "USD", "Residential R-1 2026")
        assert newest.usage == (Usage("electricity", Decimal(703), "kWh", "NPM9539626"),)
        assert [bill.provider_status for bill in bills] == [
            ProviderStatus.UNPAID,
            ProviderStatus.PAID,
            ProviderStatus.PAID,
        ]
        generation = newest.line_items[0]
        assert (generation.kind, generation.amount_minor, generation.rate) == (
            LineKind.GENERATION,
            6861,
            Decimal("0.0976"),
        )
        assert not [note for bill in bills for note in quality_notes(bill)]

    def test_signs_in_and_follows_the_cursor(self) -> None:
        http = FakeHttp(post=TOKEN, get=[sample("electricity_page_1.json"), sample("electricity_page_2.json")])

        ADAPTERS["oauth_json"](http).fetch(access(account="NP/1 2"))

        (_, path, _, headers), first, second = http.asked
        assert (path, headers["Authorization"]) == ("/oauth/token", BASIC_GOOD)
        assert http.bodies == [b"grant_type=client_credentials&scope=bills%3ANP%2F1+2"]
        assert first[1] == "/v1/accounts/NP%2F1%202/bills"
        assert first[3]["Authorization"] == "Bearer tok"
        assert (first[2], second[2]) == ({}, {"cursor": "eyJuZXh0IjoiMiJ9"})

    def test_a_token_that_runs_out_is_no_bad_login(self) -> None:
        with pytest.raises(ProviderDown):
            ADAPTERS["oauth_json"](FakeHttp(post=TOKEN, get=BadCredentials())).fetch(access())
        with pytest.raises(BadCredentials):
            ADAPTERS["oauth_json"](FakeHttp(post=BadCredentials())).fetch(access())

    def test_pages_without_end_are_refused(self) -> None:
        with pytest.raises(ProviderMalformed):
            ADAPTERS["oauth_json"](FakeHttp(post=TOKEN, get=sample("electricity_page_1.json"))).fetch(access())

    def test_fields_that_a_utility_may_leave_out(self) -> None:
        page = (
            b'{"bills": [{"billId": "1", "issuedOn": "2026-01-01", "periodStart": "2025-12-01",'
            b'"periodEnd": "2025-12-31", "totalAmount": "1.005", "currency": "USD"}], "page": {}}'
        )
        (bill,) = ADAPTERS["oauth_json"](FakeHttp(post=TOKEN, get=page)).fetch(access())

        assert (bill.content.amount_minor, bill.content.due_date, bill.content.usage) == (100, None, ())


class TestGreenButton:
    def test_reads_the_feed(self) -> None:
        http = FakeHttp(get=sample("gas.xml"))

        bills = ADAPTERS["green_button"](http).fetch(access(GAS, "4410029375"))

        newest = bills[0].content
        assert newest.external_bill_id == "GL-202603-327B96"
        assert (newest.usage_point, newest.service_type, newest.tariff) == ("1", "gas", "Komfort Gas 2026")
        assert (newest.statement_date, newest.due_date) == (date(2026, 3, 2), None)
        assert (newest.period_start, newest.period_end) == (date(2026, 2, 2), date(2026, 3, 1))
        assert (newest.amount_minor, newest.currency) == (19321, "EUR")
        assert newest.usage == (Usage("gas", Decimal("138.824"), "m3"),)
        assert [item.kind for item in newest.line_items] == [
            LineKind.USAGE,
            LineKind.DELIVERY,
            LineKind.FEE,
            LineKind.TAX,
        ]
        assert newest.line_items[0].rate == Decimal("0.8607")
        assert bills[0].stamped_at == datetime(2026, 3, 2, tzinfo=UTC)
        assert [note.code for note in quality_notes(newest)] == ["due_date_missing"]
        ((_, path, _, headers),) = http.asked
        assert path == "/greenbutton/4410029375"
        assert (headers["Authorization"], headers["Accept"]) == (BASIC_GOOD, "application/atom+xml")

    def test_older_feeds_of_other_utilities(self) -> None:
        """A prefix, the old root name, no currency, no total, milliseconds, no self link, Wh by the thousand."""
        feed = b"""<a:feed xmlns:a="http://www.w3.org/2005/Atom" xmlns:e="http://naesb.org/espi"><a:entry>
        <a:id>urn:uuid:1</a:id><a:content><e:ElectricPowerUsageSummary>
        <e:billingPeriod><e:duration>86400</e:duration><e:start>1769986800000</e:start></e:billingPeriod>
        <e:costAdditionalDetailLastPeriod><e:amount>150000</e:amount></e:costAdditionalDetailLastPeriod>
        <e:costAdditionalDetailLastPeriod><e:amount>50000</e:amount><e:itemKind>5</e:itemKind></e:costAdditionalDetailLastPeriod>
        <e:overallConsumptionLastPeriod><e:powerOfTenMultiplier>3</e:powerOfTenMultiplier><e:uom>72</e:uom><e:value>12</e:value>
        </e:overallConsumptionLastPeriod><e:overallConsumptionLastPeriod><e:uom>999</e:uom><e:value>1</e:value>
        </e:overallConsumptionLastPeriod>
        </e:ElectricPowerUsageSummary></a:content></a:entry></a:feed>"""

        (bill,) = ADAPTERS["green_button"](FakeHttp(get=feed)).fetch(access(GAS))

        assert (bill.content.amount_minor, bill.content.currency) == (200, "EUR")
        assert (bill.content.external_bill_id, bill.content.usage_point) == ("", "")
        assert bill.content.period_start == bill.content.period_end == date(2026, 2, 2)
        assert bill.content.usage == (Usage("gas", Decimal(12), "kWh"),)
        assert (bill.content.line_items[0].name, bill.stamped_at) == ("Charge", None)

    @pytest.mark.parametrize(
        "document",
        [
            b"<html><body>maintenance</body></html>",
            b"<feed",
            b'<!DOCTYPE feed [<!ENTITY a "b">]><feed xmlns="http://www.w3.org/2005/Atom">&a;</feed>',
            b'<!DOCTYPE feed SYSTEM "file:///etc/passwd"><feed/>',
            b"<feed><entry><UsageSummary><currency>1</currency></UsageSummary></entry></feed>",
            b"<feed><entry><UsageSummary></UsageSummary></entry></feed>",
        ],
    )
    def test_what_is_no_such_feed(self, document: bytes) -> None:
        with pytest.raises(ProviderMalformed):
            ADAPTERS["green_button"](FakeHttp(get=document)).fetch(access(GAS))


class TestBbps:
    def test_asks_then_polls(self) -> None:
        http = FakeHttp(
            post=b'{"refId": "ref/1", "status": "PENDING"}',
            get=[sample("water_pending.json"), sample("water_pending.json"), sample("water_success.json")],
        )

        bills = [bill.content for bill in ADAPTERS["bbps"](http).fetch(access(WATER, "CW4819302K"))]

        assert [bill.external_bill_id for bill in bills] == ["CW-202603-59E744", bills[1].external_bill_id]
        newest = bills[0]
        assert (newest.amount_minor, newest.currency, newest.due_date) == (2732, "GBP", date(2026, 4, 5))
        assert (newest.period_start, newest.period_end) == (date(2026, 2, 8), date(2026, 3, 7))
        assert newest.usage == (Usage("water", Decimal("7.5"), "m3", "CWM3440593"),)
        assert [bill.provider_status for bill in bills] == [ProviderStatus.UNPAID, ProviderStatus.PAID]
        assert not quality_notes(newest)
        assert http.pauses == [0.1, 0.2]
        assert b'"billerId":"CLEARWATER00GBR01"' in http.bodies[0]
        assert b'{"name":"Account Number","value":"CW4819302K"}' in http.bodies[0]
        assert http.asked[1][1] == "/bills/fetch/ref%2F1"
        assert http.asked[1][3]["X-Biller-User"] == "good"

    @pytest.mark.parametrize(
        ("reply", "error"),
        [
            (sample("water_failure.json"), AccountUnknown),
            (b'{"status": "FAILURE"}', ProviderDown),
            (b'{"status": "SUCCESS"}', ProviderDown),
            (AccountUnknown("404: the reference ran out"), ProviderDown),
            (b"[]", ProviderMalformed),
            (sample("water_success.json").replace(b'"2732"', b'"9999999999999999999"'), ProviderMalformed),
            (sample("water_success.json").replace(b"2026-02-08/2026-03-07", b"February"), ProviderMalformed),
        ],
    )
    def test_polls_that_end_badly(self, reply: bytes | Exception, error: type[ProviderError]) -> None:
        with pytest.raises(error):
            ADAPTERS["bbps"](FakeHttp(post=b'{"refId": "1"}', get=reply)).fetch(access(WATER))

    def test_a_biller_without_an_id(self) -> None:
        with pytest.raises(ProviderMisconfigured):
            ADAPTERS["bbps"](FakeHttp()).fetch(access(GAS))

    def test_a_bill_without_tags(self) -> None:
        reply = (
            b'{"status": "SUCCESS", "billerResponse": {"billNumber": "1", "billDate": "2026-01-01",'
            b'"billPeriod": "2025-12-01/2025-12-31", "amount": "100", "currency": "GBP"}}'
        )
        (bill,) = ADAPTERS["bbps"](FakeHttp(post=b'{"refId": "1"}', get=reply)).fetch(access(WATER))

        assert (bill.content.usage, bill.content.line_items, bill.content.due_date) == ((), (), None)


class TestCsvStatement:
    def test_reads_the_statements(self) -> None:
        http = FakeHttp(get=sample("internet.csv"))

        bills = [bill.content for bill in ADAPTERS["csv_statement"](http).fetch(access(INTERNET, "FN20481537"))]

        assert [bill.external_bill_id for bill in bills] == ["FN-202602-100F42", "FN-202601-D2D1AB"]
        newest = bills[0]
        assert (newest.statement_date, newest.due_date) == (date(2026, 2, 18), date(2026, 3, 4))
        assert (newest.period_start, newest.period_end) == (date(2026, 1, 18), date(2026, 2, 17))
        assert (newest.amount_minor, newest.currency, newest.tariff) == (191494, "INR", "Fibre 300 2026")
        assert newest.provider_status is ProviderStatus.PAID
        assert newest.usage == (Usage("internet", Decimal("295.5"), "GB"),)
        assert [item.amount_minor for item in newest.line_items] == [137694, 10494, 14095, 29211]
        assert newest.line_items[2].rate == Decimal("0.477")
        assert not quality_notes(newest)
        ((_, path, query, headers),) = http.asked
        assert (path, query) == ("/statements.csv", {"account": "FN20481537"})
        assert (headers["Authorization"], headers["Accept"]) == (BASIC_GOOD, "text/csv")

    @pytest.mark.parametrize(
        "change",
        [
            lambda text: b"<html>",
            lambda text: b"",
            lambda text: text.replace(b"1,914.94", b"1.914,94"),
            lambda text: text.replace(b"18/02/2026", b"02/18/2026"),
            lambda text: text.replace(b'"PAID"', b'"PAID'),
            lambda text: b"\xff\xfe" + text,
        ],
    )
    def test_what_is_no_such_csv(self, change: Callable[[bytes], bytes]) -> None:
        with pytest.raises(ProviderMalformed):
            ADAPTERS["csv_statement"](FakeHttp(get=change(sample("internet.csv")))).fetch(access(INTERNET))

    def test_an_account_without_statements(self) -> None:
        header = sample("internet.csv").splitlines()[0]
        assert ADAPTERS["csv_statement"](FakeHttp(get=header)).fetch(access(INTERNET)) == []


ANSWERS: list[tuple[type[Adapter], Provider]] = [
    (ADAPTERS["oauth_json"], PROVIDER),
    (ADAPTERS["green_button"], GAS),
    (ADAPTERS["bbps"], WATER),
    (ADAPTERS["csv_statement"], INTERNET),
]


@pytest.mark.parametrize(("adapter", "utility"), ANSWERS)
@given(garbage=st.binary(max_size=300))
def test_garbage_is_malformed_and_nothing_else(adapter: type[Adapter], utility: Provider, garbage: bytes) -> None:
    with pytest.raises(ProviderError):
        adapter(FakeHttp(post=garbage, get=garbage)).fetch(access(utility))


@given(at=st.integers(0, 5000), junk=st.binary(min_size=1, max_size=8))
def test_a_damaged_feed_reads_or_is_malformed(at: int, junk: bytes) -> None:
    feed = sample("gas.xml")
    damaged = feed[: at % len(feed)] + junk + feed[at % len(feed) + len(junk) :]
    with contextlib.suppress(ProviderMalformed):
        ADAPTERS["green_button"](FakeHttp(get=damaged)).fetch(access(GAS))


def test_an_adapter_is_chosen_by_the_registry() -> None:
    opened: list[tuple[str, float]] = []

    def connect(base_url: str, seconds: float) -> FakeHttp:
        opened.append((base_url, seconds))
        return FakeHttp(get=sample("internet.csv"))

    utilities = Utilities(connect)

    assert len(utilities.fetch(access(replace(INTERNET, adapter="csv_statement")), 7.0)) == 2
    assert opened == [("https://power.example", 7.0)]
    with pytest.raises(ProviderMisconfigured):
        utilities.fetch(access(replace(INTERNET, adapter="carrier_pigeon")), 7.0)


def test_an_account_without_a_number_cannot_be_read() -> None:
    with pytest.raises(ProviderMisconfigured):
        _ = Access(PROVIDER, {}, "good", "s3cret").account_number
    assert Access(replace(PROVIDER, service_types=()), {}, "", "").service_type == "other"
