"""What every adapter must do where its utility gives bills as PDF; one that does not has nothing to do with them."""

import traceback
from collections.abc import Callable, Sequence

from functions.bill_aggregation_service.adapters.base import (
    BadCredentials,
    DocumentUnusable,
    Locked,
    MfaRequired,
    NoDocument,
    ProviderDown,
    ProviderError,
    ProviderThrottled,
    ProviderTimeout,
)
from functions.bill_aggregation_service.adapters.documents import MAX_BYTES
from tests.contract.adapters.checks import contents, hang_up, silent
from tests.contract.adapters.description import SECRETS, Recorded
from tests.support.utility import Answer, ok

PAPER, PDF_TYPE = b"%PDF-1.4 paper", "Content-Type: application/pdf"
ELSEWHERE = (
    "https://elsewhere.example/1.pdf", "//elsewhere.example/1.pdf", "http://127.0.0.1:1/api/1.pdf", "1.pdf", "",
    "/../1.pdf", "/a/../../1.pdf", "/%2e%2E/1.pdf", "/a%2f..%2f1.pdf", "/..\\1.pdf", "/1.pdf#x", "/1 .pdf",
    "/1.pdf\r\nX-A: 1", "@elsewhere.example/1.pdf", "file:///etc/passwd", "/" + "1" * 2_000,
)  # fmt: skip


def documents_are_told_and_read(recorded: Recorded) -> None:
    """The bills name them, without the account number in clear text, and they come byte for byte; or neither."""
    told = [content.document_url for content in contents(recorded, recorded.answers(recorded.told.good))]
    if not recorded.gives_documents:
        assert set(told) == {None}
        return
    paths = [path for path in told if path is not None]
    assert paths, "no bill of the good answers has a document"
    assert [path for path in paths if "{account_number}" not in path or recorded.told.account in path] == []

    assert recorded.read_document(_document(recorded), "/{account_number}/1.pdf?b=2") == PAPER
    assert recorded.asked[-1].startswith(f"GET /api/{recorded.told.account}/1.pdf?b=2 HTTP/1.1\r\n".encode())
    assert b"Accept: application/pdf\r\n" in recorded.asked[-1]
    assert len(recorded.asked) == len(recorded.told.document)


def what_is_no_document_is_refused(recorded: Recorded) -> None:
    if recorded.gives_documents:
        for answer in (
            ok(PAPER),
            ok(PAPER, "Content-Type: text/html"),
            ok(b"<html>secret words</html>", PDF_TYPE),
            ok(b"", PDF_TYPE),
            ok(PAPER + bytes(MAX_BYTES), PDF_TYPE),
            b"HTTP/1.1 200 OK\r\nContent-Type: application/pdf\r\n\r\n%PDF-" + bytes(MAX_BYTES),
        ):
            assert isinstance(_document_failure(recorded, [answer]), DocumentUnusable)


def references_that_lead_elsewhere_are_not_followed(recorded: Recorded) -> None:
    for reference in ELSEWHERE:
        error = _document_failure(recorded, [ok(PAPER, PDF_TYPE)], reference)
        assert isinstance(error, NoDocument)
        assert recorded.asked == [], f"{reference} was asked for"


def a_document_that_has_moved_is_found_by_its_bill(recorded: Recorded) -> None:
    """A reference that leads nowhere is looked for in the bills that are shown now, once."""
    if not recorded.gives_documents:
        return
    again = [*recorded.answers(recorded.told.document_refused), *recorded.answers(recorded.told.good)]
    assert _moved(recorded, [*again, *_document(recorded)], newest="/new.pdf") == PAPER
    assert recorded.asked[-1].startswith(b"GET /api/new.pdf ")
    assert _moved(recorded, again, newest="/old.pdf") is None
    assert _moved(recorded, again, newest=None) is None


def a_document_is_refused_as_bills_are(recorded: Recorded) -> None:
    if recorded.gives_documents:
        for exchanges, expected in (
            (recorded.told.bad_login, BadCredentials),
            (recorded.told.locked, Locked),
            (recorded.told.mfa, MfaRequired),
            (recorded.told.throttled, ProviderThrottled),
        ):
            assert type(_document_failure(recorded, recorded.answers(exchanges), steps=False)) is expected
        assert isinstance(_document_failure(recorded, [hang_up] * 3), ProviderDown)
        assert isinstance(_document_failure(recorded, [silent] * 3, call_seconds=0.1), ProviderTimeout)


CHECKS: tuple[Callable[[Recorded], None], ...] = (
    documents_are_told_and_read,
    what_is_no_document_is_refused,
    references_that_lead_elsewhere_are_not_followed,
    a_document_that_has_moved_is_found_by_its_bill,
    a_document_is_refused_as_bills_are,
)


def _document(recorded: Recorded) -> list[Answer]:
    return recorded.answers(recorded.told.document)


def _moved(recorded: Recorded, answers: Sequence[Answer], newest: str | None) -> bytes | None:
    """What is read by a reference that leads nowhere; None when it is told that there is no document."""
    try:
        return recorded.read_document(answers, "/old.pdf", newest=newest)
    except NoDocument:
        return None
    except ProviderError as error:
        raise AssertionError("a reference that leads nowhere was not told as such") from error


def _document_failure(
    recorded: Recorded,
    answers: Sequence[Answer],
    path: str = "/secret-1.pdf",
    *,
    steps: bool = True,
    call_seconds: float = 5.0,
) -> ProviderError:
    """The error that these answers lead to, after those of the steps before the document; it tells nothing secret."""
    before = _document(recorded)[:-1] if steps else []
    try:
        recorded.read_document([*before, *answers], path, call_seconds=call_seconds)
    except ProviderError as error:
        texts = (str(error), repr(error), "".join(traceback.format_exception(error)))
        assert [secret for secret in (*SECRETS, "secret-1") for text in texts if secret in text] == []
        return error
    except Exception as error:
        raise AssertionError(f"{type(error).__name__} instead of a ProviderError") from error
    raise AssertionError("this was read as if nothing were wrong")
