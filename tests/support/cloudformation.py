"""What CloudFormation makes of a transformed template: conditions as the parameters decide them."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any  # a template is whatever YAML holds

Template = dict[str, Any]
REGION = "us-east-1"
NO_VALUE = {"Ref": "AWS::NoValue"}
PSEUDO = {
    "AWS::Region": REGION,
    "AWS::Partition": "aws",
    "AWS::AccountId": "000000000000",
    "AWS::URLSuffix": "amazonaws.com",
}
_IN_SUB = re.compile(r"\$\{(?!!)([^}]+)\}")


@dataclass(frozen=True)
class Stack:
    """What a deploy would make: no conditions are left, and no Fn::If."""

    resources: Mapping[str, Template]
    outputs: Mapping[str, Template]


def stack(template: Template, parameters: Mapping[str, str]) -> Stack:
    """Of a transformed template. Parameters that are not given have their defaults."""
    declared = {name: str(each.get("Default", "")) for name, each in template.get("Parameters", {}).items()}
    conditions = Conditions(template, {**PSEUDO, **declared, **parameters})
    chosen = {name: each for name, each in template["Resources"].items() if conditions.hold(each.get("Condition"))}
    told = {name: each for name, each in template.get("Outputs", {}).items() if conditions.hold(each.get("Condition"))}
    return Stack(conditions.decided(chosen), conditions.decided(told))


class Conditions:
    """The conditions of a template under these parameters. KeyError for a function that it does not know."""

    def __init__(self, template: Template, parameters: Mapping[str, str]) -> None:
        self._conditions: Template = template.get("Conditions", {})
        self._mappings: Template = template.get("Mappings", {})
        self._parameters = parameters

    def hold(self, name: str | None) -> bool:
        return name is None or self._true(self._conditions[name])

    def decided(self, node: Any) -> Any:
        """`node` with each Fn::If replaced by the branch that holds, and without what that makes AWS::NoValue."""
        if isinstance(node, dict):
            if node.keys() == {"Fn::If"}:
                name, yes, no = node["Fn::If"]
                return self.decided(yes if self.hold(name) else no)
            pairs = ((name, self.decided(value)) for name, value in node.items())
            return {name: value for name, value in pairs if value != NO_VALUE}
        if isinstance(node, list):
            return [value for value in map(self.decided, node) if value != NO_VALUE]
        return node

    def _true(self, condition: Template) -> bool:
        [(kind, argument)] = condition.items()
        match kind:
            case "Condition":
                return self.hold(argument)
            case "Fn::Not":
                return not self._true(argument[0])
            case "Fn::And":
                return all(map(self._true, argument))
            case "Fn::Or":
                return any(map(self._true, argument))
            case "Fn::Equals":
                left, right = map(self._text, argument)
                return left == right
        raise KeyError(kind)

    def _text(self, value: Any) -> str:
        if not isinstance(value, dict):
            return str(value)
        [(kind, argument)] = value.items()
        match kind:
            case "Ref":
                return self._parameters[argument]
            case "Fn::FindInMap":
                name, first, second = map(self._text, argument)
                return str(self._mappings[name][first][second])
        raise KeyError(kind)


def named(node: Any) -> Iterator[str]:
    """Logical ids of the resources, and names of the parameters, that `node` refers to."""
    if isinstance(node, list):
        for each in node:
            yield from named(each)
    elif isinstance(node, dict):
        for key, value in node.items():
            match key:
                case "Ref" | "DependsOn":
                    yield from [value] if isinstance(value, str) else value
                case "Fn::GetAtt":
                    yield value.split(".")[0] if isinstance(value, str) else value[0]
                case "Fn::Sub":
                    yield from _substituted(value)
                case _:
                    yield from named(value)


def _substituted(value: str | list[Any]) -> Iterator[str]:
    text, own = (value, {}) if isinstance(value, str) else value
    yield from (name.split(".")[0] for name in _IN_SUB.findall(text) if name not in own)
    yield from named(own)
