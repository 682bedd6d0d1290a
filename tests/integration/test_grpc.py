"""`make grpc` beside the running platform: the same data by real gRPC, to a client that knows the address only."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from functions.common.errors import NotFound, Unavailable
from functions.common.rpc.client import Stub
from functions.common.rpc.grpc_channel import GrpcChannel
from functions.contracts.rpc import accounts_pb2, users_pb2
from functions.contracts.rpc.accounts_pb2 import GetLinkedAccountRequest, LinkedAccount
from functions.contracts.rpc.users_pb2 import GetUserRequest, User
from infra.client import Client
from infra.process import free_port, port_open
from infra.settings import ROOT
from tests.integration.household import POWER, Household
from tests.integration.platform import Platform

TOKEN = "a-token-of-the-tests-own-which-is-long"
ACCOUNTS = accounts_pb2.DESCRIPTOR.services_by_name["Accounts"]
USERS = users_pb2.DESCRIPTOR.services_by_name["Users"]
START_SECONDS = 30


@pytest.fixture(scope="module")
def port(platform: Platform) -> Iterator[int]:
    """Of a server as `make grpc` starts it; it must end by itself when it is told to."""
    port = free_port()
    env = {**os.environ, **platform.settings.environment(), "PORT": str(port), "RPC_TOKEN": TOKEN}
    env["RUN_DIR"] = str(platform.settings.run_dir)
    env.pop("HOST", None)
    with subprocess.Popen([sys.executable, "-m", "infra", "grpc"], cwd=ROOT, env=env) as process:
        try:
            deadline = time.monotonic() + START_SECONDS
            while not port_open(port):
                assert process.poll() is None, "make grpc ended"
                assert time.monotonic() < deadline, "make grpc does not serve"
                time.sleep(0.1)
            yield port
            process.send_signal(signal.SIGTERM)
            assert process.wait(20) == 0
        finally:
            process.kill()


@pytest.fixture(scope="module")
def channel(port: int) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield channel


@pytest.fixture(scope="module")
def with_token(channel: grpc.Channel) -> grpc.Channel:
    """As grpcurl does with -H."""

    class ShowToken(grpc.UnaryUnaryClientInterceptor, grpc.StreamStreamClientInterceptor):
        def intercept_unary_unary(self, continuation: Any, details: Any, request: Any) -> Any:
            return continuation(_shown(details), request)

        def intercept_stream_stream(self, continuation: Any, details: Any, requests: Any) -> Any:
            return continuation(_shown(details), requests)

    return grpc.intercept_channel(channel, ShowToken())


def _shown(details: Any) -> Any:  # Any: grpcio's own named tuple
    return details._replace(metadata=[("authorization", f"Bearer {TOKEN}")])


def test_reflection_leads_a_stranger_to_the_registry(with_token: grpc.Channel, household: Household) -> None:
    database = ProtoReflectionDescriptorDatabase(with_token)
    service = DescriptorPool(database).FindServiceByName("billing.providers.v1.Providers")
    method = service.methods_by_name["GetProvider"]
    request, reply = GetMessageClass(method.input_type), GetMessageClass(method.output_type)

    call = with_token.unary_unary(f"/{service.full_name}/GetProvider", request.SerializeToString, reply.FromString)
    provider: Any = call(request(provider_id=POWER), timeout=10)  # Any: a class that reflection made

    over_http = household.client.call("GET", f"/providers/{POWER}")
    assert (provider.name, provider.currency) == (over_http["name"], over_http["currency"])


def test_credentials_are_not_served_unless_asked_for(with_token: grpc.Channel) -> None:
    assert "billing.accounts.v1.Credentials" not in ProtoReflectionDescriptorDatabase(with_token).get_services()


def test_the_platform_s_own_client_sees_the_same_data_and_errors(channel: grpc.Channel, household: Household) -> None:
    link = household.link(POWER)
    over_grpc = GrpcChannel(channel, TOKEN)

    user = Stub(USERS, over_grpc).call("GetUser", GetUserRequest(user_id=household.user_id), User)
    account = Stub(ACCOUNTS, over_grpc).call("GetLinkedAccount", GetLinkedAccountRequest(link_id=link), LinkedAccount)

    assert user.email == household.email
    assert (account.user_id, account.provider_id) == (household.user_id, POWER)
    with pytest.raises(NotFound):
        Stub(USERS, over_grpc).call("GetUser", GetUserRequest(user_id="usr_nobody"), User)


def test_without_the_token_nobody_gets_in(channel: grpc.Channel, nobody: Client) -> None:
    with pytest.raises(Unavailable):
        Stub(USERS, GrpcChannel(channel)).call("GetUser", GetUserRequest(user_id="usr_nobody"), User)
