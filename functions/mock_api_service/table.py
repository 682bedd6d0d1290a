"""What the sandbox remembers, in one table: keys `pk` and `sk`, time to live `expires_at`.

pk                           sk                    what
controls                     clock                 virtual_date, while one is set
controls                     outage#<utility>      stands there while the utility is down
account#<utility>#<account>  scenario              scenario, while one is set
account#<utility>#<account>  bill#<bill number>    amount_minor, adjusted_on, times
requests#<utility>#<account> item                  times, expires_at
grant#<hash of token>        item                  username, login, expires_at
reference#<ref id>           item                  username, account, polls, expires_at
challenge#<hash of token>    item                  login, expires_at
trust#<login>                item                  until, expires_at
"""

from datetime import date, datetime

from pynamodb.attributes import NumberAttribute, TTLAttribute, UnicodeAttribute
from pynamodb.exceptions import DoesNotExist
from pynamodb.models import Model

from functions.common.errors import Conflict
from functions.common.table import ConditionFailed, bind, deleted, translated, updated
from functions.mock_api_service.memory import AccountMemory, Controls, Grant, Reference
from functions.mock_api_service.model import AccountNumber, Adjustment, BillNumber, Scenario, UtilityName

CONTROLS, CLOCK, OUTAGE, ONLY = "controls", "clock", "outage#", "item"
SCENARIO, BILL = "scenario", "bill#"
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
    scenario = UnicodeAttribute(null=True)
    username = UnicodeAttribute(null=True)
    login = UnicodeAttribute(null=True)
    until = UnicodeAttribute(null=True)
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

    def account(self, utility: UtilityName, account: AccountNumber) -> AccountMemory:
        with translated():
            items = {item.sk: item for item in self._item.query(_account_key(utility, account), consistent_read=True)}
        scenario = items.pop(SCENARIO, None)
        adjustments = {
            BillNumber(sk.removeprefix(BILL)): Adjustment(
                int(item.amount_minor), date.fromisoformat(item.adjusted_on), int(item.times)
            )
            for sk, item in items.items()
        }
        return AccountMemory(Scenario(scenario.scenario) if scenario else None, adjustments)

    def set_scenario(self, utility: UtilityName, account: AccountNumber, scenario: Scenario | None) -> None:
        """Unconditional, because a switch has no state to lose: the last one to say it is right."""
        item = self._item(_account_key(utility, account), SCENARIO, scenario=scenario)
        with translated():
            if scenario:
                item.save()
            else:
                item.delete()

    def put_adjustment(
        self, utility: UtilityName, account: AccountNumber, number: BillNumber, adjustment: Adjustment
    ) -> None:
        item = self._item(
            _account_key(utility, account),
            BILL + number,
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

    def count_request(self, utility: UtilityName, account: AccountNumber, expires_at: datetime) -> int:
        item = self._item(f"requests#{utility}#{account}", ONLY)
        with translated():
            item.update([SandboxItem.times.add(1), SandboxItem.expires_at.set(expires_at)])
        return int(item.times)

    def put_grant(self, token_hash: str, grant: Grant) -> None:
        item = self._item(
            f"grant#{token_hash}", ONLY, username=grant.username, login=grant.login, expires_at=grant.expires_at
        )
        with translated():
            item.save(condition=SandboxItem.pk.does_not_exist())

    def grant(self, token_hash: str) -> Grant | None:
        with translated():
            try:
                item = self._item.get(f"grant#{token_hash}", ONLY, consistent_read=True)
            except DoesNotExist:
                return None
        return Grant(item.username, item.login, item.expires_at)

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
        if not updated(item, [SandboxItem.polls.add(1)], SandboxItem.pk.exists()):
            return None
        return Reference(item.username, AccountNumber(item.account), item.expires_at, int(item.polls))

    def put_challenge(self, token_hash: str, login: str, expires_at: datetime) -> None:
        item = self._item(f"challenge#{token_hash}", ONLY, login=login, expires_at=expires_at)
        with translated():
            item.save(condition=SandboxItem.pk.does_not_exist())

    def use_challenge(self, token_hash: str, login: str, now: datetime) -> bool:
        item = self._item(f"challenge#{token_hash}", ONLY)
        return deleted(item, (SandboxItem.login == login) & (SandboxItem.expires_at > now))

    def trust(self, login: str, until: date, expires_at: datetime) -> None:
        """Unconditional: whoever passes later is trusted for longer."""
        with translated():
            self._item(f"trust#{login}", ONLY, until=until.isoformat(), expires_at=expires_at).save()

    def trusted_until(self, login: str) -> date | None:
        with translated():
            try:
                return date.fromisoformat(self._item.get(f"trust#{login}", ONLY, consistent_read=True).until)
            except DoesNotExist:
                return None


def _account_key(utility: UtilityName, account: AccountNumber) -> str:
    return f"account#{utility}#{account}"
