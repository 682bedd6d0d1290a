"""What is said of the parts of a file that gave no bill."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Skipped:
    """What gave no bill. `reason` is stable; `entry` is the address or id of the entry.

    bad_amount, bad_period, bad_extension, no_amount, no_period, too_large, unknown_currency: the bill cannot be read.
    duplicate: the file has the same bill before. superseded: it has the bill with a later stamp.
    no_bill: the usage point has only what a meter measured.
    """

    reason: str
    detail: str
    entry: str
