"""What an adapter is: it speaks with one kind of utility and answers with canonical bills.

Adding one: a file with a class, and its line in `adapters/registry.py`. How reading can fail:

    ProviderError
    ├── NeedsAction            the customer must act; nothing is gained by trying again
    │   ├── BadCredentials       invalid_credentials
    │   ├── Locked               locked
    │   ├── ConsentExpired       consent_expired
    │   └── AccountUnknown       account_not_found
    ├── ProviderDown           provider_unavailable; retryable
    ├── ProviderTimeout        provider_timeout; retryable
    ├── ProviderThrottled      provider_throttled; retryable after `retry_after`
    ├── ProviderMalformed      provider_malformed: the answer is not what this kind of utility says; retryable
    └── ProviderMisconfigured  provider_misconfigured: the registry's entry cannot work
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import ClassVar, Protocol

from functions.bill_aggregation_service.model import FetchedBill, Provider


class ProviderError(Exception):
    """Its message is for the log: it never holds a URL, a header or what the utility answered."""

    code: ClassVar[str] = "provider_error"
    retryable: ClassVar[bool] = True

    def __init__(self, detail: str = "", *, retry_after: int = 0) -> None:
        super().__init__(detail or self.code)
        self.retry_after = retry_after
        """Seconds after which the utility wants to be asked again; 0 when it did not say."""


class NeedsAction(ProviderError):
    retryable = False


class BadCredentials(NeedsAction):
    code = "invalid_credentials"


class Locked(NeedsAction):
    code = "locked"


class ConsentExpired(NeedsAction):
    code = "consent_expired"


class AccountUnknown(NeedsAction):
    code = "account_not_found"


class ProviderDown(ProviderError):
    code = "provider_unavailable"


class ProviderTimeout(ProviderError):
    code = "provider_timeout"


class ProviderThrottled(ProviderError):
    code = "provider_throttled"


class ProviderMalformed(ProviderError):
    code = "provider_malformed"


class ProviderMisconfigured(ProviderError):
    code = "provider_misconfigured"
    retryable = False


@dataclass(frozen=True, slots=True)
class Access:
    """All that it takes to read one account's bills. Its secrets do not show in its repr."""

    provider: Provider
    params: Mapping[str, str] = field(repr=False)
    username: str = field(repr=False)
    password: str = field(repr=False)

    @property
    def account_number(self) -> str:
        """Raises ProviderMisconfigured when the provider's customer_params do not ask for one."""
        try:
            return self.params["account_number"]
        except KeyError:
            raise ProviderMisconfigured("no parameter account_number") from None

    @property
    def service_type(self) -> str:
        """What a utility of a single service delivers."""
        return self.provider.service_types[0] if self.provider.service_types else "other"


Headers = Mapping[str, str]


class HttpClient(Protocol):
    """HTTP with one utility for one fetch, which ends in time. Answers with the bodies of 2xx."""

    def get(self, path: str, *, query: Headers | None = None, headers: Headers | None = None) -> bytes:
        """`path` is appended to the provider's base URL; its segments are already quoted."""
        ...

    def post(self, path: str, body: bytes, *, content_type: str, headers: Headers | None = None) -> bytes: ...

    def pause(self, seconds: float) -> None:
        """Waits before the next call. Raises ProviderTimeout when the fetch would be over by then."""
        ...


class Adapter(Protocol):
    def __init__(self, http: HttpClient) -> None: ...

    def fetch(self, access: Access) -> Sequence[FetchedBill]:
        """All bills that the utility shows for the account, in any order. Raises ProviderError."""
        ...


@contextmanager
def parsing(what: str) -> Iterator[None]:
    """What cannot be parsed within is the utility's mistake. The cause is dropped: it may quote the answer."""
    try:
        yield
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise ProviderMalformed(f"{what}: {type(error).__name__}") from None
