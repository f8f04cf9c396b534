"""What a page of a case offers first: what the case waits for, then what is its kind's own, then the rest.

The order is said here once and knows no kind. What a deadline waits for, and what is grave, the commands say of
themselves (`Command.SERVES`, `Command.GRAVE`); what may be done the case says (`Case.allowed`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import takewhile

from cases.case import Case
from cases.vocabulary.commands import EVERY_KIND
from cases.vocabulary.events import Actor

# So many are buttons; the others stand in a menu.
FIRST = 3
_EVERYBODYS = frozenset(model.NAME for model in EVERY_KIND)
_NEVER = datetime.max.replace(tzinfo=UTC)
_AT_ONCE = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True)
class Offered:
    """The commands that somebody may give now: the likely ones, the others, and the grave ones among these."""

    likely: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    grave: tuple[str, ...] = ()


def offered(case: Case, allowed: Sequence[str], by: Actor, now: datetime) -> Offered:
    """Arrange what somebody may do.

    First stands what ends the deadline that falls due first, then what is this kind's own, then what every kind takes;
    of the kind's own what has only become possible since the case was opened before the rest. What is grave is likely
    only where a deadline waits for it, such as a rejection.

    Args:
        allowed: what this person may do now, in the order in which the kind declares it.
        by: this person.
    """
    waiting, from_the_start = dict(_waiting(case)), _possible_at_first(case, by, now)
    due = {name: min((waiting.get(clock, _NEVER) for clock in _serves(case, name)), default=_NEVER) for name in allowed}
    grave = {name for name in allowed if case.COMMANDS[name].GRAVE}

    def rank(name: str) -> tuple[datetime, bool, bool]:
        everybodys = name in _EVERYBODYS
        return due[name], due[name] == _NEVER and everybodys, everybodys or name in from_the_start

    # Sorting keeps what the kind declares first in front.
    ranked = sorted(allowed, key=rank)
    likely = [name for name in ranked if name not in grave or due[name] < _NEVER][:FIRST]
    rest = [name for name in allowed if name not in likely]
    return Offered(
        tuple(likely),
        tuple(name for name in rest if name not in grave),
        tuple(name for name in rest if name in grave),
    )


def _serves(case: Case, name: str) -> frozenset[str]:
    return case.COMMANDS[name].SERVES


def _waiting(case: Case) -> Iterator[tuple[str, datetime]]:
    """Yield what is waited for by the base name of its deadline, the latest due first."""
    live = (clock for clock in case.clocks.values() if clock.live)
    yield from ((clock.base, clock.due) for clock in sorted(live, key=lambda clock: clock.due, reverse=True))
    if case.approvals.open():
        # Everything else waits until it is decided.
        yield "approval", _AT_ONCE


def _possible_at_first(case: Case, by: Actor, now: datetime) -> frozenset[str]:
    """Return what this person could do when the case was opened."""
    opening = list(takewhile(lambda event: event.recorded_at == case.events[0].recorded_at, case.events))
    first = type(case).replay(case.policy, opening)
    return frozenset(name for name, refusal in first.allowed(by, now).items() if refusal is None)
