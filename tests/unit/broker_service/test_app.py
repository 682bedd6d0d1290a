from typing import Any

import pytest

from functions.broker_service import bootstrap
from functions.broker_service.app import app as broker
from functions.broker_service.model import LinkResult, Outcome
from functions.common.http.app import ServiceApp
from functions.common.ids import new_id
from tests.support.http import configure, request, token
from tests.unit.broker_service.fakes import ANNA, BERT, GAS, POWER, World


@pytest.fixture
def app(world: World, monkeypatch: pytest.MonkeyPatch) -> ServiceApp:
    monkeypatch.setattr(bootstrap, "refreshes", lambda: world.refreshes)
    monkeypatch.setattr(bootstrap, "jobs", lambda: world.jobs)
    return configure(broker)


def test_request_refresh_then_get_job(app: ServiceApp, world: World) -> None:
    world.link(ANNA, POWER, GAS)

    accepted = request(app, "POST", "/refreshes", bearer=token(ANNA))

    job: dict[str, Any] = accepted.json
    assert accepted.status == 202
    assert accepted.headers["Location"] == f"jobs/{job['job_id']}"
    assert job == {
        "job_id": job["job_id"], "state": "queued", "total": 2, "done": 0, "failed": 0, "results": [],
        "created_at": "2026-03-15T12:00:00.000Z", "finished_at": None,
    }  # fmt: skip

    for link_id, outcome, code in ((GAS, Outcome.FRESH, ""), (POWER, Outcome.FAILED, "provider_unavailable")):
        result = LinkResult(link_id=link_id, outcome=outcome, error_code=code, created=1, at=world.clock.now())
        world.jobs.record_job_result(ANNA, job["job_id"], result)
    followed = request(app, "GET", "/jobs/{job_id}", path={"job_id": job["job_id"]}, bearer=token(ANNA))

    assert followed.status == 200
    assert followed.json["state"] == "partial"
    assert followed.json["finished_at"] == "2026-03-15T12:00:00.000Z"
    assert followed.json["results"] == [
        {"link_id": GAS, "outcome": "fresh", "error_code": None, "created": 1, "updated": 0, "unchanged": 0},
        {"link_id": POWER, "outcome": "failed", "error_code": "provider_unavailable", "created": 1, "updated": 0,
         "unchanged": 0},
    ]  # fmt: skip


def test_request_refresh_twice_is_one_job(app: ServiceApp, world: World) -> None:
    world.link(ANNA, POWER, GAS)

    first = request(app, "POST", "/refreshes", {}, bearer=token(ANNA))
    second = request(app, "POST", "/refreshes", {"link_ids": [GAS, POWER]}, bearer=token(ANNA))

    assert (second.status, second.json) == (202, first.json)


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({}, 409, "no_links"),
        ({"link_ids": None}, 409, "no_links"),
        ({"link_ids": ["lnk_unknown"]}, 404, "link_not_found"),
        ({"link_ids": []}, 422, "invalid_input"),
        ({"link_ids": "lnk_1"}, 422, "invalid_input"),
        ({"link_ids": [7]}, 422, "invalid_input"),
        ({"links": []}, 422, "invalid_input"),
        ("[]", 400, "malformed_body"),
        ("{", 400, "malformed_body"),
    ],
)
def test_request_refresh_refused(app: ServiceApp, body: object, status: int, code: str) -> None:
    answer = request(app, "POST", "/refreshes", body, bearer=token(ANNA))

    assert (answer.status, answer.json["code"]) == (status, code)


def test_request_refresh_while_events_cannot_be_published(app: ServiceApp, world: World) -> None:
    world.link(ANNA, POWER)
    world.publisher.down = True

    answer = request(app, "POST", "/refreshes", bearer=token(ANNA))

    assert answer.status == 503
    assert int(answer.headers["Retry-After"]) > 0


def test_get_job_of_somebody_else_is_unknown(app: ServiceApp, world: World) -> None:
    world.link(ANNA, POWER)
    job = request(app, "POST", "/refreshes", bearer=token(ANNA)).json

    for user_id, job_id in ((BERT, job["job_id"]), (ANNA, new_id("job")), (ANNA, "x")):
        assert request(app, "GET", "/jobs/{job_id}", path={"job_id": job_id}, bearer=token(user_id)).status == 404


def test_a_token_is_needed(app: ServiceApp) -> None:
    assert request(app, "POST", "/refreshes").status == 401
    assert request(app, "GET", "/jobs/{job_id}", path={"job_id": "x"}).status == 401


def test_health_is_public_and_needs_no_dependency(app: ServiceApp) -> None:
    bootstrap.version.cache_clear()

    answer = request(app, "GET", "/health")

    assert answer.status == 200
    assert (answer.json["status"], answer.json["version"]) == ("ok", "dev")
    assert answer.json["time"].endswith("Z")
