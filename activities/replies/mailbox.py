"""A mailbox that is read by IMAP: what nobody has seen is taken in, and only then marked as seen."""

from __future__ import annotations

import asyncio
import imaplib
import ssl
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urlsplit

from activities.replies.incoming import LARGEST

# Seconds that a server may take to answer.
TIMEOUT = 30
# So many messages are read at one look.
AT_ONCE = 200
Put = Callable[[bytes], Awaitable[object]]


class MailboxAway(Exception):
    """Raised when a mailbox cannot be read now. It says neither who was to log in nor what the server said."""


@dataclass(frozen=True)
class Mailbox:
    """Where mails are read.

    Args:
        secure: whether by TLS.
    """

    host: str
    port: int
    folder: str
    secure: bool
    user: str = field(repr=False)
    password: str = field(repr=False)

    @classmethod
    def at(cls, url: str) -> Mailbox:
        """Return the one of an address ``imaps://USER:PASSWORD@HOST[:PORT][/FOLDER]``, which is encoded as in URLs."""
        parts = urlsplit(url)
        secure = parts.scheme == "imaps"
        return cls(
            host=parts.hostname or "",
            port=parts.port or (993 if secure else 143),
            folder=unquote(parts.path.strip("/")) or "INBOX",
            secure=secure,
            user=unquote(parts.username or ""),
            password=unquote(parts.password or ""),
        )

    async def look(self, put: Put, most: int = LARGEST) -> int:
        """Take in what nobody has seen, the oldest first, and return how many messages these were.

        Args:
            put: takes one in. What it raises ends the look, and the message stays unseen.
            most: bytes of each that are read.

        Raises:
            MailboxAway: the server cannot be reached, or does not do what is asked.
        """
        loop = asyncio.get_running_loop()

        def take(raw: bytes) -> None:
            asyncio.run_coroutine_threadsafe(_run(put, raw), loop).result()

        try:
            return await asyncio.to_thread(self._look, take, most)
        except (imaplib.IMAP4.error, OSError, EOFError) as error:
            raise MailboxAway(type(error).__name__) from None

    def _look(self, take: Callable[[bytes], None], most: int) -> int:
        server = self._connect()
        try:
            server.login(self.user, self.password)
            _asked(server.select(f'"{self.folder}"'))
            [found, *_] = _asked(server.uid("SEARCH", "UNSEEN"))
            unseen = (found or b"").split()[:AT_ONCE]
            for uid in unseen:
                # Looking alone does not mark it; of a long one the beginning is enough.
                answer = _asked(server.uid("FETCH", uid.decode(), f"(BODY.PEEK[]<0.{most}>)"))
                content = next((part[1] for part in answer if isinstance(part, tuple)), None)
                if content is not None:
                    take(content)
                    _asked(server.uid("STORE", uid.decode(), "+FLAGS.SILENT", r"(\Seen)"))
            return len(unseen)
        finally:
            with suppress(imaplib.IMAP4.error, OSError):
                server.logout()

    def _connect(self) -> imaplib.IMAP4:
        if self.secure:
            return imaplib.IMAP4_SSL(self.host, self.port, ssl_context=ssl.create_default_context(), timeout=TIMEOUT)
        return imaplib.IMAP4(self.host, self.port, timeout=TIMEOUT)


async def _run(put: Put, raw: bytes) -> None:
    await put(raw)


def _asked(answer: tuple[str, Any]) -> list[Any]:
    if answer[0] != "OK":
        raise imaplib.IMAP4.error("refused")
    return list(answer[1])
