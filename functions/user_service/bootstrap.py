"""The one place where the dependencies of the user service are built, on the first call."""

import os
from datetime import timedelta
from functools import cache
from typing import TYPE_CHECKING

from functions.common.actions import PostedActions
from functions.common.clock import SystemClock
from functions.common.outbox import Outbox
from functions.common.publisher import BrokerPublisher
from functions.common.rpc.client import Stub, channel_to
from functions.common.settings import HttpSettings, load
from functions.contracts.rpc import accounts_pb2, activity_pb2, bills_pb2, broker_pb2, users_pb2, webhooks_pb2
from functions.user_service.export import Export
from functions.user_service.lockout import Lockout, Pace
from functions.user_service.mailer import PostedMail, SesMailer
from functions.user_service.passwords import Argon2id
from functions.user_service.recovery import Mailing, Recovery
from functions.user_service.service import Directory, Purge, Users
from functions.user_service.sessions import Sessions
from functions.user_service.settings import (
    LockoutSettings,
    MailSettings,
    OutboxSettings,
    OwnerSettings,
    PasswordSettings,
    PostSettings,
    SessionSettings,
    SigningSettings,
    TableSettings,
)
from functions.user_service.signer import KmsSigner, current_kid
from functions.user_service.tokens import AccessTokens

if TYPE_CHECKING:
    from functions.user_service.code_table import DynamoCodes
    from functions.user_service.session_table import DynamoSessions
    from functions.user_service.table import DynamoUsers

EXPORT_SECONDS = 25.0
"""An export of a long history takes several calls to each service; the gateway ends at 29."""


# of the routes


@cache
def users() -> Users:
    return Users(
        repository=_users(),
        sessions=_sessions(),
        hasher=_hasher(),
        mails=_post(),
        actions=_actions(),
        outbox=_outbox(),
        clock=SystemClock(),
    )


@cache
def sessions() -> Sessions:
    settings = load(SessionSettings, os.environ)
    return Sessions(
        users=_users(),
        repository=_sessions(),
        hasher=_hasher(),
        lockout=_lockout(),
        access_tokens=access_tokens,
        actions=_actions(),
        clock=SystemClock(),
        lifetime=timedelta(days=settings.refresh_token_days),
        grace=timedelta(seconds=settings.refresh_grace_seconds),
    )


@cache
def recovery() -> Recovery:
    return Recovery(
        users=_users(),
        sessions=_sessions(),
        codes=_codes(),
        hasher=_hasher(),
        lockout=_lockout(),
        mails=_post(),
        actions=_actions(),
        clock=SystemClock(),
    )


@cache
def export() -> Export:
    settings = load(OwnerSettings, os.environ)
    owners = {
        "accounts": (accounts_pb2.DESCRIPTOR.services_by_name["Accounts"], settings.rpc_accounts),
        "bills": (bills_pb2.DESCRIPTOR.services_by_name["Bills"], settings.rpc_bills),
        "jobs": (broker_pb2.DESCRIPTOR.services_by_name["Broker"], settings.rpc_broker),
        "webhooks": (webhooks_pb2.DESCRIPTOR.services_by_name["Webhooks"], settings.rpc_webhooks),
        "activity": (activity_pb2.DESCRIPTOR.services_by_name["Activity"], settings.rpc_activity),
    }
    stubs = {name: Stub(service, channel_to(target), EXPORT_SECONDS) for name, (service, target) in owners.items()}
    return Export(users=users(), sessions=sessions(), owners=stubs, clock=SystemClock())


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


# of the RPC


@cache
def directory() -> Directory:
    return Directory(_users())


@cache
def mailing() -> Mailing:
    from functions.common.aws import ses

    settings = load(MailSettings, os.environ)
    return Mailing(
        users=_users(),
        codes=_codes(),
        mailer=SesMailer(ses, settings.mail_sender),
        clock=SystemClock(),
        lifetime=timedelta(minutes=settings.mail_code_minutes),
        pause=timedelta(seconds=settings.mail_pause_seconds),
    )


@cache
def purge() -> Purge:
    from functions.user_service.count_table import DynamoCounts

    counts = DynamoCounts(load(TableSettings, os.environ).sessions_table)
    return Purge(repository=_users(), sessions=_sessions(), counts=counts, outbox=_outbox())


# of both


@cache
def _users() -> "DynamoUsers":
    from functions.user_service.table import DynamoUsers

    return DynamoUsers(load(TableSettings, os.environ).users_table, SystemClock())


@cache
def _sessions() -> "DynamoSessions":
    from functions.user_service.session_table import DynamoSessions

    return DynamoSessions(load(TableSettings, os.environ).sessions_table)


@cache
def _codes() -> "DynamoCodes":
    from functions.user_service.code_table import DynamoCodes

    return DynamoCodes(load(TableSettings, os.environ).sessions_table)


def _outbox() -> Outbox:
    return Outbox(_users(), BrokerPublisher(_broker()))


def _actions() -> PostedActions:
    return PostedActions(_broker(), SystemClock())


def _broker() -> Stub:
    target = load(OutboxSettings, os.environ).rpc_broker
    return Stub(broker_pb2.DESCRIPTOR.services_by_name["Broker"], channel_to(target))


def _post() -> PostedMail:
    target = load(PostSettings, os.environ).rpc_users
    return PostedMail(Stub(users_pb2.DESCRIPTOR.services_by_name["Users"], channel_to(target)))


def _lockout() -> Lockout:
    from functions.user_service.count_table import DynamoCounts

    settings = load(LockoutSettings, os.environ)
    first, longest = timedelta(seconds=settings.lock_first_seconds), timedelta(seconds=settings.lock_longest_seconds)
    account, address = (
        timedelta(seconds=settings.account_failure_memory_seconds),
        timedelta(seconds=settings.address_failure_memory_seconds),
    )
    return Lockout(
        store=DynamoCounts(load(TableSettings, os.environ).sessions_table),
        clock=SystemClock(),
        account_pace=Pace(settings.account_failures, first, longest, account),
        address_pace=Pace(settings.address_failures, first, longest, address),
    )


@cache
def _hasher() -> Argon2id:
    settings = load(PasswordSettings, os.environ)
    return Argon2id(settings.argon2_time_cost, settings.argon2_memory_kib, settings.argon2_parallelism)
