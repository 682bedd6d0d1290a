"""What of a copy of a table may come back, and what may not: what was deleted since on purpose stays deleted.

The live tables say what was: who is a user, which accounts are linked, which of them still have a key.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any  # Any: values of DynamoDB's items

from functions.account_linking_service.items_table import FIRST, MARK
from functions.account_linking_service.model import LinkKind
from functions.account_linking_service.states import LinkState
from functions.bill_aggregation_service.item_table import LINKS
from functions.broker_service.webhook_items_table import WEBHOOKS
from functions.common.clock import rfc3339
from functions.common.personal import GONE, GONE_LIFETIME
from functions.listener_service.model import PLATFORM

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

Item = Mapping[str, Mapping[str, Any]]
BACK = ""
"""What a rule answers for an item that comes back; else the reason why it does not."""
EMAIL = "email#"
LEFT, ENDED, MARKED = "their user left", "it has ended", "it is the mark of a deleted user"
NEVER: Mapping[str, str] = {
    "LinkKeysTable": "It has no copies, so that what was unlinked cannot be opened any more.",
    "SessionsTable": "Sessions that were ended would be good again. Users log in anew.",
    "JobsTable": "Jobs are of a day. Users ask for a refresh anew.",
    "IdempotencyTable": "It has no copies: records are of a day.",
    "MockTable": "It is of the sandbox.",
}


@dataclass
class Live:
    """The tables as they stand, each asked once for what is asked again. `names`: physical ones by logical id."""

    dynamodb: "DynamoDBClient"
    names: Mapping[str, str]
    point: datetime
    """What the copy shows is how the table was then."""
    came_back: set[str] = field(default_factory=set)
    """Users and links that the copy has brought, so that what belongs to them may follow."""
    _seen: dict[tuple[str, str], Item] = field(default_factory=dict)
    _keys: dict[str, list[str]] = field(default_factory=dict)

    def keys(self, table: str) -> list[str]:
        """Names of the attributes of the table's key, the partition's first."""
        if table not in self._keys:
            schema = self.dynamodb.describe_table(TableName=self.names[table])["Table"]["KeySchema"]
            self._keys[table] = [key["AttributeName"] for key in sorted(schema, key=lambda key: key["KeyType"])]
        return self._keys[table]

    def item(self, table: str, **key: str) -> Item:
        """Empty when there is none."""
        asked = (table, repr(sorted(key.items())))
        if asked not in self._seen:
            wanted = {name: {"S": value} for name, value in key.items()}
            answer = self.dynamodb.get_item(TableName=self.names[table], Key=wanted, ConsistentRead=True)
            self._seen[asked] = answer.get("Item", {})
        return self._seen[asked]

    def has_user(self, user_id: str) -> bool:
        """Also while the copy is of users and brings this one."""
        item = self.item("UsersTable", user_id=user_id)
        return user_id in self.came_back or bool(item and "deleted_at" not in item)

    def was_purged(self, user_id: str) -> bool:
        return bool(self.item("LinksTable", user_id=user_id, link_id=GONE))

    def has_link(self, user_id: str, link_id: str) -> bool:
        state = text(self.item("LinksTable", user_id=user_id, link_id=link_id), "state")
        return link_id in self.came_back or state not in {"", LinkState.REVOKED}


def text(item: Item, name: str) -> str:
    return str(item[name].get("S", "")) if name in item else ""


def of_users(item: Item, live: Live) -> str:
    """Users first, then the markers of their e-mails: see `LATER`."""
    user_id = text(item, "user_id")
    if user_id.startswith(EMAIL):
        return BACK if live.has_user(text(item, "owner_id")) else LEFT
    if "deleted_at" in item or live.was_purged(user_id):
        return LEFT
    owner = text(live.item("UsersTable", user_id=EMAIL + text(item, "email")), "owner_id")
    if owner not in {"", user_id}:
        return "somebody else has their e-mail now"
    live.came_back.add(user_id)
    return BACK


def of_links(item: Item, live: Live) -> str:
    """Links first, then what says which link holds an account: see `LATER`."""
    user_id, link_id = text(item, "user_id"), text(item, "link_id")
    if link_id == GONE:
        return MARKED
    if not live.has_user(user_id):
        return LEFT
    if link_id.startswith(MARK):
        return BACK if live.has_link(user_id, text(item, "held_by")) else "its link is not there"
    if not link_id.startswith(FIRST) or text(item, "state") == LinkState.REVOKED:
        return "it was unlinked"
    key = live.item("LinkKeysTable", link_id=link_id)
    if not key and text(item, "kind") != LinkKind.MANUAL:
        return "its key was shredded: it was unlinked"
    if text(key, "sealed_at") > rfc3339(live.point):
        return "its credentials were sealed anew since: the account has to be linked again"
    live.came_back.add(link_id)
    return BACK


def of_bills(item: Item, live: Live) -> str:
    user_id, sk = text(item, "user_id"), text(item, "sk")
    if sk == GONE:
        return MARKED
    if not live.has_user(user_id):
        return LEFT
    link_id = text(item, "link_id") or sk.removeprefix(LINKS)
    if sk.startswith("import#"):
        return "it is an import's job"
    return BACK if live.has_link(user_id, link_id) else "its account was unlinked"


def of_webhooks(item: Item, live: Live) -> str:
    if not text(item, "sk").startswith(WEBHOOKS):
        return "it is a delivery or a mark"
    return BACK if live.has_user(text(item, "user_id")) else LEFT


def of_audit(item: Item, live: Live) -> str:
    user_id = text(item, "user_id")
    if text(item, "sk") == GONE:
        return MARKED
    return BACK if user_id == PLATFORM or live.has_user(user_id) else LEFT


def of_nobody(_item: Item, _live: Live) -> str:
    """What belongs to no user comes back."""
    return BACK


RULES: Mapping[str, Callable[[Item, Live], str]] = {
    "UsersTable": of_users,
    "LinksTable": of_links,
    "BillsTable": of_bills,
    "WebhooksTable": of_webhooks,
    "AuditTable": of_audit,
    "ProvidersTable": of_nobody,
    "MigrationsTable": of_nobody,
}
LATER: Mapping[str, tuple[str, str]] = {"UsersTable": ("user_id", EMAIL), "LinksTable": ("link_id", MARK)}
"""Attribute and its prefix: items that are judged when all others are, because they follow from them."""
OLDEST: Mapping[str, timedelta] = {"UsersTable": GONE_LIFETIME - timedelta(days=1)}
"""How far back a copy may go: marks of deleted users, by which they are told from lost ones, end after their time."""


def judged(table: str, item: Item, live: Live) -> str:
    """BACK, or why not."""
    ends = item.get("expires_at", {}).get("N")
    return ENDED if ends and float(ends) < time.time() else RULES[table](item, live)
