from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any  # values of DynamoDB's items

import boto3
import pytest
from moto import mock_aws

from functions.common.clock import rfc3339
from infra import restore, settings, stack
from infra.console import Failure
from infra.restore import THERE
from infra.restore_rules import BACK, LEFT, MARKED, NEVER, RULES, Live

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

KEYS = {
    "UsersTable": ("user_id",),
    "LinksTable": ("user_id", "link_id"),
    "LinkKeysTable": ("link_id",),
    "BillsTable": ("user_id", "sk"),
    "WebhooksTable": ("user_id", "sk"),
    "AuditTable": ("user_id", "sk"),
    "ProvidersTable": ("provider_id",),
    "MigrationsTable": ("service", "migration"),
}
NOW = datetime.now(UTC)
POINT = NOW - timedelta(hours=2)
COPY = "copy"
HERE = {"user_id": "usr_here", "email": "here@example.com"}
ACTIVE = {"user_id": "usr_here", "link_id": "lnk_here", "state": "ACTIVE", "kind": "api"}
BILL = {"user_id": "usr_here", "sk": "bill#1", "link_id": "lnk_here", "content": "{}", "content_hash": "as it was"}


def typed(values: dict[str, Any]) -> dict[str, Any]:
    return {name: {"N": str(v)} if isinstance(v, int) else {"S": v} for name, v in values.items()}


@pytest.fixture
def dynamodb() -> "Iterator[DynamoDBClient]":
    with mock_aws():
        yield boto3.client("dynamodb", region_name="us-east-1")


@pytest.fixture
def live(dynamodb: "DynamoDBClient") -> Live:
    """Every table, empty; physical names end in what CloudFormation would add."""
    names = {name: f"{name}-x" for name in KEYS}
    for name, physical in names.items():
        create(dynamodb, physical, KEYS[name])
    return Live(dynamodb, names, POINT)


def create(dynamodb: "DynamoDBClient", name: str, keys: tuple[str, ...]) -> None:
    kinds = ("HASH", "RANGE")
    dynamodb.create_table(
        TableName=name,
        BillingMode="PAY_PER_REQUEST",
        KeySchema=[{"AttributeName": key, "KeyType": kind} for key, kind in zip(keys, kinds, strict=False)],  # type: ignore[typeddict-item]
        AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"} for key in keys],
    )


def put(live: Live, table: str, *items: dict[str, Any]) -> None:
    for item in items:
        live.dynamodb.put_item(TableName=live.names[table], Item=typed(item))


def copied(live: Live, table: str, *items: dict[str, Any]) -> None:
    """A copy of the table that holds these."""
    create(live.dynamodb, COPY, KEYS[table])
    for item in items:
        live.dynamodb.put_item(TableName=COPY, Item=typed(item))


def has(live: Live, table: str, **key: str) -> dict[str, Any]:
    found = live.dynamodb.get_item(TableName=live.names[table], Key=typed(dict(key))).get("Item", {})
    return {name: next(iter(value.values())) for name, value in found.items()}


def back(live: Live, table: str, *, apply: bool = True) -> Counter[str]:
    return restore.bring_back(live, table, COPY, apply=apply)


class TestBills:
    @pytest.fixture(autouse=True)
    def _a_user_with_a_link(self, live: Live) -> None:
        put(live, "UsersTable", HERE)
        put(live, "LinksTable", ACTIVE)

    def test_a_lost_bill_comes_back_and_the_next_refresh_compares_it(self, live: Live) -> None:
        copied(live, "BillsTable", BILL)
        put(live, "BillsTable", {"user_id": "usr_here", "sk": "link#lnk_here", "answer_digest": "known"})

        assert back(live, "BillsTable") == {BACK: 1}

        assert has(live, "BillsTable", user_id="usr_here", sk="bill#1")["content_hash"] == "as it was"
        assert "answer_digest" not in has(live, "BillsTable", user_id="usr_here", sk="link#lnk_here")

    def test_what_is_there_stays_as_it_is(self, live: Live) -> None:
        copied(live, "BillsTable", BILL)
        put(live, "BillsTable", BILL | {"content_hash": "newer"})

        assert back(live, "BillsTable") == {THERE: 1}
        assert has(live, "BillsTable", user_id="usr_here", sk="bill#1")["content_hash"] == "newer"

    def test_without_apply_nothing_is_written(self, live: Live) -> None:
        copied(live, "BillsTable", BILL)

        assert back(live, "BillsTable", apply=False) == {BACK: 1}
        assert has(live, "BillsTable", user_id="usr_here", sk="bill#1") == {}

    @pytest.mark.parametrize("state", ["REVOKED", None])
    def test_bills_of_an_unlinked_account_stay_deleted(self, live: Live, state: str | None) -> None:
        copied(live, "BillsTable", BILL | {"link_id": "lnk_gone"})
        if state:
            put(live, "LinksTable", ACTIVE | {"link_id": "lnk_gone", "state": state})

        assert back(live, "BillsTable") == {"its account was unlinked": 1}

    def test_bills_of_a_user_who_left_stay_deleted(self, live: Live) -> None:
        leaving = {"user_id": "usr_leaving", "deleted_at": "2026-01-01T00:00:00.000Z"}
        put(live, "UsersTable", leaving)
        copied(
            live,
            "BillsTable",
            BILL | {"user_id": "usr_gone"},
            BILL | {"user_id": "usr_leaving"},
            {"user_id": "usr_here", "sk": "user#gone", "expires_at": int(NOW.timestamp()) + 900},
        )

        assert back(live, "BillsTable") == {LEFT: 2, MARKED: 1}

    def test_a_lost_record_of_a_link_comes_back(self, live: Live) -> None:
        copied(live, "BillsTable", {"user_id": "usr_here", "sk": "link#lnk_here", "link_id": "lnk_here"})

        assert back(live, "BillsTable") == {BACK: 1}


class TestLinks:
    @pytest.fixture(autouse=True)
    def _a_user(self, live: Live) -> None:
        put(live, "UsersTable", HERE)

    def test_a_link_whose_key_is_there_comes_back_with_its_mark(self, live: Live) -> None:
        put(live, "LinkKeysTable", {"link_id": "lnk_here", "sealed_at": rfc3339(POINT - timedelta(days=1))})
        copied(live, "LinksTable", {"user_id": "usr_here", "link_id": "acct#1", "held_by": "lnk_here"}, ACTIVE)

        assert back(live, "LinksTable") == {BACK: 2}
        assert has(live, "LinksTable", user_id="usr_here", link_id="acct#1")["held_by"] == "lnk_here"

    def test_a_link_without_a_key_stays_shredded_and_its_mark_too(self, live: Live) -> None:
        copied(live, "LinksTable", ACTIVE, {"user_id": "usr_here", "link_id": "acct#1", "held_by": "lnk_here"})

        assert back(live, "LinksTable") == {
            "its key was shredded: it was unlinked": 1,
            "its link is not there": 1,
        }
        assert has(live, "LinksTable", user_id="usr_here", link_id="lnk_here") == {}

    def test_a_link_that_files_feed_has_no_key(self, live: Live) -> None:
        copied(live, "LinksTable", ACTIVE | {"kind": "manual"})

        assert back(live, "LinksTable") == {BACK: 1}

    def test_credentials_that_were_sealed_anew_since_do_not_fit(self, live: Live) -> None:
        put(live, "LinkKeysTable", {"link_id": "lnk_here", "sealed_at": rfc3339(POINT + timedelta(minutes=1))})
        copied(live, "LinksTable", ACTIVE)

        assert back(live, "LinksTable")[BACK] == 0

    def test_an_expired_tombstone_does_not_come_back(self, live: Live) -> None:
        copied(live, "LinksTable", ACTIVE | {"state": "REVOKED", "expires_at": int(NOW.timestamp()) - 60})

        assert back(live, "LinksTable") == {"it has ended": 1}


class TestUsers:
    def test_a_lost_user_comes_back_with_the_e_mail(self, live: Live) -> None:
        copied(live, "UsersTable", {"user_id": "email#here@example.com", "owner_id": "usr_here"}, HERE)

        assert back(live, "UsersTable") == {BACK: 2}

    def test_a_user_who_was_purged_stays_deleted_and_so_does_the_e_mail(self, live: Live) -> None:
        put(live, "LinksTable", {"user_id": "usr_here", "link_id": "user#gone"})
        copied(live, "UsersTable", {"user_id": "email#here@example.com", "owner_id": "usr_here"}, HERE)

        assert back(live, "UsersTable") == {LEFT: 2}

    def test_an_e_mail_that_somebody_else_has_by_now_is_theirs(self, live: Live) -> None:
        put(live, "UsersTable", {"user_id": "email#here@example.com", "owner_id": "usr_new"})
        copied(live, "UsersTable", HERE)

        assert back(live, "UsersTable") == {"somebody else has their e-mail now": 1}


def test_of_webhooks_deliveries_are_left_out(live: Live) -> None:
    put(live, "UsersTable", HERE)
    webhook = {"user_id": "usr_here", "sk": "webhook#1"}
    copied(live, "WebhooksTable", webhook, webhook | {"sk": "delivery#1#2"}, webhook | {"user_id": "usr_gone"})

    assert back(live, "WebhooksTable") == {BACK: 1, LEFT: 1, "it is a delivery or a mark": 1}


def test_of_the_audit_the_platforms_own_entries_come_back(live: Live) -> None:
    entry = {"user_id": "platform", "sk": "2026#1"}
    copied(live, "AuditTable", entry, entry | {"user_id": "usr_gone"}, entry | {"sk": "user#gone"})

    assert back(live, "AuditTable") == {BACK: 1, LEFT: 1, MARKED: 1}


def test_what_belongs_to_no_user_comes_back(live: Live) -> None:
    copied(live, "ProvidersTable", {"provider_id": "prv_one"})

    assert back(live, "ProvidersTable") == {BACK: 1}


class TestTheCommand:
    @pytest.fixture(autouse=True)
    def _deployed(self, live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(restore, "client", lambda *_: live.dynamodb)
        monkeypatch.setattr(stack, "resources", lambda _: live.names)

    @staticmethod
    def run(table: str, at: str = "", copy: str = "", *, apply: bool = False) -> None:
        restore.run(settings.load({}), table, at, copy, apply=apply)

    def test_it_makes_a_copy_and_goes_on_with_it(self, live: Live, capsys: pytest.CaptureFixture[str]) -> None:
        name = live.names["ProvidersTable"]
        put(live, "ProvidersTable", {"provider_id": "prv_one"})
        live.dynamodb.update_continuous_backups(
            TableName=name, PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True}
        )
        self.run("ProvidersTable", at=rfc3339(POINT))
        live.dynamodb.delete_item(TableName=name, Key={"provider_id": {"S": "prv_one"}})

        self.run("ProvidersTable", copy=f"{name}-at-{POINT:%Y%m%dT%H%M%SZ}", apply=True)

        assert has(live, "ProvidersTable", provider_id="prv_one")
        assert "1 came back" in capsys.readouterr().err

    @pytest.mark.parametrize("table", NEVER)
    def test_some_are_never_restored(self, table: str) -> None:
        with pytest.raises(Failure, match="is not restored"):
            self.run(table, at=rfc3339(POINT))

    def test_every_table_of_the_template_is_restored_or_never(self) -> None:
        from infra import template

        tables = {n for n, r in template.read()["Resources"].items() if r["Type"] == "AWS::DynamoDB::Table"}

        assert set(RULES) | set(NEVER) == tables

    def test_a_copy_of_users_is_not_older_than_the_marks_of_deleted_ones(self, live: Live) -> None:
        old = NOW - timedelta(days=31)

        with pytest.raises(Failure, match="too old"):
            self.run("UsersTable", copy=f"{live.names['UsersTable']}-at-{old:%Y%m%dT%H%M%SZ}")
        with pytest.raises(Failure, match="too old"):
            self.run("UsersTable", at=rfc3339(old))
        assert set(live.dynamodb.list_tables()["TableNames"]) == set(live.names.values()), "no copy was made"

    @pytest.mark.parametrize(
        ("table", "at", "copy", "what"),
        [
            ("", "", "", "can be restored"),
            ("BillsTable", "yesterday", "", "is no instant"),
            ("BillsTable", "", "LinksTable-x-at-20260101T000000Z", "is no copy of BillsTable-x"),
        ],
    )
    def test_what_makes_no_sense_is_refused(self, table: str, at: str, copy: str, what: str) -> None:
        with pytest.raises(Failure, match=what):
            self.run(table, at, copy)
