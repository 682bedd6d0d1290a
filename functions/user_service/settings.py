"""What may be configured of the user service's functions, a class for each use: none is given another's."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class TableSettings:
    users_table: str
    sessions_table: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PasswordSettings:
    """The defaults are RFC 9106's second recommended option, for where memory is scarce."""

    argon2_time_cost: int = 3
    argon2_memory_kib: int = 65_536
    argon2_parallelism: int = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class LockoutSettings:
    """After so many failures each further one locks for a second, two, four and so on, up to the longest."""

    account_failures: int = 5
    address_failures: int = 50
    lock_first_seconds: int = 1
    lock_longest_seconds: int = 900
    account_failure_memory_seconds: int = 86_400
    address_failure_memory_seconds: int = 3_600


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionSettings:
    refresh_token_days: int = 30
    refresh_grace_seconds: int = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningSettings:
    signing_key_id: str
    access_token_seconds: int = 900


@dataclass(frozen=True, slots=True, kw_only=True)
class MailSettings:
    mail_sender: str = ""
    """Empty: no mail is sent."""
    mail_code_minutes: int = 60
    mail_pause_seconds: int = 60
    """Between two codes for one mailbox."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxSettings:
    rpc_broker: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PostSettings:
    rpc_users: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnerSettings:
    """Who else holds something on a user."""

    rpc_accounts: str
    rpc_bills: str
    rpc_broker: str
    rpc_webhooks: str
    rpc_activity: str
