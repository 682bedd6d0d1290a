"""The cache as infra/templates/cache.yaml makes it: TLS, a user with a password, and rights to what the scripts do."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import redis

from functions.bill_aggregation_service.breaker import Breaker, Limits
from functions.bill_aggregation_service.model import LinkId, ProviderId
from functions.common.cache import Cache, Entry, Found
from functions.common.rate_limit import Limit
from functions.common.redis_server import RedisServer
from infra import template
from infra.settings import ROOT

PASSWORD = "p4ssw0rd" * 8
ENTRY = Entry("usr_1", "bills", "first-page")


@pytest.fixture
def url(redis_url: str) -> Iterator[str]:
    """A server with that user; who says nothing may do nothing."""
    cache = template.read(ROOT / "infra" / "templates" / "cache.yaml")["Resources"]
    rights = cache["Functions"]["Properties"]["AccessString"].split()
    admin: Any = redis.Redis.from_url(redis_url)  # untyped: commands of any kind
    admin.execute_command("ACL", "SETUSER", "functions", "reset", f">{PASSWORD}", *rights)
    yield redis_url.replace("unix://", f"unix://functions:{PASSWORD}@")
    admin.execute_command("ACL", "DELUSER", "functions")


def test_the_user_may_do_all_that_the_cache_does(url: str) -> None:
    cache, often, now = Cache(url, 1000), Limit("user", 600_000), datetime.now(UTC)

    verdict, missed = cache.limit_and_read("usr_1", often, ENTRY)
    assert verdict.allowed
    assert missed.found is Found.MISS
    assert cache.fill(ENTRY, missed, b"answer", "t", now + timedelta(minutes=1), now + timedelta(hours=1))
    assert cache.limit_and_read("usr_1", often, ENTRY)[1].value == b"answer"
    assert cache.lease("usr_1", "once", 10)
    cache.bump("usr_1", "bills")
    assert cache.limit_and_read("usr_1", often, ENTRY)[1].found is Found.MISS


def test_it_may_do_all_that_protects_utilities(url: str) -> None:
    breaker, utility = Breaker(Cache(url, 1000), Limits(per_minute=600, links=2)), ProviderId("prv_1")

    for number in range(3):
        assert breaker.enter(utility, f"call{number}", 1000, "up") is not None
        left = breaker.leave(utility, f"call{number}", LinkId(f"lnk_{number}"), "failed", "up")
        assert left is not None
    refused = breaker.enter(utility, "late", 1000, "up")
    assert refused is not None
    assert refused.verdict == "open"


def test_it_may_do_nothing_else(url: str) -> None:
    client: Any = redis.Redis.from_url(url)  # as above

    for command in (["KEYS", "*"], ["FLUSHALL"], ["CONFIG", "GET", "*"], ["ACL", "LIST"], ["SCAN", "0"]):
        with pytest.raises(redis.exceptions.NoPermissionError):
            client.execute_command(*command)


def test_a_wrong_password_is_a_cache_that_is_down(url: str) -> None:
    cache = Cache(url.replace(PASSWORD, "wrong"), 1000)

    assert cache.limit_and_read("usr_1", Limit("user", 600_000), ENTRY)[1].found is Found.DOWN


def test_rediss_is_tls_with_the_server_s_certificate_checked() -> None:
    connection = RedisServer(f"rediss://functions:{PASSWORD}@cache.example:6379/0", 0.05)._own

    assert isinstance(connection, redis.SSLConnection)
    assert (connection.host, connection.port, connection.db) == ("cache.example", 6379, 0)
    assert (connection.username, connection.password) == ("functions", PASSWORD)
    assert connection.cert_reqs.name == "CERT_REQUIRED"
    assert connection.check_hostname
