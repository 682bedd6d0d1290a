"""The artefacts that ship, built first when they are missing or older than their sources."""

from pathlib import Path

import pytest

from tests.contract.platform import FUNCTION_LIST
from tests.support import artefacts


@pytest.fixture(scope="session")
def artefact_folders() -> dict[str, Path]:
    """Logical id → folder, as `make build` made it."""
    artefacts.build_if_stale()
    return {function.name: artefacts.BUILT / function.name for function in FUNCTION_LIST}


@pytest.fixture(scope="session")
def importable(artefact_folders: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[Path, Path]:
    """List of requirements → an artefact for this interpreter, of a function with that list."""
    scratch = tmp_path_factory.mktemp("artefacts")
    one_each = {function.requirements: function.name for function in FUNCTION_LIST}
    return {listed: artefacts.importable(name, scratch) for listed, name in one_each.items()}


@pytest.fixture(scope="session")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what the Lambda runtime brings."""
    return artefacts.runtime(tmp_path_factory.mktemp("runtime"))
