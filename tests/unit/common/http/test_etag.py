"""Entity tags: the comparisons of RFC 9110, and what the base app makes of them."""

import pytest

from functions.common.errors import PreconditionFailed
from functions.common.http.app import Answer, ServiceApp
from functions.common.http.etag import check_if_match, not_modified, quoted, tag_of
from tests.support.http import configure, request


@pytest.mark.parametrize(
    ("if_none_match", "known"),
    [
        (None, False),
        ("", False),
        ('"3"', True),
        ('W/"3"', True),
        ('"1", "3"', True),
        ('"1",W/"3"', True),
        ("*", True),
        ('"33"', False),
        ("3", False),
    ],
)
def test_a_copy_is_known_by_weak_comparison(if_none_match: str | None, known: bool) -> None:
    assert not_modified(if_none_match, quoted("3")) is known


@pytest.mark.parametrize("if_match", [None, "*", '"3"', '"2", "3"'])
def test_if_match_lets_pass_who_has_seen_the_newest(if_match: str | None) -> None:
    check_if_match(if_match, "3")


@pytest.mark.parametrize("if_match", ["", '"2"', 'W/"3"', "3", '"33"'])
def test_if_match_stops_who_has_not_and_tells_the_newest(if_match: str) -> None:
    with pytest.raises(PreconditionFailed) as refused:
        check_if_match(if_match, "3")

    assert refused.value.headers == {"ETag": '"3"'}


def test_the_tag_of_a_body_is_the_same_for_text_and_bytes_and_no_other_body_has_it() -> None:
    assert tag_of("ä") == tag_of("ä".encode())
    assert tag_of("a") != tag_of("b")


def app_with(answer: object) -> ServiceApp:
    app = configure(ServiceApp("test"))

    @app.route("/things", methods=["GET"], public=True, etag=True)
    def read_things() -> object:
        return answer

    @app.route("/things", methods=["PATCH"], public=True)
    def change_things() -> object:
        app.check_if_match("3")
        return {}

    return app


def test_an_answer_has_the_tag_that_the_handler_gives() -> None:
    answer = request(app_with(Answer({"a": 1}, etag="3")), "GET", "/things")

    assert (answer.status, answer.headers["ETag"]) == (200, '"3"')


def test_what_brings_no_tag_gets_the_hash_of_its_body() -> None:
    first, same, other = (request(app_with({"a": value}), "GET", "/things") for value in (1, 1, 2))

    assert first.headers["ETag"] == same.headers["ETag"] != other.headers["ETag"]


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_who_has_the_newest_copy_gets_no_body_again(method: str) -> None:
    app = app_with({"a": 1})
    etag = request(app, "GET", "/things").headers["ETag"]

    answer = request(app, method, "/things", headers={"If-None-Match": etag})

    assert (answer.status, answer.text, answer.headers["ETag"]) == (304, "", etag)
    assert "Content-Type" not in answer.headers


def test_a_change_of_what_was_not_seen_is_refused() -> None:
    app = app_with({})

    stale = request(app, "PATCH", "/things", headers={"If-Match": '"2"'})
    seen = request(app, "PATCH", "/things", headers={"If-Match": '"3"'})

    assert (stale.status, stale.headers["ETag"], seen.status) == (412, '"3"', 200)
