"""Each function's policies allow what the function does, and nothing else.

What the functions do is in rights.json: every right that the integration tests saw them use on the embedded engine,
which refuses what no policy allows (tests/integration/test_policies.py also says when the file is no longer true).
"""

from typing import Any

import pytest

from tests.support import rights
from tests.support.rights import BY_LUCK, Right, Unread

BROAD = {
    "FilesBucket/imports/*": "uploads have names that are made up as they come",
    "FilesBucket/exports/*": "so have files to download",
}
"""Resources that are not one thing, and why."""
TABLE = {"Fn::GetAtt": "BillsTable.Arn"}


def test_functions_may_do_what_they_do() -> None:
    assert rights.uncovered(rights.load(), rights.granted()) == []


def test_functions_may_do_nothing_else() -> None:
    assert rights.idle(rights.granted(), rights.load()) == []


def test_what_is_used_by_luck_is_granted() -> None:
    assert BY_LUCK.keys() - {right.kind for right in rights.granted()} == set()
    assert all(BY_LUCK.values())


def test_rights_are_for_one_action_on_one_thing() -> None:
    for right in rights.granted():
        assert "*" not in right.action, right
        assert "*" not in right.resource or right.resource in BROAD, right
    assert BROAD.keys() <= {right.resource for right in rights.granted()}


# the tests' own tools


def one(statement: dict[str, Any]) -> list[Right]:
    return rights.granted({"Fn": {"Policies": [{"Statement": [statement]}]}})


def allow(action: Any, resource: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": action, "Resource": resource}


@pytest.mark.parametrize(
    ("resource", "name"),
    [
        (TABLE, "BillsTable"),
        ({"Ref": "EventsTopic"}, "EventsTopic"),
        ({"Fn::Sub": "${BillsTable.Arn}/index/outbox"}, "BillsTable/index/outbox"),
        (
            {"Fn::Sub": "arn:${AWS::Partition}:kms:${AWS::Region}:${AWS::AccountId}:key/${SigningKeyId}"},
            "kms:key/{parameter}",
        ),
    ],
)
def test_a_resource_goes_by_its_name_in_the_template(resource: Any, name: str) -> None:
    assert one(allow("a:Do", resource)) == [Right("Fn", "a:Do", name)]


def test_every_action_counts_with_every_resource_in_both_branches_of_a_condition() -> None:
    either = {"Fn::If": ["Some", [TABLE, {"Ref": "EventsTopic"}], {"Ref": "AWS::NoValue"}]}

    assert one(allow(["a:Do", "a:Go"], either)) == [
        Right("Fn", "a:Do", "BillsTable"),
        Right("Fn", "a:Go", "BillsTable"),
        Right("Fn", "a:Do", "EventsTopic"),
        Right("Fn", "a:Go", "EventsTopic"),
    ]


@pytest.mark.parametrize(
    "statement",
    [
        allow("a:Do", TABLE) | {"Condition": {"Bool": {"aws:SecureTransport": "true"}}},
        allow("a:Do", TABLE) | {"Effect": "Deny"},
        {"Effect": "Allow", "NotAction": "a:Do", "Resource": TABLE},
        allow("a:Do", "*"),
        allow("a:Do", "arn:aws:s3:::bucket"),
        allow("a:Do", {"Fn::Sub": "arn:${AWS::Partition}:kms:*:*:key/*"}),
    ],
)
def test_what_is_not_understood_is_not_judged(statement: dict[str, Any]) -> None:
    with pytest.raises(Unread):
        one(statement)


def test_nor_are_policies_that_somebody_else_wrote() -> None:
    with pytest.raises(Unread):
        rights.granted({"Fn": {"Policies": ["AmazonDynamoDBFullAccess"]}})


def test_what_one_piece_of_code_does_goes_for_all_that_have_it() -> None:
    given = [Right("Fn", "sqs:SendMessage", "AQueueDead"), Right("Fn", "sqs:SendMessage", "AQueue")]
    done = [Right("Other", "sqs:SendMessage", "BQueueDead"), Right("Other", "sqs:SendMessage", "AQueue")]

    assert rights.idle(given, done) == [Right("Fn", "sqs:SendMessage", "AQueue")]


def test_too_little_and_too_much_are_found() -> None:
    given = [Right("Fn", "s3:GetObject", "Bucket/imports/*"), Right("Fn", "a:Do", "Table")]
    done = [Right("Fn", "s3:GetObject", "Bucket/imports/*"), Right("Other", "a:Do", "Table")]

    assert rights.uncovered(done, given) == [Right("Other", "a:Do", "Table")]
    assert rights.idle(given, done) == [Right("Fn", "a:Do", "Table")]


NOTED = """
{"function": "billing-dev-Fn-1", "action": "a:Do", "resource": "arn:aws:dynamodb:r:0:table/billing-T-1/index/i", "refused": false}
{"function": "billing-dev-Fn-1", "action": "a:Do", "resource": "arn:aws:s3:::bucket-1/imports/*", "refused": false}
{"function": "billing-dev-Fn-1", "action": "a:Do", "resource": "arn:aws:lambda:r:0:function:billing-dev-Fn-1", "refused": false}
{"function": "billing-dev-Fn-1", "action": "a:Do", "resource": "arn:aws:sqs:r:0:queue-1", "refused": false}
{"function": "billing-dev-Fn-1", "action": "a:Do", "resource": "arn:aws:kms:r:0:key/other", "refused": false}
{"function": "billing-dev-Fn-1", "action": "a:Go", "resource": "arn:aws:sns:r:0:topic-1", "refused": true}
"""  # noqa: E501 - as the engine writes them


def test_notes_are_read_by_the_names_of_the_template(tmp_path: Any) -> None:
    notes = tmp_path / "rights.jsonl"
    notes.write_text(NOTED.strip())
    physical = {"Fn": "billing-dev-Fn-1", "Table": "billing-T-1", "Bucket": "bucket-1"}
    physical |= {"Queue": "http://127.0.0.1:4566/000000000000/queue-1", "Topic": "arn:aws:sns:r:0:topic-1"}

    allowed, refused = rights.used(notes, physical)

    assert {right.resource for right in allowed} == {
        "Table/index/i",
        "Bucket/imports/*",
        "Fn",
        "Queue",
        "kms:key/{parameter}",
    }
    assert refused == ["Fn: a:Go on arn:aws:sns:r:0:topic-1"]


def test_what_is_saved_is_what_is_loaded(tmp_path: Any) -> None:
    kept = {Right("Fn", "a:Do", "Table"), Right("Fn", "a:Go", "Table"), Right("Other", "a:Do", "Queue")}

    rights.save(kept, tmp_path / "rights.json")

    assert rights.load(tmp_path / "rights.json") == kept
