from pathlib import Path

import pytest

from infra import inventory

OUTER = """
Parameters:
  Target: {Type: String, Default: embedded}
  Stage: {Type: String, Default: dev}
  CacheUrl: {Type: String, Default: ""}
  Zones: {Type: String, Default: one}
Mappings:
  Sizes: {"prod": {Memory: 2048}, "dev": {Memory: 512}}
Conditions:
  OnAws: !Not [!Equals [!Ref Target, embedded]]
  OwnCache: !And [!Condition OnAws, !Equals [!Ref CacheUrl, ""]]
  IsProd: !Equals [!Ref Stage, prod]
  Either: !Or [!Condition IsProd, !Condition OwnCache]
Globals: {Function: {MemorySize: 1024}}
Resources:
  Key: {Type: AWS::KMS::Key, Condition: IsProd}
  Secret: {Type: AWS::SecretsManager::Secret, Condition: Either}
  Plain: {Type: AWS::CloudWatch::Alarm, Properties: {MetricName: Errors}}
  Sum:
    Type: AWS::CloudWatch::Alarm
    Properties: {Metrics: [{Id: all, Expression: a+b}, {Id: a, MetricStat: {}}, {Id: b, MetricStat: {}}]}
  FilterA: {Type: AWS::Logs::MetricFilter, Properties: {MetricTransformations: [{MetricName: Faults}]}}
  FilterB: {Type: AWS::Logs::MetricFilter, Properties: {MetricTransformations: [{MetricName: Faults}]}}
  Worker:
    Type: AWS::Serverless::Function
    Properties:
      MemorySize: !FindInMap [Sizes, !Ref Stage, Memory]
      SnapStart: !If [IsProd, {ApplyOn: PublishedVersions}, !Ref "AWS::NoValue"]
      Events: {Queue: {Type: SQS, Properties: {}}, Time: {Type: Schedule, Properties: {}}}
  Network:
    Type: AWS::CloudFormation::Stack
    Condition: OwnCache
    Properties: {TemplateURL: inner.yaml, Parameters: {Zones: !Ref Zones, Key: !GetAtt Key.Arn}}
"""
INNER = """
Parameters:
  Zones: {Type: String}
  Key: {Type: String, Default: ""}
Conditions:
  Both: !Equals [!Ref Zones, each]
  HasKey: !Not [!Equals [!Ref Key, ""]]
Resources:
  One: {Type: AWS::EC2::NatGateway}
  Other: {Type: AWS::EC2::NatGateway, Condition: Both}
  Board: {Type: AWS::CloudWatch::Dashboard, Condition: HasKey}
  Lambda: {Type: AWS::EC2::VPCEndpoint, Properties: {VpcEndpointType: Interface, SubnetIds: [a, b, c]}}
  Free: {Type: AWS::EC2::VPCEndpoint, Properties: {VpcEndpointType: Gateway}}
  Wall: {Type: AWS::WAFv2::WebACL, Properties: {Rules: [{}, {}]}}
"""


@pytest.fixture
def template(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(inventory, "ROOT", tmp_path)
    (tmp_path / "inner.yaml").write_text(INNER)
    path = tmp_path / "template.yaml"
    path.write_text(OUTER)
    return path


def test_what_costs_by_the_month_is_counted_where_its_condition_holds(template: Path) -> None:
    assert inventory.counted({"CacheUrl": "rediss://elsewhere:6379"}, template) == {
        "alarms": 3,
        "functions": 1,
        "queues": 1,
        "filtered_metrics": 1,
    }


def test_nested_templates_are_counted_with_what_they_are_given(template: Path) -> None:
    counted = inventory.counted({"Zones": "each"}, template)

    assert {name: counted[name] for name in ("nat_gateways", "endpoint_zones", "dashboards", "web_acl_rules")} == {
        "nat_gateways": 2,
        "endpoint_zones": 3,
        "dashboards": 1,
        "web_acl_rules": 2,
    }
    assert counted["secrets"] == 1
    assert inventory.counted({}, template)["nat_gateways"] == 1


def test_snapshots_are_counted_by_the_memory_that_they_hold(template: Path) -> None:
    assert inventory.counted({"Stage": "prod"}, template)["snapshot_mb"] == 2048
    assert inventory.counted({}, template)["snapshot_mb"] == 0


def test_the_platforms_own_template() -> None:
    counted = inventory.counted({"Sandbox": "false"})

    assert counted["queues"] == 6
    assert counted["functions"] == 25, "without the sandbox's"
    assert counted["kms_keys"] == 4, "that of alarms is one"
    assert counted["snapshot_mb"] == 9 * 1024, "of each function of the API"
