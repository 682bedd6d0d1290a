"""What happens to utilities, whoever has accounts there. Owner: utility_provider_service."""

from typing import ClassVar

from functions.contracts.events.envelope import EventData


class ProviderHealthChangedV1(EventData, frozen=True, kw_only=True):
    """A utility answers real calls otherwise than before. It concerns no user in particular."""

    TYPE: ClassVar[str] = "provider.health_changed.v1"
    SOURCE: ClassVar[str] = "utility-provider"

    provider_id: str
    previous: str
    """up, degraded or down."""
    state: str
    """As `previous`."""
    since: str
    """RFC 3339: when it was first seen so."""

    @property
    def subject(self) -> str:
        return self.provider_id
