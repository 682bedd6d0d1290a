"""`make admin` says what is kept of the grant."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime

import pytest

from functions.common.errors import NotFound
from functions.user_service import bootstrap
from functions.user_service.model import Email, Preferences, Role, RoleGrant, User, UserId
from infra import admin, deploy
from infra.console import Failure
from infra.settings import load

AT = datetime(2026, 3, 15, 12, 0, tzinfo=UTC)
ADA = User(
    user_id=UserId("usr_ada"),
    email=Email("ada@example.com"),
    preferences=Preferences(name="Ada"),
    password_hash="",
    created_at=AT,
    updated_at=AT,
    roles=frozenset({Role.ADMIN}),
)


@dataclass
class Users:
    user: User

    def grant_role(self, email: str, role: str) -> User:
        if (email, role) != (self.user.email, "admin"):
            raise NotFound("Nobody.")
        return self.user


@pytest.fixture(autouse=True)
def no_platform(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deploy, "service_environment", lambda settings, service: {})


def test_the_first_grant_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    grants = (RoleGrant(Role.ADMIN, AT), RoleGrant(Role.ADMIN, AT.replace(year=2027)))
    monkeypatch.setattr(bootstrap, "users", lambda: Users(replace(ADA, role_grants=grants)))

    said = admin.grant(load({}), "ada@example.com")

    assert "usr_ada" in said
    assert "2026-03-15 12:00 UTC" in said


def test_a_grant_of_old_has_no_date(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrap, "users", lambda: Users(ADA))

    assert "before" in admin.grant(load({}), "ada@example.com")


def test_nobody_is_made_admin_by_mistake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrap, "users", lambda: Users(ADA))

    with pytest.raises(Failure, match="nobody has registered"):
        admin.grant(load({}), "bob@example.com")
