"""A utility that takes its time, on loopback: `python -m … <seconds>` prints its port and serves until its input ends.

It gives the CSV statements of the account that is asked for, always the same, as any number of connections at once.
"""

import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

HEAD = (
    '"Account No","Statement No","Statement Date","Period From","Period To","Due Date","Description","Charge Type",'
    '"Quantity","Unit","Rate","Amount","Currency","Statement Total","Status","Plan"\r\n'
)
ROW = (
    '"{account}","{account}-{month:02}","18/{month:02}/2026","01/{month:02}/2026","17/{month:02}/2026","28/{month:02}/2026",'
    '"Fibre 300 plan, monthly","Fee","","","","1,376.94","INR","1,376.94","UNPAID","Fibre 300"\r\n'
)
MONTHS = 6


class Statements(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body go out together: else the client's delayed acknowledgement is measured
    disable_nagle_algorithm = True
    seconds = 0.0

    def do_GET(self) -> None:
        time.sleep(self.seconds)
        account = parse_qs(urlsplit(self.path).query).get("account", ["none"])[0]
        body = (HEAD + "".join(ROW.format(account=account, month=month + 1) for month in range(MONTHS))).encode()
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


def serve(seconds: float) -> None:
    Statements.seconds = seconds
    with Server(("127.0.0.1", 0), Statements) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,)).start()
        print(server.server_address[1], flush=True)
        sys.stdin.read()
        server.shutdown()


if __name__ == "__main__":
    serve(float(sys.argv[1]))
