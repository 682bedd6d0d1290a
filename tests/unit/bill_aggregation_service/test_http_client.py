"""HTTP with utilities: where it goes, how long it takes, and what its errors say."""

import pytest
import requests
import responses
from urllib3.exceptions import ProtocolError

from functions.bill_aggregation_service.adapters import http_client
from functions.bill_aggregation_service.adapters.base import (
    AccountUnknown,
    BadCredentials,
    ConsentExpired,
    Locked,
    ProviderDown,
    ProviderError,
    ProviderMalformed,
    ProviderMisconfigured,
    ProviderThrottled,
    ProviderTimeout,
)
from functions.bill_aggregation_service.adapters.http_client import RequestsClient, basic, checked_base_url

BASE = "https://power.example/api"
SANDBOX = "http://localhost:4566"


class Ticks:
    """A monotonic clock that moves when told, or by `step` whenever it is read."""

    def __init__(self, step: float = 0.0) -> None:
        self.time, self.step = 0.0, step

    def __call__(self) -> float:
        self.time += self.step
        return self.time


def client(now: Ticks | None = None, seconds: float = 20.0) -> RequestsClient:
    ticks = now or Ticks()
    return RequestsClient(
        BASE, seconds, call_seconds=10.0, now=ticks, sleep=lambda s: setattr(ticks, "time", ticks.time + s)
    )


@responses.activate
def test_get_and_post() -> None:
    responses.get(f"{BASE}/bills", body=b"\x00body", match=[responses.matchers.query_param_matcher({"a": "1 2"})])
    responses.post(f"{BASE}/token", body="{}", status=202)

    assert client().get("/bills", query={"a": "1 2"}, headers={"Accept": "text/csv"}) == b"\x00body"
    assert client().post("/token", b"x=1", content_type="text/plain") == b"{}"

    sent = responses.calls[0].request
    assert sent.headers["Accept"] == "text/csv"
    assert sent.headers["Accept-Encoding"] == "identity"
    assert responses.calls[1].request.body == b"x=1"
    assert sent.req_kwargs["verify"] is True  # type: ignore[attr-defined]  # added by responses
    assert sent.req_kwargs["timeout"] == 10.0  # type: ignore[attr-defined]  # likewise


@pytest.mark.parametrize(
    ("status", "error", "retryable"),
    [
        (401, BadCredentials, False),
        (403, ConsentExpired, False),
        (404, AccountUnknown, False),
        (423, Locked, False),
        (408, ProviderTimeout, True),
        (429, ProviderThrottled, True),
        (500, ProviderDown, True),
        (501, ProviderDown, True),
        (503, ProviderDown, True),
        (302, ProviderMalformed, True),
        (400, ProviderMalformed, True),
    ],
)
@responses.activate
def test_statuses(status: int, error: type[ProviderError], retryable: bool) -> None:
    responses.get(
        f"{BASE}/secret-account", status=status, headers={"Retry-After": "30", "Location": "https://evil.example/"}
    )

    with pytest.raises(error) as raised:
        client().get("/secret-account", headers=basic("jane", "s3cret"))

    assert type(raised.value) is error
    assert (raised.value.retryable, raised.value.retry_after) == (retryable, 30)
    assert "secret" not in str(raised.value)
    assert len(responses.calls) == 1


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (requests.ConnectTimeout("https://power.example/secret-account"), ProviderTimeout),
        (requests.ReadTimeout("…"), ProviderTimeout),
        (requests.ConnectionError("https://power.example/secret-account"), ProviderDown),
        (requests.exceptions.SSLError("…"), ProviderDown),
        (ProtocolError("…"), ProviderDown),
        (OSError("…"), ProviderDown),
    ],
)
@responses.activate
def test_faults_of_the_network(fault: Exception, error: type[ProviderError]) -> None:
    responses.get(f"{BASE}/secret-account", body=fault)

    with pytest.raises(error) as raised:
        client().get("/secret-account")

    assert "secret" not in str(raised.value)
    assert raised.value.__suppress_context__


@responses.activate
def test_retry_after_as_a_date_is_ignored() -> None:
    responses.get(f"{BASE}/x", status=503, headers={"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"})
    with pytest.raises(ProviderDown) as raised:
        client().get("/x")
    assert raised.value.retry_after == 0


@responses.activate
def test_an_answer_that_is_too_large_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_client, "MAX_BODY_BYTES", 1000)
    responses.get(f"{BASE}/x", body=b"a" * 1001)
    with pytest.raises(ProviderMalformed):
        client().get("/x")


@responses.activate
def test_a_compressed_answer_is_refused() -> None:
    responses.get(f"{BASE}/x", body=b"a", headers={"Content-Encoding": "gzip"})
    with pytest.raises(ProviderMalformed):
        client().get("/x")


@responses.activate
def test_an_answer_that_drips_is_cut_off() -> None:
    responses.get(f"{BASE}/x", body=b"a" * 300_000)
    with pytest.raises(ProviderTimeout):
        client(Ticks(step=3.0), seconds=60.0).get("/x")


@responses.activate
def test_a_call_ends_with_the_fetch() -> None:
    ticks = Ticks()
    responses.get(f"{BASE}/x", body=b"a")
    http = client(ticks)
    ticks.time = 17.0
    http.get("/x")
    ticks.time = 20.0
    with pytest.raises(ProviderTimeout):
        http.get("/x")

    assert responses.calls[0].request.req_kwargs["timeout"] == 3.0  # type: ignore[attr-defined]  # added by responses


def test_a_pause_must_fit() -> None:
    ticks = Ticks()
    http = client(ticks)
    http.pause(19.0)
    assert ticks.time == 19.0
    with pytest.raises(ProviderTimeout):
        http.pause(1.0)


@pytest.mark.parametrize(
    "url",
    [
        "http://power.example",
        "http://localhost:4566.evil.example/mock",
        "http://localhost:4567/mock",
        "http://localhost/mock",
        "https://user:pw@power.example",
        "https://power.example/?a=",
        "https://power.example/#a",
        "https://",
        "https://power.example:port/",
        "https://[power.example",
        "file:///etc/passwd",
        "",
    ],
)
def test_where_requests_may_not_go(url: str) -> None:
    with pytest.raises(ProviderMisconfigured):
        checked_base_url(url, SANDBOX)


def test_where_requests_may_go() -> None:
    assert checked_base_url("https://power.example/api/", "") == "https://power.example/api"
    assert checked_base_url("http://localhost:4566/mock/gas", f"{SANDBOX}/") == "http://localhost:4566/mock/gas"
    with pytest.raises(ProviderMisconfigured):
        checked_base_url("http://localhost:4566/mock/gas", "")


def test_basic_is_utf8() -> None:
    assert basic("jäne", "pß") == {"Authorization": "Basic asOkbmU6cMOf"}
