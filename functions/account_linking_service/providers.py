"""What the registry of utilities says of a provider, over its RPC."""

from functions.account_linking_service.customer_params import CustomerParam
from functions.account_linking_service.model import ProviderId
from functions.common.errors import Conflict, NotFound
from functions.common.rpc.client import Stub
from functions.contracts.rpc.providers_pb2 import GetProviderRequest, Provider

MANUAL = "manual"
"""The adapter of a provider without an API: its bills come from files, and there is nothing to link."""


class RegisteredProviders:
    def __init__(self, registry: Stub) -> None:
        self._registry = registry

    def customer_params(self, provider_id: ProviderId) -> tuple[CustomerParam, ...]:
        """What the provider asks for. Raises NotFound when it is not registered or out of service, Conflict when nobody
        can link there, Unavailable when the registry does not answer."""
        try:
            provider = self._registry.call("GetProvider", GetProviderRequest(provider_id=provider_id), Provider)
        except NotFound as error:
            raise _not_found() from error
        if provider.deactivated:
            raise _not_found()
        if provider.adapter == MANUAL:
            detail = "Bills of this provider come from files: import one, there is no account to link."
            raise Conflict(detail, code="provider_not_linkable")
        return tuple(
            CustomerParam(p.name, p.regex, p.min_length, p.max_length, p.optional, p.secret)
            for p in provider.customer_params
        )


def _not_found() -> NotFound:
    return NotFound("There is no such provider.", code="provider_not_found")
