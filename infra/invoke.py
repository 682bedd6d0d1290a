"""One function in a container, by `sam local invoke`, with the environment that the deployed function has.

SAM passes on only variables that the template names, and the engine's address is not one of them; so it gets a template
of its own with this one function and all variables spelt out. The artefact is Lambda's, whatever the target.
"""

import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

from infra import build, stack, template
from infra import run as running
from infra.console import Failure
from infra.relay import HOST, reachable_from_bridge
from infra.settings import ROOT, Settings, Target

FOLDER = ROOT / ".aws-sam" / "invoke"
PROPERTIES = ("Handler", "Runtime", "Architectures", "MemorySize", "Timeout")


def run(settings: Settings, logical_id: str, event: str, options: list[str]) -> None:
    """Prints what the function answers. Raises Failure when SAM does not get that far."""
    if not logical_id or not Path(event).is_file():
        raise Failure(
            f"No function named (FN), or no file {event or '(EVENT)'}.",
            "make invoke FN=BillApi EVENT=tests/events/<file>.json. Payloads: ls tests/events",
        )
    template.service_of(logical_id)
    if not shutil.which("docker") or subprocess.run(["docker", "info"], capture_output=True, check=False).returncode:
        raise Failure("sam local invoke runs functions in containers, and no Docker engine answers.", "Start Docker.")
    variables = _variables(settings, logical_id)
    built = _build(settings, logical_id, variables)
    command = build.sam("local", "invoke", logical_id, "--template-file", str(built), "--event", event, *options)
    command += ["--region", settings.region, "--add-host", f"{HOST}:host-gateway"]
    ports = (settings.engine_port, settings.cache_port) if settings.emulated else ()
    # a variable of SAM's own environment would win over the function's of the same name
    env = {name: value for name, value in build.sam_environment(settings).items() if name not in variables}
    with reachable_from_bridge(*ports):
        code = subprocess.run(command, cwd=ROOT, env=env, check=False).returncode
    if code:
        raise Failure(
            f"sam local invoke ended with {code}: see above.",
            "Without access to an image registry: OPTIONS=--skip-pull-image",
        )


def _build(settings: Settings, logical_id: str, variables: dict[str, str]) -> Path:
    """The template of the built function."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    source = FOLDER.with_suffix(".json")
    source.write_text(json.dumps(_template(logical_id, variables), indent=1))
    lambdas = replace(settings, target=Target.LOCALSTACK if settings.emulated else settings.target)
    with build.one_at_a_time():
        running.run(
            f"building {logical_id} for Lambda",
            build.sam("build", "--template-file", str(source), "--build-dir", str(FOLDER)),
            log=settings.run_dir / "log/invoke.log",
            cwd=ROOT,
            env=build.sam_environment(lambdas),
            todo="The last lines above name the reason.",
        )
    return FOLDER / "template.yaml"


def _template(logical_id: str, variables: dict[str, str]) -> dict[str, object]:
    whole = template.read()
    properties = whole["Globals"]["Function"] | whole["Resources"][logical_id]["Properties"]
    function = {name: properties[name] for name in PROPERTIES if name in properties}
    function["CodeUri"] = str(ROOT / "functions")
    function["Environment"] = {"Variables": variables}
    resource = {"Type": "AWS::Serverless::Function", "Metadata": {"BuildMethod": "makefile"}, "Properties": function}
    return {"Transform": "AWS::Serverless-2016-10-31", "Resources": {logical_id: resource}}


def _variables(settings: Settings, logical_id: str) -> dict[str, str]:
    env = stack.function_environment(settings, logical_id)
    if settings.emulated:
        env["AWS_ENDPOINT_URL"] = f"http://{HOST}:{settings.engine_port}"
        if "CACHE_URL" in env:
            env["CACHE_URL"] = f"redis://{HOST}:{settings.cache_port}/0"
    return env
