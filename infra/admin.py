"""Gives a user the role admin. No API route does that: it takes the right to write the user service's table."""

from infra import deploy, migrations
from infra.settings import Settings

SERVICE = "user_service"


def grant(settings: Settings, email: str) -> None:
    """The user with this address has the role admin, in tokens issued from now on. Failure for an unknown address."""
    with migrations.applied(deploy.service_environment(settings, SERVICE)):
        from functions.user_service import bootstrap

        bootstrap.users().grant_role(email, "admin")
