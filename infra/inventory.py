"""What a deployment has that costs something while nobody uses it, counted from template.yaml and the templates that
it nests, for given parameters."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any  # a template is whatever YAML holds

from infra import aws_template, template
from infra.settings import ROOT

NESTED = frozenset({"AWS::CloudFormation::Stack", "AWS::Serverless::Application"})
ZONES = 2
"""Where a template leaves the subnets to its parameters."""
ALARM = "AWS::CloudWatch::Alarm"
"""Charged by the metrics that it looks at."""
COUNTED = {
    "AWS::KMS::Key": "kms_keys",
    "AWS::SecretsManager::Secret": "secrets",
    "AWS::CloudWatch::CompositeAlarm": "composite_alarms",
    "AWS::CloudWatch::Dashboard": "dashboards",
    "AWS::EC2::NatGateway": "nat_gateways",
    "AWS::EC2::EIP": "addresses",
    "AWS::ElastiCache::ServerlessCache": "caches",
    "AWS::WAFv2::WebACL": "web_acls",
    "AWS::Serverless::Function": "functions",
    "AWS::DynamoDB::Table": "tables",
}


@dataclass(frozen=True)
class Template:
    """One template with values for its parameters; those that are not given have their defaults."""

    body: Mapping[str, Any]
    parameters: Mapping[str, Any] = field(default_factory=dict)

    def has(self, thing: Mapping[str, Any]) -> bool:
        """Whether the resource's condition holds."""
        return "Condition" not in thing or self.holds(self.body["Conditions"][thing["Condition"]])

    def holds(self, condition: Any) -> bool:
        """Of a condition, or a boolean."""
        if not isinstance(condition, Mapping):
            return condition is True or condition == "true"
        ((name, value),) = condition.items()
        if name == "Condition":
            return self.holds(self.body["Conditions"][value])
        if name == "Fn::Equals":
            return bool(self.value(value[0]) == self.value(value[1]))
        if name == "Fn::Not":
            return not self.holds(value[0])
        parts = [self.holds(part) for part in value]
        return any(parts) if name == "Fn::Or" else all(parts)

    def value(self, told: Any) -> Any:
        """Of what may stand in a property; what only CloudFormation knows stays as it is written."""
        if isinstance(told, list):
            return [self.value(each) for each in told]
        if not isinstance(told, Mapping) or len(told) != 1:
            return told
        ((name, content),) = told.items()
        if name == "Ref" and content in self.body.get("Parameters", {}):
            return self.parameters.get(content, self.body["Parameters"][content].get("Default"))
        if name == "Fn::If":
            condition, then, other = content
            return self.value(then if self.holds({"Condition": condition}) else other)
        if name == "Fn::FindInMap":
            first, row, column = (self.value(each) for each in content)
            return self.body["Mappings"][first][row][column]
        return told


def counted(parameters: Mapping[str, str], path: Path = template.TEMPLATE) -> Counter[str]:
    """By what `prices` and `cost` call them; subnets of interface endpoints, event sources and kept snapshots too. On
    AWS, with what the template is given there beyond itself."""
    return _counted(Template(aws_template.extended(template.read(path), parameters, {}), parameters), path)


def _counted(read: Template, path: Path) -> Counter[str]:
    found: Counter[str] = Counter()
    filtered = set()
    for resource in read.body["Resources"].values():
        if not read.has(resource):
            continue
        kind, properties = resource["Type"], resource.get("Properties", {})
        filtered |= {str(made["MetricName"]) for made in properties.get("MetricTransformations", [])}
        if kind in COUNTED:
            found[COUNTED[kind]] += 1
        if kind == ALARM:
            found["alarms"] += max(1, sum("MetricStat" in metric for metric in properties.get("Metrics", [])))
        if kind == "AWS::EC2::VPCEndpoint" and read.value(properties.get("VpcEndpointType")) == "Interface":
            subnets = read.value(properties.get("SubnetIds"))
            found["endpoint_zones"] += len(subnets) if isinstance(subnets, list) else ZONES
        if kind == "AWS::WAFv2::WebACL":
            found["web_acl_rules"] += len(properties.get("Rules", []))
        if kind == "AWS::Serverless::Function":
            found += _of_function(read, properties)
        if kind in NESTED:
            found += _nested(read, properties, path)
    found["filtered_metrics"] += len(filtered)
    return +found


def _of_function(read: Template, properties: Mapping[str, Any]) -> Counter[str]:
    shared = read.body.get("Globals", {}).get("Function", {})
    events = properties.get("Events", {}).values()
    found = Counter(queues=sum(event["Type"] == "SQS" for event in events))
    start = read.value(properties.get("SnapStart", shared.get("SnapStart")))
    if isinstance(start, Mapping) and read.value(start.get("ApplyOn")) == "PublishedVersions":
        found["snapshot_mb"] += int(read.value(properties.get("MemorySize", shared.get("MemorySize", 128))))
    return found


def _nested(read: Template, properties: Mapping[str, Any], path: Path) -> Counter[str]:
    """Of a template in a file of the checkout."""
    location = read.value(properties.get("Location", properties.get("TemplateURL")))
    inner = (path.parent / str(location)).resolve()
    if not inner.is_file() or not inner.is_relative_to(ROOT):
        return Counter()
    given = {name: read.value(value) for name, value in properties.get("Parameters", {}).items()}
    return _counted(Template(template.read(inner), given), inner)
