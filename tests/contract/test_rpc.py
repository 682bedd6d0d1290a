"""Contracts, servicers, functions and who may call whom say the same."""

import importlib
import inspect
from dataclasses import fields
from pathlib import Path
from typing import Any, get_type_hints

import pytest
from google.protobuf.descriptor import FileDescriptor, ServiceDescriptor
from google.protobuf.message_factory import GetMessageClass

from functions.common.rpc.grpc_channel import GrpcSettings
from functions.common.rpc.server import LambdaRpcHandler, RpcContext
from infra import protos
from infra.settings import ROOT, RPC_SERVICES
from tests.contract.platform import BY_NAME, FUNCTION_LIST, FUNCTIONS, TEMPLATE, Function

CONTRACTS = FUNCTIONS / "contracts" / "rpc"
PROTOS = sorted(CONTRACTS.glob("*.proto"))


def descriptor(proto: Path) -> FileDescriptor:
    found: FileDescriptor = importlib.import_module(f"functions.contracts.rpc.{proto.stem}_pb2").DESCRIPTOR
    return found


SERVICES: dict[str, ServiceDescriptor] = {
    service.full_name: service for proto in PROTOS for service in descriptor(proto).services_by_name.values()
}
RPC_FUNCTIONS = [function for function in FUNCTION_LIST if isinstance(function.load(), LambdaRpcHandler)]
SERVICE_NAMES = {service.name.upper(): service.name for service in SERVICES.values()}
OF_THE_WAY = {"RPC_TOKEN", "RPC_CA_FILE"}
"""Variables that are no target: what a call to a gRPC server needs."""
HANDLERS: dict[str, Function] = {function.load().service.full_name: function for function in RPC_FUNCTIONS}


def servicer(function: Function, name: str) -> Any:  # Any: a class of the service's own
    return getattr(importlib.import_module(function.module), f"{name}Servicer")


def test_every_contract_is_served_by_one_function_and_none_serves_another() -> None:
    assert set(HANDLERS) == set(SERVICES)
    assert len(RPC_FUNCTIONS) == len(SERVICES)


def test_every_handler_in_the_code_is_a_function_of_the_template() -> None:
    in_code = {
        f"functions.{path.parent.name}.{path.stem}.{name}"
        for path in sorted(FUNCTIONS.glob("*_service/*rpc.py"))
        for name, value in vars(importlib.import_module(f"functions.{path.parent.name}.{path.stem}")).items()
        if isinstance(value, LambdaRpcHandler)
    }

    assert in_code == {str(function.properties["Handler"]) for function in HANDLERS.values()}


@pytest.mark.parametrize("full_name", sorted(SERVICES))
def test_every_rpc_has_a_servicer_method_of_its_types(full_name: str) -> None:
    service = SERVICES[full_name]
    cls = servicer(HANDLERS[full_name], service.name)

    for method in service.methods:
        function = getattr(cls, method.name)
        names = list(inspect.signature(function).parameters)
        assert names[0] == "self"
        assert names[1] == "request"
        assert names[2].lstrip("_") == "context"
        hints = get_type_hints(function)
        assert hints["request"] is GetMessageClass(method.input_type), method.full_name
        assert hints["return"] is GetMessageClass(method.output_type), method.full_name
        assert hints[names[2]] is RpcContext


@pytest.mark.parametrize("full_name", sorted(SERVICES))
def test_a_servicer_has_no_method_that_the_contract_lacks(full_name: str) -> None:
    cls = servicer(HANDLERS[full_name], SERVICES[full_name].name)
    public = {name for name, value in vars(cls).items() if inspect.isfunction(value) and name[0].isupper()}

    assert public == set(SERVICES[full_name].methods_by_name)


def test_contracts_are_versioned_packages_of_one_domain() -> None:
    for proto in PROTOS:
        assert descriptor(proto).package == f"billing.{proto.stem}.v1"


def test_generated_code_is_what_the_contracts_give(tmp_path: Path) -> None:
    protos.generate(tmp_path)

    fresh = {path.relative_to(tmp_path): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert {path.name for path in fresh} == {f"{proto.stem}_pb2.{kind}" for proto in PROTOS for kind in ("py", "pyi")}
    assert [str(path) for path, content in fresh.items() if (ROOT / path).read_bytes() != content] == []
    assert {path.name for path in CONTRACTS.glob("*_pb2*")} == {path.name for path in fresh}


# who calls whom


def targets(function: Function) -> dict[str, str]:
    """RPC_… variable → logical id of the function that it names, unless a parameter names something else."""
    found = {}
    for name, value in function.environment.items():
        if name.startswith("RPC_") and name not in OF_THE_WAY:
            service = SERVICE_NAMES[name.removeprefix("RPC_")]
            condition, by_lambda, otherwise = value["Fn::If"]
            assert (condition, otherwise) == (f"{service}ByLambda", {"Ref": f"Rpc{service}"}), f"{function.name} {name}"
            assert by_lambda["Fn::Sub"].startswith("lambda:${"), f"{function.name} {name}"
            found[name] = by_lambda["Fn::Sub"].removeprefix("lambda:${").removesuffix("}")
    return found


def invocable(function: Function) -> set[str]:
    """Logical ids of the functions that its policies let it invoke."""
    found: set[str] = set()
    for policy in function.properties.get("Policies", []):
        for statement in policy["Statement"]:
            if "lambda:InvokeFunction" in statement["Action"]:
                resources = (
                    statement["Resource"] if isinstance(statement["Resource"], list) else [statement["Resource"]]
                )
                for resource in resources:
                    arn = resource["Fn::GetAtt"]
                    found.add(arn.partition(".")[0] if isinstance(arn, str) else arn[0])
    return found


@pytest.mark.parametrize("name", sorted(SERVICE_NAMES.values()))
def test_one_parameter_switches_every_caller_of_a_service(name: str) -> None:
    assert TEMPLATE["Parameters"][f"Rpc{name}"]["Default"] == ""
    assert TEMPLATE["Conditions"][f"{name}ByLambda"] == {"Fn::Equals": [{"Ref": f"Rpc{name}"}, ""]}
    assert name in RPC_SERVICES


@pytest.mark.parametrize("function", FUNCTION_LIST, ids=[function.name for function in FUNCTION_LIST])
def test_whoever_calls_knows_what_a_grpc_server_wants_to_see_and_nobody_else_does(function: Function) -> None:
    given = {name: function.environment[name] for name in OF_THE_WAY & set(function.environment)}

    expected = {"RPC_TOKEN": {"Ref": "RpcToken"}, "RPC_CA_FILE": {"Ref": "RpcCaFile"}}
    assert given == (expected if targets(function) else {})
    assert {field.name.upper() for field in fields(GrpcSettings)} == OF_THE_WAY


def test_the_call_token_is_not_echoed() -> None:
    assert TEMPLATE["Parameters"]["RpcToken"]["NoEcho"] is True


@pytest.mark.parametrize("function", FUNCTION_LIST, ids=[function.name for function in FUNCTION_LIST])
def test_a_function_may_invoke_what_it_is_told_of_and_nothing_else(function: Function) -> None:
    assert invocable(function) == set(targets(function).values())


@pytest.mark.parametrize("function", FUNCTION_LIST, ids=[function.name for function in FUNCTION_LIST])
def test_a_target_is_the_function_that_serves_the_contract_of_its_name(function: Function) -> None:
    for variable, target in targets(function).items():
        assert BY_NAME[target].load().service.name.upper() == variable.removeprefix("RPC_")


def test_only_what_speaks_with_utilities_may_open_credentials() -> None:
    """And no function that the API reaches does (ADR 11)."""
    callers = {function.name for function in FUNCTION_LIST if "CredentialsRpc" in invocable(function)}

    assert callers == {"BillRpc"}
    assert BY_NAME["BillRpc"].events("Api") == []


def test_a_key_decrypts_for_one_function() -> None:
    """The door to credentials, what signs webhooks, and what verifies those of utilities."""
    deciphering = {
        function.name: str(statement["Resource"])
        for function in FUNCTION_LIST
        for policy in function.properties.get("Policies", [])
        for statement in policy["Statement"]
        if "kms:Decrypt" in statement["Action"]
    }

    assert set(deciphering) == {"CredentialsRpc", "WebhookRpc", "ProviderRpc"}
    assert "CredentialsKey" in deciphering["CredentialsRpc"]
    assert deciphering["WebhookRpc"] == str({"Fn::GetAtt": "WebhookKey.Arn"})
    assert deciphering["ProviderRpc"] == str({"Fn::GetAtt": "ProviderWebhookKey.Arn"})


def test_only_the_broker_publishes() -> None:
    publishers = {f.service for f in FUNCTION_LIST if "sns:Publish" in str(f.properties.get("Policies"))}

    assert publishers == {"broker_service"}
