"""Marks of the webhooks that came in, in the table of jobs: `user_id` is `provider#<provider_id>`, which is no user,
`sk` is `webhook#<webhook_id>`, and one past its `expires_at` counts as not there."""

from datetime import timedelta

from pynamodb.attributes import BooleanAttribute, NumberAttribute, UnicodeAttribute
from pynamodb.exceptions import DoesNotExist
from pynamodb.models import Model

from functions.broker_service.announcements import Seen
from functions.common.clock import Clock
from functions.common.table import bind, deleted, saved, translated


class MarkItem(Model):
    class Meta:
        table_name = ""
        billing_mode = "PAY_PER_REQUEST"

    user_id = UnicodeAttribute(hash_key=True)
    sk = UnicodeAttribute(range_key=True)
    done = BooleanAttribute()
    expires_at = NumberAttribute()


class DynamoWebhookMarks:
    def __init__(self, table_name: str, clock: Clock) -> None:
        self._item = bind(MarkItem, table_name)
        self._clock = clock

    def begin(self, provider_id: str, webhook_id: str, lease: timedelta) -> Seen:
        free = MarkItem.sk.does_not_exist() | (MarkItem.expires_at <= self._in(timedelta()))
        mark = self._mark(provider_id, webhook_id)
        mark.done, mark.expires_at = False, self._in(lease)
        return Seen.NEW if saved(mark, free) else self._seen(mark)

    def finish(self, provider_id: str, webhook_id: str, kept: timedelta) -> None:
        mark = self._mark(provider_id, webhook_id)
        mark.done, mark.expires_at = True, self._in(kept)
        with translated():
            mark.save()

    def abandon(self, provider_id: str, webhook_id: str) -> None:
        # unless it was done all the same
        deleted(self._mark(provider_id, webhook_id), MarkItem.done == False)  # noqa: E712 - PynamoDB's

    def _seen(self, mark: MarkItem) -> Seen:
        with translated():
            try:
                present = self._item.get(mark.user_id, mark.sk, consistent_read=True)
            except DoesNotExist:
                return Seen.IN_WORK  # given up in this moment: the next time it is new
        return Seen.DONE if present.done else Seen.IN_WORK

    def _mark(self, provider_id: str, webhook_id: str) -> MarkItem:
        return self._item(f"provider#{provider_id}", f"webhook#{webhook_id}")

    def _in(self, span: timedelta) -> int:
        return int((self._clock.now() + span).timestamp())
