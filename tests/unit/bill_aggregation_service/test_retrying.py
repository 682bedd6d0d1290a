"""Asking a utility again within a fetch."""

import pytest

from functions.bill_aggregation_service.adapters.base import (
    BadCredentials,
    ProviderDown,
    ProviderError,
    ProviderMalformed,
    ProviderThrottled,
    ProviderTimeout,
)
from functions.bill_aggregation_service.adapters.retrying import Retrying
from tests.unit.bill_aggregation_service.fakes import FakeHttp


class Hurried(FakeHttp):
    """A fetch with little time left."""

    def __init__(self, left: float, **answers: bytes | Exception | list[bytes | Exception]) -> None:
        super().__init__(**answers)
        self.left = left

    def pause(self, seconds: float) -> None:
        if seconds >= self.left:
            raise ProviderTimeout("no time left to ask again")
        super().pause(seconds)


def test_what_may_pass_is_asked_for_twice_more_with_growing_pauses() -> None:
    http = FakeHttp(get=[ProviderDown(), ProviderTimeout(), b"bills"], post=[ProviderDown(), b"token"])
    retrying = Retrying(http, lambda: 0.5)

    assert retrying.get("/bills", query={"a": "1"}) == b"bills"
    assert retrying.post("/token", b"x", content_type="text/plain") == b"token"

    assert [(method, path) for method, path, _, _ in http.asked] == [("GET", "/bills")] * 3 + [("POST", "/token")] * 2
    assert http.pauses == [0.1875, 0.375, 0.1875]


def test_after_the_third_time_the_last_word_counts() -> None:
    http = FakeHttp(get=[ProviderDown("1"), ProviderDown("2"), ProviderDown("3")])
    with pytest.raises(ProviderDown, match="3"):
        Retrying(http).get("/bills")


@pytest.mark.parametrize("error", [BadCredentials(), ProviderMalformed(), ProviderThrottled()])
def test_what_will_not_pass_is_not_asked_for_again(error: ProviderError) -> None:
    http = FakeHttp(get=error)
    with pytest.raises(type(error)):
        Retrying(http).get("/bills")
    assert len(http.asked) == 1


@pytest.mark.parametrize("kind", [ProviderDown, ProviderThrottled])
def test_a_wish_to_wait_is_heeded_where_it_fits(kind: type[ProviderError]) -> None:
    fits, too_long = (Hurried(20.0, get=[kind(retry_after=wish), b"bills"]) for wish in (3, 30))

    assert Retrying(fits, lambda: 1.0).get("/bills") == b"bills"
    assert fits.pauses == [3.25]
    with pytest.raises(kind) as raised:
        Retrying(too_long).get("/bills")
    assert raised.value.retry_after == 30
    assert len(too_long.asked) == 1


def test_pauses_of_an_adapter_are_its_own() -> None:
    http = FakeHttp()
    Retrying(http).pause(2.0)
    assert http.pauses == [2.0]
