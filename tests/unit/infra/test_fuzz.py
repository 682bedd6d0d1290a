import json
import tomllib
from typing import Any

from infra import fuzz, openapi
from infra.settings import ROOT

DOCUMENT: dict[str, Any] = json.loads((ROOT / openapi.OUTPUT).read_text())
OPERATIONS = {
    operation["operationId"]: operation for methods in DOCUMENT["paths"].values() for operation in methods.values()
}
CALLERS = fuzz.Callers("user-token", "admin-token", "other-token", {"path.link_id": ["lnk_1"]})


def parts(*, short: bool) -> dict[str, fuzz.Run]:
    return {part.name: part for part in fuzz._runs(DOCUMENT, CALLERS, short=short)}


def test_every_operation_is_asked_by_whom_it_is_for() -> None:
    found = parts(short=False)

    assert sorted(name for part in found.values() for name in part.operations) == sorted(OPERATIONS)
    assert {name for name in OPERATIONS if OPERATIONS[name].get("x-role")} == set(found["admin"].operations)
    assert (found["admin"].token, found["throw-away user"].token) == ("admin-token", "other-token")


def test_what_ends_a_session_is_left_to_the_throw_away_user() -> None:
    throw_away = set(parts(short=False)["throw-away user"].operations)

    assert "log_out" in throw_away
    assert {"get_user", "list_bills", "log_in"} & throw_away == set()


def test_a_short_run_leaves_the_sandbox_s_clock_alone() -> None:
    assert not any(OPERATIONS[name].get("x-sandbox") for part in parts(short=True).values() for name in part.operations)


def test_the_settings_are_toml_and_name_operations_that_exist() -> None:
    settings = tomllib.loads(fuzz._config(DOCUMENT, parts(short=True)["user"], CALLERS))

    assert settings["auth"]["openapi"]["bearer"] == {"bearer": "user-token"}
    assert settings["parameters"]["path.link_id"] == {"dictionary": "path.link_id", "probability": 0.5}
    assert settings["dictionaries"]["path.link_id"] == {"values": ["lnk_1"]}
    assert set(settings["operations"][0]["include-operation-id"]) <= set(OPERATIONS)
