"""What samconfig.toml says of a stage on AWS: the template's parameters, and the tags of all that the stack makes."""

import os
import shlex
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from infra.console import Failure
from infra.settings import ROOT, Settings

SAMCONFIG = ROOT / "samconfig.toml"
EMULATED, OTHERS = "default", "dev"
# make's command line comes before samconfig.toml: what is nobody else's business, or changes from deploy to deploy
VARIABLES = {
    "AlarmEmail": "ALARM_EMAIL",
    "Architecture": "ARCHITECTURE",
    "CacheUrl": "CACHE_URL",
    "CorsOrigins": "CORS_ORIGINS",
    "LogLevel": "LOG_LEVEL",
    "PreviousCredentialsKeyId": "PREVIOUS_CREDENTIALS_KEY_ID",
    "Sandbox": "SANDBOX",
}
OLD_KEY = "PreviousCredentialsKeyId"
X86, ARM = "x86_64", "arm64"


@dataclass(frozen=True)
class Stage:
    config_env: str
    """The part of samconfig.toml that `sam deploy` reads."""
    parameters: Mapping[str, str]
    tags: Mapping[str, str]


def of(settings: Settings, environ: Mapping[str, str] = os.environ, path: Path = SAMCONFIG) -> Stage:
    """What is asked of a deploy. Emulators take no parameters and no tags from samconfig.toml; a stage that has no part
    of its own takes that of dev. Raises Failure for a stage that would be public with the sandbox's limits."""
    asked = {name: environ[variable] for name, variable in VARIABLES.items() if environ.get(variable)}
    if asked.get(OLD_KEY) == "none":
        # has to be said: a parameter that is left away keeps its value, so that no deploy in between drops it
        asked[OLD_KEY] = ""
    if settings.emulated:
        return Stage(EMULATED, {"Sandbox": "true", **asked}, MappingProxyType({}))
    config = tomllib.loads(path.read_text())
    config_env = settings.stage if settings.stage in config else OTHERS
    own = config[config_env]["deploy"]["parameters"]
    # a cache of its own unless one is named: not what the stack happened to have before
    always = {"Target": "aws", "Sandbox": "false", "CacheUrl": ""}
    parameters = {**always, **_pairs(own.get("parameter_overrides", "")), **asked}
    _check(settings.stage, parameters)
    return Stage(config_env, parameters, _pairs(own.get("tags", "")) | {"stage": settings.stage})


def architecture(settings: Settings) -> str:
    """Of the functions. Raises Failure for one that Lambda has not got."""
    wanted = of(settings).parameters.get("Architecture", X86)
    if wanted not in (X86, ARM):
        raise Failure(f"ARCHITECTURE={wanted} is neither {X86} nor {ARM}")
    return wanted


def _check(stage: str, parameters: Mapping[str, str]) -> None:
    production = parameters.get("Production") == "true"
    if stage == "prod" and not production:
        raise Failure(
            "Stage prod is not deployed without Production=true.", "See [prod.deploy.parameters] in samconfig.toml"
        )
    if production and parameters["Sandbox"] == "true":
        raise Failure(
            f"Stage {stage} is in production, where the sandbox utilities and their limits have no place.",
            "Leave SANDBOX=true away, or deploy it to another stage: make deploy TARGET=aws STAGE=dev SANDBOX=true",
        )


def _pairs(text: str) -> dict[str, str]:
    """`A=b C="d e"` as samconfig.toml has it."""
    return dict(pair.split("=", 1) for pair in shlex.split(text))
