"""Amounts in yuan of a quantity at a price: exact, and rounded once, half-up to the fen."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Context, Decimal

FEN = Decimal("0.01")
# Room for every product of two decimals that a fact or a command may hold, so that nothing is rounded on the way.
_EXACT = Context(prec=60)


def amount_of(quantity: Decimal, unit_price: Decimal) -> Decimal:
    """Return quantity times price in yuan, half-up to the fen."""
    return _EXACT.multiply(quantity, unit_price).quantize(FEN, ROUND_HALF_UP, _EXACT)


def raised(quantity: Decimal, percent: Decimal) -> Decimal:
    """Return a quantity and so many percent more of it, exactly."""
    return _EXACT.multiply(quantity, _EXACT.add(1, percent.scaleb(-2, _EXACT)))


def plain(number: Decimal) -> str:
    """Write a number without an exponent and without zeros at its end: 494.4, 504."""
    return f"{_EXACT.normalize(number):f}"
