"""Imports and exports over HTTP: what they answer, and what they refuse."""

import base64
import json
from typing import Any

import pytest

from functions.bill_aggregation_service import bootstrap, files_app, import_app
from functions.bill_aggregation_service import exports as exporting
from tests.support.http import Result, configure, request, token
from tests.unit.bill_aggregation_service.espi.feeds import entry, feed, summary
from tests.unit.bill_aggregation_service.fakes import LINK, USER
from tests.unit.bill_aggregation_service.file_fakes import MANUAL, FileWorld

MAX = 4_194_304
app = configure(files_app.app, max_body_bytes=MAX)
FILE = feed(entry(summary()))
UNKNOWN = "lnk_01JD3N8Z6W3V9K4T7Q2M5XBRPX"


class NoDeadLetters:
    max_deliveries = 5

    def bury(self, record: Any, handler: str, reason: str) -> bool:
        return False


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> FileWorld:
    built = FileWorld()
    monkeypatch.setattr(bootstrap, "importer", lambda: built.importer)
    monkeypatch.setattr(bootstrap, "uploads", lambda: built.uploads)
    monkeypatch.setattr(bootstrap, "exports", lambda: built.exports)
    monkeypatch.setattr(bootstrap, "import_work", lambda: built.work)
    monkeypatch.setattr(bootstrap, "dead_letters", NoDeadLetters)
    return built


def post(document: bytes, content_type: str = "application/xml", **query: str) -> Result:
    headers = {"content-type": content_type}
    return request(
        app, "POST", "/imports/green-button", document.decode(), query=query, headers=headers, bearer=token(USER)
    )


def ask(method: str, resource: str, import_id: str = "", **query: str) -> Result:
    path = {"import_id": import_id} if "{import_id}" in resource else None
    return request(app, method, resource, path=path, query=query, bearer=token(USER))


@pytest.mark.parametrize("content_type", ["application/xml", "text/xml; charset=utf-8", "application/atom+xml"])
def test_import(world: FileWorld, content_type: str) -> None:
    answer = post(FILE, content_type)

    assert (answer.status, answer.json) == (
        200,
        {"link_id": MANUAL, "created": 1, "updated": 0, "unchanged": 0, "skipped": [], "skipped_count": 0},
    )


def test_import_of_bytes_that_are_no_utf_8(world: FileWorld) -> None:
    document = b'<?xml version="1.0" encoding="iso-8859-1"?>' + FILE.replace(b"<title/>", b"<title>\xe4</title>")
    event = {
        "headers": {"content-type": "application/xml", "authorization": f"Bearer {token(USER)}"},
        "multiValueQueryStringParameters": None, "pathParameters": None, "stageVariables": None,
        "requestContext": {
            "httpMethod": "POST", "resourcePath": "/imports/green-button", "path": "/v1/imports/green-button",
            "identity": {"sourceIp": "192.0.2.7"},
        },
        "body": base64.b64encode(document).decode(), "isBase64Encoded": True,
    }  # fmt: skip

    answer = app(event, None)

    assert answer["statusCode"] == 200
    assert json.loads(answer["body"])["created"] == 1


def test_import_into_a_link_with_a_currency(world: FileWorld) -> None:
    document = feed(entry(summary("<billLastPeriod>100000</billLastPeriod>")), entry(summary(period=""), "/UsageSummary/X"))  # fmt: skip  # noqa: E501

    answer = post(document, link_id=LINK, currency="JPY").json

    assert (answer["link_id"], answer["created"], answer["skipped_count"]) == (LINK, 1, 1)
    assert answer["skipped"] == [
        {"reason": "no_period", "detail": "The bill has no billing period.", "entry": "/UsageSummary/X"}
    ]
    (bill,) = world.store.kept.values()
    assert (bill.content.amount_minor, bill.content.currency) == (1, "JPY")


@pytest.mark.parametrize(
    ("document", "query", "status", "code"),
    [
        (FILE, {"link_id": UNKNOWN}, 404, "link_not_found"),
        (b"<", {"link_id": "lnk_1"}, 404, "link_not_found"),
        (FILE, {"currency": "dollars"}, 422, "invalid_input"),
        (FILE, {"currency": "XXX"}, 422, "invalid_input"),
        (FILE, {"zone": "UTC"}, 422, "invalid_input"),
        (b"", {}, 400, "malformed_xml"),
        (b"<", {}, 400, "malformed_xml"),
        (b"<!DOCTYPE feed [<!ENTITY a 'b'>]><feed>&a;</feed>", {}, 400, "dtd_refused"),
        (b"<html/>", {}, 422, "not_green_button"),
    ],
)
def test_refused_imports(world: FileWorld, document: bytes, query: dict[str, str], status: int, code: str) -> None:
    answer = post(document, **query)

    assert (answer.status, answer.json["code"]) == (status, code)
    assert world.store.kept == {}


def test_another_content_type(world: FileWorld) -> None:
    assert post(b"{}", "application/json").status == 415


def test_no_body_is_larger_than_4_mb(world: FileWorld) -> None:
    padding = b" " * (MAX - len(FILE))

    assert post(FILE + padding).status == 200
    assert post(FILE + padding + b" ").status == 413


def test_the_way_of_an_uploaded_file(world: FileWorld) -> None:
    created = ask("POST", "/imports", link_id=LINK)
    import_id = created.json["import_id"]
    assert (created.status, created.headers["Location"], created.json["state"]) == (
        201,
        f"imports/{import_id}",
        "uploading",
    )
    assert created.json["upload"]["url"] == "https://files.example"
    early = ask("POST", "/imports/{import_id}/start", import_id)
    assert (early.status, early.json["code"]) == (409, "upload_missing")

    world.files.kept[created.json["upload"]["fields"]["key"]] = FILE
    started = ask("POST", "/imports/{import_id}/start", import_id)
    assert (started.status, started.json["state"]) == (202, "queued")

    records = [
        {"messageId": "m-1", "receiptHandle": "", "body": event.to_json(), "attributes": {}}
        for event in world.queue.sent
    ]
    assert import_app.run_import({"Records": records}, None) == {"batchItemFailures": []}

    done = ask("GET", "/imports/{import_id}", import_id).json
    assert done == {
        "import_id": import_id, "state": "succeeded", "error": None, "link_id": LINK, "created": 1, "updated": 0,
        "unchanged": 0, "skipped": [], "skipped_count": 0, "created_at": "2026-03-15T12:00:00.000Z",
        "updated_at": "2026-03-15T12:00:00.000Z",
    }  # fmt: skip


def test_a_failed_import_says_why(world: FileWorld) -> None:
    created = ask("POST", "/imports").json
    world.files.kept[created["upload"]["fields"]["key"]] = b"<html/>"
    ask("POST", "/imports/{import_id}/start", created["import_id"])
    world.work.run(world.queue.sent[0])

    answer = ask("GET", "/imports/{import_id}", created["import_id"]).json

    assert (answer["state"], answer["error"]["code"]) == ("failed", "not_green_button")


@pytest.mark.parametrize(
    ("method", "resource"), [("GET", "/imports/{import_id}"), ("POST", "/imports/{import_id}/start")]
)
@pytest.mark.parametrize("import_id", ["imp_01JD3N8Z6W3V9K4T7Q2M5XBRPC", "x"])
def test_an_unknown_import(world: FileWorld, method: str, resource: str, import_id: str) -> None:
    answer = ask(method, resource, import_id)

    assert (answer.status, answer.json["code"]) == (404, "import_not_found")


@pytest.mark.parametrize(
    ("wanted", "content_type", "name"),
    [
        ("green-button", "application/atom+xml; charset=utf-8", "bills-2026-03-15.xml"),
        ("csv", "text/csv; charset=utf-8", "bills-2026-03-15.csv"),
        ("json", "application/json", "bills-2026-03-15.json"),
    ],
)
def test_export(world: FileWorld, wanted: str, content_type: str, name: str) -> None:
    post(FILE)

    answer = ask("GET", "/bills/export", format=wanted)

    assert (answer.status, answer.headers["Content-Type"]) == (200, content_type)
    assert answer.headers["Content-Disposition"] == f'attachment; filename="{name}"'
    assert "6752" in answer.text


def test_a_large_export_is_a_download(world: FileWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    post(FILE)
    monkeypatch.setattr(exporting, "MAX_INLINE_BYTES", 10)

    answer = ask("GET", "/bills/export", format="csv").json

    assert set(answer) == {"download"}
    assert answer["download"]["url"].startswith("https://files.example/exports/")
    assert answer["download"]["expires_at"] == "2026-03-15T12:15:00.000Z"


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"format": "pdf"}, "format"),
        ({"from": "2026-03-02", "to": "2026-03-01"}, "from"),
        ({"link_id": "lnk_1"}, "link_id"),
        ({"limit": "5"}, "limit"),
    ],
)
def test_refused_exports(world: FileWorld, query: dict[str, str], field: str) -> None:
    answer = ask("GET", "/bills/export", **query)

    assert answer.status == 422
    assert field in answer.fields
