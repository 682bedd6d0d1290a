"""What the edge of the API does with requests that no well-behaved caller sends, through real HTTP.

The plain refusals are in test_errors.py.
"""

import json
import secrets
import socket
import time
import unicodedata
from urllib.parse import urlsplit

import pytest

from infra.client import Client
from tests.integration.household import Household
from tests.integration.problems import refused

SECURITY = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
JSON = {"Content-Type": "application/json"}


def registration(secret: list[str], **changed: str) -> dict[str, str]:
    password = secrets.token_urlsafe(18)
    secret.append(password)
    return {"email": f"it-{secrets.token_hex(8)}@example.com", "password": password, "name": "Edge"} | changed


# headers


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/health", 200),
        ("GET", "/bills", 401),
        ("GET", "/nowhere", 404),
        ("DELETE", "/health", 405),
        ("POST", "/users", 400),
        ("OPTIONS", "/bills", 204),
        ("HEAD", "/bills", 401),
    ],
)
def test_every_answer_carries_the_security_headers(nobody: Client, method: str, path: str, status: int) -> None:
    answer = nobody.send(method, path)

    assert answer.status_code == status
    assert {name: answer.headers.get(name) for name in SECURITY} == SECURITY
    assert answer.headers["Strict-Transport-Security"].startswith("max-age=")
    assert answer.headers["X-Correlation-Id"]


@pytest.mark.parametrize("method", ["GET", "OPTIONS"])
def test_a_page_of_an_unknown_origin_may_not_read_answers(nobody: Client, method: str) -> None:
    answer = nobody.send(method, "/health", headers={"Origin": "https://evil.example"})

    assert answer.headers.get("Access-Control-Allow-Origin") not in {"*", "https://evil.example"}
    assert "Access-Control-Allow-Credentials" not in answer.headers


def test_a_caller_cannot_put_a_header_into_the_answer(nobody: Client, household: Household) -> None:
    for value in ("a%0d%0aSet-Cookie:%20x=y", "a\tSet-Cookie: x=y"):
        answer = nobody.send("GET", "/health", headers={"X-Correlation-Id": value})
        assert answer.headers["X-Correlation-Id"].startswith("cor_")
        assert "Set-Cookie" not in answer.headers

    for path in ("/nowhere%0d%0aSet-Cookie:%20x=y", "/jobs/a%0d%0aSet-Cookie:%20x=y"):
        answer = household.client.send("GET", path)
        assert answer.status_code in {400, 404}
        assert "Set-Cookie" not in answer.headers


def test_a_large_token_is_no_token(nobody: Client) -> None:
    refused(nobody.with_token("x" * 7000).send("GET", "/bills"), 401)


# queries


@pytest.mark.parametrize("path", ["/accounts", "/providers", "/bills"])
def test_an_unknown_or_repeated_query_parameter_is_422_and_named(settled: Household, path: str) -> None:
    refused(settled.client.send("GET", path, query={"limti": "5"}), 422, "limti")
    refused(
        settled.client.send("GET", path, query={"limit[$gt]": "5", "user_id": "usr_x"}), 422, "limit[$gt]", "user_id"
    )
    refused(settled.client.send("GET", f"{path}?limit=5&limit=6"), 422, "limit")


@pytest.mark.parametrize("value", ["' OR 1=1 --", '{"$gt": ""}', "../../etc/passwd", "%00", "\u202e", "a" * 3000])
def test_a_query_is_never_more_than_text(settled: Household, value: str) -> None:
    for query in ({"cursor": value}, {"limit": value}):
        refused(settled.client.send("GET", "/accounts", query=query), 422, *query)
    answer = settled.client.send("GET", "/providers", query={"q": value})
    assert answer.status_code in {200, 422}
    assert answer.status_code == 422 or answer.json()["items"] == []


# bodies


@pytest.mark.parametrize(
    "body",
    [
        '{"email": "a@example.com", "email": "b@example.com"}',
        '{"email": NaN}',
        '{"email": -Infinity}',
        '{"email": 1e999}',
        '{"email": "\\ud800"}',
        '{"a":' * 40 + "1" + "}" * 40,
        "[" * 100_000,
        '{"email": ' + "9" * 100_000 + "}",
        '\ufeff{"email": "a@example.com"}',
        "{'email': 'a@example.com'}",
        '{"email": "a"} {"email": "b"}',
    ],
    ids=["duplicate key", "NaN", "infinity", "1e999", "half a surrogate", "41 deep", "100 000 deep", "100 000 digits",
         "byte order mark", "single quotes", "two values"],
)  # fmt: skip
def test_what_is_no_plain_json_object_is_400_quickly_and_shortly(nobody: Client, body: str) -> None:
    began = time.monotonic()
    answer = nobody.send("POST", "/users", data=body.encode(), headers=JSON)

    refused(answer, 400)
    assert len(answer.content) < 1000
    assert time.monotonic() - began < 5


def test_a_body_that_is_not_utf_8_is_400(nobody: Client) -> None:
    answer = nobody.send("POST", "/users", data=b'{"name": "\xff\xfe"}', headers=JSON)

    assert answer.status_code in {400, 422}  # 422: an engine that mends the text before the function sees it
    refused(answer, answer.status_code)


def test_ten_megabytes_are_refused_quickly_and_not_repeated(nobody: Client) -> None:
    began = time.monotonic()
    answer = nobody.send("POST", "/users", data=json.dumps({"name": "x" * 10_000_000}), headers=JSON)

    refused(answer, 413)
    assert len(answer.content) < 1000
    assert time.monotonic() - began < 10


def test_a_large_value_is_refused_without_being_repeated(nobody: Client, secret: list[str]) -> None:
    answer = nobody.send("POST", "/users", json=registration(secret, name="y" * 200_000))

    refused(answer, 422, "name")
    assert "yyy" not in answer.text


@pytest.mark.parametrize("name", ["a\x00b", "a\nb", "\x1b[31mred", "\u0085", "   ", ""])
def test_a_name_with_control_characters_or_without_any_other_is_422(
    nobody: Client, secret: list[str], name: str
) -> None:
    refused(nobody.send("POST", "/users", json=registration(secret, name=name)), 422, "name")


@pytest.mark.parametrize("name", ["Zoë", "José 李", "Ольга", "نور", "👩‍👩‍👧"])
def test_names_of_any_script_come_back_composed(nobody: Client, secret: list[str], name: str) -> None:
    body = registration(secret, name=f" {unicodedata.normalize('NFD', name)} ")

    answer = nobody.send("POST", "/users", json=body)

    assert answer.status_code == 201, answer.text
    assert answer.json()["name"] == unicodedata.normalize("NFC", name)
    assert nobody.login(body["email"], body["password"]).call("GET", "/users/me")["name"] == answer.json()["name"]


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "x"])
def test_json_said_to_be_something_else_is_415(nobody: Client, content_type: str) -> None:
    refused(nobody.send("POST", "/users", data="{}", headers={"Content-Type": content_type}), 415)


def test_a_form_with_parts_is_415(nobody: Client) -> None:
    """A well-formed one: an engine may refuse a malformed one by itself, before any function."""
    form = '--b\r\nContent-Disposition: form-data; name="email"\r\n\r\na@example.com\r\n--b--\r\n'
    refused(nobody.send("POST", "/users", data=form, headers={"Content-Type": "multipart/form-data; boundary=b"}), 415)


# HTTP itself


def test_head_and_options_are_answered_without_a_body(settled: Household, nobody: Client) -> None:
    head, get = (settled.client.send(method, "/providers") for method in ("HEAD", "GET"))
    assert (head.status_code, head.content) == (get.status_code, b"") == (200, b"")
    assert head.headers["Content-Type"] == get.headers["Content-Type"]

    options = nobody.send("OPTIONS", "/accounts")
    assert (options.status_code, options.content) == (204, b"")
    assert "OPTIONS" in options.headers["Allow"]


@pytest.mark.parametrize("method", ["TRACE", "CONNECT", "PROPFIND"])
def test_methods_that_nobody_offers_are_refused(nobody: Client, method: str) -> None:
    host = urlsplit(nobody.base_url)
    if host.scheme != "http":
        pytest.skip("spoken to in plain text")
    with socket.create_connection((host.hostname or "", host.port or 80), 10) as raw:
        raw.sendall(
            f"{method} {host.path}/health HTTP/1.1\r\nHost: {host.netloc}\r\nConnection: close\r\n\r\n".encode()
        )
        status = int(raw.recv(4096).split()[1])
    assert 400 <= status < 502
