"""What an adapter is: it speaks with one kind of utility and answers with canonical bills.

Adding one: docs/adding-a-provider.md. How reading can fail:

    ProviderError
    ├── NeedsAction            the customer must act; nothing is gained by trying again
    │   ├── BadCredentials       invalid_credentials
    │   ├── Locked               locked
    │   ├── ConsentExpired       consent_expired
    │   ├── AccountUnknown       account_not_found
    │   └── MfaRequired          mfa_required: the utility wants a code beside the login
    ├── ProviderDown           provider_unavailable; retryable
    ├── ProviderTimeout        provider_timeout; retryable
    ├── ProviderThrottled      provider_throttled; retryable after `retry_after`
    ├── ProviderMalformed      provider_malformed: the answer is not what this kind of utility says; retryable
    │   └── ProviderRedirects    provider_redirects: it sends us elsewhere, where we do not follow
    ├── DocumentError          the utility answered, but with no document that can be passed on
    │   ├── NoDocument           no_document
    │   └── DocumentUnusable     document_unusable: no PDF, or too large
    ├── ProviderMisconfigured  provider_misconfigured: the registry's entry cannot work
    └── ProviderDeactivated    provider_deactivated: an administrator took it out of service
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import ClassVar, Protocol, runtime_checkable

from functions.bill_aggregation_service.model import FetchedBill, Provider

MFA_METHODS = frozenset({"sms", "email", "app", "voice"})
MAX_REFERENCE_CHARS = 512
MAX_MFA_SECONDS = 86_400


@dataclass(frozen=True, slots=True)
class Refusal:
    """What a utility said with a status other than 2xx. Adapters look into it for the reason; it is never logged."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)

    def header(self, name: str) -> str:
        """Its names in any case; empty when there is none."""
        return next((value for key, value in self.headers.items() if key.lower() == name.lower()), "")


class ProviderError(Exception):
    """Its message is for the log: it never holds a URL, a header or what the utility answered."""

    code: ClassVar[str] = "provider_error"
    retryable: ClassVar[bool] = True

    def __init__(self, detail: str = "", *, retry_after: int = 0, refusal: Refusal | None = None) -> None:
        super().__init__(detail or self.code)
        self.retry_after = retry_after
        """Seconds after which the utility wants to be asked again; 0 when it did not say."""
        self.refusal = refusal


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


class MfaRequired(NeedsAction):
    """`reference` is what the utility wants back with the code. Raised again when the code was wrong, with the
    challenge that took the old one's place."""

    code = "mfa_required"

    def __init__(
        self, methods: Collection[str], reference: str, *, expires_in: int = 0, code_refused: bool = False
    ) -> None:
        """`methods` that are none of ours are left out. `expires_in`: seconds; 0 when the utility does not say.
        Raises ProviderMalformed for a reference that cannot be kept."""
        if not (0 < len(reference) <= MAX_REFERENCE_CHARS and reference.isascii() and reference.isprintable()):
            raise ProviderMalformed("a challenge without a usable reference")
        super().__init__("the code was refused" if code_refused else "the utility wants a code")
        self.methods = tuple(sorted(MFA_METHODS.intersection(method.strip().lower() for method in methods)))
        self.reference = reference
        self.expires_in = min(max(expires_in, 0), MAX_MFA_SECONDS)
        self.code_refused = code_refused


class ProviderDown(ProviderError):
    code = "provider_unavailable"


class ProviderTimeout(ProviderError):
    code = "provider_timeout"


class ProviderThrottled(ProviderError):
    code = "provider_throttled"


class ProviderMalformed(ProviderError):
    code = "provider_malformed"


class ProviderRedirects(ProviderMalformed):
    code = "provider_redirects"


class DocumentError(ProviderError):
    retryable = False


class NoDocument(DocumentError):
    code = "no_document"


class DocumentUnusable(DocumentError):
    code = "document_unusable"


class ProviderMisconfigured(ProviderError):
    code = "provider_misconfigured"
    retryable = False


class ProviderDeactivated(ProviderError):
    code = "provider_deactivated"
    retryable = False


@dataclass(frozen=True, slots=True)
class Access:
    """All that it takes to read one account's bills. Its secrets do not show in its repr."""

    provider: Provider
    params: Mapping[str, str] = field(repr=False)
    username: str = field(repr=False)
    password: str = field(repr=False)
    mfa_code: str = field(default="", repr=False)
    """What the user answered to the challenge `mfa_reference`; empty when there is no answer to try."""
    mfa_reference: str = field(default="", repr=False)

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
    """HTTP with one utility for one fetch, which ends in time. Answers with the bodies of 2xx; raises ProviderError for
    everything else, with the `refusal` where the utility answered at all."""

    def get(self, path: str, *, query: Headers | None = None, headers: Headers | None = None) -> bytes:
        """`path` is appended to the provider's base URL; its segments are already quoted."""
        ...

    def post(self, path: str, body: bytes, *, content_type: str, headers: Headers | None = None) -> bytes: ...

    def download(self, path: str, *, media_type: str, max_bytes: int, headers: Headers | None = None) -> bytes:
        """A GET of a file. Raises DocumentUnusable for one of another media type, or a longer one."""
        ...

    def pause(self, seconds: float) -> None:
        """Waits before the next call. Raises ProviderTimeout when the fetch would be over by then."""
        ...


class Adapter(Protocol):
    def __init__(self, http: HttpClient) -> None: ...

    def fetch(self, access: Access) -> Sequence[FetchedBill]:
        """All bills that the utility shows for the account, in any order. Raises ProviderError.

        `document_url` of a bill is the utility's own reference to it on paper, as it gave it (`documents.py`).
        """
        ...


@runtime_checkable
class DocumentAdapter(Adapter, Protocol):
    """An adapter of utilities that give their bills as PDF too."""

    def document(self, access: Access, path: str) -> bytes:
        """The PDF at `path`, which is appended to the base URL. Raises ProviderError: AccountUnknown or ConsentExpired
        when the utility does not give what is there."""
        ...


@contextmanager
def parsing(what: str) -> Iterator[None]:
    """What cannot be parsed within is the utility's mistake. The cause is dropped: it may quote the answer."""
    try:
        yield
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise ProviderMalformed(f"{what}: {type(error).__name__}") from None


def whole_number(text: str) -> int:
    """Of what a utility writes beside the point, such as seconds; 0 for what is none."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0
