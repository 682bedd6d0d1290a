"""What `make test` runs, and what it makes of how that ended."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import pytest

from infra import build, settings, stack, testing
from infra.settings import Settings


class Runs:
    """The calls of pytest: what each was asked, and how each ends."""

    def __init__(self, *codes: int) -> None:
        self.codes = list(codes)
        self.asked: list[list[str]] = []
        self.builds: list[str] = []

    def pytest(self, arguments: list[str], _env: dict[str, str], _settings: Settings) -> int:
        self.asked.append(arguments)
        return self.codes.pop(0)

    @contextmanager
    def platform(self, chosen: Settings, *, built: bool) -> Iterator[Settings]:
        self.builds += [] if built else ["for the platform"]
        yield chosen

    def test(self, parts: tuple[str, ...] = testing.PARTS, *arguments: str) -> int:
        return testing.run(settings.load({"RUN_DIR": "/nonexistent"}), list(parts), list(arguments))


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> Runs:
    made = Runs()
    monkeypatch.setattr(testing, "_pytest", made.pytest)
    monkeypatch.setattr(testing, "_platform", made.platform)
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    monkeypatch.setattr(build, "build", lambda _: made.builds.append("for the tests"))
    monkeypatch.setattr(build, "one_at_a_time", nullcontext)
    monkeypatch.setattr(stack, "api_url", lambda _: "http://127.0.0.1:1")
    return made


def test_what_shares_nothing_runs_on_all_processors_and_the_rest_after_it_one_by_one(runs: Runs) -> None:
    runs.codes = [0, 0]

    assert runs.test() == 0

    covered, integration = runs.asked
    assert covered[:2] == ["tests/unit", "tests/contract"]
    assert covered[covered.index("--numprocesses") + 1] == str(testing.processors())
    assert "--cov" in covered
    assert integration == ["tests/integration"]
    assert runs.builds == ["for the tests"], "one build serves both"


def test_the_coverage_of_a_part_says_nothing(runs: Runs) -> None:
    runs.codes = [0]

    assert runs.test(("unit",), "-k", "login") == 0

    [asked] = runs.asked
    assert "--cov" not in asked
    assert asked[-2:] == ["-k", "login"]
    assert runs.builds == []


def test_integration_tests_alone_are_built_for(runs: Runs) -> None:
    runs.codes = [0]

    assert runs.test(("integration",)) == 0

    assert runs.builds == ["for the platform"]


@pytest.mark.parametrize(
    ("codes", "ends"),
    [((1, 0), 1), ((0, 1), 1), ((2, 1), 2), ((5, 1), 1), ((5, 0), 0), ((0, 5), 0), ((5, 5), 5)],
)
def test_whatever_fails_is_told_and_only_a_choice_of_nothing_at_all_is_a_failure(
    runs: Runs, codes: tuple[int, int], ends: int
) -> None:
    runs.codes = [*codes]

    assert runs.test() == ends
    assert len(runs.asked) == 2


def test_nothing_runs_after_the_first_failure_when_that_is_asked_for(runs: Runs) -> None:
    runs.codes = [1]

    assert runs.test(testing.PARTS, "-x") == 1
    assert len(runs.asked) == 1
