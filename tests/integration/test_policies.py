"""What the functions were allowed and refused while all other tests ran. The embedded engine holds them to their
policies and takes notes; the contract test of policies judges by what is found here."""

from pathlib import Path

import pytest

from infra import engine
from infra.settings import Target
from tests.integration.platform import Platform
from tests.support import rights
from tests.support.rights import Right

HERE = Path(__file__).parent
Noted = tuple[set[Right], list[str]]


@pytest.fixture(scope="module")
def noted(platform: Platform) -> Noted:
    if platform.settings.target is not Target.EMBEDDED:
        pytest.skip("only the embedded engine holds functions to their policies")
    return rights.used(engine.rights_notes(platform.settings), platform.ids)


def everything_ran(session: pytest.Session) -> bool:
    chosen = session.config.option
    modules = {item.path for item in session.items}
    return modules == set(HERE.glob("test_*.py")) and not (chosen.keyword or chosen.markexpr or session.testsfailed)


def test_nothing_was_refused(noted: Noted) -> None:
    assert noted[1] == [], "a policy in template.yaml is too narrow, or a function does what it should not"


def test_what_was_done_is_known(noted: Noted, platform: Platform) -> None:
    used, known = {right for right in noted[0] if not rights.by_luck(right)}, rights.load()

    if used - known:
        fresh = platform.settings.run_dir / "rights.json"
        rights.save(used | known, fresh)
        pytest.fail(f"{sorted(used - known)}: if it is meant, cp {fresh} {rights.USED}")


def test_what_is_known_is_still_done(noted: Noted, request: pytest.FixtureRequest) -> None:
    if not everything_ran(request.session):
        pytest.skip("only a whole run without failures shows what is no longer done")

    idle = [right for right in rights.load() - noted[0] if not rights.by_luck(right)]
    assert sorted(idle) == [], "to be deleted from rights.json"
