"""What the sandbox remembers, in one table: keys `pk` and `sk`, time to live `expires_at`.

pk                         sk                 what
controls                   clock              virtual_date, while one is set
controls                   outage#<utility>   stands there while the utility is down
bills#<utility>#<account>  <bill number>      amount_minor, adjusted_on, times
grant#<hash of token>      item               username, expires_at
reference#<ref id>         item               username, account, polls, expires_at
"""

from collections.abc import Mapping
from datetime import date

from pynamodb.attributes import NumberAttribute, TTLAttribute, UnicodeAttribute
from pynamodb.exceptions import DoesNotExist
from pynamodb.models import Model

from functions.common.errors import Conflict
from functions.common.table import ConditionFailed, bind, translated
from functions.mock_api_service.model import (
    AccountNumber,
    Adjustment,
    BillNumber,
    Controls,
    Grant,
    Reference,
    UtilityName,
)

CONTROLS, CLOCK, OUTAGE, ONLY = "controls", "clock", "outage#", "item"
CHANGED_MEANWHILE = "Somebody else changed it meanwhile; try again."


class SandboxItem(Model):
    class Meta:
        table_name = ""

    pk = UnicodeAttribute(hash_key=True)
    sk = UnicodeAttribute(range_key=True)
    virtual_date = UnicodeAttribute(null=True)
    amount_minor = NumberAttribute(null=True)
    adjusted_on = UnicodeAttribute(null=True)
    times = NumberAttribute(null=True)
    username = UnicodeAttribute(null=True)
    account = UnicodeAttribute(null=True)
    polls = NumberAttribute(null=True)
    expires_at = TTLAttribute(null=True)


class DynamoSandboxTable:
    def __init__(self, table_name: str) -> None:
        self._item = bind(SandboxItem, table_name)

    def controls(self) -> Controls:
        day: date | None = None
        outages: set[UtilityName] = set()
        with translated():
            for item in self._item.query(CONTROLS, consistent_read=True):
                if item.sk == CLOCK:
                    day = date.fromisoformat(item.virtual_date)
                else:
                    outages.add(UtilityName(item.sk.removeprefix(OUTAGE)))
        return Controls(day, frozenset(outages))

    def move_clock(self, seen: date | None, to: date | None) -> None:
        item = self._item(CONTROLS, CLOCK, virtual_date=to.isoformat() if to else None)
        stored = SandboxItem.virtual_date
        unchanged = stored == seen.isoformat() if seen else stored.does_not_exist()
        try:
            with translated():
                if to:
                    item.save(condition=unchanged)
                else:
                    item.delete(condition=unchanged)
        except ConditionFailed as error:
            raise Conflict(CHANGED_MEANWHILE) from error

    def set_outage(self, utility: UtilityName, *, down: bool) -> None:
        """Unconditional, because a switch has no state to lose: the last one to say it is right."""
        item = self._item(CONTROLS, OUTAGE + utility)
        with translated():
            if down:
                item.save()
            else:
                item.delete()

    def adjustments(self, utility: UtilityName, account: AccountNumber) -> Mapping[BillNumber, Adjustment]:
        with translated():
            return {
                BillNumber(item.sk): Adjustment(
                    int(item.amount_minor), date.fromisoformat(item.adjusted_on), int(item.times)
                )
                for item in self._item.query(_bills_key(utility, account), consistent_read=True)
            }

    def put_adjustment(
        self, utility: UtilityName, account: AccountNumber, number: BillNumber, adjustment: Adjustment
    ) -> None:
        item = self._item(
            _bills_key(utility, account),
            number,
            amount_minor=adjustment.amount_minor,
            adjusted_on=adjustment.adjusted_on.isoformat(),
            times=adjustment.times,
        )
        stored = SandboxItem.times
        unchanged = stored == adjustment.times - 1 if adjustment.times > 1 else stored.does_not_exist()
        try:
            with translated():
                item.save(condition=unchanged)
        except ConditionFailed as error:
            raise Conflict(CHANGED_MEANWHILE) from error

    def put_grant(self, token_hash: str, grant: Grant) -> None:
        item = self._item(f"grant#{token_hash}", ONLY, username=grant.username, expires_at=grant.expires_at)
        with translated():
            item.save(condition=SandboxItem.pk.does_not_exist())

    def grant(self, token_hash: str) -> Grant | None:
        with translated():
            try:
                item = self._item.get(f"grant#{token_hash}", ONLY, consistent_read=True)
            except DoesNotExist:
                return None
        return Grant(item.username, item.expires_at)

    def put_reference(self, ref_id: str, reference: Reference) -> None:
        item = self._item(
            f"reference#{ref_id}",
            ONLY,
            username=reference.username,
            account=reference.account,
            polls=reference.polls,
            expires_at=reference.expires_at,
        )
        with translated():
            item.save(condition=SandboxItem.pk.does_not_exist())

    def poll_reference(self, ref_id: str) -> Reference | None:
        item = self._item(f"reference#{ref_id}", ONLY)
        try:
            with translated():
                item.update([SandboxItem.polls.add(1)], condition=SandboxItem.pk.exists())
        except ConditionFailed:
            return None
        return Reference(item.username, AccountNumber(item.account), item.expires_at, int(item.polls))


def _bills_key(utility: UtilityName, account: AccountNumber) -> str:
    return f"bills#{utility}#{account}"
