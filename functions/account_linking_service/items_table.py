"""The items of the service's tables, and what they say as domain types.

LinksTable     user_id  lnk_…         a link, or the tombstone of one
LinksTable     user_id  acct#<hash>   says which link holds this account of this user
LinksTable     user_id  user#gone     the user was deleted: no link is added any more (ends by `expires_at`)
LinkKeysTable  lnk_…                  wrapped keys of the link's boxes; deleting it shreds the link's credentials
LinkKeysTable  lnk_…#mfa              a code that the user gave: wrapped key and box (ends by `expires_at`)
"""

from collections.abc import Sequence
from datetime import datetime

from pynamodb.attributes import (
    BinaryAttribute,
    BooleanAttribute,
    ListAttribute,
    MapAttribute,
    NumberAttribute,
    TTLAttribute,
    UnicodeAttribute,
)
from pynamodb.indexes import GlobalSecondaryIndex, KeysOnlyProjection
from pynamodb.models import Model

from functions.account_linking_service.model import (
    AccountHash,
    HeldLink,
    HistoryEntry,
    Link,
    LinkId,
    LinkKind,
    MfaChallenge,
    ProviderId,
    UserId,
)
from functions.account_linking_service.states import LinkEvent, LinkState
from functions.common.clock import parse_rfc3339, rfc3339
from functions.common.outbox import OUTBOX_SHARDS, Pending
from functions.common.table import OutboxMixin, shard_of

DUE_SHARDS = 16
FIRST, LAST = "lnk_", "lnk_~"
MARK = "acct#"
CODE = "#mfa"


class ByLinkIndex(GlobalSecondaryIndex["LinkItem"]):  # type: ignore[no-untyped-call]  # PynamoDB's own
    class Meta:
        index_name = "by_link"
        projection = KeysOnlyProjection()

    link_id = UnicodeAttribute(hash_key=True)


class ByAccountIndex(GlobalSecondaryIndex["LinkItem"]):  # type: ignore[no-untyped-call]  # PynamoDB's own
    """Sparse: tombstones have no hash."""

    class Meta:
        index_name = "by_account"
        projection = KeysOnlyProjection()

    account_hash = UnicodeAttribute(hash_key=True)


class DueIndex(GlobalSecondaryIndex["LinkItem"]):  # type: ignore[no-untyped-call]  # PynamoDB's own
    """Sparse: tombstones and links that are never due have no shard."""

    class Meta:
        index_name = "due"
        projection = KeysOnlyProjection()

    due_shard = NumberAttribute(hash_key=True)
    next_refresh_at = UnicodeAttribute(range_key=True)


class OutboxIndex(GlobalSecondaryIndex["LinkItem"]):  # type: ignore[no-untyped-call]  # PynamoDB's own
    """Sparse: only items with unsent events."""

    class Meta:
        index_name = "outbox"
        projection = KeysOnlyProjection()

    outbox_shard = NumberAttribute(hash_key=True)
    updated_at = UnicodeAttribute(range_key=True)


class HistoryMap(MapAttribute[str, str]):
    at = UnicodeAttribute()
    event = UnicodeAttribute()
    previous_state = UnicodeAttribute()
    state = UnicodeAttribute()
    status_detail = UnicodeAttribute()


class LinkItem(OutboxMixin, Model):
    class Meta:
        table_name = ""
        billing_mode = "PAY_PER_REQUEST"

    by_link = ByLinkIndex()
    by_account = ByAccountIndex()
    due = DueIndex()
    unsent = OutboxIndex()

    user_id = UnicodeAttribute(hash_key=True)
    link_id = UnicodeAttribute(range_key=True)
    provider_id = UnicodeAttribute()
    kind = UnicodeAttribute(null=True)
    account_identifier = UnicodeAttribute(null=True)
    account_hash = UnicodeAttribute(null=True)
    nickname = UnicodeAttribute(null=True)
    state = UnicodeAttribute()
    status_detail = UnicodeAttribute(null=True)
    mfa_methods = ListAttribute[str](null=True)
    mfa_expires_at = UnicodeAttribute(null=True)
    mfa_reference = UnicodeAttribute(null=True)
    code_waits = BooleanAttribute(null=True)
    history = ListAttribute[HistoryMap](of=HistoryMap, null=True)
    last_success_at = UnicodeAttribute(null=True)
    last_attempt_at = UnicodeAttribute(null=True)
    repaired_at = UnicodeAttribute(null=True)
    due_shard = NumberAttribute(null=True)
    next_refresh_at = UnicodeAttribute(null=True)
    consecutive_failures = NumberAttribute()
    bill_count = NumberAttribute()
    created_at = UnicodeAttribute()
    version = NumberAttribute()
    ciphertext = BinaryAttribute(legacy_encoding=False, null=True)
    login_ciphertext = BinaryAttribute(legacy_encoding=False, null=True)
    expires_at = TTLAttribute(null=True)


class MarkItem(Model):
    class Meta:
        table_name = ""

    user_id = UnicodeAttribute(hash_key=True)
    link_id = UnicodeAttribute(range_key=True)
    held_by = UnicodeAttribute()


class LinkKeyItem(Model):
    class Meta:
        table_name = ""
        billing_mode = "PAY_PER_REQUEST"

    link_id = UnicodeAttribute(hash_key=True)
    wrapped_key = BinaryAttribute(legacy_encoding=False)
    master_key = UnicodeAttribute(null=True)
    sealed_at = UnicodeAttribute(null=True)
    login_wrapped_key = BinaryAttribute(legacy_encoding=False, null=True)
    login_master_key = UnicodeAttribute(null=True)
    # of a code only
    ciphertext = BinaryAttribute(legacy_encoding=False, null=True)
    expires_at = TTLAttribute(null=True)


def pending_of(item: LinkItem) -> Pending:
    return Pending((item.user_id, item.link_id), int(item.version), tuple(item.outbox or ()))


def due_shard(link_id: str) -> int:
    return shard_of(link_id, DUE_SHARDS)


def outbox_shard(link_id: str) -> int:
    return shard_of(link_id, OUTBOX_SHARDS)


def link_of(item: LinkItem) -> Link:
    return Link(
        link_id=LinkId(item.link_id),
        user_id=UserId(item.user_id),
        provider_id=ProviderId(item.provider_id),
        kind=LinkKind(item.kind or LinkKind.API),
        account_identifier=item.account_identifier,
        account_hash=AccountHash(item.account_hash),
        nickname=item.nickname,
        state=LinkState(item.state),
        status_detail=item.status_detail or "",
        mfa=_challenge(item),
        code_waits=bool(item.code_waits),
        history=_history(item),
        last_success_at=instant(item.last_success_at),
        last_attempt_at=instant(item.last_attempt_at),
        repaired_at=instant(item.repaired_at),
        next_refresh_at=instant(item.next_refresh_at),
        consecutive_failures=int(item.consecutive_failures),
        bill_count=int(item.bill_count),
        created_at=parse_rfc3339(item.created_at),
        updated_at=parse_rfc3339(item.updated_at),
        version=int(item.version),
    )


def held_of(item: LinkItem) -> HeldLink:
    return HeldLink(
        link_id=LinkId(item.link_id),
        provider_id=ProviderId(item.provider_id),
        kind=item.kind or LinkKind.API.value,
        account_identifier=item.account_identifier,
        nickname=item.nickname,
        state=item.state,
        status_detail=item.status_detail or None,
        mfa_methods=tuple(item.mfa_methods or ()),
        mfa_expires_at=item.mfa_expires_at,
        history=_history(item),
        last_success_at=item.last_success_at,
        last_attempt_at=item.last_attempt_at,
        next_refresh_at=item.next_refresh_at,
        consecutive_failures=int(item.consecutive_failures),
        bill_count=int(item.bill_count),
        created_at=item.created_at,
        updated_at=item.updated_at,
        version=int(item.version),
    )


def history_maps(history: Sequence[HistoryEntry]) -> list[HistoryMap]:
    return [
        HistoryMap(  # type: ignore[no-untyped-call]  # PynamoDB's own
            at=rfc3339(entry.at),
            event=entry.event.value,
            previous_state=entry.previous_state.value,
            state=entry.state.value,
            status_detail=entry.status_detail,
        )
        for entry in history
    ]


def instant(text: str | None) -> datetime | None:
    return parse_rfc3339(text) if text else None


def _history(item: LinkItem) -> tuple[HistoryEntry, ...]:
    return tuple(
        HistoryEntry(
            at=parse_rfc3339(entry.at),
            event=LinkEvent(entry.event),
            previous_state=LinkState(entry.previous_state),
            state=LinkState(entry.state),
            status_detail=entry.status_detail,
        )
        for entry in item.history or ()
    )


def _challenge(item: LinkItem) -> MfaChallenge | None:
    if item.state != LinkState.MFA_REQUIRED:
        return None
    return MfaChallenge(tuple(item.mfa_methods or ()), instant(item.mfa_expires_at), item.mfa_reference or "")
