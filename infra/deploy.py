"""Deploy: build → signing key → sender of mails → `sam deploy` → migrate. The same steps on every target."""

import os
import subprocess
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from infra import aws_template, build, mail, migrations, run, signing_key, stack, stages, target, template
from infra.aws import client
from infra.console import say, step
from infra.ledger import Ledger
from infra.settings import ROOT, Settings

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

TIMEOUT = {"embedded": 240.0, "localstack": 420.0, "aws": 3600.0}  # seconds for `sam deploy`
FUNCTIONS = ROOT / "functions"


def deploy(settings: Settings, *, built: bool = False) -> None:
    """Everything, from the sources (or from artefacts that are `built`) to a migrated stack. Raises Failure at the step
    that fails, saying what to do."""
    stages.of(settings)  # whether it may be deployed as asked, before anything is built
    with build.one_at_a_time():
        if not built:
            build.build(settings)
        release(settings, dict(settings.rpc_parameters))
    migrate(settings)
    say(f"deployed: {stack.api_url(settings)}")


def release(settings: Settings, more: Mapping[str, str] = MappingProxyType({})) -> None:
    """What is built, with the keys and the sender as they stand now. Within `build.one_at_a_time`. `more`: parameters
    that are set even to nothing, where others keep the value that the stack has."""
    with step(f"signing key of stage {settings.stage}"):
        key = signing_key.ensure(settings)
    with step("sender of mails"):
        sender = mail.ensure_sender(settings)
    _sam_deploy(settings, {**_parameters(settings, key, sender), **more})


def _parameters(settings: Settings, key: signing_key.SigningKey, sender: str) -> dict[str, str]:
    """The template's parameters; those without a value here keep the stack's value, or the template's default."""
    seen = target.seen_by_functions(settings)
    values = {
        "CacheUrl": seen.cache_url,
        "Stage": settings.stage,
        "Version": version(),
        "Jwks": key.jwks,
        "SigningKeyId": key.key_id,
        "OverlapKeyId": key.overlap_key_id,
        "MailSender": sender,
        "SandboxOrigin": seen.origin,
        "ReceiverOrigin": target.receiver_origin(settings),
    }
    return {**stages.of(settings).parameters, **{name: value for name, value in values.items() if value}}


def version() -> str:
    """What is deployed: `VERSION`, else the commit (with `-dirty` where files differ from it); nothing where there is
    no repository."""
    if told := os.environ.get("VERSION"):
        return told
    try:
        said = subprocess.run(
            ["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return ""
    return said.stdout.strip()


def _sam_deploy(settings: Settings, parameters: dict[str, str]) -> None:
    target.before_deploy(settings)
    bucket = ["--s3-bucket", _bucket(settings)] if settings.emulated else ["--resolve-s3"]
    known = template.read()["Parameters"]
    stage = stages.of(settings)
    command = build.sam("deploy", "--stack-name", settings.stack_name, "--region", settings.region, *bucket)
    # by name: SAM looks for its settings beside the template, which is the built one
    command += ["--config-file", str(ROOT / "samconfig.toml"), "--config-env", stage.config_env]
    built = build.BUILT if settings.emulated else aws_template.write(build.BUILT, parameters)
    command += ["--template-file", str(built), "--no-progressbar"]
    if stage.tags:
        command += ["--tags", *(f"{name}={_quoted(value)}" for name, value in stage.tags.items())]
    command += ["--parameter-overrides"]
    command += [f"{name}={_quoted(value)}" for name, value in parameters.items() if name in known]
    run.run(
        f"deploying {settings.stack_name} to {settings.target}",
        command,
        log=settings.run_dir / "log/deploy.log",
        cwd=ROOT,
        env=build.sam_environment(settings),
        todo="The last lines above name the resource and the reason. Once mended: make deploy"
        + (". A stack that is stuck: make reset && make up" if settings.emulated else ""),
        timeout=TIMEOUT[settings.target],
    )


def _quoted(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _bucket(settings: Settings) -> str:
    """An emulator's bucket for the artefacts. `--resolve-s3` would deploy a stack of its own for it, which is slow."""
    s3: S3Client = client(settings, "s3")
    name = f"billing-{settings.stage}-artefacts"
    try:
        s3.head_bucket(Bucket=name)
    except ClientError:
        s3.create_bucket(Bucket=name)
    return name


def migrate(settings: Settings, service: str = "") -> None:
    """Runs the migrations that have not run on this stack."""
    steps = _steps(settings, service)
    say(f"▸ migrations of {settings.stack_name}")
    ran = _runner(settings, steps).migrate(steps)
    say(f"  {len(ran)} run, {len(steps) - len(ran)} had run before")


def rollback(settings: Settings, count: int, service: str) -> None:
    """Takes back the last `count` migrations."""
    steps = _steps(settings, service)
    say(f"▸ rollback of {settings.stack_name}")
    taken = _runner(settings, steps).rollback(steps, count)
    say(f"  {len(taken)} taken back")


def migration_status(settings: Settings, service: str) -> list[str]:
    """A line for each migration."""
    return migrations.status(_steps(settings, service), _ledger(settings))


def _steps(settings: Settings, service: str) -> list[migrations.Step]:
    """Of the services that this stack has: the sandbox's is not everywhere."""
    deployed = stack.resources(settings)
    steps = migrations.discover(FUNCTIONS, service)
    return [step for step in steps if _own_function(step.service) in deployed]


def _runner(settings: Settings, steps: list[migrations.Step]) -> migrations.Runner:
    environments = {name: service_environment(settings, name) for name in {step.service for step in steps}}
    return migrations.Runner(_ledger(settings), client(settings, "dynamodb"), environments)


def _ledger(settings: Settings) -> Ledger:
    return Ledger(client(settings, "dynamodb"), stack.resource(settings, "MigrationsTable"))


def _own_function(service: str) -> str:
    """Logical id of the function that answers the service's routes; of its first one, if it has none."""
    handlers = {str(properties["Handler"]): name for name, properties in template.functions().items()}
    own = sorted(handler for handler in handlers if handler.split(".")[1] == service)
    return handlers.get(f"functions.{service}.app.app") or handlers[own[0]]


def service_environment(settings: Settings, service: str) -> dict[str, str]:
    """What the service's own function has in its environment, with addresses as they are seen from here."""
    env = stack.function_environment(settings, _own_function(service))
    if settings.emulated:
        for name, value in settings.environment().items():
            if name.startswith("AWS_") or name == "CACHE_URL":
                env[name] = value
        env["SANDBOX_BASE_URL"] = stack.api_url(settings, target.seen_by_functions(settings).origin) + "/mock"
    return env | {"AWS_REGION": settings.region, "AWS_DEFAULT_REGION": settings.region}
