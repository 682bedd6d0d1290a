"""Money as text. Every currency of the sandbox has two decimals."""

from decimal import Decimal

CENTS = Decimal(100)


def major_units(minor: int) -> str:
    """`-150` as `-1.50`."""
    return f"{minor / CENTS:.2f}"


def grouped(minor: int) -> str:
    """`186545` as `1,865.45`."""
    return f"{minor / CENTS:,.2f}"
