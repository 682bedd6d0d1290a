"""Adapters by the name in a provider's registry entry. Not in the package: the use cases import its errors alone."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from typing import Protocol

from functions.bill_aggregation_service.adapters.base import (
    Access,
    AccountUnknown,
    Adapter,
    ConsentExpired,
    DocumentAdapter,
    HttpClient,
    NoDocument,
    ProviderMisconfigured,
)
from functions.bill_aggregation_service.adapters.bbps import BbpsAdapter
from functions.bill_aggregation_service.adapters.csv_statement import CsvStatementAdapter
from functions.bill_aggregation_service.adapters.documents import checked_pdf, followed, with_kept
from functions.bill_aggregation_service.adapters.green_button import GreenButtonAdapter
from functions.bill_aggregation_service.adapters.oauth_json import OAuthJsonAdapter
from functions.bill_aggregation_service.adapters.retrying import Retrying
from functions.bill_aggregation_service.model import FetchedBill

ADAPTERS: Mapping[str, type[Adapter]] = {
    "oauth_json": OAuthJsonAdapter,
    "green_button": GreenButtonAdapter,
    "bbps": BbpsAdapter,
    "csv_statement": CsvStatementAdapter,
}


Present = Callable[[Sequence[FetchedBill]], str | None]


class Connection(HttpClient, Protocol):
    def close(self) -> None: ...


class Utilities:
    """Reads bills from any utility. `connect(base_url, seconds)` opens the HTTP client of one fetch."""

    def __init__(
        self, connect: Callable[[str, float], Connection], adapters: Mapping[str, type[Adapter]] = ADAPTERS
    ) -> None:
        self._connect = connect
        self._adapters = adapters

    def fetch(self, access: Access, seconds: float) -> Sequence[FetchedBill]:
        """Takes at most `seconds`. Raises ProviderError."""
        with self._opened(access, seconds) as adapter:
            return with_kept(adapter.fetch(access), access)

    def document(self, access: Access, reference: str, present: Present, seconds: float) -> bytes:
        """A PDF. A reference that the utility refuses may have had its time: then `present` finds the bill's newest one
        among the bills that are shown now. Takes at most `seconds`. Raises ProviderError."""
        with self._opened(access, seconds) as adapter:
            if not isinstance(adapter, DocumentAdapter):
                raise NoDocument("the utility gives none")
            try:
                return checked_pdf(adapter.document(access, followed(reference, access)))
            except (AccountUnknown, ConsentExpired):
                newest = present(with_kept(adapter.fetch(access), access))
            if newest is None or newest == reference:
                raise NoDocument("the utility does not give it")
            return checked_pdf(adapter.document(access, followed(newest, access)))

    @contextmanager
    def _opened(self, access: Access, seconds: float) -> Iterator[Adapter]:
        adapter = self._adapters.get(access.provider.adapter)
        if adapter is None:
            raise ProviderMisconfigured("no such adapter")
        with closing(self._connect(access.provider.base_url, seconds)) as connection:
            yield adapter(Retrying(connection))
