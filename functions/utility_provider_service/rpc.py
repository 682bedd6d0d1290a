"""RPC `Providers`, contract in functions/contracts/rpc/providers.proto."""

from dataclasses import asdict, dataclass

from functions.common.clock import rfc3339
from functions.common.rpc.server import LambdaRpcHandler, RpcContext
from functions.common.validation import parse
from functions.contracts.rpc import providers_pb2 as pb
from functions.contracts.rpc.common_pb2 import FlushOutboxReply, FlushOutboxRequest
from functions.utility_provider_service import bootstrap
from functions.utility_provider_service.model import Health, Provider
from functions.utility_provider_service.schemas import ListQuery, ReportedHealth
from functions.utility_provider_service.service import Registry
from functions.utility_provider_service.webhooks import SignedWebhook, Verifying

SERVICE = pb.DESCRIPTOR.services_by_name["Providers"]


@dataclass(frozen=True, slots=True)
class ProvidersServicer:
    registry: Registry
    verifying: Verifying

    def GetProvider(self, request: pb.GetProviderRequest, context: RpcContext) -> pb.Provider:  # noqa: ARG002
        return _message(self.registry.get_provider(request.provider_id))

    def ProviderExists(
        self,
        request: pb.ProviderExistsRequest,
        context: RpcContext,  # noqa: ARG002
    ) -> pb.ProviderExistsReply:
        return pb.ProviderExistsReply(exists=self.registry.provider_exists(request.provider_id))

    def ListProviders(
        self,
        request: pb.ListProvidersRequest,
        context: RpcContext,  # noqa: ARG002
    ) -> pb.ListProvidersReply:
        query = parse(
            ListQuery,
            {
                "service_type": request.service_type or None,
                "country": request.country or None,
                "q": request.query,
                "cursor": request.cursor,
                **({"limit": request.limit} if request.limit else {}),
            },
        )
        page = self.registry.list_providers(query.search(deactivated=False), query.limit, query.cursor)
        return pb.ListProvidersReply(items=map(_message, page.items), next_cursor=page.next_cursor or "")

    def ReportHealth(
        self,
        request: pb.ReportHealthRequest,
        context: RpcContext,  # noqa: ARG002
    ) -> pb.ReportHealthReply:
        self.registry.get_provider(request.provider_id)  # an unknown one is NOT_FOUND whatever is reported
        report = parse(ReportedHealth, {"state": request.state, "at": request.at})
        provider, changed = self.registry.report_health(request.provider_id, report.state, report.seen_at)
        return pb.ReportHealthReply(health=_health(provider.health), changed=changed)

    def VerifyWebhook(
        self,
        request: pb.VerifyWebhookRequest,
        context: RpcContext,  # noqa: ARG002
    ) -> pb.VerifyWebhookReply:
        webhook = SignedWebhook(request.webhook_id, request.timestamp, request.signatures, request.body)
        return pb.VerifyWebhookReply(verified=self.verifying.verify_webhook(request.provider_id, webhook))

    def FlushOutbox(self, request: FlushOutboxRequest, context: RpcContext) -> FlushOutboxReply:  # noqa: ARG002
        published, more = self.registry.flush_outbox(max(request.limit, 1))
        return FlushOutboxReply(published=published, more=more)


def _message(provider: Provider) -> pb.Provider:
    facts = provider.facts
    return pb.Provider(
        provider_id=facts.provider_id,
        name=facts.name,
        service_types=facts.service_types,
        country=facts.country,
        currency=facts.currency,
        time_zone=facts.time_zone,
        adapter=facts.adapter,
        base_url=facts.base_url,
        auth_type=facts.auth_type,
        customer_params=[pb.CustomerParam(**asdict(param)) for param in facts.customer_params],
        created_at=rfc3339(provider.created_at),
        updated_at=rfc3339(provider.updated_at),
        version=provider.version,
        deactivated=not provider.active,
        health=_health(provider.health),
    )


def _health(health: Health) -> pb.ProviderHealth:
    return pb.ProviderHealth(state=health.state, since=rfc3339(health.since) if health.since else "")


def build() -> ProvidersServicer:
    return ProvidersServicer(bootstrap.reported_registry(), bootstrap.verifying())


handler = LambdaRpcHandler(SERVICE, build)
