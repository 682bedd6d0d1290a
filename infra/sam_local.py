"""What `sam local` needs to run deployed functions in containers here: their artefacts, and the environment of the
running target.

SAM passes on only variables that a template names, and the engine's address is not one of them; so a template of its
own is made, which names them all. Their values stand in a file beside it. The artefacts are Lambda's, whatever the
target.
"""

import contextlib
import json
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any  # a template is whatever YAML holds

from infra import build, compose, stack, stages, target, template
from infra import run as running
from infra.console import Failure
from infra.relay import HOST, reachable_from_bridge
from infra.settings import API_STAGE, ROOT, Settings, Target

FOLDER = ROOT / ".aws-sam" / "local"
PROPERTIES = ("Handler", "Runtime", "MemorySize", "Timeout")
NO_REGISTRY = "Without access to an image registry: OPTIONS=--skip-pull-image"


@dataclass(frozen=True)
class Local:
    """Built functions, ready for `sam local`."""

    settings: Settings
    template_file: Path
    env_file: Path

    def command(self, verb: str, *arguments: str) -> list[str]:
        command = build.sam("local", verb, *arguments, "--template-file", str(self.template_file))
        return [*command, "--env-vars", str(self.env_file), *_network(self.settings)]

    @property
    def environ(self) -> dict[str, str]:
        return build.sam_environment(self.settings)

    @contextlib.contextmanager
    def reachable(self) -> Iterator[None]:
        """While the block runs, containers reach the engine and the cache."""
        on_this_machine = self.settings.emulated and not target.in_docker(self.settings)
        ports = (self.settings.engine_port, self.settings.cache_port) if on_this_machine else ()
        with reachable_from_bridge(*ports):
            yield


def prepare(settings: Settings, name: str, functions: Sequence[str], *, routes: bool = False) -> Local:
    """Builds the functions into a folder `name` of their own, with their routes if asked for. Raises Failure."""
    _require_docker()
    variables = {function: _variables(settings, function) for function in functions}
    FOLDER.mkdir(parents=True, exist_ok=True)
    env_file, source = FOLDER / f"{name}.env.json", FOLDER / f"{name}.template.json"
    env_file.touch()
    env_file.chmod(0o600)  # some values are secrets
    env_file.write_text(json.dumps(variables, indent=1))
    source.write_text(json.dumps(_template(variables, stages.architecture(settings), routes=routes), indent=1))
    return Local(settings, _build(settings, name, source), env_file)


def _require_docker() -> None:
    if not shutil.which("docker") or subprocess.run(["docker", "info"], capture_output=True, check=False).returncode:
        raise Failure("sam local runs functions in containers, and no Docker engine answers.", "Start Docker.")


def _build(settings: Settings, name: str, source: Path) -> Path:
    """The template of the built functions."""
    folder = FOLDER / name
    lambdas = replace(settings, target=Target.LOCALSTACK if settings.emulated else settings.target)
    with build.one_at_a_time():
        running.run(
            "building for Lambda",
            build.sam("build", "--template-file", str(source), "--build-dir", str(folder)),
            log=settings.run_dir / f"log/local-{name}.log",
            cwd=ROOT,
            env=build.sam_environment(lambdas),
            todo="The last lines above name the reason.",
        )
    return folder / "template.yaml"


def _template(variables: dict[str, dict[str, str]], architecture: str, *, routes: bool) -> dict[str, Any]:
    whole = template.read()
    resources = {name: _function(whole, name, env, routes=routes) for name, env in variables.items()}
    for resource in resources.values():
        resource["Properties"]["Architectures"] = [architecture]
    if routes:
        kept = {"StageName": API_STAGE, "BinaryMediaTypes": whole["Resources"]["Api"]["Properties"]["BinaryMediaTypes"]}
        resources["Api"] = {"Type": "AWS::Serverless::Api", "Properties": kept}
    return {"Transform": "AWS::Serverless-2016-10-31", "Resources": resources}


def _function(whole: dict[str, Any], name: str, env: dict[str, str], *, routes: bool) -> dict[str, Any]:
    properties = whole["Globals"]["Function"] | whole["Resources"][name]["Properties"]
    kept = {key: properties[key] for key in PROPERTIES if key in properties}
    kept["CodeUri"] = str(ROOT / "functions")
    kept["Environment"] = {"Variables": dict.fromkeys(env, "")}
    if routes:
        kept["Events"] = properties["Events"]
    return {"Type": "AWS::Serverless::Function", "Metadata": {"BuildMethod": "makefile"}, "Properties": kept}


def _variables(settings: Settings, logical_id: str) -> dict[str, str]:
    """Of the deployed function, with engine and cache as a container here reaches them."""
    env = stack.function_environment(settings, logical_id)
    if target.in_docker(settings):  # in the network of the compose file, where they have the same names for all
        return env | {"AWS_ENDPOINT_URL": target.seen_by_functions(settings).origin}
    if settings.emulated:
        env["AWS_ENDPOINT_URL"] = f"http://{HOST}:{settings.engine_port}"
        if "CACHE_URL" in env:
            env["CACHE_URL"] = f"redis://{HOST}:{settings.cache_port}/0"
    return env


def _network(settings: Settings) -> list[str]:
    arguments = ["--region", settings.region, "--add-host", f"{HOST}:host-gateway"]
    return [*arguments, "--docker-network", compose.NETWORK] if target.in_docker(settings) else arguments
