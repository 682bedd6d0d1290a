"""Which bills a reader asks for, in the query of a list or of an export."""

import datetime as dt
from typing import Annotated

from msgspec import Meta, Struct

from functions.bill_aggregation_service.model import Criteria, LinkId, ProviderId, Status
from functions.common.errors import FieldError, InvalidInput


class BillFilter(Struct, kw_only=True, frozen=True, omit_defaults=True, rename={"since": "from", "until": "to"}):
    """`from` and `to`: the day that bills are listed by (due date, else statement date, else end of the period)."""

    status: Status | None = None
    link_id: Annotated[str, Meta(pattern=r"^lnk_[0-9A-HJKMNP-TV-Z]{26}$")] | None = None
    provider_id: Annotated[str, Meta(pattern=r"^prv_[a-z0-9_]{1,60}$")] | None = None
    service_type: Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]{0,39}$")] | None = None
    since: dt.date | None = None
    until: dt.date | None = None

    def asked(self, limit: int, cursor: str = "") -> Criteria:
        """A page of at most `limit` bills after `cursor`. Raises InvalidInput."""
        in_order(self.since, self.until)
        return Criteria(
            status=self.status,
            link_id=LinkId(self.link_id) if self.link_id else None,
            provider_id=ProviderId(self.provider_id) if self.provider_id else None,
            service_type=self.service_type,
            since=self.since,
            until=self.until,
            limit=limit,
            cursor=cursor,
        )


def in_order(since: dt.date | None, until: dt.date | None) -> None:
    """Raises InvalidInput."""
    if since and until and since > until:
        raise InvalidInput.of(FieldError("from", "range", "This day is later than `to`."))
