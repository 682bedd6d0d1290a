"""The meter is shown what services answer; the proxy stands between a client and a server of its own."""

import json
import threading
from collections.abc import Iterator
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import urlencode, urlsplit

import pytest

from infra.metering import Meter, metered

QUEUES = {"refresh": frozenset({"bills.refresh_requested.v1"}), "audit": None}


@pytest.fixture
def meter() -> Meter:
    return Meter(QUEUES, frozenset({"mock"}))


def consumed(table: str, units: float) -> dict[str, object]:
    return {"TableName": table, "CapacityUnits": units}


def test_capacity_is_counted_in_tenths_by_reads_and_writes(meter: Meter) -> None:
    meter.see("dynamodb", "Query", b"{}", json.dumps({"ConsumedCapacity": consumed("bills", 0.5)}).encode())
    meter.see("dynamodb", "UpdateItem", b"{}", json.dumps({"ConsumedCapacity": consumed("bills", 3)}).encode())

    assert meter.taken() == {"dynamodb_read_tenths": 5, "dynamodb_write_tenths": 30}


def test_calls_of_several_tables_are_added_and_the_sandboxs_left_out(meter: Meter) -> None:
    tables = [consumed("links", 4), consumed("keys", 2), consumed("mock", 9)]

    meter.see("dynamodb", "TransactWriteItems", b"{}", json.dumps({"ConsumedCapacity": tables}).encode())

    assert meter.taken() == {"dynamodb_write_tenths": 60}


def test_what_was_taken_is_counted_no_more(meter: Meter) -> None:
    meter.see("kms", "Decrypt", b"{}", b"{}")

    assert meter.taken() == {"kms_requests": 1}
    assert meter.taken() == {}


def test_a_batch_of_events_is_one_request_and_a_delivery_to_each_queue_that_wants_it(meter: Meter) -> None:
    kinds = ["bills.refresh_requested.v1", "bill.created.v1"]
    prefix = "PublishBatchRequestEntries.member"
    fields = {f"{prefix}.{n}.Message": json.dumps({"type": kind}) for n, kind in enumerate(kinds, 1)}

    meter.see("sns", "PublishBatch", urlencode({"Action": "PublishBatch", **fields}).encode(), b"<ok/>")

    assert meter.taken() == {"sns_requests": 1, "sqs_requests": 3, "events": 2}


def test_a_publish_counts_by_64_kilobytes(meter: Meter) -> None:
    message = json.dumps({"type": "bill.created.v1", "data": "x" * 130_000})

    meter.see("sns", "Publish", urlencode({"Action": "Publish", "Message": message}).encode(), b"<ok/>")

    assert meter.taken()["sns_requests"] == 2


class _Engine(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        signed = self.headers["Authorization"].partition("SignedHeaders=")[2].partition(",")[0]
        assert "host" in signed.split(";"), "for this address, not for the proxy's"
        assert self.headers["X-Amz-Security-Token"] is None
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        refused = "refused" in asked
        answer = json.dumps({"asked": asked, "ConsumedCapacity": consumed("bills", 1)}).encode()
        self.send_response(400 if refused else 200)
        self.send_header("X-Amzn-RequestId", "r-1")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def engine() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), _Engine)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def asked(address: str, body: dict[str, object], service: str = "dynamodb") -> tuple[int, dict[str, object]]:
    connection = HTTPConnection(urlsplit(address).netloc, timeout=10)
    headers = {
        "Authorization": f"AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/{service}/aws4_request, Signature=x",
        "X-Amz-Target": "DynamoDB_20120810.PutItem",
        "X-Amz-Security-Token": "of a function",
    }
    connection.request("POST", "/", json.dumps(body), headers)
    answer = connection.getresponse()
    assert answer.getheader("X-Amzn-RequestId") == "r-1"
    told = answer.status, json.loads(answer.read())
    connection.close()
    return told


@pytest.mark.usefixtures("socket_enabled")
class TestProxy:
    def test_a_call_of_dynamodb_is_asked_for_what_it_consumed(self, engine: str, meter: Meter) -> None:
        with metered(engine, meter) as address:
            status, answer = asked(address, {"TableName": "bills"})

        assert status == 200
        assert answer["asked"] == {"TableName": "bills", "ReturnConsumedCapacity": "TOTAL"}
        assert meter.taken() == {"dynamodb_write_tenths": 10}

    def test_other_services_are_passed_on_as_they_are(self, engine: str, meter: Meter) -> None:
        with metered(engine, meter) as address:
            _, answer = asked(address, {"KeyId": "1"}, service="kms")

        assert answer["asked"] == {"KeyId": "1"}
        assert meter.taken() == {"kms_requests": 1}

    def test_what_was_refused_is_passed_on_and_not_counted(self, engine: str, meter: Meter) -> None:
        with metered(engine, meter) as address:
            status, _ = asked(address, {"refused": True})

        assert status == 400
        assert meter.taken() == {}
