"""What may be configured of the aggregator's functions, by the function that reads it: none is given another's."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreSettings:
    """Every function."""

    bills_table: str
    cache_url: str = ""
    cache_timeout_ms: int = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveSettings:
    """BillApi."""

    rpc_bills: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadingSettings:
    """BillApi, and BillRpc for its renewals."""

    cursor_secret: str = field(repr=False)
    """Signs cursors; changing it makes those that are out unknown."""
    answer_soft_seconds: int = 300
    """Age past which an answer is renewed while it is served: so long may a write stay unseen that the cache missed."""
    answer_hard_seconds: int = 3_600
    """Age past which it is not served."""
    source_fresh_seconds: int = 21_600
    """Soft age: data younger than this is `cached`, older is `stale`."""
    due_soon_days: int = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class RefreshSettings:
    """BillRpc, which alone speaks with utilities."""

    rpc_accounts: str
    rpc_credentials: str
    rpc_providers: str
    provider_timeout_seconds: float = 10.0
    """Of one call."""
    fetch_timeout_seconds: float = 20.0
    """Of all calls that reading one account takes."""
    sandbox_origin: str = ""
    """The one origin that may be plain http, e.g. http://localhost:4566."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProtectionSettings:
    """BillRpc (ADR 15)."""

    provider_places: int = 16
    """Calls under way to one utility at a time, from all workers; 0: any number."""
    provider_per_minute: int = 0
    """Calls begun at one utility; 0: any number."""
    breaker_window_seconds: int = 60
    breaker_pause_seconds: int = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxSettings:
    """Every function that changes bills."""

    rpc_broker: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportSettings:
    """BillFilesApi and ImportWorker."""

    files_bucket: str
    rpc_accounts: str
    rpc_providers: str
    rpc_users: str
    import_currency: str = "USD"
    """Of bills whose file names none, when neither the request nor the user's profile does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FilesSettings:
    """BillFilesApi."""

    import_queue_url: str
    due_soon_days: int = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class ReminderSettings:
    """ReminderRpc."""

    bills_table: str
    rpc_users: str
    due_soon_days: int = 7
    """Of users who chose no number of days."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetterSettings:
    """ImportWorker."""

    dead_letter_queue_url: str
    max_deliveries: int
    """The `maxReceiveCount` of its queue."""
