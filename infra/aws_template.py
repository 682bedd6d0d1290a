"""What AWS is given beyond template.yaml: what SAM takes no condition for and the emulators cannot have (ADR 24).

The built template is written once more, beside itself, with: an alias for each function of the API, SnapStart on what
it names, in production a canary before it, and tables that outlive their stack.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any  # a template is whatever YAML holds

from samcli.yamlhelper import yaml_dump, yaml_parse  # type: ignore[import-untyped]  # SAM has no types

ALIAS = "live"
CANARY = "Canary10Percent5Minutes"
GATES = ("ApiFaultsAlarm", "ApiFunctionErrorsAlarm")
"""Alarms that take a deployment back."""
SHREDDED = {"LinkKeysTable"}
"""Wrapped data keys: a copy that outlives the stack would keep readable what was meant to be shredded."""
KEPT_SECRETS = {"LookupKey"}
"""Without it no account is found again by its number."""

TELLS_OF_DEPLOYS = "Version"
"""Changes with each deploy; of no matter to a function that does not tell it."""

Template = dict[str, Any]


def write(built: Path, parameters: Mapping[str, str]) -> Path:
    """The template for AWS of the built one, in the same folder, since its paths begin there."""
    template: Template = yaml_parse(built.read_text())
    folders = {name: built.parent / name for name in template["Resources"] if (built.parent / name).is_dir()}
    told = built.with_name("template.aws.yaml")
    told.write_text(yaml_dump(extended(template, parameters, {name: digest(path) for name, path in folders.items()})))
    return told


def extended(template: Template, parameters: Mapping[str, str], digests: Mapping[str, str]) -> Template:
    """`template`, changed in place. `digests`: of the functions' artefacts."""
    in_production = parameters.get("Production") == "true"
    template["Parameters"]["Target"] |= {"Default": "aws", "AllowedValues": ["aws"]}  # what follows is for no other
    if parameters.get("Tracing") == "Active":
        template["Globals"]["Function"]["Tracing"] = "Active"
    for name, resource in template["Resources"].items():
        if serves_api(resource):
            _publish(name, resource["Properties"], parameters, digests, with_canary=in_production)
        if in_production and _outlives_its_stack(name, resource):
            resource |= {"DeletionPolicy": "Retain", "UpdateReplacePolicy": "Retain"}
    return template


def serves_api(resource: Mapping[str, Any]) -> bool:
    events = resource.get("Properties", {}).get("Events", {}) if resource["Type"] == "AWS::Serverless::Function" else {}
    return any(event["Type"] == "Api" for event in events.values())


def _publish(
    name: str, properties: Template, parameters: Mapping[str, str], digests: Mapping[str, str], *, with_canary: bool
) -> None:
    """A version is published when code, properties or parameters change. By itself SAM does not look at the values of
    parameters, and a new signing key would never reach the versions that verify."""
    tells = {"Ref": TELLS_OF_DEPLOYS} in properties.get("Environment", {}).get("Variables", {}).values()
    heeded = {each: value for each, value in parameters.items() if tells or each != TELLS_OF_DEPLOYS}
    seen = json.dumps([digests.get(name, ""), properties, heeded], sort_keys=True, default=str)
    properties["AutoPublishAlias"] = ALIAS
    properties["AutoPublishCodeSha256"] = hashlib.sha256(seen.encode()).hexdigest()
    properties["SnapStart"] = {"ApplyOn": "PublishedVersions"}
    if with_canary:
        properties["DeploymentPreference"] = {"Type": CANARY, "Alarms": [{"Ref": gate} for gate in GATES]}


def _outlives_its_stack(name: str, resource: Mapping[str, Any]) -> bool:
    return (resource["Type"] == "AWS::DynamoDB::Table" and name not in SHREDDED) or name in KEPT_SECRETS


def digest(folder: Path) -> str:
    """Of all files in it, by their names and contents."""
    told = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        told.update(f"{path.relative_to(folder)}|{path.stat().st_size}|".encode() + path.read_bytes())
    return told.hexdigest()
