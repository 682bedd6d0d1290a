"""An update in place, the way back, and an update that fails, by the commands that people use.

In a copy of the sources, on an engine of its own: the platform of the other tests stays as it is.
"""

import os
import shutil
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from infra import settings, stack
from infra.client import Client, await_value
from infra.process import free_port
from infra.settings import ROOT, Target
from tests.integration.household import INTERNET, Household, register

SECONDS = 600.0  # far more than a deploy takes on a machine that does other things too
PAUSE = 0.6  # four requests each time, and 600 a minute are what a user may have
READ = ("/users/me", "/providers", "/accounts", "/bills")
NEEDED = ("functions", "infra", "requirements", "docs", "Makefile", "pyproject.toml", "samconfig.toml", "template.yaml")
HANDLERS, TEMPLATE = "functions/utility_provider_service/app.py", "template.yaml"
HANDLER = """

@app.route("/provider-count", methods=["GET"], summary="How many utilities there are")
def count_providers() -> object:
    page = bootstrap.registry().list_providers(limit=200)
    return {"count": len(page.items)}
"""
FIRST_EVENT = '        ListProviders: {Type: Api, Properties: {RestApiId: !Ref Api, Method: get, Path: "/providers"}}\n'
EVENTS = FIRST_EVENT + "".join(
    f'        CountProviders{method}: {{Type: Api, Properties: {{RestApiId: !Ref Api, Method: {method}, Path: "/provider-count"}}}}\n'  # noqa: E501
    for method in ("get", "head")
)
FAILS = """
  FailsAfterProviderApi:
    Type: AWS::CloudFormation::Stack
    DependsOn: ProviderApi
    Properties: {TemplateURL: "https://s3.amazonaws.com/nowhere/nothing.yaml"}
"""


@dataclass(frozen=True)
class Checkout:
    """A copy of the sources, and the engine and the cache that it has been given."""

    folder: Path
    environ: Mapping[str, str]

    def make(self, *words: str) -> subprocess.CompletedProcess[str]:
        command = ["make", "--silent", "--old-file=.venv/.stamp", *words]
        return subprocess.run(
            command, cwd=self.folder, env=self.environ, capture_output=True, text=True, check=False, timeout=SECONDS
        )

    def does(self, *words: str) -> str:
        done = self.make(*words)
        assert done.returncode == 0, f"make {' '.join(words)}:\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        return done.stdout

    def address(self) -> str:
        """What `make url` prints."""
        return stack.api_url(settings.load(self.environ))

    @contextmanager
    def changed(self, changes: Mapping[str, Callable[[str], str]]) -> Iterator[None]:
        """The sources are changed and, when it is over, as they were before: a commit, and the checkout of the one
        before."""
        before = {name: (self.folder / name).read_text() for name in changes}
        for name, change in changes.items():
            (self.folder / name).write_text(change(before[name]))
        try:
            yield
        finally:
            for name, text in before.items():
                (self.folder / name).write_text(text)


@pytest.fixture(scope="module")
def checkout() -> Iterator[Checkout]:
    """With its platform up."""
    chosen = settings.load()
    if chosen.target is not Target.EMBEDDED:
        pytest.skip("an API is changed in place by the embedded engine and on AWS, not by LocalStack")
    folder = chosen.run_dir / "checkout"  # on the file system of the sources, so that artefacts need no copies
    shutil.rmtree(folder, ignore_errors=True)
    for name in NEEDED:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy2
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        copy(ROOT / name, folder / name)
    (folder / ".venv").symlink_to(sys.prefix)
    (folder / "build").mkdir()
    (folder / "build" / "deps").symlink_to(ROOT / "build" / "deps")
    own = {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{free_port()}", "CACHE_URL": f"redis://127.0.0.1:{free_port()}/0"}
    inherited = {name: value for name, value in os.environ.items() if name not in {"RUN_DIR", "BASE_URL", "MAKEFLAGS"}}
    made = Checkout(folder, inherited | own | {"STAGE": "deploys"})
    try:
        made.does("up")
        yield made
    finally:
        made.does("down")
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def user(checkout: Checkout) -> Household:
    """With an account whose bills are read."""
    user = register(Client(checkout.does("url").strip()), [])
    user.link(INTERNET)
    user.settle()
    return user


@contextmanager
def reading(checkout: Checkout, user: Household) -> Iterator[list[tuple[str, int]]]:
    """Meanwhile the user reads, over and over, at four services, with the token of before; gives what was answered.

    The embedded engine gives an API whose routes change another address, and then takes the old one away: a reader who
    finds nothing there asks for the address again.
    """
    answers: list[tuple[str, int]] = []
    over = threading.Event()
    client = Client(user.client.base_url, user.client.token)  # of its own: a session is not for two threads

    def found(path: str) -> int | None:
        status = client.send("GET", path).status_code
        client.base_url = checkout.address() if status == 404 else client.base_url
        return status if status != 404 else None

    def read() -> None:
        while not over.wait(PAUSE):
            answers.extend((path, await_value(partial(found, path), 10, f"an answer at {path}")) for path in READ)

    thread = threading.Thread(target=read)
    thread.start()
    try:
        yield answers
    finally:
        over.set()
        thread.join(60)
        client.close()


def refreshed(user: Household) -> None:
    """Workers know a utility's address for up to a minute, and the sandbox's has moved with the API."""
    await_value(lambda: user.refresh()["state"] == "succeeded", 90, "a refresh that succeeds")


def with_a_route() -> dict[str, Callable[[str], str]]:
    return {HANDLERS: lambda text: text + HANDLER, TEMPLATE: lambda text: text.replace(FIRST_EVENT, EVENTS)}


def that_fails() -> dict[str, Callable[[str], str]]:
    """The handler of GET /providers is broken, and then a resource cannot be made."""
    return {
        HANDLERS: lambda text: text.replace("    query, admin =", "    raise RuntimeError\n    query, admin ="),
        TEMPLATE: lambda text: text.replace("\n  ProviderRpc:\n", f"{FAILS}\n  ProviderRpc:\n"),
    }


def test_a_route_is_added_in_place_and_taken_back(checkout: Checkout, user: Household) -> None:
    before = user.client.bills()
    assert before.items
    assert user.client.send("GET", "/provider-count").status_code == 404

    with reading(checkout, user) as answers:
        with checkout.changed(with_a_route()):
            checkout.does("docs")
            checkout.does("deploy")
        user.client.base_url = checkout.does("url").strip()
        assert user.client.call("GET", "/provider-count") == {"count": len(user.providers)}
        assert user.client.send("POST", "/provider-count", json={}).status_code == 405
        refreshed(user)
        added = register(Client(user.client.base_url), [])

        checkout.does("docs")
        checkout.does("deploy")
        user.client.base_url = added.client.base_url = checkout.does("url").strip()

    assert user.client.send("GET", "/provider-count").status_code == 404
    refreshed(user)
    assert user.client.bills().items == before.items
    assert added.client.call("GET", "/users/me")["user_id"] == added.user_id
    assert len(answers) > 20
    assert {status for _, status in answers} == {200}, Counter(answers)


def test_a_deploy_that_fails_leaves_what_was_there(checkout: Checkout, user: Household) -> None:
    before, url = user.client.bills(), checkout.does("url")

    with reading(checkout, user) as answers, checkout.changed(that_fails()):
        failed = checkout.make("deploy")

    assert failed.returncode != 0
    assert "FailsAfterProviderApi" in failed.stdout + failed.stderr
    assert checkout.does("url") == url
    assert user.client.bills().items == before.items
    assert user.client.send("GET", "/providers").status_code == 200, "by the handler from before"
    refreshed(user)
    assert len(answers) > 20
