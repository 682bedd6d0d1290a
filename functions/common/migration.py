"""What a migration is given. A migration is a module functions/<service>/migrations/NNNN_name.py with `up` and `down`.

`make migrate` runs them in the order of their numbers, each once, outside Lambda, with the environment of the service's
own API function in `os.environ`, so that the service's `bootstrap` builds what it builds in Lambda. Both must be
safe to run again, since a run may have been cut off in its middle. A module may also have `after(ctx)`: it runs at
the end of every `make migrate`, for what follows the deployment and not the schema, such as the API's URL.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class MigrationContext:
    service: str
    # the service's environment, plus SANDBOX_BASE_URL (the URL of the sandbox utilities, as functions see it) where the
    # sandbox is deployed: an API's own URL in a function's environment would be a circular reference
    env: Mapping[str, str]
    log: Callable[[str], None]  # one line of progress, no secrets


class Migration(Protocol):
    """The shape of a migration module."""

    def up(self, ctx: MigrationContext) -> None: ...

    def down(self, ctx: MigrationContext) -> None:
        """Takes back what `up` did."""
        ...
