"""The floor of a live read: calls of the utility, at once, and behind each a conditional write, with nothing around.

`python -m … <utility's port> <table's port> <links>` prints its port and serves until its input ends; a GET has all
links read, and answers when they are. The table is handlers/sorted_table.py.
"""

import http.client
import itertools
import json
import os
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

from tests.bench.live_read import call_utility

TARGET = "DynamoDB_20120810.PutItem"


class Reads(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    ports: ClassVar[tuple[int, int]]
    links: ClassVar[int]
    revisions: ClassVar[Iterator[int]] = itertools.count(1)
    pool: ClassVar[ThreadPoolExecutor]

    def do_GET(self) -> None:
        revision = next(self.revisions)
        list(self.pool.map(self._read, range(self.links), [revision] * self.links))
        self.send_response(200)
        self.send_header("Content-Length", "4")
        self.end_headers()
        self.wfile.write(b"done")

    def log_message(self, *_: object) -> None:
        """Nobody reads it."""

    def _read(self, link: int, revision: int) -> None:
        utility, table = self.ports
        call_utility(utility)
        body = json.dumps(_write(link, revision))
        connection = http.client.HTTPConnection("127.0.0.1", table, timeout=10)
        connection.request("POST", "/", body, {"X-Amz-Target": TARGET})
        answer = connection.getresponse()
        if answer.status != 200:
            raise RuntimeError(f"the table answered {answer.status}: {answer.read()!r}")
        answer.read()
        connection.close()


def _write(link: int, revision: int) -> dict[str, object]:
    """As large as a link's record, on the condition that it stands as the read before left it."""
    item = {"user_id": {"S": "bare"}, "sk": {"S": f"link#{os.getpid()}-{link}"}, "revision": {"N": str(revision)}}
    rest = {f"attribute_{number}": {"S": "about as long"} for number in range(16)}
    if revision == 1:
        return {"Item": item | rest, "ConditionExpression": "attribute_not_exists (sk)"}
    values = {":0": {"N": str(revision - 1)}}
    return {"Item": item | rest, "ConditionExpression": "revision = :0", "ExpressionAttributeValues": values}


def serve(utility: int, table: int, links: int) -> None:
    Reads.ports, Reads.links, Reads.pool = (utility, table), links, ThreadPoolExecutor(links)
    with ThreadingHTTPServer(("127.0.0.1", 0), Reads) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,)).start()
        print(server.server_address[1], flush=True)
        sys.stdin.read()
        server.shutdown()


if __name__ == "__main__":
    serve(*map(int, sys.argv[1:]))
