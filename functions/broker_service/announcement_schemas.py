"""Body of the webhooks that utilities send."""

from typing import Annotated, Literal

from msgspec import Meta, Struct


class Announcement(Struct, kw_only=True):
    """Other types than `bill.available` are taken and ignored. `timestamp` is there because Standard Webhooks has one;
    what counts is the header's."""

    type: Literal["bill.available"]
    account_number: Annotated[str, Meta(min_length=1, max_length=200)]
    timestamp: str | None = None
