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
def importable(artefact_folders: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Service → an artefact for this interpreter."""
    scratch = tmp_path_factory.mktemp("artefacts")
    return {service: artefacts.importable(name, scratch) for service, name in _one_per_service().items()}


@pytest.fixture(scope="session")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what the Lambda runtime brings."""
    return artefacts.runtime(tmp_path_factory.mktemp("runtime"))


def _one_per_service() -> dict[str, str]:
    return {function.service: function.name for function in FUNCTION_LIST}
