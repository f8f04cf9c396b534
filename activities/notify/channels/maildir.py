"""Mails as files in a folder: for a machine without a mail server."""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email.headerregistry import Address
from pathlib import Path
from typing import ClassVar

from activities.notify.channels import Delayed, Deliver, Message, SettingError
from activities.notify.channels.mail import compose, is_of_thread


class MaildirChannel:
    """Writes each mail to ``{message id}.eml``; a repeat replaces the file.

    Args:
        folder: made if it is not there.
        sender: the From address.

    Raises:
        SettingError: the folder cannot be made.
    """

    capacity: ClassVar[int | None] = None
    gathers: ClassVar[bool] = True

    def __init__(self, folder: Path, sender: Address) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SettingError(f"smtp_url = 'maildir:{folder}': the folder cannot be made: {error.strerror}") from None
        self._folder = folder
        self._sender = sender

    @asynccontextmanager
    async def session(self) -> AsyncIterator[Deliver]:
        """Open nothing; see `Channel.session`."""

        async def deliver(message: Message) -> None:
            try:
                await asyncio.to_thread(self._write, message)
            except OSError as error:
                raise Delayed(f"not written ({type(error).__name__})") from None

        yield deliver

    def _write(self, message: Message) -> None:
        # Written aside and renamed: who lists the folder never sees half a mail.
        handle, name = tempfile.mkstemp(dir=self._folder, prefix=".", suffix=".part")
        part = Path(name)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(compose(message, self._sender).as_bytes())
            part.replace(self._folder / f"{message.id}.eml")
        except BaseException:
            part.unlink(missing_ok=True)
            raise


def remove(folder: Path, thread: str) -> int:
    """Remove the mails of a thread from a folder, and return how many there were.

    Raises:
        OSError: one cannot be read or removed; the others are removed.
    """
    gone, failed = 0, None
    for path in folder.glob("*.eml"):
        try:
            with path.open("rb") as file:
                is_one = is_of_thread(file, thread)
            if is_one:
                path.unlink()
                gone += 1
        except FileNotFoundError:
            pass  # another worker, or whoever reads them, was quicker
        except OSError as error:
            failed = failed or error
    if failed is not None:
        raise failed
    return gone
