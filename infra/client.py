"""The platform's HTTP API as Python methods: what the demo, the seed and the integration tests share.

`send` answers whatever the API answers; everything else raises ApiError unless the API says 2xx.
"""

import re
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import urlsplit

import requests

Json = dict[str, Any]  # Any: JSON as the API answers it
T = TypeVar("T")

TIMEOUT = 35.0  # seconds; API Gateway itself ends at 29
FIRST_PAUSE, LONGEST_PAUSE = 0.05, 0.5  # seconds between two looks at something that is awaited
ENDED = frozenset({"succeeded", "partial", "failed"})
LARGEST_PAGE = 200
BUSY = frozenset({429, 503, 504})
REPEATABLE = frozenset({("POST", "/refreshes")})
"""Commands that may be sent again when it is not known whether they arrived; GET always may."""
TRIES, LONGEST_RETRY_AFTER = 3, 5.0


class ApiError(Exception):
    """The API refused. `problem` is the RFC 9457 document, or empty when the answer was none."""

    def __init__(self, method: str, path: str, answer: requests.Response) -> None:
        self.status = answer.status_code
        self.problem: Json = _json_object(answer)
        said = self.problem.get("detail") or answer.text[:200]
        named = "; ".join(f"{e['field']}: {e['message']}" for e in self.problem.get("errors", ()))
        super().__init__(f"{method} {path} answered {self.status}: {said}" + (f" ({named})" if named else ""))


@dataclass(frozen=True)
class Aggregation:
    """All pages of GET /bills. `sources` are those of the first page."""

    items: list[Json]
    sources: list[Json]

    def source(self, link_id: str) -> Json:
        """The link's own row; empty when there is none."""
        return next((row for row in self.sources if row["link_id"] == link_id), {})

    def of(self, link_id: str) -> list[Json]:
        return [bill for bill in self.items if bill["link_id"] == link_id]


class Client:
    """One caller of the API at `base_url`, which ends in the stage. Without `token` it calls as nobody."""

    def __init__(self, base_url: str, token: str = "", session: requests.Session | None = None) -> None:
        self.base_url = base_url.rstrip("/")
        self.token = token
        self._session = session or _session(self.base_url)

    def with_token(self, token: str) -> "Client":
        return Client(self.base_url, token, self._session)

    def close(self) -> None:
        """Closes the connections, of the clients that came out of this one too."""
        self._session.close()

    def send(
        self,
        method: str,
        path: str,
        *,
        json: object = None,
        data: str | bytes | None = None,
        query: Mapping[str, str | int] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> requests.Response:
        """Any request, any answer. `json` is sent as JSON, `data` as it is."""
        own = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        return self._session.request(
            method,
            self.base_url + path,
            json=json,
            data=data,
            params=query,
            headers={**own, **(headers or {})},
            timeout=TIMEOUT,
            allow_redirects=False,
        )

    def call(self, method: str, path: str, json: object = None, query: Mapping[str, str | int] | None = None) -> Json:
        """The JSON object of a 2xx answer; empty for one without a body. A busy API is asked again, if that is safe."""
        tries = TRIES if method == "GET" or (method, path) in REPEATABLE else 1
        while True:
            answer = self.send(method, path, json=json, query=query)
            tries -= 1
            if answer.ok:
                return _json_object(answer)
            if not tries or answer.status_code not in BUSY:
                raise ApiError(method, path, answer)
            time.sleep(min(float(answer.headers.get("Retry-After", 1)), LONGEST_RETRY_AFTER))

    def pages(self, path: str, **query: str | int) -> Iterator[Json]:
        """Every page of a list."""
        page = self.call("GET", path, query={"limit": LARGEST_PAGE, **query})
        yield page
        while page.get("next_cursor"):
            page = self.call("GET", path, query={"limit": LARGEST_PAGE, **query, "cursor": page["next_cursor"]})
            yield page

    # The operations, in the order of a household's journey.

    def register(self, email: str, password: str, name: str) -> Json:
        return self.call("POST", "/users", {"email": email, "password": password, "name": name})

    def login(self, email: str, password: str) -> "Client":
        """A client that calls as this user."""
        return self.with_token(self.call("POST", "/auth/login", {"email": email, "password": password})["access_token"])

    def providers(self) -> list[Json]:
        return [item for page in self.pages("/providers") for item in page["items"]]

    def link(
        self, provider_id: str, params: Mapping[str, str], username: str, password: str, nickname: str = ""
    ) -> Json:
        body: Json = {
            "provider_id": provider_id,
            "params": dict(params),
            "credentials": {"username": username, "password": password},
        }
        return self.call("POST", "/accounts", body | ({"nickname": nickname} if nickname else {}))

    def accounts(self) -> list[Json]:
        return [item for page in self.pages("/accounts") for item in page["items"]]

    def unlink(self, link_id: str) -> None:
        self.call("DELETE", f"/accounts/{link_id}")

    def refresh(self, *link_ids: str) -> str:
        """Asks for a refresh, of all links if none is named. Answers the job's id."""
        return str(self.call("POST", "/refreshes", {"link_ids": list(link_ids)} if link_ids else {})["job_id"])

    def await_job(self, job_id: str, seconds: float, watch: Callable[[Json], None] = lambda _: None) -> Json:
        """The job once it has ended; `watch` sees it each time it is looked at. Raises TimeoutError."""

        def ended() -> Json | None:
            job = self.call("GET", f"/jobs/{job_id}")
            watch(job)
            return job if job["state"] in ENDED else None

        return await_value(ended, seconds, f"the end of job {job_id}")

    def bills(self, **query: str | int) -> Aggregation:
        pages = list(self.pages("/bills", **query))
        return Aggregation([bill for page in pages for bill in page["items"]], pages[0]["sources"])

    def move_clock(self, **move: object) -> str:
        """Moves the sandbox's virtual date (role admin). Answers the date that holds now."""
        return str(self.call("POST", "/mock/clock", move)["date"])


def await_value(look: Callable[[], T | None], seconds: float, what: str) -> T:
    """Looks until there is something that counts as true, at most for `seconds`. Raises TimeoutError, naming `what`."""
    until, pause = time.monotonic() + seconds, FIRST_PAUSE
    while True:
        if found := look():
            return found
        if time.monotonic() > until:
            raise TimeoutError(f"{what} did not come within {seconds:.0f} s")
        time.sleep(pause)
        pause = min(pause * 1.5, LONGEST_PAUSE)


def example_params(provider: Json) -> dict[str, str]:
    """Values for the provider's obligatory `customer_params`: each example with other digits, if the rules allow it."""
    return {param["name"]: _like_example(param) for param in provider["customer_params"] if not param.get("optional")}


def _like_example(param: Json) -> str:
    example = str(param["example"])
    other = re.sub(r"[0-9]", lambda _: str(secrets.randbelow(10)), example)
    return other if re.fullmatch(param.get("regex") or ".*", other) else example


def _session(base_url: str) -> requests.Session:
    session = requests.Session()
    session.trust_env = urlsplit(base_url).hostname not in {"127.0.0.1", "localhost"}  # no proxy to this machine
    return session


def _json_object(answer: requests.Response) -> Json:
    try:
        value = answer.json()
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
