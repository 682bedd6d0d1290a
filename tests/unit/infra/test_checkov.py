"""What `make lint` makes of checkov's report: a run that checked nothing is no pass."""

from typing import Any

import pytest

from infra import checkov, template


def failed(check: str, resource: str, file: str = "/template.json") -> dict[str, Any]:
    return {"check_id": check, "resource": resource, "file_path": file, "check_name": "Ensure that it is safe"}


PROOF = [failed(check, resource, "/bad.json") for check, resource in checkov.MUST_FIND]


def report(*failures: dict[str, Any], unread: int = 0) -> dict[str, Any]:
    return {"results": {"failed_checks": [*failures]}, "summary": {"parsing_errors": unread}}


def test_what_is_wrong_with_the_bad_template_is_no_finding() -> None:
    assert checkov.judged(report(*PROOF, failed("CKV_AWS_18", "AWS::S3::Bucket.PublicBucket", "/bad.json"))) == []


def test_a_finding_names_rule_resource_and_template() -> None:
    [line] = checkov.judged(report(*PROOF, failed("CKV_AWS_28", "AWS::DynamoDB::Table.BillsTable")))

    assert line.startswith("CKV_AWS_28 AWS::DynamoDB::Table.BillsTable (template): Ensure that it is safe")


@pytest.mark.parametrize("lost", PROOF)
def test_a_checkov_that_no_longer_sees_the_bad_template_is_found_out(lost: dict[str, Any]) -> None:
    blind = report(*(each for each in PROOF if each is not lost))

    assert checkov.judged(blind) == [f"checkov no longer sees {lost['check_id']} in {lost['resource']}"]


def test_a_template_that_cannot_be_read_is_found_out() -> None:
    assert checkov.judged(report(*PROOF, unread=1)) == ["checkov cannot read 1 of the templates"]


def test_a_substitution_is_read_as_its_text() -> None:
    node = {"A": [{"Fn::Sub": "${B.Arn}/*"}, {"Fn::Sub": ["${C}", {"C": {"Ref": "D"}}]}, {"Ref": "E"}], "F": 1}

    assert checkov._plain(node) == {"A": ["${B.Arn}/*", "${C}", {"Ref": "E"}], "F": 1}


def test_the_template_is_read_with_the_roles_of_its_functions() -> None:
    resources = template.transformed(template.read())["Resources"]

    assert {"BillApi", "BillApiRole"} <= resources.keys()
    assert not [name for name, resource in resources.items() if resource["Type"].startswith("AWS::Serverless::")]
