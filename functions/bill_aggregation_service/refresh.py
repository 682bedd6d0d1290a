"""Use cases that read bills from utilities: one link (RefreshLink), or all of a user's at once for a live read."""

import contextvars
import logging
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Protocol, TypeVar

from functions.bill_aggregation_service.adapters.base import (
    Access,
    MfaRequired,
    NeedsAction,
    ProviderDeactivated,
    ProviderError,
    ProviderMisconfigured,
    ProviderTimeout,
)
from functions.bill_aggregation_service.gathering import GatheringCache, GatheringStore, RecordStore
from functions.bill_aggregation_service.keeping import CACHE_SPACE, AnswerCache, keep, record_of
from functions.bill_aggregation_service.model import (
    FetchedBill,
    Link,
    LinkChoice,
    LinkId,
    Outcome,
    Provider,
    ProviderId,
    UserId,
)
from functions.bill_aggregation_service.upsert import MANUAL, Attempt, MfaChallenge, Plan
from functions.common import logs
from functions.common.clock import Clock
from functions.common.context import remaining_seconds
from functions.common.errors import AppError, NotFound, Unavailable
from functions.common.outbox import Outbox

log = logging.getLogger(__name__)

T = TypeVar("T")
RESERVED_SECONDS = 3.0
"""Kept back from a fetch, to write down what it brought."""
MAX_PARALLEL_LINKS = 64
EVENTS_AT_ONCE = 100
"""A first fetch may bring years of bills: the rest goes out with the next sweeps (ADR 4), not on a caller's time."""


@dataclass(frozen=True, slots=True)
class OpenedAccount:
    """What the user gave, in clear text; it does not show in its repr."""

    provider_id: ProviderId
    params: Mapping[str, str] = field(repr=False)
    username: str = field(repr=False)
    password: str = field(repr=False)
    mfa_code: str = field(default="", repr=False)
    mfa_reference: str = field(default="", repr=False)


class Credentials(Protocol):
    def open(self, user_id: UserId, link_ids: Collection[LinkId]) -> Mapping[LinkId, OpenedAccount]: ...


class Providers(Protocol):
    def get(self, provider_id: ProviderId) -> Provider: ...


class Accounts(Protocol):
    def linked(self, user_id: UserId) -> Mapping[LinkId, ProviderId]: ...

    def record_started(self, user_id: UserId, link_id: LinkId, at: datetime) -> None:
        """The utility is about to be asked for the first time."""
        ...

    def record_outcome(self, link: Link, attempt: Attempt) -> None: ...


@dataclass(frozen=True, slots=True)
class Refreshed:
    """How the refresh of a link ended; a utility that failed is an outcome, not an error."""

    outcome: Outcome
    error_code: str = ""
    retryable: bool = False
    created: int = 0
    updated: int = 0
    unchanged: int = 0


@dataclass(frozen=True, slots=True)
class LinkResult:
    """How one link of several fared."""

    link_id: LinkId
    provider_id: ProviderId
    refreshed: Refreshed


class Guard(Protocol):
    """What stands before a utility (`protection.py`): it may wait for a place, or raise ProviderError."""

    def __call__(self, provider: Provider, link_id: LinkId, seconds: float, fetch: Callable[[float], T]) -> T:
        """What `fetch` answers; it is given what is then left of `seconds`."""
        ...


def unguarded(
    provider: Provider,  # noqa: ARG001
    link_id: LinkId,  # noqa: ARG001
    seconds: float,
    fetch: Callable[[float], T],
) -> T:
    return fetch(seconds)


@dataclass(frozen=True, slots=True)
class Refresher:
    store: RecordStore
    credentials: Credentials
    providers: Providers
    accounts: Accounts
    fetch: Callable[[Access, float], Sequence[FetchedBill]]
    """Reads an account's bills within so many seconds; raises ProviderError."""
    outbox: Outbox
    cache: AnswerCache
    clock: Clock
    fetch_seconds: float
    guard: Guard = unguarded
    sleep: Callable[[float], None] = time.sleep

    def refresh_link(self, user_id: UserId, link_id: LinkId) -> Refreshed:
        """Raises NotFound when there is no such link any more."""
        account = self._opened(user_id, link_id)
        return self._refresh(record_of(self.store, user_id, link_id), account)

    def ask(self, user_id: UserId, link_id: LinkId, question: Callable[[Access, float], T]) -> T:
        """Asks a link's utility for something beside its bills, behind the same protection. What it wants of the user
        is written down as after a refresh. Raises ProviderError, and NotFound when there is no such link any more."""
        account = self._opened(user_id, link_id)
        if account.mfa_code:
            # Good for one try, which is the refresh's that the user has just asked for.
            raise Unavailable("The account is being signed in to; try again.", code="link_connecting")
        began = self.clock.now()
        provider = self._provider(account.provider_id)
        try:
            return self.guard(provider, link_id, self._seconds(), partial(question, _access(provider, account)))
        except NeedsAction as error:
            self._keep(record_of(self.store, user_id, link_id), self._failed_attempt(began, provider, error))
            raise

    def _opened(self, user_id: UserId, link_id: LinkId) -> OpenedAccount:
        opened = self.credentials.open(user_id, [link_id]).get(link_id)
        if opened is None:
            raise NotFound("There is no such link.", code="link_not_found")
        return opened

    def refresh_links(self, user_id: UserId, choice: LinkChoice, seconds: float) -> Sequence[LinkResult]:
        """Those of the user's links, all at once. Answers after `seconds` at the latest; a link that is not done by
        then goes on by itself."""
        late_at = time.monotonic() + seconds
        opened = self._named(user_id, choice.link_ids)
        linked = {each: account.provider_id for each, account in opened.items()} or self._linked(user_id)
        asked = {link_id: provider for link_id, provider in linked.items() if choice.admits(link_id, provider)}
        done = self._refresh_all(user_id, asked, opened, late_at)
        return [LinkResult(link_id, provider, done[link_id]) for link_id, provider in asked.items()]

    def _named(self, user_id: UserId, link_ids: Collection[LinkId]) -> Mapping[LinkId, OpenedAccount]:
        """What opens all of these. Nothing when one of them does not open: whether it was unlinked, or cannot be read,
        only the account service knows."""
        try:
            opened = self.credentials.open(user_id, link_ids) if link_ids else {}
        except AppError:
            return {}
        return opened if len(opened) == len(link_ids) else {}

    def _linked(self, user_id: UserId) -> Mapping[LinkId, ProviderId]:
        """As the account service says; while it is down, as the own records do."""
        try:
            return self.accounts.linked(user_id)
        except AppError as error:
            log.warning("links_unavailable", extra=logs.fields(code=error.code))
            return {link.link_id: link.provider_id for link in self.store.links(user_id)}

    def _refresh_all(
        self, user_id: UserId, link_ids: Collection[LinkId], named: Mapping[LinkId, OpenedAccount], late_at: float
    ) -> Mapping[LinkId, Refreshed]:
        if not link_ids:
            return {}
        try:
            opened = named or self.credentials.open(user_id, link_ids)
            known = {link.link_id: link for link in self.store.links(user_id, link_ids)}
        except AppError as error:
            log.warning("links_not_opened", extra=logs.fields(code=error.code))
            return dict.fromkeys(link_ids, _failed(error))
        seen = {link_id: known.get(link_id) or Link(user_id=user_id, link_id=link_id) for link_id in opened}
        together = replace(self, store=GatheringStore(self.store), cache=GatheringCache(self.cache))
        refresh = together._refresh  # noqa: SLF001  # of the same class
        pool = ThreadPoolExecutor(min(len(link_ids), MAX_PARALLEL_LINKS), thread_name_prefix="refresh")
        futures: dict[LinkId, Future[Refreshed]] = {
            link_id: pool.submit(contextvars.copy_context().run, refresh, seen[link_id], account)
            for link_id, account in opened.items()
            if link_id in link_ids and not account.mfa_code
        }
        wait(futures.values(), timeout=max(0.0, late_at - time.monotonic()))
        pool.shutdown(wait=False, cancel_futures=True)
        # A code is good for one try, which is that of the refresh asked for when the user gave it.
        connecting = Refreshed(Outcome.FAILED, "link_connecting", retryable=True)
        missing = Refreshed(Outcome.FAILED, "link_not_found")
        unasked = {link_id: connecting if link_id in opened else missing for link_id in link_ids}
        return unasked | {link_id: _result(link_id, future) for link_id, future in futures.items()}

    def _refresh(self, seen: Link, account: OpenedAccount) -> Refreshed:
        """`seen`: the link's record, which is not read again unless it has changed when the answer is written."""
        attempt = self._attempt(seen, account)
        if attempt.provider.adapter == MANUAL:
            return Refreshed(attempt.outcome)  # files feed it: nothing was asked, nothing has changed
        saved = self._keep(seen, attempt)
        log.info(
            "link_refreshed",
            extra=logs.fields(
                link_id=seen.link_id,
                provider_id=account.provider_id,
                outcome=attempt.outcome,
                error_code=attempt.error_code,
                created=saved.created,
                updated=saved.updated,
                unchanged=saved.unchanged,
                refused=[refused.code for refused in saved.refused],
            ),
        )
        return Refreshed(
            attempt.outcome, attempt.error_code, attempt.retryable, saved.created, saved.updated, saved.unchanged
        )

    def _keep(self, seen: Link, attempt: Attempt) -> Plan:
        saved, events = keep(self.store, self.clock, seen.user_id, seen.link_id, attempt, self.sleep, seen)
        self.cache.bump(seen.user_id, CACHE_SPACE)
        self._record(saved.link, attempt)
        self.outbox.send(events[:EVENTS_AT_ONCE])
        return saved

    def _attempt(self, seen: Link, account: OpenedAccount) -> Attempt:
        began = self.clock.now()
        provider = _unknown(account.provider_id)
        try:
            provider = self._provider(account.provider_id)
            if provider.adapter == MANUAL:
                return Attempt(began, Outcome.SUCCESS, provider)
            seconds = self._seconds()
            self._tell_started(seen, began)
            fetch = partial(self.fetch, _access(provider, account))
            return Attempt(began, Outcome.SUCCESS, provider, self.guard(provider, seen.link_id, seconds, fetch))
        except ProviderError as error:
            log.warning(
                "provider_failed",
                extra=logs.fields(provider_id=account.provider_id, code=error.code, detail=str(error)),
            )
            return self._failed_attempt(began, provider, error)

    def _seconds(self) -> float:
        seconds = min(self.fetch_seconds, remaining_seconds() - RESERVED_SECONDS)
        if seconds <= 0:
            raise ProviderTimeout("no time was left to ask")
        return seconds

    def _provider(self, provider_id: ProviderId) -> Provider:
        """Raises ProviderError for one that is not to be called."""
        try:
            provider = self.providers.get(provider_id)
        except NotFound as error:
            raise ProviderMisconfigured("not in the registry") from error
        if provider.deactivated:
            raise ProviderDeactivated
        return provider

    def _tell_started(self, link: Link, began: datetime) -> None:
        """Before the first attempt at a link, and never again: whoever waits for it sees that something happens."""
        if link.attempted_at or link.gone:
            return
        try:
            self.accounts.record_started(link.user_id, link.link_id, began)
        except AppError as error:
            log.warning("start_not_recorded", extra=logs.fields(link_id=link.link_id, code=error.code))

    def _failed_attempt(self, began: datetime, provider: Provider, error: ProviderError) -> Attempt:
        outcome = Outcome.ACTION_REQUIRED if isinstance(error, NeedsAction) else Outcome.FAILED
        mfa = None
        if isinstance(error, MfaRequired):
            expires_at = self.clock.now() + timedelta(seconds=error.expires_in) if error.expires_in else None
            mfa = MfaChallenge(error.methods, error.reference, expires_at, error.code_refused)
        return Attempt(
            began, outcome, provider, (), error.code, error.retryable, retry_after=error.retry_after, mfa=mfa
        )

    def _record(self, link: Link, attempt: Attempt) -> None:
        try:
            self.accounts.record_outcome(link, attempt)
        except AppError as error:
            # The bills stand; the link stays due, so the sweep asks for it again.
            log.warning("outcome_not_recorded", extra=logs.fields(link_id=link.link_id, code=error.code))


def _result(link_id: LinkId, future: "Future[Refreshed]") -> Refreshed:
    if not future.done() or future.cancelled():
        return Refreshed(Outcome.FAILED, "deadline_exceeded", retryable=True)
    try:
        return future.result()
    except AppError as error:
        return _failed(error)
    # The edge of the thread: a mistake in one adapter costs its own link only.
    except Exception:
        log.exception("refresh_broke", extra=logs.fields(link_id=link_id))
        return Refreshed(Outcome.FAILED, "internal")


def _failed(error: AppError) -> Refreshed:
    return Refreshed(Outcome.FAILED, error.code, retryable=not isinstance(error, NotFound))


def _access(provider: Provider, account: OpenedAccount) -> Access:
    return Access(provider, account.params, account.username, account.password, account.mfa_code, account.mfa_reference)


def _unknown(provider_id: ProviderId) -> Provider:
    return Provider(
        provider_id=provider_id, name="", service_types=(), currency="", time_zone="", adapter="", base_url=""
    )
