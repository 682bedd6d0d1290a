"""What the registry of utilities says of a provider, over its RPC."""

from functions.account_linking_service.customer_params import CustomerParam
from functions.account_linking_service.model import ProviderId
from functions.common.errors import NotFound
from functions.common.rpc.client import Stub
from functions.contracts.rpc.providers_pb2 import GetProviderRequest, Provider


class RegisteredProviders:
    def __init__(self, registry: Stub) -> None:
        self._registry = registry

    def customer_params(self, provider_id: ProviderId) -> tuple[CustomerParam, ...]:
        """What the provider asks for. Raises NotFound when it is not registered, Unavailable when nobody answers."""
        try:
            provider = self._registry.call("GetProvider", GetProviderRequest(provider_id=provider_id), Provider)
        except NotFound as error:
            raise NotFound("There is no such provider.", code="provider_not_found") from error
        return tuple(
            CustomerParam(p.name, p.regex, p.min_length, p.max_length, p.optional, p.secret)
            for p in provider.customer_params
        )
