"""Everything that the platform holds on a user, from every service that holds something, as one document."""

import contextvars
import logging
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime

import msgspec

from functions.common.clock import Clock
from functions.common.errors import AppError, Unavailable
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


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportedUser:
    exported_at: datetime
    user: User
    sessions: tuple[Session, ...]
    parts: Mapping[str, Part]


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    users: Users
    sessions: Sessions
    owners: Mapping[str, Stub]
    """Name of a part → the service that holds it."""
    clock: Clock

    def export_user(self, user_id: UserId) -> ExportedUser:
        """All of it or nothing: raises Unavailable, naming the parts whose service did not answer. Raises NotFound."""
        user = self.users.get_user(user_id)
        sessions = tuple(self.sessions.list_sessions(user_id))
        return ExportedUser(exported_at=self.clock.now(), user=user, sessions=sessions, parts=self._parts(user_id))

    def _parts(self, user_id: UserId) -> Mapping[str, Part]:
        with ThreadPoolExecutor(len(self.owners), thread_name_prefix="export") as pool:
            futures = {
                name: pool.submit(contextvars.copy_context().run, _part, stub, user_id)
                for name, stub in self.owners.items()
            }
        parts, missing = {}, []
        for name, future in futures.items():
            try:
                parts[name] = future.result()
            except (AppError, msgspec.MsgspecError) as error:
                log.warning("export_part_missing", extra=fields(part=name, error=type(error).__name__))
                missing.append(name)
        if missing:
            names = ", ".join(missing)
            raise Unavailable(
                f"An export is whole or none, and these did not answer: {names}.", code="export_incomplete"
            )
        return parts


def _part(owner: Stub, user_id: UserId) -> Part:
    """All pages of one service, list by list one after the other."""
    part: Part = {}
    cursor = ""
    while True:
        reply = owner.call("ExportUser", ExportUserRequest(user_id=user_id, cursor=cursor), ExportUserReply)
        for name, records in _PART.decode(reply.json).items():
            part.setdefault(name, []).extend(records)
        cursor = reply.next_cursor
        if not cursor:
            return part
