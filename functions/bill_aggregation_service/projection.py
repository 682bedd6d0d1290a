"""Use case on the own record of a link: following what account.* events say of it."""

import logging
from dataclasses import dataclass, replace
from typing import Protocol

from functions.bill_aggregation_service.keeping import (
    CACHE_SPACE,
    WRITE_TRIES,
    AnswerCache,
    LinkMoved,
    LinkStore,
    UserGone,
)
from functions.bill_aggregation_service.model import Link, LinkId, ProviderId, UserId
from functions.common import logs
from functions.common.errors import Unavailable

log = logging.getLogger(__name__)

REVOKED = "REVOKED"


class ProjectionStore(LinkStore, Protocol):
    def delete_bills(self, user_id: UserId, link_id: LinkId) -> int:
        """Deletes a link's bills with all versions; answers how many items. Safe to run again."""
        ...


@dataclass(frozen=True, slots=True)
class Projection:
    store: ProjectionStore
    cache: AnswerCache

    def project_link(
        self, user_id: UserId, link_id: LinkId, provider_id: ProviderId, state: str, detail: str, version: int
    ) -> bool:
        """Takes over what an event says of a link. False when as much was known; an unlinked account stays so."""
        for _ in range(WRITE_TRIES):
            known = self.store.link(user_id, link_id) or Link(user_id=user_id, link_id=link_id)
            revoked = state == REVOKED
            if not revoked and (known.gone or version <= known.link_version):
                return False
            told = replace(
                known, provider_id=provider_id, state=state, status_detail=detail, link_version=version, gone=revoked
            )
            try:
                if not known.gone:
                    self.store.save(known, told)
            except LinkMoved:
                continue
            except UserGone:
                return False
            if revoked:
                # The tombstone stands: what is deleted does not come back, and a run cut off here is taken up again.
                deleted = self.store.delete_bills(user_id, link_id)
                log.info("bills_deleted", extra=logs.fields(link_id=link_id, items=deleted))
            self.cache.bump(user_id, CACHE_SPACE)
            return not known.gone
        raise Unavailable("The link's record keeps changing; try again.", code="link_busy")
