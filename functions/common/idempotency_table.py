"""Idempotency records in DynamoDB: one table for all HTTP functions, key `key`, time to live `expires_at`."""

import json

from pynamodb.attributes import NumberAttribute, UnicodeAttribute
from pynamodb.exceptions import DoesNotExist
from pynamodb.models import Model

from functions.common.idempotency import KeptAnswer, Record
from functions.common.table import bind, deleted, saved, translated


class RecordItem(Model):
    class Meta:
        table_name = ""
        billing_mode = "PAY_PER_REQUEST"

    key = UnicodeAttribute(hash_key=True)
    request = UnicodeAttribute()
    attempt = UnicodeAttribute()
    expires_at = NumberAttribute()
    # the answer, once there is one
    status = NumberAttribute(null=True)
    headers = UnicodeAttribute(null=True)
    body = UnicodeAttribute(null=True)


class DynamoRecords:
    def __init__(self, table_name: str) -> None:
        self._item = bind(RecordItem, table_name)

    def take(self, record: Record, now: int) -> bool:
        # DynamoDB deletes late: what has expired is as good as gone.
        free = RecordItem.key.does_not_exist() | (RecordItem.expires_at <= now)
        return saved(self._of(record), free)

    def find(self, key: str) -> Record | None:
        with translated():
            try:
                item = self._item.get(key, consistent_read=True)
            except DoesNotExist:
                return None
        answer = None
        if item.status is not None:
            answer = KeptAnswer(int(item.status), json.loads(item.headers or "{}"), item.body or "")
        return Record(item.key, item.request, item.attempt, int(item.expires_at), answer)

    def complete(self, record: Record) -> bool:
        return saved(self._of(record), RecordItem.attempt == record.attempt)

    def remove(self, record: Record) -> None:
        # unless the lease ended, and another attempt holds the key
        deleted(self._of(record), RecordItem.attempt == record.attempt)

    def _of(self, record: Record) -> RecordItem:
        item = self._item(record.key, request=record.request, attempt=record.attempt, expires_at=record.expires_at)
        if record.answer:
            item.status = record.answer.status
            item.headers = json.dumps(dict(record.answer.headers))
            item.body = record.answer.body or None
        return item
