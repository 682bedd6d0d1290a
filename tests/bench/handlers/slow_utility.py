"""A utility that takes its time, on loopback: `python -m … <seconds> [changing]` prints its port and serves until its
input ends.

It gives the CSV statements of the account that is asked for, always the same, as any number of connections at once; or,
`changing`, with another amount of the last one each time.
"""

import itertools
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

HEAD = (
    '"Account No","Statement No","Statement Date","Period From","Period To","Due Date","Description","Charge Type",'
    '"Quantity","Unit","Rate","Amount","Currency","Statement Total","Status","Plan"\r\n'
)
ROW = (
    '"{account}","{account}-{month:02}","18/{month:02}/2026","01/{month:02}/2026","17/{month:02}/2026","28/{month:02}/2026",'
    '"Fibre 300 plan, monthly","Fee","","","","1,{rupees:03}.94","INR","1,{rupees:03}.94","UNPAID","Fibre 300"\r\n'
)
MONTHS = 6


class Statements(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body go out together: else the client's delayed acknowledgement is measured
    disable_nagle_algorithm = True
    seconds = 0.0
    rupees: Iterator[int] = itertools.repeat(376)
    """Beside a thousand, of the last statement's amount."""

    def do_GET(self) -> None:
        time.sleep(self.seconds)
        account = parse_qs(urlsplit(self.path).query).get("account", ["none"])[0]
        amounts = [376] * (MONTHS - 1) + [next(self.rupees)]
        rows = [ROW.format(account=account, month=month, rupees=amount) for month, amount in enumerate(amounts, 1)]
        body = (HEAD + "".join(rows)).encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/csv")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nobody reads it."""


class Server(ThreadingHTTPServer):
    request_queue_size = 256
    daemon_threads = True


def serve(seconds: float, kind: str = "") -> None:
    Statements.seconds = seconds
    if kind == "changing":
        Statements.rupees = itertools.cycle(range(1000))
    with Server(("127.0.0.1", 0), Statements) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,)).start()
        print(server.server_address[1], flush=True)
        sys.stdin.read()
        server.shutdown()


if __name__ == "__main__":
    serve(float(sys.argv[1]), *sys.argv[2:])
