import json
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from functions.common.context import invocation, traceparent
from functions.common.ids import is_id
from functions.contracts.events.bills import BillCreatedV1, BillsRefreshRequestedV1
from functions.contracts.events.catalogue import CATALOGUE
from functions.contracts.events.envelope import CloudEvent, EventData, parse, unwrap, wrap

AT = datetime(2026, 3, 15, 9, 30, tzinfo=UTC)
BILL = BillCreatedV1(
    user_id="usr_1", link_id="lnk_1", bill_id="bil_1", provider_id="prv_a", service_type="gas", version=1,
    amount_minor=12345, currency="EUR", due_date="2026-04-01",
)  # fmt: skip


def sample(cls: type[EventData]) -> EventData:
    """An event of `cls` with something in each field."""
    values: dict[str, Any] = {}  # Any: values of the event's own types
    for field in msgspec.structs.fields(cls):
        values[field.name] = 7 if field.type in (int, int | None) else "text"
    return cls(**values)


def document() -> dict[str, Any]:
    read: dict[str, Any] = json.loads(wrap(BILL, AT).to_json())
    return read


def test_an_event_is_a_cloudevents_document() -> None:
    with invocation("req-1", 5):
        event = document()

    assert is_id("evt", event.pop("id"))
    assert event.pop("traceparent").startswith("00-")
    assert event == {
        "specversion": "1.0", "source": "/billing/bill-aggregation", "type": "bill.created.v1", "subject": "bil_1",
        "time": "2026-03-15T09:30:00.000Z", "datacontenttype": "application/json", "correlationid": "req-1",
        "data": {
            "user_id": "usr_1", "link_id": "lnk_1", "bill_id": "bil_1", "provider_id": "prv_a", "service_type": "gas",
            "version": 1, "amount_minor": 12345, "currency": "EUR", "due_date": "2026-04-01",
        },
    }  # fmt: skip


@pytest.mark.parametrize("cls", CATALOGUE.values(), ids=CATALOGUE.keys())
def test_an_event_of_every_type_comes_back_as_it_was(cls: type[EventData]) -> None:
    data = sample(cls)

    event = parse(wrap(data, AT).to_json())

    assert CATALOGUE[event.type] is cls
    assert unwrap(event, cls) == data
    assert event.subject == data.subject


def test_an_event_belongs_to_the_trace_of_what_told_it() -> None:
    with invocation("req-1", 5, "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"):
        event, step = wrap(BILL, AT), traceparent()

    assert event.traceparent == step
    assert step.split("-")[1] == "4bf92f3577b34da6a3ce929d0e0e4736"


def test_an_event_from_before_there_were_traces_is_read() -> None:
    event = document()
    del event["traceparent"]

    assert parse(json.dumps(event)).traceparent == ""


def test_two_events_with_the_same_data_have_ids_of_their_own() -> None:
    assert wrap(BILL, AT).id != wrap(BILL, AT).id


def test_bytes_are_read_as_well_as_text() -> None:
    event = wrap(BILL, AT)

    assert parse(event.to_json().encode()) == parse(event.to_json())


def test_an_event_read_and_written_again_is_the_same() -> None:
    text = wrap(BILL, AT).to_json()

    assert parse(text).to_json() == text


def test_fields_of_a_later_minor_change_are_passed_over() -> None:
    later = document() | {"traceparent": "00-a-b-01"}
    later["data"]["new"] = 1

    assert unwrap(parse(json.dumps(later)), BillCreatedV1) == BILL


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "{}", '"text"', "\udcff"])
def test_what_is_no_json_object_is_no_event(text: str) -> None:
    with pytest.raises((msgspec.MsgspecError, UnicodeEncodeError)):
        parse(text)


@pytest.mark.parametrize("name", ["id", "source", "type", "subject", "time", "correlationid", "data"])
def test_an_event_that_lacks_an_attribute_is_none(name: str) -> None:
    event = document()
    del event[name]

    with pytest.raises(msgspec.ValidationError, match=name):
        parse(json.dumps(event))


def test_data_that_does_not_fit_the_type_is_refused() -> None:
    event = document()
    event["data"]["amount_minor"] = "123.45"

    with pytest.raises(msgspec.ValidationError, match="amount_minor"):
        unwrap(parse(json.dumps(event)), BillCreatedV1)


def test_events_are_frozen() -> None:
    with pytest.raises(AttributeError):
        BILL.version = 2  # type: ignore[misc]
    with pytest.raises(AttributeError):
        wrap(BILL, AT).id = "x"  # type: ignore[misc]


def test_nobody_waits_for_a_refresh_without_a_job() -> None:
    requested = BillsRefreshRequestedV1(user_id="usr_1", link_id="lnk_1", reason="sweep")

    assert (requested.job_id, requested.subject) == ("", "lnk_1")


def test_an_event_type_must_say_what_it_is_about() -> None:
    class Vague(EventData, frozen=True, kw_only=True):
        TYPE = "vague.v1"
        SOURCE = "test"

    with pytest.raises(NotImplementedError):
        wrap(Vague(), AT)


def test_the_envelope_has_the_attributes_that_cloudevents_requires() -> None:
    required = {"id", "source", "specversion", "type"}  # CloudEvents 1.0.2, section "Required attributes"

    assert required <= {field.name for field in msgspec.structs.fields(CloudEvent)}
