"""What importing each handler costs in a fresh interpreter, beside the floor and a peer."""

import sys
from collections.abc import Mapping
from pathlib import Path

from tests.bench.isolated import Contestant, compiled_site, milliseconds, race, ratio
from tests.bench.printing import table
from tests.support import artefacts
from tests.support.http import jwks

HANDLERS = Path(__file__).parent / "handlers"
PEER_PACKAGES = (
    "aws_lambda_powertools", "pydantic", "pydantic_core", "annotated_types", "typing_extensions", "typing_inspection",
    "jwt", "cryptography", "_cffi_backend", "redis", *(["async_timeout"] if sys.version_info < (3, 11, 3) else []),
)  # fmt: skip
ENVIRONMENT: Mapping[str, str] = {
    "AWS_DEFAULT_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "none", "AWS_SECRET_ACCESS_KEY": "none",
    "CACHE_URL": "redis://127.0.0.1:1/0", "BILLS_TABLE": "bills", "POWERTOOLS_SERVICE_NAME": "bench",
}  # fmt: skip
FLOOR, PEER = "bare handler", "peer"


def floor() -> Contestant:
    return Contestant(FLOOR, (HANDLERS,), "bare.handler", {})


def peer() -> Contestant:
    site, runtime = compiled_site(PEER_PACKAGES), compiled_site(artefacts.RUNTIME)
    return Contestant(PEER, (HANDLERS, site, runtime), "peer.handler", {**ENVIRONMENT, "JWKS": jwks()})


def ours(name: str, handler: str, scratch: Path) -> Contestant:
    folders = (artefacts.importable(name, scratch), compiled_site(artefacts.RUNTIME))
    return Contestant(name, folders, handler, {})


def report(scratch: Path, rounds: int) -> None:
    """Import alone: what a function builds on its first call is not in it, the peer's client is."""
    functions = artefacts.functions()
    contestants = [floor(), peer(), *(ours(name, handler, scratch) for name, handler in functions.items())]
    runs = race(contestants, rounds)
    rows = []
    for name in (FLOOR, PEER, *functions):
        imported = [run.imported for run in runs[name]]
        process = [run.process for run in runs[name]]
        rows.append([
            name,
            functions.get(name, ""),
            milliseconds(imported),
            milliseconds(process),
            f"{ratio(process, [run.process for run in runs[FLOOR]]):.2f}",
            f"{ratio(imported, [run.imported for run in runs[PEER]]):.2f}",
        ])  # fmt: skip
    table(
        f"Cold start: import of the handler, ms, median (least) of {rounds}",
        ["function", "handler", "import", "whole process", "process/floor", "import/peer"],
        rows,
    )
