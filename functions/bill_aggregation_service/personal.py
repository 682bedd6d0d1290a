"""Use cases on all that is kept of a user: to show it, and to end it."""

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

import msgspec

from functions.bill_aggregation_service.bill_reply import document_path
from functions.bill_aggregation_service.import_job import ImportJob
from functions.bill_aggregation_service.keeping import CACHE_SPACE, AnswerCache
from functions.bill_aggregation_service.model import Bill, Link, UserId
from functions.bill_aggregation_service.quality import all_notes
from functions.common import logs
from functions.common.personal import PURGED_AT_ONCE, ExportPage, Record, after, export_page

log = logging.getLogger(__name__)

KINDS = ("bills", "versions", "links", "imports")
INTERNAL = {
    "user_id", "content", "content_hash", "assumed", "notes", "unsent", "edition", "revision", "answer_digest",
    "remind_at",
}  # fmt: skip


class UserStore(Protocol):
    def held(self, user_id: UserId, after: str) -> Iterator[Record]:
        """Everything past the key `after`: a Bill of kind `bills` or, one before the present, of `versions`; a Link;
        an ImportJob."""
        ...

    def mark_gone(self, user_id: UserId) -> None:
        """From now on no link of the user gets a record."""
        ...

    def delete(self, user_id: UserId, limit: int) -> int:
        """Deletes at most `limit` items, in an order that lets no write in between survive; answers how many."""
        ...


@dataclass(frozen=True, slots=True)
class PersonalData:
    store: UserStore
    cache: AnswerCache

    def export_user(self, user_id: UserId, cursor: str) -> ExportPage:
        held = self.store.held(user_id, after(cursor))
        return export_page(KINDS, (replace(record, data=_shown(record.data)) for record in held))

    def purge_user(self, user_id: UserId) -> tuple[int, bool]:
        """How many items went, and whether there are more."""
        self.store.mark_gone(user_id)
        deleted = self.store.delete(user_id, PURGED_AT_ONCE)
        self.cache.bump(user_id, CACHE_SPACE)
        log.info("user_purged", extra=logs.fields(items=deleted))
        return deleted, deleted == PURGED_AT_ONCE


def _shown(data: object) -> Mapping[str, object]:
    """Without what only tells the service how to go on. A bill's content stands beside what is known of the bill; what
    the user said of its payment keeps its own place, `mark`, beside the utility's word."""
    if not isinstance(data, Bill | Link | ImportJob):
        raise TypeError(f"a {type(data).__name__} is kept of no user")
    fields: dict[str, object] = msgspec.to_builtins(data, builtin_types=(datetime,))
    if isinstance(data, Bill):
        fields |= msgspec.to_builtins(data.content)
        fields["mark"] = {name: value for name, value in fields["mark"].items() if name != "revision"}  # type: ignore[attr-defined]  # a dict
        fields["document_url"] = document_path(data)
        fields["quality_notes"] = msgspec.to_builtins(all_notes(data))
    return {name: value for name, value in fields.items() if name not in INTERNAL}
