"""Adapters by the name in a provider's registry entry. Not in the package: the use cases import its errors alone."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from typing import Protocol

from functions.bill_aggregation_service.adapters.base import Access, Adapter, HttpClient, ProviderMisconfigured
from functions.bill_aggregation_service.adapters.bbps import BbpsAdapter
from functions.bill_aggregation_service.adapters.csv_statement import CsvStatementAdapter
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


class Connection(HttpClient, Protocol):
    def close(self) -> None: ...


class Utilities:
    """Reads bills from any utility. `connect(base_url, seconds)` opens the HTTP client of one fetch."""

    def __init__(self, connect: Callable[[str, float], Connection]) -> None:
        self._connect = connect

    def fetch(self, access: Access, seconds: float) -> Sequence[FetchedBill]:
        """Takes at most `seconds`. Raises ProviderError."""
        adapter = ADAPTERS.get(access.provider.adapter)
        if adapter is None:
            raise ProviderMisconfigured("no such adapter")
        with closing(self._connect(access.provider.base_url, seconds)) as connection:
            return adapter(Retrying(connection)).fetch(access)
