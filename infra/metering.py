"""What functions ask of AWS, counted on its way to an emulator: a proxy that they call in its place.

DynamoDB is asked to say what each call consumed, indexes included; the other services are counted by request. What is
changed on its way, if only its address, is signed anew, as the account's owner: what functions may do is not measured.
"""

import json
import sys
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any  # Any: JSON of any service
from urllib.parse import parse_qs, urlsplit

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

READS = frozenset({"BatchGetItem", "GetItem", "Query", "Scan", "TransactGetItems"})
HOP_BY_HOP = frozenset({"connection", "content-length", "host", "keep-alive", "transfer-encoding"})
SIGNATURE = frozenset({"authorization", "x-amz-content-sha256", "x-amz-date", "x-amz-security-token"})
OWNER = Credentials("test", "test")
"""Of an emulator's account."""
SNS_CHUNK = 65_536
"""Bytes of a publish that count as one request; a batch counts as a whole."""


class Meter:
    """Counts what it is shown. `queues`: of each queue, the event types that the topic sends there; None for all."""

    def __init__(self, queues: Mapping[str, frozenset[str] | None], ignored_tables: frozenset[str]) -> None:
        self._queues, self._ignored = queues, ignored_tables
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()

    def taken(self) -> Counter[str]:
        """What was counted since the last time."""
        with self._lock:
            counts, self._counts = self._counts, Counter()
        return counts

    def see(self, service: str, operation: str, request: bytes, answer: bytes) -> None:
        """One call that was answered without an error."""
        if service == "dynamodb":
            counts = self._dynamodb(operation, answer)
        elif service == "sns":
            counts = self._sns(request)
        else:
            counts = Counter({f"{service}_requests": 1})
        with self._lock:
            self._counts.update(counts)

    def _dynamodb(self, operation: str, answer: bytes) -> Counter[str]:
        consumed = json.loads(answer).get("ConsumedCapacity") or []
        told = [consumed] if isinstance(consumed, dict) else consumed
        kind = "read" if operation in READS else "write"
        units = sum(float(each["CapacityUnits"]) for each in told if each["TableName"] not in self._ignored)
        # in tenths, so that it stays a count of whole ones: an eventually consistent read is half a unit
        return Counter({f"dynamodb_{kind}_tenths": round(units * 10)} if units else {})

    def _sns(self, request: bytes) -> Counter[str]:
        fields = parse_qs(request.decode())
        documents = [values[0] for name, values in fields.items() if name.endswith("Message")]
        kinds = [str(json.loads(document)["type"]) for document in documents]
        delivered = sum(wanted is None or kind in wanted for kind in kinds for wanted in self._queues.values())
        size = sum(len(document.encode()) for document in documents)
        return Counter({"sns_requests": max(1, -(-size // SNS_CHUNK)), "sqs_requests": delivered, "events": len(kinds)})


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: "_Server"

    def do_POST(self) -> None:  # the base class's name; what functions call in these flows is all POST
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        service, operation = _called(dict(self.headers), body)
        sent = _asking_for_capacity(body) if service == "dynamodb" else body
        headers = self._signed(sent, {n: value for n, value in self.headers.items() if n.lower() not in HOP_BY_HOP})
        upstream = HTTPConnection(self.server.upstream, timeout=120)
        try:
            upstream.request(self.command, self.path, sent, headers | {"Content-Length": str(len(sent))})
            answer = upstream.getresponse()
            text = answer.read()
        except (OSError, HTTPException):
            self.close_connection = True
            return
        finally:
            upstream.close()
        if answer.status < 300:
            self.server.meter.see(service, operation, sent, text)
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in HOP_BY_HOP:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def _signed(self, body: bytes, headers: dict[str, str]) -> dict[str, str]:
        """The headers with a signature for what is sent, where there was one for what came."""
        scope = _scope(headers)
        if not scope:
            return headers
        kept = {name: value for name, value in headers.items() if name.lower() not in SIGNATURE}
        request = AWSRequest(self.command, f"http://{self.server.upstream}{self.path}", kept, body)
        SigV4Auth(OWNER, scope["service"], scope["region"]).add_auth(request)
        return dict(request.headers.items())

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base class's name
        """Nothing: the counts are what is wanted."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, meter: Meter, upstream: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.meter, self.upstream = meter, upstream

    def handle_error(self, request: object, client_address: object) -> None:
        """A function that was cut off waits for no answer any more; anything else is told of."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]  # passed on as it came


@contextmanager
def metered(endpoint: str, meter: Meter) -> Iterator[str]:
    """The address of a proxy to `endpoint` whose calls `meter` sees, for as long as the block runs."""
    server = _Server(meter, urlsplit(endpoint).netloc)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def _called(headers: Mapping[str, str], body: bytes) -> tuple[str, str]:
    """Service and operation, by the scope of the signature and the protocol that the service speaks."""
    service = _scope(headers).get("service", "unsigned")
    target = headers.get("X-Amz-Target", "").rpartition(".")[2]
    return service, target or parse_qs(body[:200].decode(errors="replace")).get("Action", [""])[0]


def _scope(headers: Mapping[str, str]) -> dict[str, str]:
    """Region and service of a signature; empty without one."""
    scope = headers.get("Authorization", "").partition("Credential=")[2].split("/")
    return {"region": scope[2], "service": scope[3]} if len(scope) > 3 else {}


def _asking_for_capacity(body: bytes) -> bytes:
    asked: dict[str, Any] = json.loads(body)
    return json.dumps(asked | {"ReturnConsumedCapacity": "TOTAL"}).encode()
