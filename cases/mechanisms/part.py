"""What a mechanism is: a part of a case, with its events, its commands and what time does to it.

A part finds its handlers by name: ``_on_TYPE(data, event)`` for an event; for a command ``_do_COMMAND(command,
at, by)``, before it ``_check_COMMAND(command, at, by)`` for what its fields name, and ``_may_COMMAND(by, at)``
for its guard, which knows only who asks and the state of the case; ``_choices_COMMAND(by, at)`` for the values
that fields may take now, ``_needed_COMMAND(by)`` for the optional fields that somebody has to give all the same,
``_known_COMMAND(own, other)`` for what the views of this case and of one that the command names stand against, and
``_refused_COMMAND(command, at, by)`` for what a refusal leaves on record.
A kind (`cases.case.Case`) finds its own in the same way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar

from cases.vocabulary import lifecycle  # noqa: F401 - declares the events of every case
from cases.vocabulary.commands import COMMANDS
from cases.vocabulary.events import EVENTS, Actor, Event

if TYPE_CHECKING:
    from cases.case import Case
    from cases.mechanisms.clocks import Clock
    from cases.vocabulary.effects import ActivityCall

# What time does to a case: when, and the act, which takes the instant.
Turn = tuple[datetime, Callable[[datetime], None]]
# What the fields of a command may hold now, by the name of the field.
Choices = Mapping[str, Iterable[str]]

_PREFIXES: Mapping[str, Mapping[str, type]] = {
    "_on_": EVENTS,
    "_do_": COMMANDS,
    "_check_": COMMANDS,
    "_may_": COMMANDS,
    "_choices_": COMMANDS,
    "_refused_": COMMANDS,
    "_needed_": COMMANDS,
    "_known_": COMMANDS,
}


class Handlers:
    """The handlers of a part or a kind, found by name and checked as soon as its class is made."""

    EVOLVE: ClassVar[dict[str, Callable[[Any, Any, Event], None]]] = {}

    def __init_subclass__(cls, **more: Any) -> None:
        """Find the event handlers.

        Raises:
            TypeError: a handler is of no declared event or command.
        """
        super().__init_subclass__(**more)
        for name in dir(cls):
            for prefix, declared in _PREFIXES.items():
                if name.startswith(prefix) and name.removeprefix(prefix) not in declared:
                    what = "event" if declared is EVENTS else "command"
                    raise TypeError(f"{cls.__name__}.{name} handles no declared {what}")
        cls.EVOLVE = {name.removeprefix("_on_"): getattr(cls, name) for name in dir(cls) if name.startswith("_on_")}

    def turns(self) -> Iterable[Turn]:
        """Yield what time will do to this one."""
        return ()


class Part(Handlers):
    """A mechanism of one case. Its state changes only by events."""

    # What it has done outside, and takes in.
    ACTIVITIES: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, case: Case) -> None:
        self.case = case

    def activity_done(self, call: ActivityCall, result: Mapping[str, Any], at: datetime) -> None:
        """Take in what came of one of its `ACTIVITIES`; a part that has some overrides this, no other is asked."""
        raise NotImplementedError

    def rehearsed(self, call: ActivityCall, serial: int) -> Mapping[str, Any]:
        """Return what comes of one of its `ACTIVITIES` in a rehearsal; a part that has some overrides this.

        Args:
            serial: the one that a counter of case numbers gives out.
        """
        raise NotImplementedError

    def breached(self, clock: Clock, at: datetime) -> bool:
        """Act on the breach of a clock of this part. Returns whether it is one."""
        return False


def handler_of(owners: Iterable[Handlers | type[Handlers]], prefix: str, command: str) -> Callable[..., Any] | None:
    """Return the first handler of a command, or None."""
    found = (getattr(owner, f"{prefix}{command}", None) for owner in owners)
    return next((handler for handler in found if handler is not None), None)


# A guard: raises `Refused` when this actor may not, or the case is not in the state for it.
Guard = Callable[[Actor, datetime], None]
