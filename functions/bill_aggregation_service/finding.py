"""Finding the bill that a caller names."""

from typing import Protocol

from functions.bill_aggregation_service.model import Bill, BillKey, Link, LinkId, UserId
from functions.common.errors import NotFound
from functions.common.ids import RANDOM_CHARS, is_id


class BillsById(Protocol):
    def bill(self, user_id: UserId, key: BillKey) -> Bill | None: ...

    def link(self, user_id: UserId, link_id: LinkId) -> Link | None: ...


def found_bill(store: BillsById, user_id: UserId, bill_id: str) -> tuple[Bill, Link]:
    """The bill, and the link that it came by. Raises NotFound for an id that is ill-formed, unknown or somebody else's,
    and when the link is gone."""
    if is_id("bil", bill_id):
        bill = store.bill(user_id, BillKey(bill_id[-RANDOM_CHARS:]))
        link = store.link(user_id, bill.link_id) if bill and bill.bill_id == bill_id else None
        if bill and link and not link.gone:
            return bill, link
    raise NotFound("There is no such bill.", code="bill_not_found")
