"""What is told of security and admin actions, and that nobody waits or fails for it."""

import json

import pytest

from functions.common.actions import PostedActions, digest, place
from functions.common.context import invocation
from functions.common.errors import Unavailable
from functions.common.rpc.client import Stub
from functions.common.rpc.envelope import Call, Reply
from functions.contracts.events.envelope import parse, unwrap
from functions.contracts.events.security import Action, SecurityActionRecordedV1
from functions.contracts.rpc import broker_pb2
from functions.contracts.rpc.broker_pb2 import PublishRequest
from tests.support.fakes import FakeClock
from tests.support.logs import Lines

ADDRESS = "192.0.2.7"


class Posted:
    """Takes calls that nobody waits for, and no others."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.down = False

    def invoke(self, call: Call) -> Reply:
        raise AssertionError

    def post(self, call: Call) -> None:
        if self.down:
            raise Unavailable("The function is down.")
        self.calls.append(call)


@pytest.fixture
def posted() -> Posted:
    return Posted()


@pytest.fixture
def actions(posted: Posted) -> PostedActions:
    return PostedActions(Stub(broker_pb2.DESCRIPTOR.services_by_name["Broker"], posted), FakeClock())


def told(posted: Posted) -> SecurityActionRecordedV1:
    [call] = posted.calls
    assert call.method == "billing.broker.v1.Broker/Publish"
    [event] = PublishRequest.FromString(call.message).events
    document = parse(event.cloud_event)
    assert (event.event_id, event.type) == (document.id, document.type)
    return unwrap(document, SecurityActionRecordedV1)


def test_an_action_is_posted_with_its_user_and_where_they_were(posted: Posted, actions: PostedActions) -> None:
    with invocation("cor-1", 10, caller_address=ADDRESS):
        actions.record(Action.SESSION_ENDED, "usr_1", target="ses_1")

    assert told(posted) == SecurityActionRecordedV1(
        user_id="usr_1", action="session_ended", actor="usr_1", address=ADDRESS, target="ses_1"
    )
    assert posted.calls[0].correlation_id == "cor-1"


def test_of_nobody_we_know_only_a_hash_of_the_address_is_told(posted: Posted, actions: PostedActions) -> None:
    with invocation(None, 10, caller_address=ADDRESS):
        actions.record(Action.LOGIN_FAILED, "", actor="unknown", target=digest("ada@example.com"))

    data = told(posted)
    assert (data.address, data.subject) == (digest(ADDRESS), "platform")
    assert ADDRESS not in str(posted.calls)
    assert "ada" not in json.dumps(data.target)


def test_outside_of_a_request_there_is_no_address(posted: Posted, actions: PostedActions) -> None:
    actions.record(Action.ROLE_GRANTED, "usr_1", actor="operator", target="admin")
    posted.calls[:] = posted.calls[-1:]

    assert (told(posted).address, told(posted).actor) == ("", "operator")


def test_an_action_that_cannot_be_told_fails_nobody(posted: Posted, actions: PostedActions, log_lines: Lines) -> None:
    posted.down = True

    actions.record(Action.PASSWORD_CHANGED, "usr_1")

    [line] = log_lines()
    assert (line["event"], line["action"], line["user_id"]) == ("action_not_recorded", "password_changed", "usr_1")


@pytest.mark.parametrize(
    ("path_params", "expected"),
    [
        ({"provider_id": "prv_gas"}, "PATCH /p/prv_gas/{account_number}"),
        ({"provider_id": "prv_gas", "account_number": "FN2048"}, "PATCH /p/prv_gas/{account_number}"),
        ({"provider_id": "ada@example.com"}, "PATCH /p/{provider_id}/{account_number}"),
        ({"provider_id": "x" * 81}, "PATCH /p/{provider_id}/{account_number}"),
    ],
)
def test_of_a_path_only_ids_are_told(path_params: dict[str, str], expected: str) -> None:
    assert place("PATCH", "/p/{provider_id}/{account_number}", path_params) == expected
