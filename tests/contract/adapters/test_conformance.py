"""All adapters pass the suite, and the suite finds out adapters that do not keep to it."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from functions.bill_aggregation_service.adapters.base import Access, HttpClient, ProviderError, ProviderMalformed
from functions.bill_aggregation_service.adapters.oauth_json import OAuthJsonAdapter
from functions.bill_aggregation_service.adapters.registry import ADAPTERS
from functions.bill_aggregation_service.model import FetchedBill
from tests.contract.adapters import checks, document_checks
from tests.contract.adapters.description import RECORDINGS, Recorded

CHECKS = (*checks.CHECKS, *document_checks.CHECKS)
FOLDERS = sorted(path.name for path in RECORDINGS.iterdir() if path.is_dir())


@pytest.mark.parametrize("check", CHECKS, ids=[check.__name__ for check in CHECKS])
@pytest.mark.parametrize("name", FOLDERS)
def test_an_adapter_conforms(name: str, check: Callable[[Recorded], None]) -> None:
    check(Recorded.read(RECORDINGS / name))


def test_every_adapter_has_recordings_of_its_own() -> None:
    assert set(FOLDERS) == set(ADAPTERS)
    assert {name: Recorded.read(RECORDINGS / name).told.adapter for name in FOLDERS} == {name: name for name in FOLDERS}


def test_every_check_is_in_the_suite() -> None:
    public = {
        value
        for module in (checks, document_checks)
        for name, value in vars(module).items()
        if callable(value) and not name.startswith("_") and getattr(value, "__module__", "") == module.__name__
    }

    assert public - {checks.failure, checks.contents, checks.silent, checks.hang_up} == set(CHECKS)


class Swallows(OAuthJsonAdapter):
    """Takes any failure for an account without bills."""

    def fetch(self, access: Access) -> Sequence[FetchedBill]:
        try:
            return super().fetch(access)
        except ProviderError:
            return []


class Tattles(OAuthJsonAdapter):
    """Says in its errors who could not sign in."""

    def fetch(self, access: Access) -> Sequence[FetchedBill]:
        try:
            return super().fetch(access)
        except ProviderError as error:
            raise ProviderMalformed(f"{access.username}: {error}") from None


class Chains(OAuthJsonAdapter):
    """Keeps the cause of an error, which quotes the answer."""

    def fetch(self, access: Access) -> Sequence[FetchedBill]:
        try:
            return super().fetch(access)
        except ProviderMalformed as error:
            raise ProviderMalformed("odd") from ValueError(f"secret words {error}")


class Stumbles(OAuthJsonAdapter):
    """Lets other exceptions through."""

    def fetch(self, access: Access) -> Sequence[FetchedBill]:
        try:
            return super().fetch(access)
        except ProviderMalformed:
            raise KeyError("bills") from None


class OnePage(OAuthJsonAdapter):
    """Stops after the first page."""

    def fetch(self, access: Access) -> Sequence[FetchedBill]:
        return [bill for page, bill in enumerate(super().fetch(access)) if page < 2]


class Forgets(OAuthJsonAdapter):
    """Does not pass the user's code on."""

    def fetch(self, access: Access) -> Sequence[FetchedBill]:
        return super().fetch(Access(access.provider, access.params, access.username, access.password))


class Insists(OAuthJsonAdapter):
    """Tries a refused login once more."""

    def fetch(self, access: Access) -> Sequence[FetchedBill]:
        try:
            return super().fetch(access)
        except ProviderError:
            return super().fetch(access)


class NeverAsks:
    def __init__(self, http: HttpClient) -> None:
        self._http = http

    def fetch(self, _access: Access) -> Sequence[FetchedBill]:
        return []


class Hides(OAuthJsonAdapter):
    """Does not say that there are documents."""

    def fetch(self, access: Access) -> Sequence[FetchedBill]:
        return [FetchedBill(replace(bill.content, document_url=None)) for bill in super().fetch(access)]


class Grabs(OAuthJsonAdapter):
    """Takes whatever comes for a document."""

    def document(self, access: Access, path: str) -> bytes:
        self._token(access)
        return self._http.get(path)


class GivesUp(OAuthJsonAdapter):
    """Does not say that a document is not there any more."""

    def document(self, access: Access, path: str) -> bytes:
        try:
            return super().document(access, path)
        except ProviderError:
            raise ProviderMalformed("odd") from None


@pytest.mark.parametrize(
    ("adapter", "check"),
    [
        (Swallows, checks.a_wrong_login_is_told),
        (Swallows, checks.a_locked_account_is_told),
        (Swallows, checks.a_challenge_is_told_and_answered),
        (Swallows, checks.a_wish_to_be_left_alone_is_told),
        (Swallows, checks.what_is_no_answer_is_malformed),
        (Swallows, checks.silence_is_a_time_out_at_every_step),
        (Swallows, checks.a_broken_connection_is_down_at_every_step),
        (Tattles, checks.nothing_secret_is_told),
        (Chains, checks.nothing_secret_is_told),
        (Stumbles, checks.what_is_no_answer_is_malformed),
        (OnePage, checks.good_answers_are_read),
        (OnePage, checks.a_short_failure_is_overcome),
        (Forgets, checks.a_challenge_is_told_and_answered),
        (Insists, checks.a_wrong_login_is_told),
        (NeverAsks, checks.good_answers_are_read),
        (NeverAsks, checks.what_comes_twice_is_one_bill),
        (Hides, document_checks.documents_are_told_and_read),
        (Grabs, document_checks.what_is_no_document_is_refused),
        (GivesUp, document_checks.a_document_that_has_moved_is_found_by_its_bill),
        (GivesUp, document_checks.a_document_is_refused_as_bills_are),
    ],
)
def test_an_adapter_that_does_not_is_found_out(
    adapter: type[OAuthJsonAdapter], check: Callable[[Recorded], None]
) -> None:
    broken = Recorded.read(RECORDINGS / "oauth_json").broken(adapter)

    with pytest.raises(AssertionError):
        check(broken)
