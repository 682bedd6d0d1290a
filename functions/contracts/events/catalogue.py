"""All event types. Adding an event: its class in the file of its domain, and a line here."""

from functions.contracts.events.accounts import AccountLinkedV1, AccountStateChangedV1, AccountUnlinkedV1
from functions.contracts.events.bills import (
    BillCreatedV1,
    BillDueSoonV1,
    BillOverdueV1,
    BillPaidV1,
    BillsImportRequestedV1,
    BillsRefreshRequestedV1,
    BillUpdatedV1,
)
from functions.contracts.events.envelope import EventData
from functions.contracts.events.providers import ProviderHealthChangedV1
from functions.contracts.events.security import SecurityActionRecordedV1
from functions.contracts.events.users import UserDeletedV1

CATALOGUE: dict[str, type[EventData]] = {
    cls.TYPE: cls
    for cls in (
        AccountLinkedV1,
        AccountStateChangedV1,
        AccountUnlinkedV1,
        BillsRefreshRequestedV1,
        BillsImportRequestedV1,
        BillCreatedV1,
        BillUpdatedV1,
        BillPaidV1,
        BillDueSoonV1,
        BillOverdueV1,
        UserDeletedV1,
        ProviderHealthChangedV1,
        SecurityActionRecordedV1,
    )
}
