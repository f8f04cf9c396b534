"""Links: cases that somebody tied together, since they are about the same matter or customer."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, ClassVar

from cases.mechanisms.part import Choices, Part
from cases.vocabulary import commands
from cases.vocabulary.events import Actor, Event, EventData
from cases.vocabulary.refusals import Refused

if TYPE_CHECKING:
    from cases.case import Case


class Linked(EventData):
    """The case was tied to another one, by its id."""

    TYPE: ClassVar[str] = "linked"
    BY_COMMAND: ClassVar[bool] = True
    case: str


class Unlinked(EventData):
    """A link was taken back."""

    TYPE: ClassVar[str] = "unlinked"
    BY_COMMAND: ClassVar[bool] = True
    case: str


class Links(Part):
    """The cases that this one was tied to, by id, in the order in which that was done."""

    def __init__(self, case: Case) -> None:
        super().__init__(case)
        self.cases: list[str] = []

    # --- commands ---------------------------------------------------------------------------------

    def _check_link(self, command: commands.Link, at: datetime, by: Actor) -> None:
        if command.case == self.case.id:
            raise Refused("itself", f"case = {command.case!r} is this case; name another one")
        if command.case in self.cases:
            raise Refused("already_linked", f"case = {command.case!r} is linked already")

    def _do_link(self, command: commands.Link, at: datetime, by: Actor) -> None:
        self.case.emit(Linked(case=command.case), at, by=by)

    def _may_unlink(self, by: Actor, at: datetime) -> None:
        if not self.cases:
            raise Refused("not_linked", "unlink: the case is linked to none")

    def _choices_unlink(self, by: Actor, at: datetime) -> Choices:
        return {"case": self.cases}

    def _check_unlink(self, command: commands.Unlink, at: datetime, by: Actor) -> None:
        if command.case not in self.cases:
            linked = ", ".join(self.cases) or "none"
            raise Refused("not_linked", f"case = {command.case!r} is not linked from this case; allowed: {linked}")

    def _do_unlink(self, command: commands.Unlink, at: datetime, by: Actor) -> None:
        self.case.emit(Unlinked(case=command.case), at, by=by)

    # --- how events change the state --------------------------------------------------------------

    def _on_linked(self, data: Linked, event: Event) -> None:
        self.cases.append(data.case)

    def _on_unlinked(self, data: Unlinked, event: Event) -> None:
        self.cases.remove(data.case)
