"""One key, one request, carried out once; the same with the fake and with the table's own conditions."""

import threading
from collections.abc import Iterator

import pytest
from moto import mock_aws

from functions.common.context import invocation
from functions.common.errors import Conflict, InvalidHeader, InvalidInput, Unavailable
from functions.common.idempotency import KEPT_SECONDS, REPLAYED, Idempotency, KeptAnswer, Record, Records
from functions.common.idempotency_table import DynamoRecords, RecordItem
from tests.support.logs import Lines

SECRET = b"a secret of the tests"
REQUEST = ("POST", "/things", b'{"name": "n"}')
CREATED = KeptAnswer(201, {"Location": "things/1", "ETag": '"1"'}, '{"id": "1"}')


class Time:
    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now

    def pass_by(self, seconds: float) -> None:
        self.now += seconds


class MemoryRecords:
    def __init__(self) -> None:
        self.records: dict[str, Record] = {}
        self.down = False

    def take(self, record: Record, now: int) -> bool:
        if self.down:
            raise Unavailable("The table did not answer.")
        held = self.records.setdefault(record.key, record)
        if held.expires_at <= now:
            self.records[record.key] = held = record
        return held is record

    def find(self, key: str) -> Record | None:
        return self.records.get(key)

    def complete(self, record: Record) -> bool:
        if self.down:
            raise Unavailable("The table could not be written.")
        if self.records[record.key].attempt != record.attempt:
            return False
        self.records[record.key] = record
        return True

    def remove(self, record: Record) -> None:
        if self.records[record.key].attempt == record.attempt:
            del self.records[record.key]


class Work:
    """What is to be done once."""

    def __init__(self, answer: KeptAnswer = CREATED) -> None:
        self.answer = answer
        self.times = 0

    def __call__(self) -> KeptAnswer:
        self.times += 1
        return self.answer


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture(params=["memory", "table"])
def records(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Records]:
    if request.param == "memory":
        yield MemoryRecords()
        return
    with mock_aws():
        monkeypatch.setattr(RecordItem, "_connection", None)  # the last test's
        table = DynamoRecords("idempotency")
        RecordItem.create_table(wait=False)
        yield table


@pytest.fixture
def once(records: Records, time: Time) -> Idempotency:
    return Idempotency(records, SECRET, time, time.pass_by)


def test_the_same_key_and_request_replay_the_first_answer(once: Idempotency) -> None:
    work = Work()

    first = once.once("usr_1", "k", REQUEST, work)
    again = once.once("usr_1", "k", REQUEST, work)

    assert first == CREATED
    assert again == KeptAnswer(201, {**CREATED.headers, REPLAYED: "true"}, CREATED.body)
    assert work.times == 1


def test_an_answer_without_a_body_is_replayed_as_well(once: Idempotency) -> None:
    work = Work(KeptAnswer(204, {}, ""))
    once.once("usr_1", "k", REQUEST, work)

    assert once.once("usr_1", "k", REQUEST, work) == KeptAnswer(204, {REPLAYED: "true"}, "")


def test_another_caller_or_another_key_is_another_request(once: Idempotency) -> None:
    work = Work()
    for caller, key in (("usr_1", "k"), ("usr_2", "k"), ("usr_1", "K"), ("usr_1k", "k")):
        once.once(caller, key, REQUEST, work)

    assert work.times == 4


@pytest.mark.parametrize(
    "other",
    [
        ("POST", "/things", b'{"name": "m"}'),
        ("POST", "/others", b'{"name": "n"}'),
        ("PUT", "/things", b'{"name": "n"}'),
        ("POST/", "things", b'{"name": "n"}'),
    ],
)
def test_the_same_key_for_another_request_is_refused(once: Idempotency, other: tuple[str, str, bytes]) -> None:
    work = Work()
    once.once("usr_1", "k", REQUEST, work)

    with pytest.raises(InvalidInput) as refused:
        once.once("usr_1", "k", other, work)

    assert refused.value.code == "idempotency_key_reused"
    assert refused.value.errors[0].field == "Idempotency-Key"
    assert work.times == 1


@pytest.mark.parametrize("key", ["", " ", "a b", "é", "x" * 256, "a\r\nX: y", "\x7f"])
def test_a_key_that_is_none_is_refused_by_name(once: Idempotency, key: str) -> None:
    with pytest.raises(InvalidHeader) as refused:
        once.once("usr_1", key, REQUEST, Work())

    assert refused.value.status == 400
    assert refused.value.errors[0].field == "Idempotency-Key"


def test_the_longest_key_is_taken(once: Idempotency) -> None:
    assert once.once("usr_1", "~" * 255, REQUEST, Work()) == CREATED


def test_an_answer_is_kept_for_a_day_and_not_a_second_longer(once: Idempotency, time: Time) -> None:
    work = Work()
    once.once("usr_1", "k", REQUEST, work)

    time.pass_by(KEPT_SECONDS - 1)
    once.once("usr_1", "k", REQUEST, work)
    assert work.times == 1

    time.pass_by(1)  # the table has not deleted it: it counts for nothing all the same
    assert REPLAYED not in once.once("usr_1", "k", ("POST", "/others"), work).headers
    assert work.times == 2


@pytest.mark.parametrize("status", [401, 403, 429, 500, 503, 504])
def test_what_a_retry_may_mend_is_not_kept(once: Idempotency, status: int) -> None:
    once.once("usr_1", "k", REQUEST, Work(KeptAnswer(status, {}, "{}")))

    work = Work()
    assert once.once("usr_1", "k", REQUEST, work) == CREATED
    assert work.times == 1


@pytest.mark.parametrize("status", [200, 202, 400, 404, 409, 422])
def test_what_is_the_callers_own_to_mend_is_kept(once: Idempotency, status: int) -> None:
    once.once("usr_1", "k", REQUEST, Work(KeptAnswer(status, {}, "{}")))

    assert once.once("usr_1", "k", REQUEST, Work()).status == status


def test_while_the_first_is_in_progress_the_second_waits_a_little_and_is_told_to_come_again(
    once: Idempotency, time: Time
) -> None:
    began = time.now
    refusals = []

    def first() -> KeptAnswer:
        with pytest.raises(Conflict) as refused:
            once.once("usr_1", "k", REQUEST, Work())
        refusals.append(refused.value)
        return CREATED

    assert once.once("usr_1", "k", REQUEST, first) == CREATED
    assert (refusals[0].code, refusals[0].retry_after) == ("idempotency_in_progress", 2)
    assert 2 <= time.now - began < 3


def test_a_crash_leaves_a_lease_that_ends(once: Idempotency, time: Time) -> None:
    def crash() -> KeptAnswer:
        raise SystemExit

    with invocation(None, 10), pytest.raises(SystemExit):
        once.once("usr_1", "k", REQUEST, crash)

    with pytest.raises(Conflict):
        once.once("usr_1", "k", REQUEST, Work())
    time.pass_by(11)  # the function's own end and the margin
    assert once.once("usr_1", "k", REQUEST, Work()) == CREATED


def test_a_lease_that_was_lost_does_not_overwrite_who_holds_it_now(
    once: Idempotency, time: Time, log_lines: Lines
) -> None:
    def too_long() -> KeptAnswer:
        time.pass_by(3600)
        once.once("usr_1", "k", REQUEST, Work())
        return KeptAnswer(200, {}, "late")

    assert once.once("usr_1", "k", REQUEST, too_long).body == "late"
    assert once.once("usr_1", "k", REQUEST, Work()).body == CREATED.body
    assert [line["event"] for line in log_lines()] == ["idempotency_lease_lost"]


def test_a_failure_after_its_lease_does_not_free_the_key_of_another(once: Idempotency, time: Time) -> None:
    def too_long() -> KeptAnswer:
        time.pass_by(3600)
        once.once("usr_1", "k", REQUEST, Work())
        return KeptAnswer(500, {}, "late")

    once.once("usr_1", "k", REQUEST, too_long)

    assert REPLAYED in once.once("usr_1", "k", REQUEST, Work()).headers


def test_of_many_at_once_one_is_carried_out_and_the_others_wait_for_its_answer() -> None:
    """Threads and the true clock. With the fake: moto's conditions are not atomic; the engine's are tested there."""
    once = Idempotency(MemoryRecords(), SECRET)
    start, never = threading.Barrier(8), threading.Event()
    work = Work()
    answers: list[KeptAnswer] = []

    def slowly() -> KeptAnswer:
        never.wait(0.2)
        return work()

    def one() -> None:
        start.wait()
        answers.append(once.once("usr_1", "k", REQUEST, slowly))

    threads = [threading.Thread(target=one) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert work.times == 1
    assert {answer.body for answer in answers} == {CREATED.body}
    assert sum(REPLAYED in answer.headers for answer in answers) == 7


def test_a_store_that_is_down_refuses_before_the_work_and_hides_nothing_after_it(time: Time, log_lines: Lines) -> None:
    records = MemoryRecords()
    once = Idempotency(records, SECRET, time, time.pass_by)
    work = Work()

    records.down = True
    with pytest.raises(Unavailable):
        once.once("usr_1", "k", REQUEST, work)
    assert work.times == 0

    def then_down() -> KeptAnswer:
        records.down = True
        return work()

    records.down = False
    assert once.once("usr_1", "k", REQUEST, then_down) == CREATED
    assert [line["event"] for line in log_lines()] == ["idempotency_not_settled"]


def test_a_record_holds_nothing_of_the_request_in_the_clear(time: Time) -> None:
    records = MemoryRecords()
    request = ("POST", "/users", b'{"password": "correct horse"}')
    Idempotency(records, SECRET, time).once("192.0.2.7", "my-key", request, Work())
    Idempotency(other := MemoryRecords(), b"another secret", time).once("192.0.2.7", "my-key", request, Work())

    [kept], [elsewhere] = records.records.values(), other.records.values()
    for secret in ("correct horse", "my-key", "192.0.2.7"):
        assert secret not in repr(kept)
    assert (kept.key, kept.request) != (elsewhere.key, elsewhere.request)
