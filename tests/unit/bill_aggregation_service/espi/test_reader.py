"""Every trap that real Green Button files have been seen to hold, and what is said of what gives no bill."""

import random
from collections.abc import Iterable
from datetime import UTC, date, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from functions.bill_aggregation_service.espi.reader import Defaults, FileContent, read_file
from functions.bill_aggregation_service.espi.stream import EspiError
from functions.bill_aggregation_service.model import BillContent, LineItem, LineKind, Usage
from functions.bill_aggregation_service.quality import quality_notes
from tests.unit.bill_aggregation_service.espi.feeds import (
    DAY,
    FEB_1_2026,
    PERIOD,
    USAGE_POINT,
    entry,
    feed,
    gas_meter,
    interval_block,
    line_item,
    local_time,
    reading,
    summary,
    usage_point,
)
from tests.unit.bill_aggregation_service.fakes import SAMPLES

DEFAULTS = Defaults("CAD", ZoneInfo("America/New_York"), "electricity")
OTHER_POINT = "/espi/1_1/resource/Subscription/5/UsagePoint/2"


def read(document: bytes | Iterable[bytes], defaults: Defaults = DEFAULTS) -> FileContent:
    return read_file([document] if isinstance(document, bytes) else document, defaults)


def only(document: bytes, defaults: Defaults = DEFAULTS) -> BillContent:
    result = read(document, defaults)
    assert result.skipped == []
    (bill,) = result.bills
    return bill.content


def reasons(document: bytes) -> list[str]:
    return [skipped.reason for skipped in read(document).skipped]


# Names


def test_a_bill() -> None:
    item = line_item("5000000", "Energy", "3", "<measurement><powerOfTenMultiplier>3</powerOfTenMultiplier><uom>72</uom><value>625</value></measurement>")  # fmt: skip  # noqa: E501
    inner = (
        f"<billLastPeriod>6752000</billLastPeriod>{item}{line_item('1752000', 'Tax', '5')}<currency>840</currency>"
        "<overallConsumptionLastPeriod><uom>72</uom><value>625716</value></overallConsumptionLastPeriod>"
        f"<statusTimeStamp>{FEB_1_2026 + 30 * DAY}</statusTimeStamp><commodity>1</commodity>"
        "<tariffProfile>Time of use</tariffProfile>"
    )

    (bill,) = read(feed(usage_point(), entry(summary(inner), updated="2026-03-02T05:00:00Z"))).bills

    assert bill.content == BillContent(
        external_bill_id="B-1",
        service_type="electricity",
        usage_point="1",
        statement_date=date(2026, 3, 3),
        period_start=date(2026, 2, 1),
        period_end=date(2026, 2, 28),
        amount_minor=6752,
        currency="USD",
        usage=(Usage("electricity", Decimal("625.716"), "kWh"),),
        line_items=(
            LineItem("Energy", LineKind.USAGE, 5000, Decimal(625), "kWh"),
            LineItem("Tax", LineKind.TAX, 1752),
        ),
        tariff="Time of use",
    )
    assert bill.stamped_at == datetime(2026, 3, 2, 5, tzinfo=UTC)


PLAIN = feed(entry(summary()))


@pytest.mark.parametrize(
    "document",
    [
        PLAIN.replace(b"<UsageSummary>", b'<UsageSummary xmlns="http://naesb.org/espi">'),
        PLAIN.replace(b"UsageSummary>", b"ElectricPowerUsageSummary>"),
        PLAIN.replace(b"<", b"<a:").replace(b"<a:/", b"</a:").replace(b"xmlns=", b"xmlns:a="),
        b"\xef\xbb\xbf" + PLAIN,
        b'\r\n <?xml version="1.0" encoding="utf-8"?>' + PLAIN,
        PLAIN.decode().encode("utf-16"),
        b'<?xml version="1.0" encoding="iso-8859-1"?>' + PLAIN.replace(b"<title/>", b"<title>Z\xe4hler</title>"),
        entry(summary()).encode(),
        PLAIN.replace(b"<content>", b'<content type="xml"><!-- of the utility --><?xml-stylesheet href="a"?>'),
    ],
    ids=["namespace", "old name", "prefix", "mark", "blank line", "utf-16", "latin-1", "lone entry", "comment"],
)
def test_however_it_is_spelt(document: bytes) -> None:
    assert only(document) == only(PLAIN)


def test_a_bare_summary_is_a_bill_without_a_number() -> None:
    content = only(summary().encode())

    assert (content.external_bill_id, content.usage_point, content.amount_minor) == ("", "", 6752)


def test_it_does_not_matter_how_the_file_comes_in_pieces() -> None:
    document = feed(usage_point(), local_time(), entry(summary()))

    assert read(document[i : i + 1] for i in range(len(document))) == read(document)


@pytest.mark.parametrize(
    ("link", "number"),
    [
        ("/UsageSummary/1", ""),
        ("/ElectricPowerUsageSummary/012", ""),
        ("/UsageSummary", ""),
        ("/UsageSummary/2026001", "2026001"),
        ("/UsageSummary/GL%2F7%20a?published-min=1", "GL/7 a"),
        ("/ElectricPowerUsageSummary/MTIz/", "MTIz"),
    ],
)
def test_an_address_numbers_a_bill_unless_it_only_counts(link: str, number: str) -> None:
    assert only(feed(entry(summary(), USAGE_POINT + link))).external_bill_id == number


def test_a_file_whose_addresses_count_from_one_anew_is_told_apart_by_period() -> None:
    march = PERIOD.replace(str(FEB_1_2026), str(FEB_1_2026 + 28 * DAY))
    first = read(feed(entry(summary(), f"{USAGE_POINT}/UsageSummary/1")))
    later = read(feed(entry(summary(period=march), f"{USAGE_POINT}/UsageSummary/1")))

    assert first.bills[0].content.external_bill_id == later.bills[0].content.external_bill_id == ""
    assert first.bills[0].content.period_start != later.bills[0].content.period_start


# Money


@pytest.mark.parametrize(
    ("told", "currency", "assumed"),
    [
        ("<currency>840</currency>", "USD", ()),
        ("<currency>36</currency>", "AUD", ()),
        ("<currency>036</currency>", "AUD", ()),
        ("<currency>eur</currency>", "EUR", ()),
        ("<currency>0</currency>", "CAD", ("currency_assumed",)),
        ("<currency/>", "CAD", ("currency_assumed",)),
        ("", "CAD", ("currency_assumed",)),
    ],
)
def test_the_currency(told: str, currency: str, assumed: tuple[str, ...]) -> None:
    content = only(feed(entry(summary(f"<billLastPeriod>6752000</billLastPeriod>{told}"))))

    assert (content.currency, content.assumed) == (currency, assumed)
    assert [note.code for note in quality_notes(content) if note.code in assumed] == list(assumed)


@pytest.mark.parametrize(("currency", "minor"), [("840", 6752), ("392", 68), ("414", 67520), ("990", 675200)])
def test_amounts_are_in_hundred_thousandths_whatever_the_minor_unit(currency: str, minor: int) -> None:
    inner = f"<billLastPeriod>6752000</billLastPeriod><currency>{currency}</currency>"

    assert only(feed(entry(summary(inner)))).amount_minor == minor


@pytest.mark.parametrize(("told", "minor"), [("6752500", 6752), ("6753500", 6754), ("-150000", -150), ("12.0", 0)])
def test_what_is_finer_than_the_minor_unit_is_rounded_to_even(told: str, minor: int) -> None:
    inner = f"<billLastPeriod>{told}</billLastPeriod><currency>840</currency>"

    assert only(feed(entry(summary(inner)))).amount_minor == minor


def test_without_a_total_the_line_items_are_summed() -> None:
    content = only(feed(entry(summary(line_item("5000000") + line_item("-1000000", "Rebate", "6")))))

    assert (content.amount_minor, [item.kind for item in content.line_items]) == (
        4000,
        [LineKind.USAGE, LineKind.CREDIT],
    )
    assert content.assumed == ("currency_assumed", "total_from_line_items")


def test_line_items_that_do_not_sum_up_are_noted() -> None:
    content = only(feed(entry(summary("<billLastPeriod>6752000</billLastPeriod>" + line_item("100000")))))

    assert "items_differ_from_total" in {note.code for note in quality_notes(content)}


def test_a_line_item_may_be_bare_and_a_remark_is_none() -> None:
    bare = "<costAdditionalDetailLastPeriod><amount>100000</amount></costAdditionalDetailLastPeriod>"
    remark = "<costAdditionalDetailLastPeriod><note>Thank you</note></costAdditionalDetailLastPeriod>"
    odd = line_item("1", "x" * 300, "77", "<measurement><uom>72</uom><value>many</value></measurement>")
    rated = line_item("1", "Rated", "3").replace("</itemKind>", "</itemKind><unitCost>12345</unitCost>")

    items = only(feed(entry(summary(f"<billLastPeriod>1</billLastPeriod>{bare}{remark}{odd}{rated}")))).line_items

    assert [(item.name[:7], item.kind, item.volume) for item in items] == [
        ("Charge", LineKind.OTHER, None),
        ("xxxxxxx", LineKind.OTHER, None),
        ("Rated", LineKind.USAGE, None),
    ]
    assert (len(items[1].name), items[2].rate) == (256, Decimal("0.12345"))


@pytest.mark.parametrize(
    ("measured", "usage"),
    [
        ("<powerOfTenMultiplier>-3</powerOfTenMultiplier><uom>42</uom><value>138824</value>", ("138.824", "m3")),
        ("<powerOfTenMultiplier>2</powerOfTenMultiplier><uom>119</uom><value>31</value>", ("3100", "ft3")),
        ("<uom>169</uom><value>12</value>", ("12", "therm")),
        ("<powerOfTenMultiplier>9</powerOfTenMultiplier><uom>31</uom><value>5</value>", ("5000", "MJ")),
        ("<uom>38</uom><value>12</value>", None),
        ("<uom>72</uom>", None),
        ("<uom>72</uom><value>NaN</value>", None),
        ("<powerOfTenMultiplier>999999</powerOfTenMultiplier><uom>72</uom><value>1</value>", None),
    ],
)
def test_what_was_used(measured: str, usage: tuple[str, str] | None) -> None:
    told = f"<billLastPeriod>1</billLastPeriod><overallConsumptionLastPeriod>{measured}</overallConsumptionLastPeriod>"

    found = only(feed(entry(summary(told)))).usage

    assert found == ((Usage("electricity", Decimal(usage[0]), usage[1]),) if usage else ())


# Time


def test_milliseconds() -> None:
    start = f"<start>{FEB_1_2026}000</start>"
    in_seconds = f"<billingPeriod><duration>{28 * DAY}</duration>{start}</billingPeriod>"
    in_milliseconds = in_seconds.replace(str(28 * DAY), f"{28 * DAY}000")
    stamped = "<billLastPeriod>6752000</billLastPeriod><currency>840</currency>"

    for period in (in_seconds, in_milliseconds):
        assert only(feed(entry(summary(stamped, period)))) == only(PLAIN)
    both = f"{stamped}<statusTimeStamp>{FEB_1_2026}000</statusTimeStamp>"
    assert only(feed(entry(summary(both, in_milliseconds)))).statement_date == date(2026, 2, 1)


def test_days_are_those_of_the_place_that_the_file_names() -> None:
    """A period from midnight to midnight in New York, across the change of clocks, read by somebody in Tokyo."""
    across = (
        f"<billingPeriod><duration>{31 * DAY - 3600}</duration><start>{FEB_1_2026 + 28 * DAY}</start></billingPeriod>"
    )
    tokyo = Defaults("USD", ZoneInfo("Asia/Tokyo"), "electricity")

    content = only(feed(entry(summary(period=across)), local_time()), tokyo)

    assert (content.period_start, content.period_end) == (date(2026, 3, 1), date(2026, 3, 31))


def test_of_several_places_it_is_the_usage_points_own() -> None:
    east, west = "/espi/1_1/resource/LocalTimeParameters/1", "/espi/1_1/resource/LocalTimeParameters/2"
    phoenix = "<LocalTimeParameters><dstEndRule>FFFFFFFF</dstEndRule><dstOffset>0</dstOffset><dstStartRule>FFFFFFFF</dstStartRule><tzOffset>-25200</tzOffset></LocalTimeParameters>"  # noqa: E501
    document = feed(
        usage_point(related=[west]),
        usage_point(path=OTHER_POINT, related=[east]),
        local_time(1),
        local_time(2, phoenix),
        entry(summary()),
        entry(summary(), f"{OTHER_POINT}/UsageSummary/B-2"),
    )

    days = {bill.content.usage_point: bill.content.period_start for bill in read(document).bills}

    assert days == {"1": date(2026, 1, 31), "2": date(2026, 2, 1)}


@pytest.mark.parametrize(
    "parameters",
    [
        "<LocalTimeParameters><tzOffset>-18000</tzOffset></LocalTimeParameters>",
        "<LocalTimeParameters><dstEndRule>zz</dstEndRule><tzOffset>-18000</tzOffset></LocalTimeParameters>",
        "<LocalTimeParameters><dstEndRule>00000000</dstEndRule><dstOffset>3600</dstOffset><dstStartRule>F0000000</dstStartRule><tzOffset>-18000</tzOffset></LocalTimeParameters>",
        "<LocalTimeParameters><tzOffset>noon</tzOffset></LocalTimeParameters>",
        "<LocalTimeParameters><tzOffset>99999999</tzOffset></LocalTimeParameters>",
        "<TimeConfiguration><tzOffset>-18000</tzOffset></TimeConfiguration>",
    ],
)
def test_a_local_time_that_makes_no_sense_does_no_harm(parameters: str) -> None:
    assert only(feed(local_time(1, parameters), entry(summary()))).period_start == date(2026, 2, 1)


@pytest.mark.parametrize(
    ("entry_stamp", "feed_stamp", "expected"),
    [
        ("2026-03-02T05:00:00Z", "2026-03-09T00:00:00Z", datetime(2026, 3, 2, 5, tzinfo=UTC)),
        ("", "2026-03-09T00:00:00+01:00", datetime(2026, 3, 8, 23, tzinfo=UTC)),
        ("yesterday", "2026-03-09T00:00:00", None),
        ("", "", None),
    ],
)
def test_when_a_bill_last_changed(entry_stamp: str, feed_stamp: str, expected: datetime | None) -> None:
    document = feed(f"<updated>{feed_stamp}</updated>", entry(summary(), updated=entry_stamp))

    assert read(document).bills[0].stamped_at == expected


# Usage points


def test_several_usage_points_in_one_file() -> None:
    document = feed(
        entry(summary()),
        entry(summary(), f"{OTHER_POINT}/UsageSummary/B-1"),
        usage_point("0"),
        usage_point("1", OTHER_POINT),
    )

    found = {(bill.content.usage_point, bill.content.service_type) for bill in read(document).bills}

    assert found == {("1", "electricity"), ("2", "gas")}


def test_the_commodity_says_more_than_the_usage_point() -> None:
    told = "<billLastPeriod>1</billLastPeriod><commodity>{}</commodity>"

    assert only(feed(usage_point("0"), entry(summary(told.format(7))))).service_type == "gas"
    assert only(feed(usage_point("2"), entry(summary(told.format(0))))).service_type == "water"
    assert only(feed(entry(summary(told.format(9))))).service_type == "water"
    assert only(feed(usage_point("3"), entry(summary(told.format(0))))).service_type == "electricity"


# Readings that are bills


def test_a_gas_feed_without_summaries_has_a_bill_in_each_reading() -> None:
    document = feed(
        *gas_meter(),
        interval_block(reading(FEB_1_2026 - 31 * DAY, 31, "8100000"), reading(FEB_1_2026, 28, "7550000", "482")),
        usage_point("1"),
    )

    result = read(document)

    assert result.skipped == []
    assert [(b.content.period_start, b.content.period_end, b.content.amount_minor) for b in result.bills] == [
        (date(2026, 1, 1), date(2026, 1, 31), 8100),
        (date(2026, 2, 1), date(2026, 2, 28), 7550),
    ]
    february = result.bills[1].content
    assert (february.service_type, february.currency, february.usage_point) == ("gas", "USD", "1")
    assert february.usage == (Usage("gas", Decimal("48.2"), "therm"),)
    assert february.assumed == ("bill_from_reading",)
    assert [note.code for note in quality_notes(february)][:1] == ["bill_from_reading"]


def test_a_reading_without_a_time_has_that_of_its_block() -> None:
    bare = "<IntervalReading><cost>7550000</cost><value>482</value></IntervalReading>"

    content = only(feed(*gas_meter(), interval_block(bare)))

    assert (content.period_start, content.period_end) == (date(2026, 2, 1), date(2026, 2, 28))


def test_a_reading_without_a_currency_takes_the_assumed_one() -> None:
    content = only(feed(*gas_meter(currency=""), interval_block(reading(FEB_1_2026, 28, "100000"))))

    assert (content.currency, content.assumed) == ("CAD", ("currency_assumed", "bill_from_reading"))


def test_where_there_is_a_summary_readings_are_no_bills() -> None:
    document = feed(
        entry(summary()),
        *gas_meter(),
        interval_block(reading(FEB_1_2026, 28, "7550000"), reading(FEB_1_2026, 0.25, "100")),
    )

    assert only(document).amount_minor == 6752


def test_meters_of_several_points_have_reading_types_of_their_own() -> None:
    document = feed(
        *gas_meter(),
        *gas_meter(OTHER_POINT, "<currency>978</currency>"),
        interval_block(reading(FEB_1_2026, 28, "100000")),
        interval_block(reading(FEB_1_2026, 28, "200000"), path=f"{OTHER_POINT}/MeterReading/1/IntervalBlock/1"),
    )

    found = {(b.content.usage_point, b.content.currency, b.content.amount_minor) for b in read(document).bills}

    assert found == {("1", "USD", 100), ("2", "EUR", 200)}


def test_what_a_meter_measured_is_no_bill() -> None:
    quarter_hours = (reading(FEB_1_2026 + 900 * n, 1 / 96, "974") for n in range(100))

    result = read(feed(*gas_meter(), interval_block(*quarter_hours)))

    assert result.bills == []
    assert [(skipped.reason, skipped.entry) for skipped in result.skipped] == [
        ("no_bill", f"{USAGE_POINT}/MeterReading/1/IntervalBlock/1")
    ]


# What is skipped


@pytest.mark.parametrize(
    ("resource", "reason"),
    [
        (summary(period=""), "no_period"),
        (summary(period="<billingPeriod/>"), "no_period"),
        (summary(period=PERIOD.replace(str(FEB_1_2026), "tomorrow")), "bad_period"),
        (summary(period=PERIOD.replace(str(28 * DAY), "-5")), "bad_period"),
        (summary(period=PERIOD.replace(str(FEB_1_2026), "9" * 15)), "bad_period"),
        (summary(period=PERIOD.replace(str(FEB_1_2026), "-9999999")), "bad_period"),
        (summary("<billToDate>100</billToDate>"), "no_amount"),
        (summary("<billLastPeriod>much</billLastPeriod>"), "bad_amount"),
        (summary("<billLastPeriod>1e400</billLastPeriod>"), "bad_amount"),
        (summary("<billLastPeriod>Infinity</billLastPeriod>"), "bad_amount"),
        (summary(f"<billLastPeriod>{'9' * 41}</billLastPeriod>"), "bad_amount"),
        (summary("<billLastPeriod>1</billLastPeriod>" + line_item("1e3x")), "bad_amount"),
        (summary("<billLastPeriod>1</billLastPeriod><currency>999</currency>"), "unknown_currency"),
        (summary("<billLastPeriod>1</billLastPeriod><currency>ABC</currency>"), "unknown_currency"),
        (summary("<billLastPeriod>1</billLastPeriod>" + line_item("1", "x" * 250) * 300), "too_large"),
        (
            summary("<extension><bill><due_date>20</due_date></bill></extension><billLastPeriod>1</billLastPeriod>"),
            "bad_extension",
        ),
        (
            summary(
                '<extension><bill><period_end>"2020-01-01"</period_end></bill></extension><billLastPeriod>1</billLastPeriod>'
            ),
            "bad_period",
        ),
    ],
)
def test_a_bill_that_cannot_be_read_costs_no_other(resource: str, reason: str) -> None:
    path = f"{USAGE_POINT}/UsageSummary/B-9"

    result = read(feed(entry(resource, path), entry(summary())))

    assert [(skipped.reason, skipped.entry) for skipped in result.skipped] == [(reason, path)]
    assert [bill.content for bill in result.bills] == [only(PLAIN)]


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        (reading(FEB_1_2026, 28), "no_amount"),
        (reading(FEB_1_2026, 500, "100000"), "bad_period"),
        (reading(FEB_1_2026, 28, "100000").replace("duration>", "length>"), "bad_period"),
    ],
)
def test_a_reading_that_is_no_bill(made: str, reason: str) -> None:
    assert reasons(feed(*gas_meter(), interval_block(made))) == [reason]


@pytest.mark.parametrize(
    "told",
    [
        "<type>1</type>",
        '<amount_minor>"1"</amount_minor>',
        "<amount_minor>9999999999999999</amount_minor>",
        '<currency>"dollars"</currency>',
        '<service_type>"#admin"</service_type>',
        f'<tariff>"{"x" * 501}"</tariff>',
        '<assumed>["everything"]</assumed>',
        '<line_items>[{"name": "a", "kind": "fee", "amount_minor": 99999999999999999}]</line_items>',
        '<period_start>"1969-12-31"</period_start>',
        '<period_end>"9999-12-31"</period_end>',
        '<due_date>"2200-01-01"</due_date>',
        '<statement_date>"0001-01-01"</statement_date>',
        *(
            f'<usage>[{{"service_type": "electricity", "volume": {number}, "unit": "kWh"}}]</usage>'
            for number in ('"NaN"', '"sNaN"', '"1E+999999"', '"1E+99999999"', '"1E-99999999"', "1e30")
        ),
        '<usage>[{"service_type": "electricity", "volume": "1E+99999999999999999999", "unit": "kWh"}]</usage>',
        '<line_items>[{"name": "a", "kind": "fee", "amount_minor": 1, "rate": "Infinity"}]</line_items>',
        '<line_items>[{"name": "a", "kind": "fee", "amount_minor": 1, "volume": "1E+13"}]</line_items>',
    ],
)
def test_an_extension_is_believed_only_as_far_as_it_makes_sense(told: str) -> None:
    extended = summary(f"<extension><bill>{told}</bill></extension><billLastPeriod>1</billLastPeriod>")

    assert reasons(feed(entry(extended))) == ["bad_extension"]


@pytest.mark.parametrize("cost", ["x", "1e30", "NaN"])
def test_a_rate_that_cannot_be_read_is_left_out(cost: str) -> None:
    rated = line_item("100000", "Rated", "3").replace("</itemKind>", f"</itemKind><unitCost>{cost}</unitCost>")

    assert [item.rate for item in only(feed(entry(summary(rated)))).line_items] == [None]


def test_half_a_second_is_no_time() -> None:
    assert reasons(feed(entry(summary(period=PERIOD.replace(str(FEB_1_2026), "1769922000.5"))))) == ["bad_period"]


def test_quantities_of_an_extension_have_one_spelling() -> None:
    told = '<usage>[{"service_type": "gas", "volume": "1.50", "unit": "therm"}]</usage>'
    told += '<line_items>[{"name": "a", "kind": "fee", "amount_minor": 1, "volume": 1E+2, "rate": "0.10"}]</line_items>'

    content = only(
        feed(entry(summary(f"<extension><bill>{told}</bill></extension><billLastPeriod>1</billLastPeriod>")))
    )

    assert [str(usage.volume) for usage in content.usage] == ["1.5"]
    assert [(str(item.volume), str(item.rate)) for item in content.line_items] == [("100", "0.1")]


def test_an_extension_of_others_and_an_address_to_fetch_are_passed_over() -> None:
    others = '<extension><due>1</due></extension><extension><bill><document_url>"http://169.254.169.254/"</document_url></bill></extension>'

    content = only(feed(entry(summary(others + "<billLastPeriod>6752000</billLastPeriod><currency>840</currency>"))))

    assert content == only(PLAIN)


# Twice


def test_the_same_twice_is_one() -> None:
    result = read(feed(entry(summary()), entry(summary())))

    assert len(result.bills) == 1
    assert [skipped.reason for skipped in result.skipped] == ["duplicate"]


def test_the_same_under_two_numbers_is_one() -> None:
    result = read(feed(entry(summary()), entry(summary(), f"{USAGE_POINT}/UsageSummary/B-2")))

    assert [bill.content.external_bill_id for bill in result.bills] == ["B-1"]
    assert [skipped.reason for skipped in result.skipped] == ["duplicate"]


def test_of_two_accounts_of_a_bill_the_later_counts() -> None:
    corrected = summary("<billLastPeriod>7000000</billLastPeriod><currency>840</currency>")
    entries = [entry(summary(), updated="2026-03-02T00:00:00Z"), entry(corrected, updated="2026-03-09T00:00:00Z")]

    for order in (entries, entries[::-1]):
        result = read(feed(*order))
        assert [bill.content.amount_minor for bill in result.bills] == [7000]
        assert [skipped.reason for skipped in result.skipped] == ["superseded"]


def test_the_order_of_the_entries_changes_nothing() -> None:
    entries = [
        usage_point("1"), usage_point("0", OTHER_POINT), local_time(), *gas_meter(),
        interval_block(reading(FEB_1_2026, 28, "7550000")), entry(summary(), f"{OTHER_POINT}/UsageSummary/B-1"),
        entry(summary(), f"{OTHER_POINT}/UsageSummary/B-2"),
    ]  # fmt: skip
    expected = {bill.content for bill in read(feed(*entries)).bills}
    assert len(expected) == 2

    for seed in range(20):
        random.Random(seed).shuffle(entries)  # no secret
        assert {bill.content for bill in read(feed(*entries)).bills} == expected


# The whole file


@pytest.mark.parametrize(
    ("document", "code"),
    [
        (b"", "malformed_xml"),
        (b"<feed>", "malformed_xml"),
        (b"<feed></entry>", "malformed_xml"),
        (b"{}", "malformed_xml"),
        (b"<feed>&secret;</feed>", "malformed_xml"),
        (b"<feed>\xff</feed>", "malformed_xml"),
        (b'<?xml version="1.0" encoding="klingon"?><feed/>', "malformed_xml"),
        (b'<?xml version="1.0" encoding="shift_jis"?><feed/>', "malformed_xml"),
        (b"<html><body>maintenance</body></html>", "not_green_button"),
        (b"<!DOCTYPE feed><feed/>", "dtd_refused"),
        (b'<!DOCTYPE feed SYSTEM "file:///etc/passwd"><feed/>', "dtd_refused"),
        (b'<!DOCTYPE feed [<!ENTITY a SYSTEM "http://169.254.169.254/">]><feed>&a;</feed>', "dtd_refused"),
        (b'<!DOCTYPE f [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;">]><feed>&b;</feed>', "dtd_refused"),
        (b"<feed>" + b"<a>" * 70 + b"</a>" * 70 + b"</feed>", "too_complex"),
        (feed(entry(summary("<x/>" * 20_001))), "too_complex"),
        (feed("<entry>" + '<link rel="related" href="a"/>' * 20_001 + "</entry>"), "too_complex"),
    ],
)
def test_what_is_no_green_button_file(document: bytes, code: str) -> None:
    with pytest.raises(EspiError) as caught:
        read(document)

    assert caught.value.code == code


def test_no_file_has_too_many_bills(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("functions.bill_aggregation_service.espi.reader.MAX_BILLS", 3)

    with pytest.raises(EspiError, match="more than 3 bills"):
        read(feed(*(entry(summary(), f"{USAGE_POINT}/UsageSummary/B-{n}") for n in range(4))))


def test_no_file_keeps_too_much_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("functions.bill_aggregation_service.espi.stream.MAX_KEPT", 10)

    with pytest.raises(EspiError, match="more than 10 elements"):
        read(feed(*(entry(summary(), f"{USAGE_POINT}/UsageSummary/B-{n}") for n in range(9))))


def test_the_sandbox_utility_s_feed() -> None:
    berlin = Defaults("EUR", ZoneInfo("Europe/Berlin"), "gas")
    result = read((SAMPLES / "gas.xml").read_bytes(), berlin)

    assert result.skipped == []
    assert [bill.content.external_bill_id for bill in result.bills] == ["GL-202603-327B96", "GL-202602-403118"]
