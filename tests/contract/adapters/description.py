"""What tells the conformance suite of one adapter: recordings/<adapter>/utility.toml and the answers beside it."""

import tomllib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import msgspec

from functions.bill_aggregation_service.adapters.base import Access, Adapter, DocumentAdapter
from functions.bill_aggregation_service.adapters.http_client import UtilityClient
from functions.bill_aggregation_service.adapters.registry import ADAPTERS, Utilities
from functions.bill_aggregation_service.model import FetchedBill, Provider, ProviderId
from tests.support.utility import Answer, ok, utility

RECORDINGS = Path(__file__).parent / "recordings"
SECRETS = ("jane-secret", "pass-secret", "246810", "ref-secret", "tok-secret", "secret words")
"""Login, code, reference, token, and words of the utility's own; the account number comes in addition."""
EDGES = {"yen", "dinar", "negative", "leap_day", "year_end", "no_due_date"}
REASONS = {400: "Bad Request", 401: "Unauthorized", 423: "Locked", 429: "Too Many Requests", 503: "Unavailable"}


class Exchange(msgspec.Struct, forbid_unknown_fields=True):
    """One answer of the utility: a file beside the description, or a short text in it."""

    body: str = ""
    text: str = ""
    status: int = 200
    headers: list[str] = []


class Changed(msgspec.Struct, forbid_unknown_fields=True):
    """The good answers with some text replaced wherever it stands, and what becomes of the first bill."""

    replace: list[tuple[str, str]]
    expected: dict[str, Any] = {}  # Any: fields of BillContent
    new: int = 0


class Description(msgspec.Struct, forbid_unknown_fields=True):
    adapter: str
    provider_id: str
    service_type: str
    currency: str
    time_zone: str
    account: str
    amount: str
    """How the good answers spell the first bill's amount, and `day` one of the days that it must have."""
    day: str
    good: list[Exchange]
    bills: list[dict[str, Any]]  # Any: fields of BillContent
    """What the good answers hold: first bill first, in the adapter's own order."""
    empty: list[Exchange]
    bad_login: list[Exchange]
    locked: list[Exchange]
    mfa: list[Exchange]
    """A challenge by SMS or e-mail for 300 seconds, with the reference ref-secret-1; ref-secret-2 in `mfa_wrong`."""
    mfa_wrong: list[Exchange]
    throttled: list[Exchange]
    """429 with a wish to be left alone for 120 seconds."""
    duplicates: Changed
    edges: dict[str, Changed]
    document: list[Exchange] = []
    """All answers that reading one document takes, the PDF `%PDF-1.4 paper` last; empty when the utility gives none."""
    document_refused: list[Exchange] = []
    """The same with what the utility says of a reference that leads nowhere."""


@dataclass(frozen=True)
class Recorded:
    """One adapter and its recordings."""

    folder: Path
    told: Description
    adapter: type[Adapter]
    asked: list[bytes] = field(default_factory=list)

    @classmethod
    def read(cls, folder: Path) -> "Recorded":
        told = msgspec.convert(tomllib.loads((folder / "utility.toml").read_text()), Description)
        return cls(folder, told, ADAPTERS[told.adapter])

    def broken(self, adapter: type[Adapter]) -> "Recorded":
        return replace(self, adapter=adapter)

    def bodies(self, exchanges: Sequence[Exchange]) -> list[bytes]:
        return [(self.folder / e.body).read_bytes() if e.body else e.text.encode() for e in exchanges]

    def answers(self, exchanges: Sequence[Exchange]) -> list[Answer]:
        return [
            ok(body, *exchange.headers, status=f"{exchange.status} {REASONS.get(exchange.status, 'OK')}")
            for exchange, body in zip(exchanges, self.bodies(exchanges), strict=True)
        ]

    def changed(self, changes: Sequence[tuple[str, str]]) -> list[Answer]:
        """The good answers with these replacements, each of which must be found somewhere."""
        bodies = self.bodies(self.told.good)
        for old, new in changes:
            assert any(old.encode() in body for body in bodies), f"{old!r} stands in no good answer"
            bodies = [body.replace(old.encode(), new.encode()) for body in bodies]
        return self.with_bodies(bodies)

    def with_bodies(self, bodies: Sequence[bytes]) -> list[Answer]:
        return [ok(body, *e.headers, status=f"{e.status} OK") for e, body in zip(self.told.good, bodies, strict=True)]

    @property
    def gives_documents(self) -> bool:
        return issubclass(self.adapter, DocumentAdapter)

    def fetch(
        self, answers: Sequence[Answer], *, code: str = "", reference: str = "", call_seconds: float = 5.0
    ) -> Sequence[FetchedBill]:
        """What the adapter makes of these answers, over real HTTP."""
        with self._utility(answers, call_seconds) as (origin, utilities):
            return utilities.fetch(self._access(origin, code, reference), 20.0)

    def read_document(
        self, answers: Sequence[Answer], path: str, *, newest: str | None = None, call_seconds: float = 5.0
    ) -> bytes:
        """The document at `path`; `newest` is where the bill's stands when its bills are looked at again."""
        with self._utility(answers, call_seconds) as (origin, utilities):
            return utilities.document(self._access(origin, "", ""), path, lambda _shown: newest, 20.0)

    @contextmanager
    def _utility(self, answers: Sequence[Answer], call_seconds: float) -> Iterator[tuple[str, Utilities]]:
        self.asked.clear()
        with utility(*answers) as served:

            def connect(base_url: str, seconds: float) -> UtilityClient:
                return UtilityClient(
                    base_url, seconds, call_seconds=call_seconds, sandbox_origin=served.origin, sleep=_no_time
                )

            try:
                yield served.origin, Utilities(connect, {self.told.adapter: self.adapter})
            finally:
                self.asked.extend(served.requests)

    def _access(self, origin: str, code: str, reference: str) -> Access:
        provider = Provider(
            provider_id=ProviderId(self.told.provider_id), name="Utility", service_types=(self.told.service_type,),
            currency=self.told.currency, time_zone=self.told.time_zone, adapter=self.told.adapter,
            base_url=f"{origin}/api",
        )  # fmt: skip
        return Access(provider, {"account_number": self.told.account}, "jane-secret", "pass-secret", code, reference)


def _no_time(_seconds: float) -> None:
    """A pause that costs a test nothing."""
