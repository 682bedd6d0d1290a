"""The aggregator's neighbours as a live read needs them, and the aggregator's own RPC beside them: gRPC servers, each a
process of its own.

`python -m … neighbours <utility's port> <links>` and `python -m … bills`, which finds its settings in the environment
as on Lambda. Each prints its port and serves until its standard input ends.
"""

import sys

from functions.common import logs
from functions.common.rpc.server import LambdaRpcHandler, RpcContext
from functions.contracts.rpc import accounts_pb2, broker_pb2, providers_pb2
from functions.contracts.rpc.accounts_pb2 import (
    GetLinkedAccountsReply,
    GetLinkedAccountsRequest,
    LinkedAccount,
    OpenedAccount,
    OpenReply,
    OpenRequest,
    RecordOutcomeRequest,
)
from functions.contracts.rpc.broker_pb2 import PublishReply, PublishRequest
from functions.contracts.rpc.providers_pb2 import GetProviderRequest, Provider, ProviderHealth
from infra.grpc_server import GrpcServer, ServerSettings

PROVIDER = "prv_slow"
WORKERS = 64
"""As many as links: Lambda starts an instance for each call that comes while the others are busy."""


def link_id(number: int) -> str:
    return f"lnk_{number:026}"


class Accounts:
    def __init__(self, links: int) -> None:
        self._links = links

    def GetLinkedAccounts(self, _request: GetLinkedAccountsRequest, _context: RpcContext) -> GetLinkedAccountsReply:
        items = [
            LinkedAccount(link_id=link_id(n), provider_id=PROVIDER, state="ACTIVE", kind="api")
            for n in range(self._links)
        ]
        return GetLinkedAccountsReply(items=items)

    def RecordOutcome(self, request: RecordOutcomeRequest, _context: RpcContext) -> LinkedAccount:
        return LinkedAccount(link_id=request.link_id, provider_id=PROVIDER, state="ACTIVE")


class Credentials:
    def Open(self, request: OpenRequest, _context: RpcContext) -> OpenReply:
        items = [
            OpenedAccount(
                link_id=each, provider_id=PROVIDER, params={"account_number": each}, username="good", password="none"
            )
            for each in request.link_ids
        ]
        return OpenReply(items=items)


class Providers:
    def __init__(self, port: int) -> None:
        self._port = port

    def GetProvider(self, request: GetProviderRequest, _context: RpcContext) -> Provider:
        return Provider(
            provider_id=request.provider_id,
            name="Slow",
            service_types=["internet"],
            currency="INR",
            time_zone="Asia/Kolkata",
            adapter="csv_statement",
            base_url=f"http://127.0.0.1:{self._port}",
            health=ProviderHealth(state="up"),
        )


class Broker:
    def Publish(self, _request: PublishRequest, _context: RpcContext) -> PublishReply:
        return PublishReply()


def neighbours(port: int, links: int) -> list[LambdaRpcHandler]:
    accounts = accounts_pb2.DESCRIPTOR.services_by_name
    return [
        LambdaRpcHandler(accounts["Accounts"], lambda: Accounts(links)),
        LambdaRpcHandler(accounts["Credentials"], Credentials),
        LambdaRpcHandler(providers_pb2.DESCRIPTOR.services_by_name["Providers"], lambda: Providers(port)),
        LambdaRpcHandler(broker_pb2.DESCRIPTOR.services_by_name["Broker"], Broker),
    ]


def bills() -> list[LambdaRpcHandler]:
    from functions.bill_aggregation_service.rpc import handler

    return [handler]


def serve(handlers: list[LambdaRpcHandler]) -> None:
    logs.configure("INFO", sys.stderr)
    server = GrpcServer(handlers, ServerSettings(port=0, rpc_workers=WORKERS))
    print(server.start(), flush=True)
    sys.stdin.read()
    server.stop(0)


if __name__ == "__main__":
    serve(bills() if sys.argv[1] == "bills" else neighbours(int(sys.argv[2]), int(sys.argv[3])))
