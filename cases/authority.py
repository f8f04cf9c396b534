"""Who may decide how much (T3, S1-5.9.10): rungs with limits in yuan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from itertools import pairwise


class Authority:
    """The authority of a ladder's rungs over amounts in yuan.

    Args:
        rungs: roles, lowest first.
        limits: the highest amount each rung may decide; a rung without one decides any amount.
    """

    def __init__(self, rungs: Sequence[str], limits: Mapping[str, Decimal]) -> None:
        self._rungs = tuple(rungs)
        self._limits = dict(limits)

    @property
    def rungs(self) -> tuple[str, ...]:
        """The roles that decide, lowest first."""
        return self._rungs

    def rank(self, role: str) -> int:
        """Return the height of a role on the ladder from 0; -1 for a role that is no rung."""
        return self._rungs.index(role) if role in self._rungs else -1

    def covers(self, role: str, amount: Decimal) -> bool:
        """Whether the role may decide the amount by itself; never for a role that is no rung."""
        return self.rank(role) >= 0 and (role not in self._limits or amount <= self._limits[role])

    def lowest_for(self, amount: Decimal) -> str:
        """Return the lowest rung whose limit covers the amount; the top rung if none does."""
        return next((rung for rung in self._rungs if self.covers(rung, amount)), self._rungs[-1])

    def next_above(self, role: str) -> str | None:
        """Return the rung above a role; the lowest rung for a role that is none; None above the top."""
        rank = self.rank(role) + 1
        return self._rungs[rank] if rank < len(self._rungs) else None


def falling(rungs: Sequence[str], limits: Mapping[str, Decimal]) -> str | None:
    """Return what is wrong with limits of which one is below that of a lower rung; None where they rise or stay.

    Args:
        rungs: roles, lowest first.
        limits: as `Authority` takes them.
    """
    any_amount = Decimal("Infinity")
    for below, rung in pairwise(rungs):
        lower, limit = (limits.get(role, any_amount) for role in (below, rung))
        if limit < lower:
            least = "any amount" if lower == any_amount else f"at least the {lower}"
            return f"limits.{rung} = {limit}: allowed is {least} of {below}, the rung below"
    return None
