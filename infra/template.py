"""Reading template.yaml: which function belongs to which service."""

from pathlib import Path
from typing import Any  # a template is whatever YAML holds

import yaml

from infra.console import Failure
from infra.settings import ROOT

try:  # libyaml reads the template many times as fast, and a build reads it for each function; not every PyYAML has it
    from yaml import CSafeLoader as SafeLoader
except ImportError:
    from yaml import SafeLoader  # type: ignore[assignment]

TEMPLATE = ROOT / "template.yaml"


class _Loader(SafeLoader):
    """CloudFormation's short forms (!Ref, !GetAtt, !Sub …) are read as {"Ref": …}, {"Fn::GetAtt": …} and so on."""


def _short_form(loader: yaml.SafeLoader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    value: Any
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        assert isinstance(node, yaml.MappingNode)  # noqa: S101 - YAML has no fourth kind
        value = loader.construct_mapping(node, deep=True)
    return {suffix if suffix in {"Ref", "Condition"} else f"Fn::{suffix}": value}


_Loader.add_multi_constructor("!", _short_form)


def read(path: Path | None = None) -> dict[str, Any]:
    path = path or TEMPLATE
    if not path.exists():
        raise Failure(f"{path.name} is missing")
    parsed: dict[str, Any] = yaml.load(path.read_text(), _Loader)  # noqa: S506 - a SafeLoader
    return parsed


def transformed(parsed: dict[str, Any]) -> dict[str, Any]:
    """A template, which is used up, without SAM's types: with all that stands behind functions and their events."""
    from boto3.session import Session
    from samtranslator.parser.parser import Parser
    from samtranslator.translator.translator import Translator

    if "Transform" not in parsed:
        return parsed
    parsed.setdefault("Globals", {}).setdefault("Function", {})["CodeUri"] = "s3://artefacts/function"  # as packaged
    session = Session(region_name="us-east-1")  # told, never used: it asks AWS nothing
    made: dict[str, Any] = Translator({}, Parser(), boto_session=session).translate(parsed, {})
    return made


def all_templates() -> list[Path]:
    """Ours and those that are nested in it."""
    return [TEMPLATE, *sorted((ROOT / "infra/templates").glob("*.yaml"))]


def functions(path: Path | None = None) -> dict[str, dict[str, Any]]:
    """Logical id → properties of each function."""
    resources = read(path)["Resources"]
    return {
        name: resource["Properties"]
        for name, resource in resources.items()
        if resource["Type"] == "AWS::Serverless::Function"
    }


def handler_of(logical_id: str, path: Path | None = None) -> str:
    """Dotted name of what a function runs: "functions.bill_aggregation_service.app.app". Failure for an unknown id."""
    known = functions(path)
    if logical_id not in known:
        raise Failure(f"{logical_id} is not a function of template.yaml", f"Functions: {', '.join(sorted(known))}")
    return str(known[logical_id]["Handler"])


def service_of(logical_id: str, path: Path | None = None) -> str:
    """The service whose code a function runs: "bill_aggregation_service" for BillApi. Failure for an unknown id."""
    return handler_of(logical_id, path).split(".")[1]


def calls_others(logical_id: str, path: Path | None = None) -> bool:
    """Whether a function has targets for RPCs."""
    variables = functions(path)[logical_id].get("Environment", {}).get("Variables", {})
    return any(name.startswith("RPC_") for name in variables)
