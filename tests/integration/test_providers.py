"""The registry on the running platform: what an administrator may enter and change, and what users see of it."""

import secrets
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from functions.bill_aggregation_service.clients import PROVIDER_SECONDS
from functions.common.clock import rfc3339
from functions.common.rpc.envelope import Call, Reply
from functions.contracts.events.envelope import parse, unwrap
from functions.contracts.events.providers import ProviderHealthChangedV1
from functions.contracts.rpc.providers_pb2 import ReportHealthReply, ReportHealthRequest
from infra.client import Client, Json, example_params
from tests.integration.household import POWER, Household
from tests.integration.patience import await_value
from tests.integration.platform import SCHEDULED, Platform
from tests.integration.problems import refused
from tests.support.ssrf import REFUSED

SWEEP_SECONDS = 90.0
FILES = "prv_green_button"
FIELDS = ("service_types", "country", "currency", "time_zone", "adapter", "base_url", "auth_type", "customer_params")
INSIDE = [
    "http://169.254.169.254/latest/meta-data", "https://169.254.169.254/latest/meta-data", "http://[::1]/",
    "https://[::1]/", "https://2130706433/", "https://0177.0.0.1/", "https://0x7f000001/", "https://127.1/",
    "https://[::ffff:127.0.0.1]/", "https://[64:ff9b::169.254.169.254]/", "https://localhost/", "https://db.internal",
    "https://user@example.com", "https://example.com:443@127.0.0.1/", "https://127.0.0.1./", "https://[::1%25lo]/",
    "https://\uff11\uff12\uff17.0.0.1/", "https://example.com:22/", "file:///etc/passwd", "ftp://example.com/x",
    "gopher://example.com:70/_x", "http://localhost:4566/restapis",
]  # fmt: skip


@pytest.fixture
def entry(operator: Client) -> Json:
    """What to POST for another utility that is reached as the sandbox's power company is."""
    known = operator.call("GET", f"/providers/{POWER}")
    return {field: known[field] for field in FIELDS} | {"name": f"Registry {secrets.token_hex(4)}"}


@pytest.fixture
def provider(operator: Client, entry: Json) -> Iterator[Json]:
    made = operator.call("POST", "/providers", entry)
    yield made
    operator.call("DELETE", path(made))


def path(provider: Json) -> str:
    return f"/providers/{provider['provider_id']}"


def listed(client: Client, **query: str) -> dict[str, Json]:
    return {item["provider_id"]: item for page in client.pages("/providers", **query) for item in page["items"]}


def stale(household: Household, link_id: str) -> Json:
    """The link, once a refresh could not read it. A worker may know the provider's entry from a minute ago."""

    def refreshed() -> Json | None:
        household.refresh(link_id)
        account = household.client.call("GET", f"/accounts/{link_id}")
        return account if account["state"] == "STALE" else None

    return await_value(refreshed, PROVIDER_SECONDS + 30, "the link to be stale")


@pytest.mark.parametrize("url", INSIDE)
def test_no_provider_leads_inside(operator: Client, entry: Json, provider: Json, url: str) -> None:
    """Server-side request forgery."""
    changed = operator.send("PATCH", path(provider), json={"base_url": url})
    for answer in (operator.send("POST", "/providers", json={**entry, "base_url": url}), changed):
        [error] = refused(answer, 422, "base_url")["errors"]
        assert error["code"] == REFUSED[url]
        assert error["message"]
    assert operator.call("GET", path(provider))["base_url"] == entry["base_url"]


def test_a_name_need_not_resolve_to_be_entered(operator: Client, provider: Json) -> None:
    """It is resolved and judged again whenever it is called."""
    url = f"https://{secrets.token_hex(8)}.example.com/v1"
    assert operator.call("PATCH", path(provider), {"base_url": url})["base_url"] == url


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"regex": "(a+)+$"}, "regex"), ({"regex": "["}, "regex"), ({"example": "?"}, "example"),
        ({"max_length": 0}, "max_length"),
    ],
)  # fmt: skip
def test_a_parameter_at_fault_is_named(operator: Client, provider: Json, change: Json, field: str) -> None:
    params = [provider["customer_params"][0] | {"name": "first"}, provider["customer_params"][0] | change]
    answer = operator.send("PATCH", path(provider), json={"customer_params": params})
    refused(answer, 422, f"customer_params[1].{field}")


def test_of_two_administrators_the_second_is_told(operator: Client, provider: Json) -> None:
    seen = operator.send("GET", path(provider)).headers["ETag"]

    first = operator.send("PATCH", path(provider), json={"name": "First"}, headers={"If-Match": seen})
    second = operator.send("PATCH", path(provider), json={"name": "Second"}, headers={"If-Match": seen})

    assert (first.status_code, first.json()["name"]) == (200, "First")
    assert refused(second, 412)["code"] == "precondition_failed"
    refused(operator.send("DELETE", path(provider), headers={"If-Match": seen}), 412)
    again = operator.send("PATCH", path(provider), json={"name": "Second"}, headers={"If-Match": first.headers["ETag"]})
    assert (again.status_code, again.json()["version"]) == (200, provider["version"] + 2)
    known = operator.send("GET", path(provider), headers={"If-None-Match": again.headers["ETag"]})
    assert (known.status_code, known.content) == (304, b"")


def test_out_of_service_it_is_not_seen_not_linked_and_not_read(
    operator: Client, provider: Json, household: Household
) -> None:
    params = example_params(provider)
    linking = {
        "provider_id": provider["provider_id"],
        "params": params,
        "credentials": {"username": "good", "password": household.password},
    }
    household.secret += params.values()
    link_id = household.client.call("POST", "/accounts", linking)["link_id"]
    household.settle()

    for _ in range(2):
        assert operator.send("DELETE", path(provider)).status_code == 204

    refused(household.client.send("GET", path(provider)), 404)
    assert provider["provider_id"] not in listed(household.client)
    assert refused(household.client.send("POST", "/accounts", json=linking), 404)["code"] == "provider_not_found"
    assert stale(household, link_id)["status_detail"] == "provider_deactivated"
    assert operator.call("GET", path(provider))["active"] is False
    assert listed(operator)[provider["provider_id"]]["active"] is False

    assert operator.call("PATCH", path(provider), {"active": True})["active"] is True
    assert provider["provider_id"] in listed(household.client)


def test_users_change_nothing(settled: Household, provider: Json) -> None:
    refused(settled.client.send("PATCH", path(provider), json={"name": "Mine"}), 403)
    refused(settled.client.send("DELETE", path(provider)), 403)
    assert "base_url" not in settled.client.call("GET", path(provider))


def report(platform: Platform, provider: Json, state: str, at: datetime) -> bool:
    """As who makes the calls does. Whether it changed what is known."""
    message = ReportHealthRequest(provider_id=provider["provider_id"], state=state, at=rfc3339(at))
    method = "billing.providers.v1.Providers/ReportHealth"
    call = Call(method, message.SerializeToString(), 5000, "it-health")
    reply = Reply.from_payload(platform.invoke("ProviderRpc", call.to_payload()))
    return ReportHealthReply.FromString(reply.message).changed


def test_health_is_shown_once_it_is_told(platform: Platform, settled: Household, provider: Json) -> None:
    def health() -> Json:
        shown: Json = settled.client.call("GET", path(provider))["health"]
        assert listed(settled.client, q=provider["name"])[provider["provider_id"]]["health"] == shown
        return shown

    assert health() == {"state": "up", "since": None}
    now = datetime.now(UTC)
    told = [("down", now), ("down", now + timedelta(seconds=1)), ("up", now - timedelta(seconds=1))]
    assert [report(platform, provider, state, at) for state, at in told] == [True, False, False]
    assert health() == {"state": "down", "since": rfc3339(now)}


def test_each_change_of_health_is_an_event_also_when_the_broker_was_away(platform: Platform, provider: Json) -> None:
    provider_id, now = provider["provider_id"], datetime.now(UTC)

    with platform.overheard() as heard:

        def told() -> list[tuple[str, str, str]]:
            events = {event.id: event for event in map(parse, heard()) if event.subject == provider_id}
            changes = [unwrap(event, ProviderHealthChangedV1) for event in events.values()]
            return sorted((change.since, change.previous, change.state) for change in changes)

        report(platform, provider, "down", now - timedelta(seconds=9))
        first = (rfc3339(now - timedelta(seconds=9)), "up", "down")
        await_value(told, SWEEP_SECONDS, "the event")
        assert told() == [first]

        with platform.stopped("BrokerRpc"):
            assert report(platform, provider, "up", now)
        assert told() == [first]

        def healed() -> bool:
            platform.invoke("Sweep", SCHEDULED)
            return len(told()) > 1

        await_value(healed, SWEEP_SECONDS, "the sweep to send what was left behind")
        assert told() == [first, (rfc3339(now), "down", "up")]


def test_search(settled: Household) -> None:
    german = listed(settled.client, country="DE", service_type="gas")
    assert "prv_greenline_gas" in german
    assert {item["country"] for item in german.values()} == {"DE"}
    refused(settled.client.send("GET", "/providers", query={"country": "Germany"}), 422, "country")


def test_imported_files_have_a_provider_where_nobody_links(settled: Household) -> None:
    files = listed(settled.client)[FILES]
    assert (files["adapter"], files["linkable"], files["customer_params"]) == ("manual", False, [])
    body = {"provider_id": FILES, "params": {}, "credentials": {"username": "good", "password": "any password"}}
    assert refused(settled.client.send("POST", "/accounts", json=body), 409)["code"] == "provider_not_linkable"
