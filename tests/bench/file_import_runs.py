"""What the contestants of `file_import.py` do, each in a process of its own."""

import resource
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from xml.parsers import expat
from zoneinfo import ZoneInfo

from functions.bill_aggregation_service.espi.reader import Defaults, read_file
from functions.bill_aggregation_service.import_job import Asked
from tests.unit.bill_aggregation_service.fakes import USER
from tests.unit.bill_aggregation_service.file_fakes import FileWorld

CHUNK_BYTES = 262_144
STATUS = Path("/proc/self/status")
PER_MB = 1_000_000 if sys.platform == "darwin" else 1_000


def measured(contestant: str, path: Path) -> tuple[float, float]:
    before = _peak()
    began = time.perf_counter()
    RUNS[contestant](path)
    return time.perf_counter() - began, (_peak() - before) / PER_MB


def parse(path: Path) -> None:
    _feed(expat.ParserCreate(), path)


def parse_with_handlers(path: Path) -> None:
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = lambda _name, _attributes: None
    parser.EndElementHandler = lambda _name: None
    parser.CharacterDataHandler = lambda _text: None
    _feed(parser, path)


def read(path: Path) -> None:
    read_file(_chunks(path), Defaults("USD", ZoneInfo("UTC"), "electricity"))


def import_file(path: Path) -> None:
    FileWorld().importer.import_file(USER, _chunks(path), Asked())


def _feed(parser: expat.XMLParserType, path: Path) -> None:
    for chunk in _chunks(path):
        parser.Parse(chunk, False)
    parser.Parse(b"", True)


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            yield chunk


def _peak() -> int:
    """Of this program alone: on Linux ru_maxrss begins with that of the process which started it."""
    if STATUS.exists():
        return next(int(line.split()[1]) for line in STATUS.read_text().splitlines() if line.startswith("VmHWM:"))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


RUNS = {
    "expat, no handler": parse,
    "expat, empty handlers": parse_with_handlers,
    "reader": read,
    "import": import_file,
}
