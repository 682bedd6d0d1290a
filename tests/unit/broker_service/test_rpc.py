import json

import msgspec
import pytest

from functions.broker_service.emitter import Emitter
from functions.broker_service.model import JobState
from functions.broker_service.rpc import BrokerServicer, handler
from functions.common.errors import InvalidInput, NotFound, Unavailable
from functions.common.publisher import BrokerPublisher
from functions.common.rpc.client import Stub
from functions.common.rpc.server import LambdaRpcHandler
from functions.contracts.events.bills import BillsRefreshRequestedV1
from functions.contracts.events.envelope import CloudEvent, wrap
from functions.contracts.rpc.broker_pb2 import (
    Event,
    PublishReply,
    PublishRequest,
    RecordJobResultReply,
    RecordJobResultRequest,
)
from functions.contracts.rpc.common_pb2 import ExportUserReply, ExportUserRequest, PurgeUserReply, PurgeUserRequest
from tests.support.fakes import FakeClock, LoopbackChannel
from tests.unit.broker_service.fakes import ANNA, BERT, GAS, POWER, World


@pytest.fixture
def broker(world: World) -> Stub:
    servicer = BrokerServicer(Emitter(world.publisher), world.jobs, world.clock)
    return Stub(handler.service, LoopbackChannel(LambdaRpcHandler(handler.service, lambda: servicer)))


def an_event() -> CloudEvent:
    return wrap(BillsRefreshRequestedV1(user_id=ANNA, link_id=POWER, reason="sweep"), FakeClock().now())


def test_publish_hands_events_over_unchanged(world: World, broker: Stub) -> None:
    event = an_event()

    assert BrokerPublisher(broker).publish([event]) == frozenset()
    assert [sent.to_json() for sent in world.publisher.events] == [event.to_json()]


def test_publish_tells_what_was_not_taken(world: World, broker: Stub) -> None:
    event = an_event()
    world.publisher.refuse = {event.type}

    assert BrokerPublisher(broker).publish([event]) == {event.id}


def test_publish_takes_what_it_can(world: World, broker: Stub) -> None:
    good, bad = an_event(), msgspec.structs.replace(an_event(), type="bills.refresh_requested.v9")

    assert BrokerPublisher(broker).publish([bad, good]) == {bad.id}
    assert [event.id for event in world.publisher.events] == [good.id]


def test_publish_while_the_topic_is_down(world: World, broker: Stub) -> None:
    world.publisher.down = True

    with pytest.raises(Unavailable):
        BrokerPublisher(broker).publish([an_event()])


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"cloud_event": b"{}"}, "events[0].cloud_event"),
        ({"cloud_event": b"\xff"}, "events[0].cloud_event"),
        ({"event_id": "evt_other"}, "events[0].event_id"),
        ({"type": "account.linked.v1"}, "events[0].type"),
    ],
)
def test_publish_refuses_what_is_not_what_it_says(
    world: World, broker: Stub, changes: dict[str, object], field: str
) -> None:
    good = an_event()
    sent = {"event_id": good.id, "type": good.type, "cloud_event": good.to_json().encode(), **changes}

    with pytest.raises(InvalidInput) as raised:
        broker.call("Publish", PublishRequest(events=[Event(**sent)]), PublishReply)  # type: ignore[arg-type]

    assert [error.field for error in raised.value.errors] == [field]
    assert not world.publisher.events


def a_result(job_id: str, outcome: str = "fresh") -> RecordJobResultRequest:
    return RecordJobResultRequest(
        user_id=ANNA, job_id=job_id, link_id=POWER, outcome=outcome, created=3, updated=1, unchanged=7
    )


def test_record_job_result(world: World, broker: Stub) -> None:
    world.link(ANNA, POWER, GAS)
    job = world.refreshes.request_refresh(ANNA, None)

    for _ in range(2):
        assert broker.call("RecordJobResult", a_result(job.job_id), RecordJobResultReply).state == JobState.RUNNING

    (result,) = world.jobs.get_job(ANNA, job.job_id).results
    assert (result.created, result.updated, result.unchanged, result.at) == (3, 1, 7, world.clock.now())


def test_record_job_result_of_an_unknown_job(broker: Stub) -> None:
    with pytest.raises(NotFound):
        broker.call("RecordJobResult", a_result("job_1"), RecordJobResultReply)


def test_record_job_result_with_an_unknown_outcome(broker: Stub) -> None:
    with pytest.raises(InvalidInput) as raised:
        broker.call("RecordJobResult", a_result("job_1", "splendid"), RecordJobResultReply)
    assert [error.field for error in raised.value.errors] == ["outcome"]


def test_export_user(world: World, broker: Stub) -> None:
    world.link(ANNA, POWER, GAS)
    job = world.refreshes.request_refresh(ANNA, None)
    broker.call("RecordJobResult", a_result(job.job_id), RecordJobResultReply)

    reply = broker.call("ExportUser", ExportUserRequest(user_id=ANNA), ExportUserReply)

    (shown,) = json.loads(reply.json)["items"]
    assert (shown["job_id"], shown["link_ids"], shown["results"][0]["created"]) == (job.job_id, sorted([GAS, POWER]), 3)
    assert reply.next_cursor == ""
    others = broker.call("ExportUser", ExportUserRequest(user_id=BERT), ExportUserReply)
    assert others.json == b'{"items":[]}'


def test_purge_user(world: World, broker: Stub) -> None:
    world.link(ANNA, POWER)
    world.link(BERT, GAS)
    world.refreshes.request_refresh(ANNA, None)
    kept = world.refreshes.request_refresh(BERT, None)

    first, again = (broker.call("PurgeUser", PurgeUserRequest(user_id=ANNA), PurgeUserReply) for _ in range(2))

    assert (first.deleted, first.more, again.deleted) == (1, False, 0)
    assert world.jobs.get_job(BERT, kept.job_id) == kept


@pytest.mark.parametrize("method", ["ExportUser", "PurgeUser"])
def test_nobody_is_exported_or_purged(broker: Stub, method: str) -> None:
    request = ExportUserRequest() if method == "ExportUser" else PurgeUserRequest()
    with pytest.raises(InvalidInput):
        broker.call(method, request, ExportUserReply)
