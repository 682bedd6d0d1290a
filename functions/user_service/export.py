"""Everything that the platform holds on a user, from every service that holds something, as one document.

An answer of a function ends at 6 MB, in which the body stands once more as JSON text. What is longer, some 3 000 bills,
goes on in further documents of the same form.
"""

import contextvars
import logging
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime

import msgspec

from functions.common import cursor as cursors
from functions.common.clock import Clock
from functions.common.errors import AppError, FieldError, InvalidInput, Unavailable
from functions.common.logs import fields
from functions.common.rpc.client import Stub
from functions.contracts.rpc.common_pb2 import ExportUserReply, ExportUserRequest
from functions.user_service.model import Session, User, UserId
from functions.user_service.service import Users
from functions.user_service.sessions import Sessions

log = logging.getLogger(__name__)

Part = dict[str, list[msgspec.Raw]]
"""What one service holds: by name, lists of JSON values."""
_PART = msgspec.json.Decoder(Part)
DOCUMENT_BYTES = 4_300_000
"""Of all parts together: two full pages and some small ones; a fifth more with every quotation mark escaped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportedUser:
    exported_at: datetime
    user: User
    sessions: tuple[Session, ...]
    parts: Mapping[str, Part]
    next_cursor: str | None
    """Of the next document, when this one is not the last."""


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a document begins: at this page of this part."""

    part: str
    cursor: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    users: Users
    sessions: Sessions
    owners: Mapping[str, Stub]
    """Name of a part → the service that holds it."""
    clock: Clock
    document_bytes: int = DOCUMENT_BYTES

    def export_user(self, user_id: UserId, cursor: str = "") -> ExportedUser:
        """All that fits or nothing: raises Unavailable, naming the parts whose service did not answer. Raises NotFound,
        and InvalidInput for a cursor that is none."""
        user = self.users.get_user(user_id)
        place = self._place(cursor)
        parts, following = self._parts(user_id, place)
        return ExportedUser(
            exported_at=self.clock.now(),
            user=user,
            sessions=tuple(self.sessions.every_session(user_id)),
            parts=parts,
            next_cursor=cursors.encode({"part": following.part, "cursor": following.cursor}) if following else None,
        )

    def _place(self, cursor: str) -> _Place:
        if not cursor:
            return _Place(next(iter(self.owners)), "")
        key = cursors.decode(cursor)
        if key.keys() != {"part", "cursor"} or key["part"] not in self.owners:
            raise InvalidInput.of(FieldError("cursor", "invalid", "This is no cursor that this list gave out."))
        return _Place(key["part"], key["cursor"])

    def _parts(self, user_id: UserId, place: _Place) -> tuple[Mapping[str, Part], _Place | None]:
        """From this place on as much as fits a document, one page at least; and where the next document begins."""
        parts: dict[str, Part] = {name: {} for name in self.owners}
        filled = 0
        for name, first in self._first_pages(user_id, place).items():
            page, at = first, place.cursor if name == place.part else ""
            while True:
                if filled and filled + len(page.json) > self.document_bytes:
                    return parts, _Place(name, at)
                filled += len(page.json)
                for kind, records in _PART.decode(page.json).items():
                    parts[name].setdefault(kind, []).extend(records)
                at = page.next_cursor
                if not at:
                    break
                page = self._answers({name: at}, user_id)[name]
        return parts, None

    def _first_pages(self, user_id: UserId, place: _Place) -> Mapping[str, ExportUserReply]:
        names = list(self.owners)
        wanted = dict.fromkeys(names[names.index(place.part) :], "")
        return self._answers(wanted | {place.part: place.cursor}, user_id)

    def _answers(self, wanted: Mapping[str, str], user_id: UserId) -> Mapping[str, ExportUserReply]:
        """The pages with these cursors, by part; all parts are asked at once."""
        with ThreadPoolExecutor(len(wanted), thread_name_prefix="export") as pool:
            futures = {
                name: pool.submit(contextvars.copy_context().run, _page, self.owners[name], user_id, cursor)
                for name, cursor in wanted.items()
            }
        pages, missing = {}, []
        for name, future in futures.items():
            try:
                pages[name] = future.result()
            except InvalidInput:
                raise  # the part's own cursor, within ours
            except (AppError, msgspec.MsgspecError) as error:
                log.warning("export_part_missing", extra=fields(part=name, error=type(error).__name__))
                missing.append(name)
        if missing:
            names = ", ".join(missing)
            raise Unavailable(
                f"An export is whole or none, and these did not answer: {names}.", code="export_incomplete"
            )
        return pages


def _page(owner: Stub, user_id: UserId, cursor: str) -> ExportUserReply:
    """Raises MsgspecError when it is not what the contract says."""
    reply = owner.call("ExportUser", ExportUserRequest(user_id=user_id, cursor=cursor), ExportUserReply)
    _PART.decode(reply.json)
    return reply
