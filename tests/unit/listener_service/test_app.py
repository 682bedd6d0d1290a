"""The handlers as Lambda calls them."""

import json
import subprocess
import sys
import threading
from typing import Any

import pytest

from functions.common.errors import AppError, Unavailable
from functions.contracts.events.accounts import AccountLinkedV1
from functions.contracts.events.bills import BillsRefreshRequestedV1
from functions.contracts.events.envelope import CloudEvent, wrap
from functions.contracts.events.users import UserDeletedV1
from functions.listener_service import app as listener
from functions.listener_service import bootstrap
from tests.support.fakes import FakeClock
from tests.unit.listener_service.fakes import FakeContext, World, gone, schedule_event, sqs_event


@pytest.fixture(autouse=True)
def _wired(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrap, "refreshing", lambda: world.refreshing)
    monkeypatch.setattr(bootstrap, "projecting", lambda: world.projecting)
    monkeypatch.setattr(bootstrap, "purging", lambda: world.purging)
    monkeypatch.setattr(bootstrap, "sweeping", lambda: world.sweeping)
    monkeypatch.setattr(bootstrap, "dead_letters", lambda: world.dead_letters)


def asked(link_id: str) -> CloudEvent:
    data = BillsRefreshRequestedV1(user_id="usr_1", link_id=link_id, job_id="job_1", reason="user")
    return wrap(data, FakeClock().now())


def failures(answer: dict[str, Any]) -> list[str]:
    return [item["itemIdentifier"] for item in answer["batchItemFailures"]]


def test_refresh_reports_only_what_failed(world: World) -> None:
    world.bills.errors = {"lnk_1": Unavailable("down"), "lnk_3": gone(), "lnk_4": AppError("broken")}
    batch = sqs_event([asked(f"lnk_{number}") for number in range(6)])

    answer = listener.refresh(batch, FakeContext())

    assert failures(answer) == ["msg-1", "msg-4"]
    assert sorted(result.link_id for result in world.broker.results) == ["lnk_0", "lnk_2", "lnk_3", "lnk_5"]


def test_poison_does_not_take_the_batch_along(world: World) -> None:
    unfit = wrap(
        AccountLinkedV1(user_id="u", link_id="l", provider_id="p", state="ACTIVE", version=1), FakeClock().now()
    )
    bodies: list[CloudEvent | str] = [
        "not JSON",
        "{}",
        asked("lnk_2"),
        asked("lnk_3").to_json().replace("lnk_3", "\\ud800"),
        unfit,
    ]

    assert failures(listener.refresh(sqs_event(bodies), FakeContext())) == []
    assert sorted(world.dead_letters.reasons) == ["msg-0", "msg-1", "msg-3"]
    assert failures(listener.project(sqs_event(bodies), FakeContext())) == []
    assert sorted(world.dead_letters.reasons) == ["msg-0", "msg-1", "msg-2", "msg-3"]
    assert sorted(world.bills.refreshed) == ["l", "lnk_2"]
    assert [request.link_id for request in world.bills.projected] == ["l"]


def test_messages_of_a_batch_are_handled_at_once(world: World) -> None:
    everybody = threading.Barrier(10, timeout=5)
    world.bills.before = everybody.wait

    answer = listener.refresh(sqs_event([asked(f"lnk_{number}") for number in range(10)]), FakeContext())

    assert failures(answer) == []


def test_the_same_message_twice_is_two_times_the_same(world: World) -> None:
    batch = sqs_event([asked("lnk_1"), asked("lnk_1")])

    assert failures(listener.refresh(batch, FakeContext())) == []
    assert world.bills.refreshed == ["lnk_1", "lnk_1"]


def test_each_call_belongs_to_its_events_correlation_id(world: World) -> None:
    events = [asked("lnk_1"), asked("lnk_2")]

    listener.refresh(sqs_event(events), FakeContext())

    assert {call.correlation_id for call in world.bills_channel.calls} == {event.correlationid for event in events}


def test_purge_reports_only_what_failed(world: World) -> None:
    world.broker.purge_error = Unavailable("down")
    deleted = wrap(UserDeletedV1(user_id="usr_1"), FakeClock().now())

    assert failures(listener.purge(sqs_event([deleted, "poison"]), FakeContext())) == ["msg-0"]
    assert list(world.dead_letters.reasons) == ["msg-1"]
    world.broker.purge_error = None
    assert failures(listener.purge(sqs_event([deleted]), FakeContext())) == []


def test_sweep_answers_its_counts(world: World) -> None:
    world.accounts.due = [["lnk_1"]]

    answer = listener.sweep(schedule_event(), FakeContext())

    assert answer == {
        "due": 1, "requested": 1, "account_items": 0, "bill_items": 0, "user_items": 0, "provider_items": 0,
        "reminders": 0, "webhooks_tried": 0, "failed_parts": (),
    }  # fmt: skip
    json.dumps(answer)


def test_the_artefact_needs_chalice_msgspec_and_protobuf_only() -> None:
    script = (
        "import sys\n"
        "for name in ('boto3', 'botocore', 'redis', 'jwt', 'cryptography', 'pynamodb', 'requests'):\n"
        "    sys.modules[name] = None\n"
        "import functions.listener_service.app\n"
        "from functions.listener_service import bootstrap\n"
        "bootstrap.refreshing(), bootstrap.projecting(), bootstrap.purging(), bootstrap.sweeping()\n"
        "bootstrap.notifying()\n"
        "foreign = {n for n in sys.modules if n.startswith('functions.') and '_service' in n}\n"
        "assert all(n.startswith('functions.listener_service') for n in foreign), foreign\n"
    )
    env = {
        "RPC_BILLS": "lambda:b",
        "RPC_BROKER": "lambda:b",
        "RPC_ACCOUNTS": "lambda:a",
        "RPC_ACTIVITY": "lambda:v",
        "RPC_PROVIDERS": "lambda:p",
        "RPC_REMINDERS": "lambda:r",
        "RPC_USERS": "lambda:u",
        "RPC_WEBHOOKS": "lambda:w",
        "PYTHONDONTWRITEBYTECODE": "1",
    }

    subprocess.run([sys.executable, "-c", script], check=True, env=env)
