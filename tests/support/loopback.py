"""A ServiceApp behind a real HTTP server on loopback: what a real client makes of it, headers, bytes and all."""

import base64
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any  # Any: Lambda's own event
from urllib.parse import parse_qs, unquote, urlsplit

from functions.common.http.app import ServiceApp

PLACES = re.compile(r"\\\{(\w+)\\\}")


@contextmanager
def served(app: ServiceApp) -> Iterator[str]:
    """The origin of a server that answers as API Gateway does, one request after the other as in one function."""
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._answer()

        def do_POST(self) -> None:
            self._answer()

        def log_message(self, *_: object) -> None:
            """Nobody reads it."""

        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            event = _event(app, self.command, self.path, dict(self.headers.items()), body)
            with lock:
                answer = app(event, None)
            sent = base64.b64decode(answer["body"]) if answer.get("isBase64Encoded") else answer["body"].encode()
            self.send_response(answer["statusCode"])
            for name, value in {**answer["headers"], "Content-Length": str(len(sent))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(sent)

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


def _event(app: ServiceApp, method: str, url: str, headers: Mapping[str, str], body: bytes) -> dict[str, Any]:
    asked = urlsplit(url)
    resource, places = _resource(app, asked.path)
    return {
        "headers": dict(headers),
        "multiValueQueryStringParameters": parse_qs(asked.query, keep_blank_values=True) or None,
        "pathParameters": places or None,
        "requestContext": {
            "httpMethod": method, "resourcePath": resource, "path": asked.path,
            "identity": {"sourceIp": "127.0.0.1"},
        },
        "body": body.decode() or None,
        "isBase64Encoded": False,
        "stageVariables": None,
    }  # fmt: skip


def _resource(app: ServiceApp, path: str) -> tuple[str, dict[str, str]]:
    """The route that takes this path, and what stands in its places."""
    for route in app.routes:
        found = re.fullmatch(PLACES.sub(r"(?P<\1>[^/]+)", re.escape(route)), path)
        if found:
            return route, {name: unquote(value) for name, value in found.groupdict().items()}
    return path, {}
