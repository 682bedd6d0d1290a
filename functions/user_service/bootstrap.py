"""Settings of the user service, and the one place where its dependencies are built, on the first call."""

import os
from dataclasses import dataclass
from datetime import timedelta
from functools import cache

from functions.common.clock import SystemClock
from functions.common.settings import HttpSettings, load
from functions.user_service.passwords import Argon2id
from functions.user_service.service import Sessions, Users
from functions.user_service.signer import KmsSigner, current_kid
from functions.user_service.tokens import AccessTokens


@dataclass(frozen=True, slots=True, kw_only=True)
class UserSettings:
    """The defaults are RFC 9106's second recommended option, for where memory is scarce."""

    users_table: str
    argon2_time_cost: int = 3
    argon2_memory_kib: int = 65_536
    argon2_parallelism: int = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionSettings:
    sessions_table: str
    refresh_token_days: int = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningSettings:
    signing_key_id: str
    access_token_seconds: int = 900


@cache
def users() -> Users:
    from functions.user_service.table import DynamoUsers

    settings = load(UserSettings, os.environ)
    return Users(repository=DynamoUsers(settings.users_table), hasher=_hasher(settings), clock=SystemClock())


@cache
def sessions() -> Sessions:
    from functions.user_service.table import DynamoSessions

    settings = load(SessionSettings, os.environ)
    return Sessions(
        users=users().repository,
        repository=DynamoSessions(settings.sessions_table),
        hasher=users().hasher,
        access_tokens=access_tokens,
        clock=SystemClock(),
        lifetime=timedelta(days=settings.refresh_token_days),
    )


@cache
def access_tokens() -> AccessTokens:
    from functions.common.aws import kms

    settings, http = load(SigningSettings, os.environ), load(HttpSettings, os.environ)
    return AccessTokens(
        signer=KmsSigner(kms, settings.signing_key_id, current_kid(http.jwks)),
        issuer=http.token_issuer,
        audience=http.token_audience,
        lifetime=timedelta(seconds=settings.access_token_seconds),
    )


def _hasher(settings: UserSettings) -> Argon2id:
    return Argon2id(settings.argon2_time_cost, settings.argon2_memory_kib, settings.argon2_parallelism)
