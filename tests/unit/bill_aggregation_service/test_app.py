"""GET /bills over HTTP: what it answers, what it refuses, and what a warm answer costs."""

import subprocess
import sys
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pytest

from functions.bill_aggregation_service import app as module
from functions.bill_aggregation_service import bootstrap
from functions.bill_aggregation_service.adapters.base import ProviderDown
from functions.bill_aggregation_service.clients import RenewalsClient
from functions.bill_aggregation_service.rpc import BILLS
from functions.common import cursor
from functions.common.cache import Cached, Entry, Found
from functions.common.rate_limit import Limit, Verdict
from functions.common.rpc.client import Stub
from functions.common.rpc.server import LambdaRpcHandler
from functions.contracts.events.bills import BillsRefreshRequestedV1
from functions.contracts.events.envelope import unwrap
from tests.support.fakes import LoopbackChannel
from tests.support.http import Result, configure, request, token
from tests.unit.bill_aggregation_service.fakes import LINK, USER, FakeCache, World, fetched

app = configure(module.app)


class KeepingCache(FakeCache):
    """One round trip at a time, in memory. `found`: how it says that an answer is which it has."""

    def __init__(self) -> None:
        super().__init__()
        self.found = Found.FRESH
        self.reads: list[Entry | None] = []

    def limit_and_read(self, owner: str, limit: Limit, entry: Entry | None = None) -> tuple[Verdict, Cached]:
        self.reads.append(entry)
        verdict = Verdict(True, 9, 0.0, 0.0)
        if entry is None:
            return verdict, Cached()
        if entry not in self.filled:
            return verdict, Cached(self.version, found=Found.MISS)
        value, tag, _, _ = self.filled[entry]
        return verdict, Cached(self.version, value, tag, self.found)

    def bump(self, owner: str, space: str) -> None:
        self.version += 1
        self.filled.clear()


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    built = World()
    built.answers = [[fetched("B-1", 1000), fetched("B-2", 2000, date(2026, 2, 18))]]
    built.refresher.refresh_link(USER, LINK)
    monkeypatch.setattr(bootstrap, "service", lambda: built.bills)
    return built


@pytest.fixture
def cache(world: World, monkeypatch: pytest.MonkeyPatch) -> KeepingCache:
    keeping = KeepingCache()
    monkeypatch.setitem(app.__dict__, "cache", keeping)
    world.cache = keeping
    world.refresher = replace(world.refresher, cache=keeping)
    return keeping


@pytest.fixture(autouse=True)
def renewals(world: World, monkeypatch: pytest.MonkeyPatch) -> LoopbackChannel:
    """Where renewals are posted to; they are carried out at once."""
    channel = LoopbackChannel(LambdaRpcHandler(BILLS, lambda: world.servicer))
    monkeypatch.setattr(bootstrap, "renewals", lambda: RenewalsClient(Stub(BILLS, channel)))
    return channel


def get(**query: str) -> Result:
    return request(app, "GET", "/bills", query=query, bearer=token(USER))


def test_the_answer(world: World) -> None:
    answer = get()

    assert answer.status == 200
    assert set(answer.json) == {"items", "sources", "next_cursor"}
    assert answer.json["next_cursor"] is None
    bill = next(item for item in answer.json["items"] if item["external_bill_id"] == "B-1")
    assert bill == {
        "bill_id": bill["bill_id"], "user_id": USER, "link_id": LINK, "provider_id": "prv_northwind_power",
        "external_bill_id": "B-1", "version": 1, "supersedes": None, "type": "bill", "service_type": "electricity",
        "statement_date": None, "due_date": "2026-03-20", "period_start": "2026-01-19", "period_end": "2026-02-18",
        "amount_minor": 1000, "currency": "USD", "total_charges_minor": None, "previous_balance_minor": None,
        "outstanding_balance_minor": None, "usage": [], "line_items": [], "tariff": None, "provider_status": "unknown",
        "paid_at": None, "paid_amount_minor": None, "note": None, "status": "due_soon", "document_url": None,
        "source": "api", "content_hash": bill["content_hash"], "quality_notes": [], "as_of": "2026-03-15T12:00:00.000Z",
        "discovered_at": "2026-03-15T12:00:00.000Z", "updated_at": "2026-03-15T12:00:00.000Z",
    }  # fmt: skip
    assert answer.json["sources"] == [
        {
            "link_id": LINK,
            "provider_id": "prv_northwind_power",
            "outcome": "cached",
            "as_of": "2026-03-15T12:00:00.000Z",
            "error": None,
        }
    ]


def test_pages(world: World) -> None:
    first = get(limit="1").json
    second = get(limit="1", cursor=first["next_cursor"]).json

    assert len(first["items"]) == len(second["items"]) == 1
    assert first["items"] != second["items"]
    assert second["next_cursor"] is None
    assert second["sources"] == first["sources"]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"status": "lost"}, "status"),
        ({"link_id": "lnk_1"}, "link_id"),
        ({"provider_id": "Power"}, "provider_id"),
        ({"service_type": ""}, "service_type"),
        ({"from": "2026-02-30"}, "from"),
        ({"to": "yesterday"}, "to"),
        ({"from": "2026-03-02", "to": "2026-03-01"}, "from"),
        ({"limit": "0"}, "limit"),
        ({"limit": "201"}, "limit"),
        ({"limit": "many"}, "limit"),
        ({"cursor": ""}, "cursor"),
        ({"cursor": "%%%"}, "cursor"),
        ({"cursor": cursor.encode({"after": "l#lnk"})}, "cursor"),
        ({"cursor": cursor.encode({"before": "x"})}, "cursor"),
        ({"refresh": "perhaps"}, "refresh"),
        ({"sort": "asc"}, "sort"),
    ],
)
def test_what_does_not_validate_is_named(world: World, query: dict[str, str], field: str) -> None:
    answer = get(**query)

    assert answer.status == 422
    assert field in answer.fields


def test_without_a_token(world: World) -> None:
    assert request(app, "GET", "/bills").status == 401


def test_a_second_read_comes_from_the_cache(world: World, cache: KeepingCache, monkeypatch: pytest.MonkeyPatch) -> None:
    first = get(limit="10")
    monkeypatch.setattr(bootstrap, "service", lambda: pytest.fail("the cache knew it"))
    second = get(limit="10")

    assert first.json == second.json
    assert len(cache.reads) == 2
    [(body, tag, soft_end, hard_end)] = cache.filled.values()
    assert (soft_end, hard_end) == (world.clock.now() + timedelta(minutes=5), world.clock.now() + timedelta(hours=1))
    assert first.headers["ETag"] == second.headers["ETag"] == f'"{tag}"'
    assert first.text == second.text == body.decode()


def test_who_has_the_kept_answer_already_gets_304(world: World, cache: KeepingCache) -> None:
    tag = get().headers["ETag"]

    again = request(app, "GET", "/bills", bearer=token(USER), headers={"if-none-match": tag})
    as_csv = request(app, "GET", "/bills", bearer=token(USER), headers={"if-none-match": tag, "accept": "text/csv"})

    assert (again.status, again.text) == (304, "")
    assert as_csv.status == 200
    assert as_csv.headers["ETag"] != tag


@pytest.mark.parametrize("path", ["/bills", "/bills/summary"])
def test_an_old_answer_is_served_as_it_is_and_its_renewal_is_posted_once(
    world: World, cache: KeepingCache, renewals: LoopbackChannel, path: str
) -> None:
    query = {"from": "2026-01-01"}
    old = request(app, "GET", path, query=query, bearer=token(USER))
    [entry] = cache.filled
    cache.filled[entry] = (b'{"old":true}', "t", *cache.filled[entry][2:])

    for cache.found in (Found.RENEW, Found.STALE):
        stale = request(app, "GET", path, query=query, bearer=token(USER))
        assert stale.status == 200
        if cache.found is Found.RENEW:
            assert (stale.json, stale.headers["ETag"]) == ({"old": True}, '"t"')

    assert [call.method for call in renewals.calls] == ["billing.bills.v1.Bills/RenewAnswer"]
    assert cache.filled[entry][0] == old.text.encode()
    assert len(cache.filled) == 1
    assert world.publisher.types.count("bills.refresh_requested.v1") == 0


def test_a_renewal_that_cannot_be_posted_costs_the_reader_nothing(
    world: World, cache: KeepingCache, renewals: LoopbackChannel
) -> None:
    first = get()
    cache.found, renewals.down = Found.RENEW, True

    assert get().text == first.text


def test_sources_past_their_soft_age_are_asked_for_by_whoever_reads_them_first(
    world: World, cache: KeepingCache, renewals: LoopbackChannel
) -> None:
    world.clock.advance(timedelta(hours=7))

    assert get().json["sources"][0]["outcome"] == "stale"
    get(limit="10")
    get(limit="20")

    wanted = [event for event in world.publisher.events if event.type == "bills.refresh_requested.v1"]
    assert [unwrap(event, BillsRefreshRequestedV1).link_id for event in wanted] == [LINK]
    assert len(renewals.calls) == 3


def test_without_a_cache_nobody_asks_for_anything(world: World, renewals: LoopbackChannel) -> None:
    """Nothing would keep a thousand readers from asking a thousand times: links are due by themselves."""
    world.clock.advance(timedelta(hours=7))

    assert get().json["sources"][0]["outcome"] == "stale"
    assert renewals.calls == []


def test_the_same_question_has_one_name(world: World, cache: KeepingCache) -> None:
    get()
    get(limit="50")
    get(refresh="false")
    assert len(cache.filled) == 1
    get(limit="51")
    assert len(cache.filled) == 2


def test_a_write_drops_what_was_kept(world: World, cache: KeepingCache) -> None:
    get()
    world.answers = [ProviderDown()]
    world.refresher.refresh_link(USER, LINK)

    assert get().json["sources"][0]["outcome"] == "failed"


def test_a_live_read_is_neither_read_from_the_cache_nor_kept(world: World, cache: KeepingCache) -> None:
    get()
    live = get(refresh="true")

    assert live.json["sources"][0]["outcome"] == "fresh"
    assert cache.reads[-1] is None
    assert cache.filled == {}


HIT = """
import sys
from functions.bill_aggregation_service.app import app
from functions.common.cache import Cached, Found
from functions.common.rate_limit import Verdict
from functions.common.http.auth import Principal

class Warm:
    def limit_and_read(self, owner, limit, entry=None):
        assert owner == "usr_1" and entry.space == "bills" and len(entry.name) == 24
        return Verdict(True, 9, 0.0, 0.0), Cached(1, b'{"items":[]}', "tag", Found.FRESH)

app.__dict__["cache"] = Warm()
app._authenticate = lambda: Principal("usr_1")
event = {
    "headers": {}, "multiValueQueryStringParameters": {"status": ["paid"]}, "pathParameters": None, "body": None,
    "requestContext": {"httpMethod": "GET", "resourcePath": "/bills", "path": "/v1/bills", "identity": {}},
    "isBase64Encoded": False, "stageVariables": None,
}
answer = app(event, None)
assert (answer["statusCode"], answer["body"]) == (200, '{"items":[]}'), answer
heavy = {"pynamodb", "boto3", "botocore", "requests", "urllib3", "google.protobuf", "zoneinfo", "defusedxml"}
print("imported:", *sorted(heavy & set(sys.modules)))
"""


def test_a_warm_answer_imports_nothing_heavy() -> None:
    root = Path(__file__).resolve().parents[3]
    done = subprocess.run([sys.executable, "-c", HIT], cwd=root, env={}, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "imported:"


def test_a_read_from_the_table_does_not_import_what_asking_utilities_takes() -> None:
    root = Path(__file__).resolve().parents[3]
    script = (
        "import sys, functions.bill_aggregation_service.service, functions.bill_aggregation_service.rpc\n"
        "print(*sorted({'requests', 'urllib3', 'defusedxml', 'pynamodb', 'botocore'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=root, env={}, capture_output=True, text=True, check=True)

    assert done.stdout.strip() == ""
