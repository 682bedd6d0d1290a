"""A registry in a dictionary, and a utility that passes every rule."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from functions.common.errors import Unavailable
from functions.common.outbox import Pending
from functions.utility_provider_service.model import (
    Adapter,
    AuthType,
    CustomerParam,
    Provider,
    ProviderFacts,
    ProviderId,
    ServiceType,
    WebhookSecrets,
)
from functions.utility_provider_service.service import pending_of

SANDBOX_ORIGIN = "http://localhost:4566"
FACTS = ProviderFacts(
    provider_id=ProviderId("prv_river_water"),
    name="River Water",
    service_types=(ServiceType.WATER, ServiceType.WASTE),
    country="GB",
    currency="GBP",
    time_zone="Europe/London",
    adapter=Adapter.BBPS,
    base_url="https://api.riverwater.example.com/v2",
    auth_type=AuthType.API_KEY,
    customer_params=(
        CustomerParam(name="account_number", label="Account number", regex="[0-9]{6}", max_length=6, example="123456"),
        CustomerParam(name="pin", label="PIN", max_length=4, optional=True, secret=True, example="1234"),
    ),
)


FILES = replace(
    FACTS,
    provider_id=ProviderId("prv_files"),
    name="Files",
    adapter=Adapter.MANUAL,
    base_url="",
    auth_type=AuthType.NONE,
    customer_params=(),
)


def public(host: str) -> Sequence[str]:
    """A resolver that knows every name, but for those below `inside.example.com`, which lead home."""
    return ("127.0.0.1",) if host.endswith("inside.example.com") else ("93.184.215.14",)


def named(provider_id: str, name: str, *service_types: ServiceType) -> ProviderFacts:
    return replace(
        FACTS, provider_id=ProviderId(provider_id), name=name, service_types=service_types or FACTS.service_types
    )


class FakeProviders:
    def __init__(self) -> None:
        self.providers: dict[ProviderId, Provider] = {}
        self.interruptions: list[Callable[[], object]] = []
        """What others do in the moment before something is replaced, one for each time."""

    def create(self, provider: Provider) -> bool:
        if provider.facts.provider_id in self.providers:
            return False
        self.providers[provider.facts.provider_id] = provider
        return True

    def get(self, provider_id: ProviderId) -> Provider | None:
        return self.providers.get(provider_id)

    def by_name(self, after: str) -> Iterator[Provider]:
        for provider in sorted(self.providers.values(), key=lambda provider: provider.sort_name):
            if provider.sort_name > after:
                yield provider

    def replace(self, provider: Provider, version: int) -> bool:
        if self.interruptions:
            self.interruptions.pop(0)()
        present = self.providers.get(provider.facts.provider_id)
        if present is None or present.version != version:
            return False
        self.providers[provider.facts.provider_id] = provider
        return True

    def delete(self, provider_id: ProviderId) -> None:
        self.providers.pop(provider_id, None)

    def pending_events(self, limit: int) -> Sequence[Pending]:
        return [pending_of(provider) for provider in self.providers.values() if provider.unsent][:limit]

    def clear_outbox(self, pending: Pending) -> None:
        present = self.providers[ProviderId(pending.key[0])]
        if present.version == pending.version:
            self.providers[present.facts.provider_id] = replace(present, unsent=())


class FakeSecrets:
    def __init__(self) -> None:
        self.held: dict[ProviderId, WebhookSecrets] = {}
        self.interruptions: list[Callable[[], object]] = []
        """What others do in the moment before something is replaced, one for each time."""

    def get_secrets(self, provider_id: ProviderId) -> WebhookSecrets:
        return self.held.get(provider_id, WebhookSecrets(provider_id))

    def replace_secrets(self, held: WebhookSecrets, version: int) -> bool:
        if self.interruptions:
            self.interruptions.pop(0)()
        if self.get_secrets(held.provider_id).version != version:
            return False
        self.held[held.provider_id] = held
        return True


class ReversingKms:
    """Seals by writing backwards; counts what it opens."""

    def __init__(self) -> None:
        self.opened = 0
        self.down = False

    def seal(self, owner_id: str, secret: str) -> bytes:
        return f"{owner_id} {secret}"[::-1].encode()

    def open(self, owner_id: str, ciphertext: bytes) -> str:
        if self.down:
            raise Unavailable("KMS is down.")
        self.opened += 1
        owner, _, secret = ciphertext.decode()[::-1].partition(" ")
        assert owner == owner_id
        return secret
