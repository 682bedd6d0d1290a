"""A stand-in for BillsTable that reads as DynamoDB does: a query costs what it returns, however much lies beside it.

`python -m …` prints its port and serves DynamoDB's HTTP protocol until its input ends, as far as BillTable speaks it.
The emulators look at a whole partition for each query and answer one call after the other, which would be measured here
instead of our code; DynamoDB does neither. Conditions are judged where a link's record is written; events that were
sent go.
"""

import bisect
import json
import re
import sys
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

Item = dict[str, dict[str, Any]]  # Any: DynamoDB's JSON
PLACES = re.compile(r":\d+")
COUNTERS = ("revision", "edition", "version")
"""What conditions of writes compare."""
TOP = "\U0010ffff"


class Rows:
    """The items of all users, by key and in the order of the index."""

    def __init__(self) -> None:
        self.items: dict[tuple[str, str], Item] = {}
        self.orders: dict[str, list[tuple[str, str]]] = {}
        self.lock = threading.Lock()

    def put(self, item: Item, condition: str = "", values: Mapping[str, dict[str, Any]] | None = None) -> bool:
        """False when the item is not at the revision, or edition, that the condition wants."""
        key = (item["user_id"]["S"], item["sk"]["S"])
        with self.lock:
            known = self.items.get(key)
            if condition and not _holds(known, condition, values or {}):
                return False
            order = self.orders.setdefault(key[0], [])
            if known and "sort_key" in known:
                del order[bisect.bisect_left(order, (known["sort_key"]["S"], key[1]))]
            if "sort_key" in item:
                bisect.insort(order, (item["sort_key"]["S"], key[1]))
            self.items[key] = item
            return True

    def query(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        values, where = asked["ExpressionAttributeValues"], asked["KeyConditionExpression"]
        user, low, *rest = [values[place]["S"] for place in PLACES.findall(where)]
        high = rest[0] if rest else TOP
        order = self.orders.get(user, [])
        if "begins_with" in where:
            high = low + TOP
        start, end = bisect.bisect_left(order, (low, "")), bisect.bisect_right(order, (high, TOP))
        if after := asked.get("ExclusiveStartKey"):
            end = min(end, bisect.bisect_left(order, (after["sort_key"]["S"], after["sk"]["S"])))
        first = max(start, end - asked.get("Limit", 10_000))
        found = [self.items[user, sk] for _, sk in reversed(order[first:end])]
        passed = [_shown(item, asked) for item in found if _passes(item, asked)]
        answer: dict[str, Any] = {"Items": passed, "Count": len(passed), "ScannedCount": len(found)}
        if first > start:
            answer["LastEvaluatedKey"] = {name: found[-1][name] for name in ("user_id", "sk", "sort_key")}
        return answer


def _passes(item: Item, asked: Mapping[str, Any]) -> bool:
    """A filter compares one attribute."""
    if "FilterExpression" not in asked:
        return True
    name, value = re.findall(r"[#:]\d+", asked["FilterExpression"])
    wanted: dict[str, Any] = asked["ExpressionAttributeValues"][value]
    return item.get(asked["ExpressionAttributeNames"][name]) == wanted


def _shown(item: Item, asked: Mapping[str, Any]) -> Item:
    """A projection names attributes by places."""
    if "ProjectionExpression" not in asked:
        return item
    names = [asked["ExpressionAttributeNames"][place] for place in asked["ProjectionExpression"].split(", ")]
    return {name: item[name] for name in names if name in item}


def _holds(known: Item | None, condition: str, values: Mapping[str, dict[str, Any]]) -> bool:
    if "attribute_not_exists" in condition:
        return known is None
    wanted = {value["N"] for value in values.values() if "N" in value}
    return known is not None and wanted <= {known[name]["N"] for name in COUNTERS if name in known}


class Protocol(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body go out together: else the client's delayed acknowledgement is measured
    disable_nagle_algorithm = True
    rows = Rows()
    done: ClassVar[set[str]] = set()

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        operation = self.headers["X-Amz-Target"].rpartition(".")[2]
        status, answer = self._answer(operation, asked)
        body = json.dumps(answer, separators=(",", ":")).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/x-amz-json-1.0")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nobody reads it."""

    def _answer(self, operation: str, asked: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        match operation:
            case "Query":
                return 200, self.rows.query(asked)
            case "GetItem":
                found = self.rows.items.get(_key(asked["Key"]))
                return 200, {"Item": found} if found else {}
            case "BatchGetItem":
                ((name, wanted),) = asked["RequestItems"].items()
                found_all = [self.rows.items[key] for key in map(_key, wanted["Keys"]) if key in self.rows.items]
                return 200, {"Responses": {name: found_all}, "UnprocessedKeys": {}}
            case "PutItem":
                return self._put(asked)
            case "UpdateItem":
                item = self.rows.items.get(_key(asked["Key"]), {})
                item.pop("outbox", None)
                item.pop("outbox_shard", None)
                return 200, {"Attributes": item}
            case "TransactWriteItems":
                return self._transact(asked)
        return 400, {"__type": "com.amazonaws.dynamodb.v20120810#ValidationException", "message": operation}

    def _transact(self, asked: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Once, however often the client sends it again after its connection broke."""
        if asked["ClientRequestToken"] in self.done:
            return 200, {}
        self.done.add(asked["ClientRequestToken"])
        puts = [each["Put"] for each in asked["TransactItems"] if "Put" in each]
        return next((failed for failed in map(self._put, puts) if failed[0] != 200), (200, {}))

    def _put(self, asked: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        values = asked.get("ExpressionAttributeValues")
        if self.rows.put(asked["Item"], asked.get("ConditionExpression", ""), values):
            return 200, {}
        return 400, {"__type": "com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException", "message": ""}


def _key(key: Item) -> tuple[str, str]:
    return key["user_id"]["S"], key["sk"]["S"]


class Server(ThreadingHTTPServer):
    request_queue_size = 256
    daemon_threads = True


def serve() -> None:
    with Server(("127.0.0.1", 0), Protocol) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,)).start()
        print(server.server_address[1], flush=True)
        sys.stdin.read()
        server.shutdown()


if __name__ == "__main__":
    serve()
