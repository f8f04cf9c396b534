"""Messages of customers that wait for a person: put on a case, filed as a new one, or dismissed; each by one person."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from activities.database.database import Database
from activities.replies.inbox import DISMISSED_FOR, Inbox, Letter
from cases.registry import kind_named
from cases.vocabulary.commands import CustomerWrote
from cases.vocabulary.refusals import Refused, shown
from starter.access import Caller, may_see, may_settle_messages

Json = dict[str, Any]
# Characters of a message that are shown before somebody looks at who wrote it.
BEGINNING = 300


class Messages:
    """The operation. Safe to share between tasks; every method raises what `Database.connection` does.

    Raises:
        Refused: by every method ``role`` for who may not settle them; ``not_found`` where none of this id waits;
            ``message_settled`` where somebody else has settled it; ``busy`` where somebody does just now.
    """

    def __init__(self, database: Database) -> None:
        self._inbox = Inbox(database)

    async def waiting(self, caller: Caller, limit: int, after: str | None) -> tuple[list[Letter], str | None]:
        """Return a page of the messages that wait, the oldest first, and what asks for the next one.

        Raises:
            Refused: also ``invalid``: no page gave this ``after``.
        """
        check_may_settle(caller)
        return await self._inbox.page(limit, after)

    async def count(self, caller: Caller) -> int:
        """Return how many messages wait for this caller: none for who may not settle them."""
        return await self._inbox.count() if may_settle_messages(caller) else 0

    async def one(self, caller: Caller, id: int) -> Letter:
        """Return one that waits."""
        check_may_settle(caller)
        found = await self._inbox.one(id)
        if isinstance(found, Letter):
            return found
        raise _not_found(id) if found is None else _settled(id, found)

    async def add(self, caller: Caller, id: int, view: Mapping[str, Any]) -> None:
        """Put a message on a case, which a worker does in a moment; should the case not take it, it waits again.

        Args:
            view: of a case that the caller sees.

        Raises:
            Refused: also ``closed``, or ``unknown_command`` for a case that takes no messages.
        """
        check_may_settle(caller)
        if not may_see(caller, view):
            raise Refused("not_found", "there is no such case")
        kind = kind_named(view["kind"])
        if kind is None or CustomerWrote.NAME not in kind.COMMANDS:
            raise Refused("unknown_command", f"a case of the kind {view['kind']} takes no messages of customers")
        # The message follows one that was merged to the other case.
        if view["status"] == "closed" and view.get("merged_into") is None:
            raise Refused("closed", "the case is closed and takes no message; file a new one from it")
        if not await self._inbox.give(id, view["id"], caller.id):
            raise await self._why_not(caller, id)

    async def dismiss(self, caller: Caller, id: int, reason: str) -> None:
        """Say that nothing follows from a message; what it says is deleted.

        Raises:
            Refused: also ``invalid``: no such reason.
        """
        check_may_settle(caller)
        if reason not in DISMISSED_FOR:
            raise Refused("invalid", f"reason = {shown(reason)}: allowed: {', '.join(DISMISSED_FOR)}")
        if not await self._inbox.dismiss(id, caller.id, reason):
            raise await self._why_not(caller, id)

    async def settle(self, caller: Caller, id: int, outcome: str, do: Callable[[], Awaitable[Json]]) -> Json:
        """Do what puts a message on a case, and return the case's view; nobody else settles it meanwhile.

        Args:
            outcome: what is noted of the message once that is done.
            do: returns the case's view. Whatever it raises leaves the message to people again.
        """
        check_may_settle(caller)
        letter = await self._inbox.claim(id)
        if letter is None:
            raise await self._why_not(caller, id)
        try:
            view = await do()
        except BaseException:
            await self._inbox.release(letter)
            raise
        if not await self._inbox.hand_on(letter, outcome, view["id"], caller.id):
            await self._inbox.done(letter, outcome, view["id"], caller.id)
        return view

    async def _why_not(self, caller: Caller, id: int) -> Refused:
        try:
            await self.one(caller, id)
        except Refused as refusal:
            return refusal
        # It waits, and somebody has it in hand, who may leave it again: asked later, this may well be done.
        return Refused("busy", f"message {id}: somebody else settles it just now")


def beginning(letter: Letter) -> str:
    """Return how a message begins."""
    return letter.text if len(letter.text) <= BEGINNING else f"{letter.text[:BEGINNING].rstrip()}…"


def check_may_settle(caller: Caller) -> None:
    """Refuse who settles no messages. Raises Refused: ``role``."""
    if not may_settle_messages(caller):
        raise Refused(
            "role", f"role {caller.role!r} settles no messages of customers; who handles and files cases does"
        )


def _not_found(id: int) -> Refused:
    return Refused("not_found", f"no message {id} waits")


def _settled(id: int, by: str) -> Refused:
    return Refused("message_settled", f"message {id}: {by} has settled it")
