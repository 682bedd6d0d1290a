"""What happens to linked accounts. Owner: account_linking_service. Never a credential or an account number."""

from typing import ClassVar

from functions.contracts.events.envelope import EventData


class _AccountEvent(EventData, frozen=True, kw_only=True):
    SOURCE: ClassVar[str] = "account-linking"

    user_id: str
    link_id: str
    provider_id: str
    state: str
    """PENDING, CONNECTING, MFA_REQUIRED, ACTIVE, STALE, ACTION_REQUIRED or REVOKED."""
    status_detail: str = ""
    version: int
    """Version of the link after the change; orders events of one link."""

    @property
    def subject(self) -> str:
        return self.link_id


class AccountLinkedV1(_AccountEvent, frozen=True, kw_only=True):
    """A user linked an account; its bills have not been read yet."""

    TYPE: ClassVar[str] = "account.linked.v1"


class AccountStateChangedV1(_AccountEvent, frozen=True, kw_only=True):
    """The link works again, or does not work any more."""

    TYPE: ClassVar[str] = "account.state_changed.v1"

    previous_state: str


class AccountUnlinkedV1(_AccountEvent, frozen=True, kw_only=True):
    """The user took the account away: everything held on it must go."""

    TYPE: ClassVar[str] = "account.unlinked.v1"
