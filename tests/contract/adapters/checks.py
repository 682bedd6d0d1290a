"""What every adapter must do, whatever its utility speaks. A check raises AssertionError when it does not."""

import logging
import traceback
from collections.abc import Callable, Sequence

from functions.bill_aggregation_service.adapters.base import (
    BadCredentials,
    Locked,
    MfaRequired,
    ProviderDown,
    ProviderError,
    ProviderMalformed,
    ProviderThrottled,
    ProviderTimeout,
)
from functions.bill_aggregation_service.model import BillContent, LinkId
from functions.bill_aggregation_service.rules import collapse
from tests.contract.adapters.description import EDGES, SECRETS, Recorded
from tests.support.utility import Answer

GARBAGE = (
    b"", b"null", b"[]", b"{}", b"\xff\xfe\x00\x01", b"<html><body>secret words</body></html>", b"secret words",
    b'{"bills": {}}', b"<feed", b'"', b"<!DOCTYPE x [<!ENTITY a 'secret words'>]><feed>&a;</feed>",
)  # fmt: skip
NO_AMOUNTS = ("NaN", "sNaN", "Infinity", "-Infinity", "1e999999999", "9" * 400, "twelve", "0x10", "1.2.3")
NO_DAYS = ("", "yesterday", "9" * 30, "2026-02-30", "NaN")


def failure(recorded: Recorded, answers: Sequence[Answer], **options: str | float) -> ProviderError:
    """The error that these answers lead to. Any other exception is a mistake of the adapter."""
    try:
        recorded.fetch(answers, **options)  # type: ignore[arg-type]  # the options of fetch
    except ProviderError as error:
        return error
    except Exception as error:
        raise AssertionError(f"{type(error).__name__} instead of a ProviderError") from error
    raise AssertionError("this was read as if nothing were wrong")


def contents(recorded: Recorded, answers: Sequence[Answer]) -> list[BillContent]:
    return [bill.content for bill in recorded.fetch(answers)]


def good_answers_are_read(recorded: Recorded) -> None:
    """All pages, and all polls, make the whole."""
    read = contents(recorded, recorded.answers(recorded.told.good))

    assert len(read) == len(recorded.told.bills)
    assert len(recorded.asked) == len(recorded.told.good)
    for content, expected in zip(sorted(read, key=_newest), recorded.told.bills, strict=True):
        for name, value in expected.items():
            assert getattr(content, name) == value, name
        assert content.service_type == recorded.told.service_type
        assert sum(item.amount_minor for item in content.line_items) == content.amount_minor


def no_bills_are_none(recorded: Recorded) -> None:
    assert contents(recorded, recorded.answers(recorded.told.empty)) == []


def what_comes_twice_is_one_bill(recorded: Recorded) -> None:
    bills = recorded.fetch(recorded.changed(recorded.told.duplicates.replace))
    known = len(collapse(recorded.fetch(recorded.answers(recorded.told.good)), LinkId("lnk_1")))
    kept = collapse(bills, LinkId("lnk_1"))

    assert len(kept) == known + recorded.told.duplicates.new
    for bill in kept.values():
        items = bill.content.line_items
        assert not items or sum(item.amount_minor for item in items) == bill.content.amount_minor


def a_wrong_login_is_told(recorded: Recorded) -> None:
    assert type(failure(recorded, recorded.answers(recorded.told.bad_login))) is BadCredentials
    assert len(recorded.asked) == 1, "a wrong login is not tried again"


def a_locked_account_is_told(recorded: Recorded) -> None:
    assert type(failure(recorded, recorded.answers(recorded.told.locked))) is Locked
    assert len(recorded.asked) == 1


def a_challenge_is_told_and_answered(recorded: Recorded) -> None:
    challenge = failure(recorded, recorded.answers(recorded.told.mfa))
    assert isinstance(challenge, MfaRequired)
    assert (challenge.methods, challenge.reference) == (("email", "sms"), "ref-secret-1")
    assert (challenge.expires_in, challenge.code_refused) == (300, False)

    read = recorded.fetch(recorded.answers(recorded.told.good), code="246810", reference="ref-secret-1")
    assert len(read) == len(recorded.told.bills)
    assert b"246810" in recorded.asked[0]
    assert b"ref-secret-1" in recorded.asked[0]

    wrong = failure(recorded, recorded.answers(recorded.told.mfa_wrong), code="246810", reference="ref-secret-1")
    assert isinstance(wrong, MfaRequired)
    assert (wrong.reference, wrong.code_refused) == ("ref-secret-2", True)


def a_wish_to_be_left_alone_is_told(recorded: Recorded) -> None:
    throttled = failure(recorded, recorded.answers(recorded.told.throttled))
    assert isinstance(throttled, ProviderThrottled)
    assert throttled.retry_after == 120
    assert len(recorded.asked) == len(recorded.told.throttled), "it was asked again within the fetch"


def what_is_no_answer_is_malformed(recorded: Recorded) -> None:
    for answers in _malformed(recorded):
        assert isinstance(failure(recorded, answers), ProviderMalformed)


def silence_is_a_time_out_at_every_step(recorded: Recorded) -> None:
    for step in range(len(recorded.told.good)):
        assert isinstance(failure(recorded, _interrupted(recorded, step, silent), call_seconds=0.1), ProviderTimeout)


def a_broken_connection_is_down_at_every_step(recorded: Recorded) -> None:
    for step in range(len(recorded.told.good)):
        assert isinstance(failure(recorded, _interrupted(recorded, step, hang_up)), ProviderDown)


def a_short_failure_is_overcome(recorded: Recorded) -> None:
    """Every request fails once, then works."""
    answers = [each for good in recorded.answers(recorded.told.good) for each in (hang_up, good)]
    assert len(recorded.fetch(answers)) == len(recorded.told.bills)


def money_and_days_at_their_edges(recorded: Recorded) -> None:
    assert set(recorded.told.edges) == EDGES
    for name, edge in recorded.told.edges.items():
        first = min(contents(recorded, recorded.changed(edge.replace)), key=_is_first(recorded))
        assert edge.expected or name == "no_due_date"
        for field, value in edge.expected.items():
            assert getattr(first, field) == value, f"{name}: {field}"
        if name == "no_due_date":
            assert first.due_date is None


def nothing_secret_is_told(recorded: Recorded) -> None:
    """By no error, not even in its traceback, and by no line of the log."""
    secrets = (*SECRETS, recorded.told.account)
    told = recorded.told
    kinds = [recorded.answers(each) for each in (told.bad_login, told.locked, told.mfa, told.mfa_wrong, told.throttled)]
    kinds += [_interrupted(recorded, step, hang_up) for step in range(len(told.good))] + _malformed(recorded)
    lines = _Lines()
    logging.getLogger().addHandler(lines)
    try:
        for answers in kinds:
            error = failure(recorded, answers, code="246810", reference="ref-secret-1")
            texts = (str(error), repr(error), "".join(traceback.format_exception(error)))
            assert [secret for secret in secrets for text in texts if secret in text] == []
    finally:
        logging.getLogger().removeHandler(lines)
    assert [secret for secret in secrets for line in lines.lines if secret in line] == []


CHECKS: tuple[Callable[[Recorded], None], ...] = (
    good_answers_are_read,
    no_bills_are_none,
    what_comes_twice_is_one_bill,
    a_wrong_login_is_told,
    a_locked_account_is_told,
    a_challenge_is_told_and_answered,
    a_wish_to_be_left_alone_is_told,
    what_is_no_answer_is_malformed,
    silence_is_a_time_out_at_every_step,
    a_broken_connection_is_down_at_every_step,
    a_short_failure_is_overcome,
    money_and_days_at_their_edges,
    nothing_secret_is_told,
)


class _Lines(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(f"{self.format(record)} {vars(record)}")


def _malformed(recorded: Recorded) -> list[list[Answer]]:
    """At each step something else than an answer, or half of one; and in the whole an amount or a day that is none."""
    bodies = recorded.bodies(recorded.told.good)
    kinds = [
        recorded.with_bodies([*bodies[:step], garbage, *bodies[step + 1 :]])[: step + 1]
        for step, body in enumerate(bodies)
        for garbage in (*GARBAGE, body[: len(body) // 2], body[: len(body) * 9 // 10])
    ]
    kinds += [recorded.changed([(recorded.told.amount, text)]) for text in NO_AMOUNTS]
    return kinds + [recorded.changed([(recorded.told.day, text)]) for text in NO_DAYS]


def _interrupted(recorded: Recorded, step: int, interruption: Answer) -> list[Answer]:
    """Good answers up to `step`, then the interruption, also when asked again."""
    return [*recorded.answers(recorded.told.good)[:step], *[interruption] * 3]


def silent(connection: object) -> None:
    connection.recv(1)  # type: ignore[attr-defined]  # a socket; until the caller hangs up


def hang_up(_connection: object) -> None:
    """In the middle of the exchange."""


def _newest(content: BillContent) -> tuple[int, str]:
    return -content.period_start.toordinal(), content.external_bill_id


def _is_first(recorded: Recorded) -> Callable[[BillContent], bool]:
    number = recorded.told.bills[0]["external_bill_id"]
    return lambda content: content.external_bill_id != number
