"""The use case that gives a user's bills out as a file: Green Button, CSV or JSON, in full and without pages."""

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from tempfile import SpooledTemporaryFile
from typing import IO, Protocol

import msgspec

from functions.bill_aggregation_service.bill_csv import CONTENT_TYPE, lines
from functions.bill_aggregation_service.bill_reply import bill_reply
from functions.bill_aggregation_service.espi.writer import Exported, write_file
from functions.bill_aggregation_service.listing import ListedBill, Reader
from functions.bill_aggregation_service.model import Bill, Criteria, Link, LinkId, UserId
from functions.bill_aggregation_service.rules import zone_of
from functions.common.clock import Clock
from functions.common.ids import new_id

MAX_INLINE_BYTES = 4 * 1024 * 1024
MAX_ANSWER_CHARS = 5_500_000
"""Of the document as a JSON string, which is how a function's answer travels: 6 MB at most."""
IN_MEMORY_BYTES = 2 * MAX_INLINE_BYTES
DOWNLOAD_SECONDS = 900
ROWS = 500
"""In one query."""


class Format(StrEnum):
    GREEN_BUTTON = "green-button"
    CSV = "csv"
    JSON = "json"


@dataclass(frozen=True, slots=True)
class FileKind:
    content_type: str
    suffix: str


KINDS = {
    Format.GREEN_BUTTON: FileKind("application/atom+xml; charset=utf-8", "xml"),
    Format.CSV: FileKind(CONTENT_TYPE, "csv"),
    Format.JSON: FileKind("application/json", "json"),
}


@dataclass(frozen=True, slots=True)
class Document:
    text: str
    kind: FileKind
    name: str


@dataclass(frozen=True, slots=True)
class Download:
    """Where what is too large for an answer can be fetched without a token, until then."""

    url: str
    expires_at: datetime


class ExportStore(Protocol):
    def newest_first(self, user_id: UserId, criteria: Criteria) -> Iterator[Link | Bill]: ...


class Downloads(Protocol):
    def put(self, key: str, content: IO[bytes], content_type: str) -> None: ...

    def download_url(self, key: str, name: str, seconds: int) -> str: ...


@dataclass(frozen=True, slots=True)
class Exports:
    store: ExportStore
    files: Callable[[], Downloads]
    """Built only for what is too large for an answer."""
    clock: Clock
    due_soon_days: int

    def export_bills(self, user_id: UserId, criteria: Criteria, wanted: Format) -> Document | Download:
        now, kind = self.clock.now(), KINDS[wanted]
        name = f"bills-{now:%Y-%m-%d}.{kind.suffix}"
        with SpooledTemporaryFile(IN_MEMORY_BYTES) as file:
            for piece in self._pieces(user_id, criteria, wanted, now):
                file.write(piece.encode())
            if file.tell() <= MAX_INLINE_BYTES:
                file.seek(0)
                text = file.read().decode()
                if len(json.dumps(text)) <= MAX_ANSWER_CHARS:
                    return Document(text, kind, name)
            file.seek(0)
            key = f"exports/{user_id}/{new_id('exp')}.{kind.suffix}"
            files = self.files()
            files.put(key, file, kind.content_type)
        return Download(files.download_url(key, name, DOWNLOAD_SECONDS), now + timedelta(seconds=DOWNLOAD_SECONDS))

    def _pieces(self, user_id: UserId, criteria: Criteria, wanted: Format, now: datetime) -> Iterator[str]:
        links: dict[LinkId, Link] = {}
        found = self._listed(user_id, criteria, links, now)
        match wanted:
            case Format.GREEN_BUTTON:
                bills = (listed.bill for listed in found)
                return write_file((Exported(bill, zone_of(links[bill.link_id].time_zone)) for bill in bills), now)
            case Format.CSV:
                return lines(bill_reply(listed) for listed in found)
            case Format.JSON:
                return _json(found)

    def _listed(
        self, user_id: UserId, criteria: Criteria, links: dict[LinkId, Link], now: datetime
    ) -> Iterator[ListedBill]:
        """All that the criteria admit; `links` fills on the way, before the first bill."""
        reader = Reader(now, self.due_soon_days, fresh_seconds=0)
        for row in self.store.newest_first(user_id, criteria):
            if isinstance(row, Link):
                links[row.link_id] = row
            elif listed := reader.admitted(row, links, criteria):
                yield listed


def _json(found: Iterable[ListedBill]) -> Iterator[str]:
    separator = '{"items":['
    for listed in found:
        yield separator + msgspec.json.encode(bill_reply(listed)).decode()
        separator = ","
    yield "]}" if separator == "," else '{"items":[]}'
