"""The client of the API, with a session that answers what it is told."""

import json
import re
from typing import Any

import pytest
import requests

from infra.client import ApiError, Client, await_value, example_params


class FakeSession(requests.Session):
    """Answers the prepared (status, body) pairs in turn, and keeps what was asked."""

    def __init__(self, *answers: tuple[int, object]) -> None:
        super().__init__()
        self.answers = list(answers)
        self.asked: list[dict[str, Any]] = []

    def request(self, method: str | bytes, url: str | bytes, **options: Any) -> requests.Response:  # type: ignore[override]
        self.asked.append({"method": method, "url": url, **options})
        status, body = self.answers.pop(0)
        answer = requests.Response()
        answer.status_code = status
        answer._content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return answer


def client(*answers: tuple[int, object], token: str = "") -> tuple[Client, FakeSession]:
    session = FakeSession(*answers)
    return Client("http://api.test/v1/", token, session), session


def test_a_token_is_sent_as_bearer_and_nobody_sends_none() -> None:
    caller, session = client((200, {}), (200, {}))

    caller.send("GET", "/health")
    caller.with_token("secret").send("GET", "/bills")

    assert session.asked[0]["url"] == "http://api.test/v1/health"
    assert session.asked[0]["headers"] == {}
    assert session.asked[1]["headers"] == {"Authorization": "Bearer secret"}


def test_login_gives_a_client_that_calls_as_the_user() -> None:
    caller, _ = client((200, {"access_token": "tok"}))

    assert caller.login("a@example.com", "pw").token == "tok"


def test_a_refusal_names_status_detail_and_fields() -> None:
    problem = {"detail": "Wrong.", "errors": [{"field": "params.x", "code": "missing", "message": "Needed."}]}
    caller, _ = client((422, problem))

    with pytest.raises(ApiError, match=re.escape("POST /accounts answered 422: Wrong. (params.x: Needed.)")) as caught:
        caller.link("prv_x", {}, "good", "pw")
    assert caught.value.status == 422


def test_a_refusal_that_is_no_json_shows_the_text() -> None:
    caller, _ = client((502, b"<html>Bad gateway"))

    with pytest.raises(ApiError, match="answered 502: <html>Bad gateway"):
        caller.accounts()


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    taken: list[float] = []
    monkeypatch.setattr("infra.client.time.sleep", taken.append)
    return taken


def test_a_busy_api_is_asked_again_where_that_is_safe(pauses: list[float]) -> None:
    caller, session = client((503, {}), (504, {}), (202, {"job_id": "job_1"}))

    assert caller.refresh() == "job_1"
    assert len(session.asked) == 3
    assert pauses == [1.0, 1.0]


def test_a_busy_api_is_not_asked_for_ever(pauses: list[float]) -> None:
    caller, _ = client((503, {}), (503, {}), (503, {}))

    with pytest.raises(ApiError):
        caller.accounts()
    assert len(pauses) == 2


def test_what_may_have_arrived_is_not_sent_again(pauses: list[float]) -> None:
    caller, session = client((503, {}))

    with pytest.raises(ApiError):
        caller.register("a@example.com", "long enough", "A")
    assert len(session.asked) == 1
    assert pauses == []


def test_all_pages_of_the_bills_are_read_and_the_sources_of_the_first() -> None:
    first = {"items": [{"bill_id": "bil_1", "link_id": "lnk_1"}], "sources": [{"link_id": "lnk_1"}], "next_cursor": "c"}
    last = {"items": [{"bill_id": "bil_2", "link_id": "lnk_2"}], "sources": [], "next_cursor": None}
    caller, session = client((200, first), (200, last))

    found = caller.bills(status="overdue")

    assert [bill["bill_id"] for bill in found.items] == ["bil_1", "bil_2"]
    assert found.source("lnk_1") == {"link_id": "lnk_1"}
    assert found.source("lnk_9") == {}
    assert found.of("lnk_2") == [{"bill_id": "bil_2", "link_id": "lnk_2"}]
    assert session.asked[1]["params"] == {"limit": 200, "status": "overdue", "cursor": "c"}


def test_a_job_is_watched_to_its_end() -> None:
    caller, _ = client((200, {"state": "running"}), (200, {"state": "partial"}))
    seen: list[str] = []

    job = caller.await_job("job_1", 5, watch=lambda job: seen.append(job["state"]))

    assert job["state"] == "partial"
    assert seen == ["running", "partial"]


def test_what_does_not_come_is_named() -> None:
    with pytest.raises(TimeoutError, match="the train did not come within 0 s"):
        await_value(lambda: None, 0, "the train")


def test_example_values_differ_by_their_digits_and_keep_to_the_rule() -> None:
    number = {"name": "account_number", "regex": "NP-[0-9]{8}", "example": "NP-10024817"}
    left_out = {"name": "meter", "regex": "[0-9]+", "example": "1", "optional": True}
    provider = {"customer_params": [number, left_out]}

    values = [example_params(provider) for _ in range(3)]

    assert all(re.fullmatch("NP-[0-9]{8}", value["account_number"]) for value in values)
    assert len({value["account_number"] for value in values}) == 3
    assert all(value.keys() == {"account_number"} for value in values)


def test_an_example_that_must_stay_as_it_is_stays() -> None:
    provider = {
        "customer_params": [{"name": "region", "regex": "R1|R2-fixed-0000000000", "example": "R2-fixed-0000000000"}]
    }

    assert example_params(provider) == {"region": "R2-fixed-0000000000"}
