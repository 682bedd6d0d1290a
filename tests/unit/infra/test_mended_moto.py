"""What the mended moto does that moto does not, in a process of its own: others keep moto as it is."""

import os
import subprocess
import sys

from infra.settings import ROOT

TRIES = """
import boto3
from moto import mock_aws

def key(name):
    return {"id": {"S": name}}

with mock_aws():
    client = boto3.client("dynamodb", region_name="us-east-1")
    client.create_table(TableName="t", BillingMode="PAY_PER_REQUEST", AttributeDefinitions=[
        {"AttributeName": "id", "AttributeType": "S"}], KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}])
    client.put_item(TableName="t", Item={**key("changed"), "n": {"N": "1"}})
    client.put_item(TableName="t", Item=key("deleted"))
    new = {"Put": {"TableName": "t", "Item": key("new"), "ConditionExpression": "attribute_not_exists(id)"}}
    try:
        client.transact_write_items(TransactItems=[
            new,
            {"Update": {"TableName": "t", "Key": key("changed"), "UpdateExpression": "SET n = :n",
                        "ExpressionAttributeValues": {":n": {"N": "2"}}}},
            {"Delete": {"TableName": "t", "Key": key("deleted")}},
            {"ConditionCheck": {"TableName": "t", "Key": key("none"), "ConditionExpression": "attribute_exists(id)"}},
        ])
    except client.exceptions.TransactionCanceledException as error:
        print([reason["Code"] for reason in error.response["CancellationReasons"]])
    print(sorted(item["id"]["S"] + item.get("n", {"N": ""})["N"] for item in client.scan(TableName="t")["Items"]))
    for token in ("once", "once", "another"):
        try:
            client.transact_write_items(TransactItems=[new], ClientRequestToken=token)
            print("written")
        except client.exceptions.TransactionCanceledException:
            print("conflict")
"""


def test_what_fails_leaves_nothing_and_a_token_counts_once() -> None:
    keys = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
    environment = {**os.environ, **keys, "PYTHONPATH": str(ROOT / "tests/support/mended_moto")}

    done = subprocess.run(
        [sys.executable, "-c", TRIES], env=environment, capture_output=True, text=True, check=True, timeout=60
    )

    assert done.stdout.splitlines() == [
        "['None', 'None', 'None', 'ConditionalCheckFailed']",
        "['changed1', 'deleted']",
        "written",
        "written",
        "conflict",
    ]
