"""`make rotate-keys` on a platform in use. Comes late: it deploys twice."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import jwt
import pytest

from infra import engine, rotation
from infra.client import Client
from infra.console import Failure
from infra.settings import Target
from tests.integration.household import Household
from tests.integration.platform import Platform

PATIENCE = 40.0


def kid(token: str) -> str:
    return str(jwt.get_unverified_header(token)["kid"])


def published(nobody: Client) -> list[str]:
    return [key["kid"] for key in nobody.call("GET", "/.well-known/jwks.json")["keys"]]


@contextmanager
def at_work(user: Household) -> Iterator[list[tuple[str, int]]]:
    """Meanwhile the user logs in and reads, over and over, at two services; gives what was answered."""
    answers: list[tuple[str, int]] = []
    over = threading.Event()
    client = Client(user.client.base_url)

    def work() -> None:
        while not over.wait(0.5):
            credentials = {"email": user.email, "password": user.password}
            login = client.send("POST", "/auth/login", json=credentials)
            answers.append(("/auth/login", login.status_code))
            if login.ok:
                reader = client.with_token(login.json()["access_token"])
                answers.extend((path, reader.send("GET", path).status_code) for path in ("/users/me", "/accounts"))

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield answers
    finally:
        over.set()
        thread.join(PATIENCE)
        client.close()


def test_a_new_key_signs_and_nobody_is_logged_out(platform: Platform, nobody: Client, settled: Household) -> None:
    own = platform.settings.target is Target.EMBEDDED and engine.daemon(platform.settings).process() is not None
    if platform.settings.target is Target.LOCALSTACK:
        pytest.skip("deploys twice, and LocalStack cannot change an API in place: its stack would be made anew")
    if not own:
        pytest.skip("deploys twice: only where the platform was started from here")
    before = nobody.call("POST", "/auth/login", {"email": settled.email, "password": settled.password})
    reader = nobody.with_token(before["access_token"])
    [old, *_] = published(nobody)
    assert kid(before["access_token"]) == old

    with at_work(settled) as answers:
        try:
            rotation.rotate(platform.settings)
        except Failure as failure:
            pytest.skip(f"rotated a short while ago: {failure.format_message()}")

    assert 401 not in {status for _, status in answers}, answers
    assert ("/accounts", 200) in answers
    new, *others = published(nobody)
    assert new != old
    assert others == [old]
    for path in ("/users/me", "/accounts", "/bills", "/providers"):
        assert reader.send("GET", path).status_code == 200, f"{path} with a token from before"
    after = nobody.call("POST", "/auth/refresh", {"refresh_token": before["refresh_token"]})
    assert kid(after["access_token"]) == new
    assert kid(nobody.login(settled.email, settled.password).token) == new
