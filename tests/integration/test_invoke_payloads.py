"""tests/events/*.json: the deployed functions take them as `make invoke` does, and handle every one."""

import json
from pathlib import Path
from typing import Any  # JSON

import pytest

from functions.common.rpc.envelope import Reply
from functions.contracts.rpc.providers_pb2 import ListProvidersReply
from infra import payloads
from infra.client import Client
from tests.integration.household import UTILITIES, Household
from tests.integration.platform import Platform

ANSWERS = {
    "UserApi.login": "401 invalid_credentials",
    **dict.fromkeys(["UserApi", "ProviderApi", "AccountApi", "BillApi", "BillFilesApi", "BrokerApi"], "200"),
    **dict.fromkeys(["WebhookApi", "ActivityApi", "MockApi"], "200"),
    "FrontDoor": "204",
    **dict.fromkeys(["UserRpc", "ProviderRpc", "AccountRpc", "CredentialsRpc", "BillRpc", "ReminderRpc"], "OK"),
    **dict.fromkeys(["BrokerRpc", "WebhookRpc", "ActivityRpc"], "OK"),
    **dict.fromkeys(["RefreshWorker", "ProjectionWorker", "NotifyWorker", "ImportWorker"], "every message handled"),
    **dict.fromkeys(["PurgeWorker", "AuditWorker"], "every message handled"),
}
COUNTS = "Sweep"


def ask(platform: Platform, path: Path, client: Client) -> Any:
    return platform.invoke(payloads.function_of(path), json.loads(payloads.ready(path, lambda: client.token)))


def test_no_payload_is_left_out() -> None:
    assert {path.stem for path in payloads.all_payloads()} == {*ANSWERS, COUNTS}


@pytest.mark.parametrize("name", sorted(ANSWERS))
def test_a_payload_is_handled(platform: Platform, settled: Household, name: str) -> None:
    answer = ask(platform, payloads.FOLDER / f"{name}.json", settled.client)

    verdict = payloads.verdict(answer)
    assert verdict.handled, answer
    assert verdict.text == ANSWERS[name]


def test_the_schedule_sweeps(platform: Platform, settled: Household) -> None:
    counts = ask(platform, payloads.payload_of(COUNTS), settled.client)

    assert counts
    assert payloads.verdict(counts).handled


def test_a_reply_holds_what_was_asked_for(platform: Platform, settled: Household) -> None:
    reply = Reply.from_payload(ask(platform, payloads.payload_of("ProviderRpc"), settled.client))

    found = {provider.provider_id for provider in ListProvidersReply.FromString(reply.message).items}
    assert found >= set(UTILITIES)
