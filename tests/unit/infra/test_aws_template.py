"""What is written for AWS beside the built template."""

from pathlib import Path

from infra import aws_template, template

BUILT = """
Parameters:
  Target: {Type: String, Default: emulated, AllowedValues: [emulated, aws]}
Resources:
  BillApi:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: BillApi
      Environment: {Variables: {TABLE: !Ref BillsTable, SECRET: !GetAtt Secret.Arn}}
      Events: {List: {Type: Api, Properties: {Path: /bills, Method: get}}}
  Sweep:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: Sweep
      Events: {Often: {Type: Schedule, Properties: {Schedule: rate(1 minute)}}}
  BillsTable: {Type: AWS::DynamoDB::Table}
  LinkKeysTable: {Type: AWS::DynamoDB::Table}
"""


def test_it_stands_where_its_paths_begin_and_names_all_that_it_named(tmp_path: Path) -> None:
    (tmp_path / "BillApi").mkdir()
    (tmp_path / "BillApi" / "app.py").write_text("1")
    (tmp_path / "template.yaml").write_text(BUILT)

    written = aws_template.write(tmp_path / "template.yaml", {"Production": "true"})

    assert written.parent == tmp_path
    assert template.read(written)["Parameters"]["Target"] == {
        "Type": "String",
        "Default": "aws",
        "AllowedValues": ["aws"],
    }
    resources = template.read(written)["Resources"]
    function = resources["BillApi"]["Properties"]
    assert function["Environment"]["Variables"]["TABLE"] == {"Ref": "BillsTable"}
    assert function["Environment"]["Variables"]["SECRET"] in (
        {"Fn::GetAtt": "Secret.Arn"},
        {"Fn::GetAtt": ["Secret", "Arn"]},
    )
    assert function["AutoPublishAlias"] == "live"
    assert function["DeploymentPreference"]["Type"] == "Canary10Percent5Minutes"
    assert "AutoPublishAlias" not in resources["Sweep"]["Properties"]
    assert resources["BillsTable"]["DeletionPolicy"] == "Retain"
    assert "DeletionPolicy" not in resources["LinkKeysTable"]


def test_a_version_goes_by_what_the_artefact_holds(tmp_path: Path) -> None:
    (tmp_path / "template.yaml").write_text(BUILT)
    (tmp_path / "BillApi").mkdir()
    seen = []
    for content in ("1", "1", "2"):
        (tmp_path / "BillApi" / "app.py").write_text(content)
        written = aws_template.write(tmp_path / "template.yaml", {})
        seen.append(template.read(written)["Resources"]["BillApi"]["Properties"]["AutoPublishCodeSha256"])

    assert seen[0] == seen[1] != seen[2]


def test_without_production_a_new_version_serves_at_once_and_tables_go_with_their_stack(tmp_path: Path) -> None:
    (tmp_path / "template.yaml").write_text(BUILT)

    resources = template.read(aws_template.write(tmp_path / "template.yaml", {"Production": "false"}))["Resources"]

    assert "DeploymentPreference" not in resources["BillApi"]["Properties"]
    assert "DeletionPolicy" not in resources["BillsTable"]
