"""HTTP with utilities: where it goes, how long it takes, and what its errors say."""

import socket
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest

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
    ProviderRedirects,
    ProviderThrottled,
    ProviderTimeout,
)
from functions.bill_aggregation_service.adapters.http_client import UtilityClient, basic, checked_target
from functions.common.egress import Resolve, check_url
from tests.support.ssrf import REFUSED
from tests.support.utility import Answer, Utility, ok, utility

SANDBOX = "http://localhost:4566"
NAME = "power.example"

pytestmark = pytest.mark.usefixtures("socket_enabled")


@contextmanager
def client(
    served: Utility, seconds: float = 5.0, call_seconds: float = 5.0, path: str = "/api"
) -> Iterator[UtilityClient]:
    """To the utility as if it were the sandbox."""
    opened = UtilityClient(
        served.origin + path, seconds, call_seconds=call_seconds, sandbox_origin=served.origin
    )  # fmt: skip
    with closing(opened):
        yield opened


def refused(*answers: Answer, seconds: float = 5.0, call_seconds: float = 5.0) -> ProviderError:
    """What a GET of a secret account raises."""
    with utility(*answers) as served, client(served, seconds, call_seconds) as http:
        with pytest.raises(ProviderError) as raised:
            http.get("/secret-account", query={"account": "secret"}, headers=basic("jane", "s3cret"))
        assert len(served.requests) == 1
        assert served.origin not in str(raised.value)
    assert "secret" not in repr(raised.value)
    assert "s3cret" not in repr(raised.value)
    assert raised.value.__suppress_context__ or raised.value.__context__ is None
    return raised.value


class TestCalls:
    def test_get_and_post(self) -> None:
        with utility(ok(b"\x00body"), ok(b"{}", status="202 Accepted")) as served, client(served) as http:
            assert http.get("/bills", query={"a": "1 2&"}, headers={"Accept": "text/csv"}) == b"\x00body"
            assert http.post("/token", b"x=1", content_type="text/plain") == b"{}"

        first, second = served.requests
        assert first.startswith(b"GET /api/bills?a=1+2%26 HTTP/1.1\r\n")
        assert f"Host: 127.0.0.1:{served.port}\r\n".encode() in first
        assert b"Accept: text/csv\r\n" in first
        assert b"Accept-Encoding: identity\r\n" in first
        assert second.startswith(b"POST /api/token HTTP/1.1\r\n")
        assert b"Content-Type: text/plain\r\n" in second
        assert second.endswith(b"\r\n\r\nx=1")

    def test_calls_of_a_fetch_share_a_connection_until_the_utility_ends_it(self) -> None:
        chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n"
        unmeasured = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nto the end"
        with utility(chunked, ok(b"2"), unmeasured, ok(b"4")) as served, client(served) as http:
            assert [http.get("/x") for _ in range(4)] == [b"abc", b"2", b"to the end", b"4"]

        assert served.connections == 2

    def test_after_a_refusal_the_next_answer_is_read_from_its_start(self) -> None:
        refusal = ok(b"x" * 100_000, status="404 Not Found")
        with utility(refusal, ok(b"fine")) as served, client(served) as http:
            with pytest.raises(AccountUnknown):
                http.get("/x")
            assert http.get("/y") == b"fine"

    def test_basic_is_utf8(self) -> None:
        assert basic("jäne", "pß") == {"Authorization": "Basic asOkbmU6cMOf"}

    def test_a_pause_must_fit(self) -> None:
        slept: list[float] = []
        http = UtilityClient(f"https://{NAME}", 20.0, call_seconds=10.0, now=lambda: 0.0, sleep=slept.append)
        http.pause(19.0)
        assert slept == [19.0]
        with pytest.raises(ProviderTimeout):
            http.pause(20.0)


class TestRefusals:
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
            (400, ProviderMalformed, True),
        ],
    )
    def test_statuses(self, status: int, error: type[ProviderError], retryable: bool) -> None:
        answer = ok(b"secret words", "Retry-After: 30", "X-MFA-Token: secret", status=f"{status} Secret reason")

        raised = refused(answer)

        assert type(raised) is error
        assert (raised.retryable, raised.retry_after) == (retryable, 30)
        assert str(raised) == f"the utility answered {status}"
        assert raised.refusal is not None
        assert (raised.refusal.status, raised.refusal.body) == (status, b"secret words")
        assert raised.refusal.header("x-mfa-token") == "secret"

    @pytest.mark.parametrize("text", ["Wed, 21 Oct 2026 07:28:00 GMT", "-1", "1.5", "٣", "9" * 40, ""])
    def test_a_wish_that_is_no_number_of_seconds_is_none(self, text: str) -> None:
        answer = ok(b"", status="503 Down").replace(b"\r\n\r\n", b"\r\nRetry-After: " + text.encode() + b"\r\n\r\n")
        assert refused(answer).retry_after == 0

    def test_a_long_wish_is_cut_to_a_day(self) -> None:
        assert refused(ok(b"", "Retry-After: 99999999", status="429 Slow down")).retry_after == 86_400

    def test_of_a_long_refusal_the_beginning_is_read(self) -> None:
        raised = refused(ok(b"x" * 100_000, status="401 No"))
        assert raised.refusal is not None
        assert len(raised.refusal.body) == http_client.MAX_REFUSAL_BYTES

    def test_credentials_that_no_header_can_carry_are_bad_ones(self) -> None:
        with utility() as served, client(served) as http:
            for value in ("s3cret\r\nX-Admin: 1", "s3cret\N{SNOWMAN}"):
                with pytest.raises(BadCredentials) as raised:
                    http.get("/x", headers={"X-Password": value})
                assert "s3cret" not in str(raised.value)
                assert raised.value.__suppress_context__
        assert served.requests == []


class TestTime:
    def test_an_answer_that_does_not_come(self) -> None:
        began = time.monotonic()
        silent: Answer = lambda connection: connection.recv(1)  # noqa: E731  # until the caller hangs up
        assert isinstance(refused(silent, call_seconds=0.2), ProviderTimeout)
        assert time.monotonic() - began < 2

    @pytest.mark.parametrize(
        "start", [b"HTTP/1.1 200 OK\r\nX-Drip: ", b"HTTP/1.1 200 OK\r\n\r\n"], ids=["header", "body"]
    )
    def test_one_that_drips(self, start: bytes) -> None:
        def drip(connection: socket.socket) -> None:
            connection.sendall(start)
            for _ in range(100):
                connection.sendall(b"a")
                time.sleep(0.05)

        began = time.monotonic()
        assert isinstance(refused(drip, call_seconds=0.4), ProviderTimeout)
        assert time.monotonic() - began < 2

    def test_a_call_ends_with_the_fetch(self) -> None:
        ticks = [0.0]
        http = UtilityClient(f"https://{NAME}", 20.0, call_seconds=10.0, now=lambda: ticks[0])
        ticks[0] = 20.0
        with pytest.raises(ProviderTimeout):
            http.get("/x")


class TestAnswersThatAreNone:
    @pytest.mark.parametrize(
        "answer",
        [
            b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhal",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nsecret\r\n",
            b"secret, not HTTP\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nX-Long: " + b"a" * 70_000 + b"\r\n\r\n",
            b"HTTP/1.1 200 OK\r\n" + b"X-Many: a\r\n" * 200 + b"\r\n",
            b"",
        ],
        ids=["cut off", "chunk cut off", "no chunk", "no HTTP", "long header", "many headers", "nothing"],
    )
    def test_count_as_down(self, answer: bytes) -> None:
        assert isinstance(refused(lambda connection: connection.sendall(answer)), ProviderDown)

    def test_one_that_is_too_large_is_cut_off(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(http_client, "MAX_BODY_BYTES", 1000)
        assert isinstance(refused(ok(b"a" * 1001)), ProviderMalformed)

    def test_one_that_is_compressed_is_refused(self) -> None:
        assert isinstance(refused(ok(b"a", "Content-Encoding: gzip")), ProviderMalformed)

    def test_nobody_there(self) -> None:
        with utility() as served:
            pass
        with client(served) as http, pytest.raises(ProviderDown):
            http.get("/secret-account")


class TestWhereRequestsGo:
    @pytest.mark.parametrize("url", [url for url in REFUSED if not url.startswith("http://localhost:4566")])
    def test_not_where_the_platform_connects_to_nobody(self, url: str) -> None:
        with pytest.raises(ProviderMisconfigured), closing(UtilityClient(url, 5.0, call_seconds=5.0)) as http:
            http.get("/x")

    @pytest.mark.parametrize(
        "url",
        [
            "http://localhost:4566.evil.example/mock",
            "http://localhost:4567/mock",
            "http://localhost/mock",
            "http://localhost:4566@evil.example/",
            "http://127.0.0.1:4566/mock",
            "https://power.example/?a=",
        ],
    )
    def test_of_the_sandbox_its_exact_origin(self, url: str) -> None:
        with pytest.raises(ProviderMisconfigured):
            checked_target(url, SANDBOX)

    def test_the_sandbox_only_where_it_is_named(self) -> None:
        assert checked_target("http://localhost:4566/mock/gas", f"{SANDBOX}/").sandbox
        assert not checked_target("https://power.example/api/", SANDBOX).sandbox
        with pytest.raises(ProviderMisconfigured):
            checked_target("http://localhost:4566/mock/gas", "")

    @pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
    def test_a_redirect_is_not_followed(self, status: int) -> None:
        with utility() as inside:
            raised = refused(ok(b"", f"Location: {inside.origin}/latest/meta-data", status=f"{status} Elsewhere"))
            assert inside.connections == 0

        assert isinstance(raised, ProviderRedirects)
        assert (raised.code, raised.refusal) == ("provider_redirects", None)
        assert str(raised) == f"the utility answered {status}: redirects are not followed"

    def test_a_name_that_leads_to_this_machine(self) -> None:
        """It may have led elsewhere when the provider was entered (DNS rebinding)."""
        with utility(ok(b"inside")) as inside:
            url = f"https://{NAME}:{inside.port}"
            answers = [["93.184.216.34"], ["127.0.0.1"], ["93.184.216.34", "127.0.0.1"]]
            resolve: Resolve = lambda _: answers.pop(0)  # noqa: E731  # one line beside its use

            check_url(url, SANDBOX, resolve)
            for _ in range(2):
                http = UtilityClient(url, 5.0, call_seconds=5.0, resolve=resolve)
                with closing(http), pytest.raises(ProviderMisconfigured) as raised:
                    http.get("/x")
                assert str(raised.value) == "the utility may not be called: not_public"
            assert inside.connections == 0

    def test_a_name_without_an_address_is_down(self) -> None:
        with (
            closing(UtilityClient(f"https://{NAME}", 5.0, call_seconds=5.0, resolve=lambda _: [])) as http,
            pytest.raises(ProviderDown),
        ):
            http.get("/x")
