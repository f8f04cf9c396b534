"""The ways in which a notice reaches people: one module per channel.

A channel opens one session per batch and delivers message by message, so that what came of each
is known. It tells two failures apart: `Undeliverable` (trying again is useless) and `Delayed`.
Their texts go into the record and into logs, so they never hold an address or a server's words,
which often repeat the address.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol


@dataclass(frozen=True)
class Letter:
    """What a mail has that a person wrote to a customer, and a notice has not.

    Args:
        case: what marks it as of a case of this system, so that it is known should it come back.
        reply_to: the address that answers go to; None for the sender's.
        earlier: the Message-IDs of the case before it, the oldest first, without brackets.
    """

    case: str
    reply_to: str | None = None
    earlier: tuple[str, ...] = ()


@dataclass(frozen=True)
class Message:
    """One notice, or one letter, for one address.

    Args:
        id: 40 hex digits, the same over every retry, so that a receiver can drop a repeat.
        thread: the same for all messages of a case.
        to: the address, of the form that the channel takes.
        subject: one line.
        text: the body for people.
        payload: the body for machines: plain JSON.
        personal: whether the address is somebody's of the directory of staff, and so leads only where calls may go;
            that of a role stands in a file of whoever runs the system.
        letter: what it has as a letter of a person; None for a notice.
    """

    id: str
    thread: str
    to: str
    subject: str
    text: str
    payload: dict[str, Any]
    personal: bool = False
    letter: Letter | None = None


class Undeliverable(Exception):
    """The message can never arrive at this address; the text says why, without the address."""


class Delayed(Exception):
    """The message did not arrive now and may later; the text says why, without the address.

    Args:
        wait: seconds for which the receiver wants no message, if it says so.
    """

    def __init__(self, why: str, wait: float = 0) -> None:
        super().__init__(why)
        self.wait = wait


class SettingError(ValueError):
    """A setting of the notices is wrong: which one, and what is allowed."""


Deliver = Callable[[Message], Awaitable[None]]


class Channel(Protocol):
    """A way to reach people.

    ``capacity`` is how many bytes of text one message holds (None: no limit that matters), and
    ``gathers`` whether a burst may go out as one message: a program wants each notice by itself.
    """

    capacity: ClassVar[int | None]
    gathers: ClassVar[bool]

    def session(self) -> AbstractAsyncContextManager[Deliver]:
        """Open whatever one batch needs.

        The function that it gives returns once the message is handed over for good, and raises
        `Undeliverable` or `Delayed` otherwise.
        """
        ...


def cut(text: str, capacity: int) -> str:
    """Shorten a text to so many bytes at most; an ellipsis stands where something is missing."""
    encoded = text.encode()
    if len(encoded) <= capacity:
        return text
    return encoded[: capacity - 4].decode(errors="ignore").rstrip() + "\n…"
