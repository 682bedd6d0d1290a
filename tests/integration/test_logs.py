"""What the functions have logged while the other tests ran. Comes after them."""

import json
from typing import Any  # JSON

from infra import template
from infra.client import Client
from tests.integration.household import Household
from tests.integration.patience import await_value
from tests.integration.platform import Platform


def test_no_log_holds_a_secret(platform: Platform, secret: list[str], settled: Household) -> None:
    assert len(set(secret)) >= 8, "the tests before this one register what they use"
    found: list[str] = []
    lines = 0
    for function in template.functions():
        for line in platform.log_lines(function):
            lines += 1
            # the value itself is not repeated here: this output is a log too
            found += [f"{function}: {line.replace(value, '<SECRET>')}" for value in set(secret) if value in line]

    assert not found, found[:10]
    assert lines > 20


def test_a_request_can_be_found_by_its_correlation_id(platform: Platform, nobody: Client, settled: Household) -> None:
    """One id through the API, the RPC behind it, the bus and the worker."""
    wanted = "it-trace-0001"
    job_id = settled.client.send("POST", "/refreshes", json={}, headers={"X-Correlation-Id": wanted}).json()["job_id"]
    settled.await_job(job_id)

    def seen() -> bool:
        traced = {f for f in ("BrokerApi", "AccountRpc", "RefreshWorker", "BillRpc") if correlated(platform, f, wanted)}
        return len(traced) == 4

    await_value(seen, 60, f"{wanted} in the logs of broker, links, worker and bills")


def test_what_admins_do_and_others_try_is_audited(platform: Platform, operator: Client, settled: Household) -> None:
    actors = {operator: ("it-audit-0001", 200), settled.client: ("it-audit-0002", 403)}
    for client, (wanted, status) in actors.items():
        answer = client.send("GET", "/mock/clock", headers={"X-Correlation-Id": wanted})
        assert answer.status_code == status

    def audits() -> dict[str, dict[str, Any]]:
        lines = [json.loads(line) for line in platform.log_lines("MockApi") if '"logger":"audit"' in line]
        return {line["correlation_id"]: line for line in lines}

    await_value(lambda: {wanted for wanted, _ in actors.values()} <= audits().keys(), 30, "the lines of the audit")
    found = audits()
    for client, (wanted, status) in actors.items():
        me = client.call("GET", "/users/me")
        line = found[wanted]
        assert (line["actor"], line["method"], line["status"]) == (me["user_id"], "GET", status)
        assert (line["route"], line["role"]) == ("/mock/clock", "admin")


def correlated(platform: Platform, function: str, correlation_id: str) -> bool:
    return any(correlation_id in line for line in platform.log_lines(function))


def test_our_lines_are_json_with_a_level_and_an_event(platform: Platform, settled: Household) -> None:
    settled.client.bills()
    ours = [line for line in platform.log_lines("BillApi") if line.lstrip().startswith("{")]

    assert ours
    for line in ours:
        assert json.loads(line).keys() >= {"time", "level", "event", "correlation_id"}
