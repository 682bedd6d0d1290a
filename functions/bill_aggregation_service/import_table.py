"""Import jobs, in their user's partition of BillsTable: `import#<import_id>`, in no index, for 30 days."""

from dataclasses import replace
from datetime import timedelta

import msgspec
from pynamodb.exceptions import DoesNotExist
from pynamodb.transactions import TransactWrite

from functions.bill_aggregation_service.import_job import ImportId, ImportJob, JobMoved
from functions.bill_aggregation_service.item_table import Item
from functions.bill_aggregation_service.model import UserId
from functions.common.clock import Clock, rfc3339
from functions.common.errors import NotFound
from functions.common.personal import GONE
from functions.common.table import ConditionFailed, bind, translated

IMPORTS = "import#"
KEPT = timedelta(days=30)


class ImportTable:
    def __init__(self, table_name: str, clock: Clock) -> None:
        self._items = bind(Item, table_name)
        self._clock = clock

    def create(self, job: ImportJob) -> None:
        # The model's own connection: a second one would cost a second botocore client.
        connection = self._items._get_connection().connection  # noqa: SLF001
        try:
            with translated(), TransactWrite(connection=connection) as transaction:
                transaction.condition_check(self._items, job.user_id, GONE, condition=Item.sk.does_not_exist())
                transaction.save(_item(job), condition=Item.sk.does_not_exist())
        except ConditionFailed as error:
            raise NotFound("The user was deleted.", code="user_not_found") from error

    def job(self, user_id: UserId, import_id: ImportId) -> ImportJob | None:
        with translated():
            try:
                item = self._items.get(user_id, IMPORTS + import_id, consistent_read=True)
            except DoesNotExist:
                return None
        job = import_of(item)
        return job if self._clock.now() - job.created_at < KEPT else None

    def update(self, before: ImportJob, after: ImportJob) -> ImportJob:
        written = replace(after, version=before.version + 1)
        try:
            with translated():
                _item(written).save(condition=Item.version == before.version)
        except ConditionFailed as error:
            raise JobMoved from error
        return written


def import_of(item: Item) -> ImportJob:
    return msgspec.json.decode(item.content or "", type=ImportJob)


def _item(job: ImportJob) -> Item:
    return Item(
        job.user_id,
        IMPORTS + job.import_id,
        link_id=job.asked.link_id or "",
        provider_id="",
        content=msgspec.json.encode(job).decode(),
        version=job.version,
        updated_at=rfc3339(job.updated_at),
        expires_at=job.created_at + KEPT,
    )
