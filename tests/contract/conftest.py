"""The artefacts that ship, built first when they are missing or older than their sources."""

from dataclasses import replace
from pathlib import Path

import pytest

from infra import artefacts, build
from infra.settings import ROOT, Target, load
from tests.contract.platform import FUNCTION_LIST

BUILT = ROOT / ".aws-sam" / "build"
INPUTS = (
    ROOT / "functions",
    ROOT / "requirements" / "functions.txt",
    ROOT / "infra" / "artefacts.py",
    ROOT / "template.yaml",
)


@pytest.fixture(scope="session")
def artefact_folders() -> dict[str, Path]:
    """Logical id → folder, as `make build` made it."""
    settings = load()
    with build.one_at_a_time():
        if _stale():
            build.build(settings)
    return {function.name: BUILT / function.name for function in FUNCTION_LIST}


@pytest.fixture(scope="session")
def importable(artefact_folders: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Service → an artefact for this interpreter: the one that ships, unless that is for Lambda's."""
    settings = load()
    if settings.target is Target.EMBEDDED:
        return {function.service: artefact_folders[function.name] for function in FUNCTION_LIST}
    here = {}
    for service, function in {function.service: function for function in FUNCTION_LIST}.items():
        here[service] = tmp_path_factory.mktemp(service)
        artefacts.build(function.name, here[service], replace(settings, target=Target.EMBEDDED))
    return here


def _stale() -> bool:
    marks = [BUILT / "template.yaml", *(BUILT / function.name / "functions" for function in FUNCTION_LIST)]
    if not all(mark.exists() for mark in marks):
        return True
    built = (BUILT / "template.yaml").stat().st_mtime
    return any(path.stat().st_mtime > built for top in INPUTS for path in (top, *top.rglob("*")) if _counts(path))


def _counts(path: Path) -> bool:
    return path.is_file() and path.suffix != ".pyc" and path.name != "README.md"
