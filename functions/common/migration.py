"""What a migration is given. A migration is a module functions/<service>/migrations/NNNN_name.py with `up` and `down`.

`make migrate` runs them in the order of their numbers, each once, outside Lambda, with the deployer's rights and with
the environment of the service's own API function in `os.environ`, so that the service's `bootstrap` builds what it
builds in Lambda. Both must be safe to run again, since a run may have been cut off in its middle, and right while the
service works: the new code is deployed before its data is migrated, so it reads both forms.

A module may also have `after(ctx)`: it runs at the end of every `make migrate`, for what follows the deployment and not
the schema, such as the API's URL.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

Item = Mapping[str, Any]
"""An item as Python values, numbers as Decimal. Any: DynamoDB's items have no schema."""


@dataclass(frozen=True, slots=True)
class Change:
    """What becomes of one item. Written only if everything it was judged by still stands as it was read: the attributes
    that are put or removed, and those in `given`; else the item is read and judged again. Never of its key."""

    put: Item = field(default_factory=dict)
    remove: tuple[str, ...] = ()
    delete: bool = False
    given: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.delete and (self.put or self.remove or not self.given):
            raise ValueError("to delete an item, say what it was judged by, and change nothing else in it")


class Tables(Protocol):
    """A table's items, for a migration. They are what a past release wrote, so no model of today's code reads them."""

    def get(self, table: str, key: Item) -> Item | None:
        """One item, as it stands now."""
        ...

    def back_fill(self, table: str, judge: Callable[[Item], Change | None]) -> int:
        """Goes through the whole table page by page and makes the changes that `judge` asks for; None: leave it.

        Where it stands is kept after each page, so that a run that was cut off is taken up there. `judge` may see an
        item twice, and one that it has changed already. Answers how many items were changed, in all runs together.
        """
        ...


class NoTables:
    """For migrations that need none, which the service's own use cases carry out."""

    def get(self, table: str, key: Item) -> Item | None:
        raise RuntimeError(f"no {key} of {table}: this context reaches no tables")

    def back_fill(self, table: str, judge: Callable[[Item], Change | None]) -> int:
        raise RuntimeError(f"no {judge} for {table}: this context reaches no tables")


@dataclass(frozen=True)
class MigrationContext:
    service: str
    # the service's environment, plus SANDBOX_BASE_URL (the URL of the sandbox utilities, as functions see it) where the
    # sandbox is deployed: an API's own URL in a function's environment would be a circular reference
    env: Mapping[str, str]
    log: Callable[[str], None]  # one line of progress, no secrets
    tables: Tables = field(default_factory=NoTables)


class Migration(Protocol):
    """The shape of a migration module."""

    def up(self, ctx: MigrationContext) -> None: ...

    def down(self, ctx: MigrationContext) -> None:
        """Takes back what `up` did, also when `up` did only a part of it. Where nothing can be or need be taken back
        it says so."""
        ...
