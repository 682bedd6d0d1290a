"""What happens to users. Owner: user_service. Never an e-mail or a name."""

from typing import ClassVar

from functions.contracts.events.envelope import EventData


class UserDeletedV1(EventData, frozen=True, kw_only=True):
    """The user wants to be forgotten: everything held on them must go, the user service's own part last."""

    TYPE: ClassVar[str] = "user.deleted.v1"
    SOURCE: ClassVar[str] = "user"

    user_id: str

    @property
    def subject(self) -> str:
        return self.user_id
