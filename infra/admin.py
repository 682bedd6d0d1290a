"""Gives a user the role admin. No API route does that: it takes the right to write the user service's table."""

from infra import deploy, migrations
from infra.console import Failure
from infra.settings import Settings

SERVICE = "user_service"


def grant(settings: Settings, email: str) -> str:
    """The user with this address has the role admin, in tokens issued from now on. Failure for an unknown address.

    Answers what is kept of it with the user, in words; the first grant, when there are several.
    """
    with migrations.applied(deploy.service_environment(settings, SERVICE)):
        from functions.common.errors import NotFound
        from functions.user_service import bootstrap

        try:
            user = bootstrap.users().grant_role(email, "admin")
        except NotFound as error:
            raise Failure(
                f"{email}: nobody has registered with this address.", "Register first: POST /users"
            ) from error
    since = sorted(given.at for given in user.role_grants if given.role == "admin")
    kept = f"{since[0]:%Y-%m-%d %H:%M} UTC, as is kept with the user" if since else "before grants were kept"
    return f"{email} ({user.user_id}) has the role admin since {kept}"
