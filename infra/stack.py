"""What is deployed: the stack's outputs and resources, and the API's URL."""

import functools
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from infra.aws import client
from infra.console import Failure
from infra.settings import API_STAGE, Settings

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_cloudformation.type_defs import StackResourceSummaryTypeDef, StackTypeDef
    from mypy_boto3_lambda import LambdaClient

STANDS = {"CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE"}


def describe(settings: Settings) -> "StackTypeDef | None":
    """The stack, or None when there is none."""
    cloudformation: CloudFormationClient = client(settings, "cloudformation")
    try:
        stacks = cloudformation.describe_stacks(StackName=settings.stack_name)["Stacks"]
    except ClientError as error:
        if error.response["Error"]["Code"] == "ValidationError":  # its code for a name that does not exist
            return None
        raise
    return next((stack for stack in stacks if stack["StackStatus"] != "DELETE_COMPLETE"), None)


def deployed(settings: Settings) -> bool:
    """Also after an update that failed: then what was there before is there still."""
    stack = describe(settings)
    return stack is not None and stack["StackStatus"] in STANDS


def outputs(settings: Settings) -> dict[str, str]:
    """The stack's outputs. Raises Failure when nothing is deployed."""
    stack = describe(settings)
    if stack is None:
        raise Failure(
            f"The stack {settings.stack_name} is not deployed on {settings.target}.", "Deploy it with: make up"
        )
    return {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", [])}


def resources(settings: Settings) -> dict[str, str]:
    """Logical id → physical id of everything in the stack."""
    return {each["LogicalResourceId"]: each.get("PhysicalResourceId", "") for each in summaries(settings)}


def summaries(settings: Settings) -> "list[StackResourceSummaryTypeDef]":
    """Everything in the stack, as CloudFormation lists it."""
    cloudformation: CloudFormationClient = client(settings, "cloudformation")
    pages = cloudformation.get_paginator("list_stack_resources").paginate(StackName=settings.stack_name)
    try:
        return [each for page in pages for each in page["StackResourceSummaries"]]
    except ClientError as error:
        raise Failure(f"The stack {settings.stack_name} is not deployed.", "Deploy it with: make up") from error


def resource(settings: Settings, logical_id: str) -> str:
    known = resources(settings)
    if not known.get(logical_id):
        raise Failure(f"The stack {settings.stack_name} has no {logical_id}.", f"It has: {', '.join(sorted(known))}")
    return known[logical_id]


def function_environment(settings: Settings, logical_id: str) -> dict[str, str]:
    """The environment variables that a deployed function has."""
    functions: LambdaClient = client(settings, "lambda")
    answer = functions.get_function_configuration(FunctionName=resource(settings, logical_id))
    return dict(answer.get("Environment", {}).get("Variables", {}))


def environment_here(settings: Settings, logical_id: str) -> dict[str, str]:
    """As `function_environment`, with the addresses of engine and cache as they are seen from here."""
    env = function_environment(settings, logical_id)
    if settings.emulated:
        own = settings.environment()
        env |= {name: value for name, value in own.items() if name.startswith("AWS_") or name == "CACHE_URL"}
    return env | {"AWS_REGION": settings.region, "AWS_DEFAULT_REGION": settings.region}


def api_url(settings: Settings, origin: str = "") -> str:
    """The API's base URL with the stage, without a slash at the end; `origin` replaces the engine's address."""
    api_id = outputs(settings)["ApiId"]
    if not settings.emulated:
        return f"https://{api_id}.execute-api.{settings.region}.amazonaws.com/{API_STAGE}"
    return f"{origin or settings.endpoint}/restapis/{api_id}/{API_STAGE}/_user_request_"


@functools.cache
def account(settings: Settings) -> str:
    return str(client(settings, "sts").get_caller_identity()["Account"])
