"""Whatever the package apprise can reach: an optional extra, ``caseladder[notify-more]``.

It says of a message only whether it was taken, not why not, and takes some answers for success that
are none; so where there is a channel of our own, that one is better.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import ClassVar

from activities.notify.channels import Delayed, Deliver, Message, SettingError, Undeliverable


class AppriseChannel:
    """Sends a text to any of apprise's addresses.

    Raises:
        SettingError: the package is not installed.
    """

    capacity: ClassVar[int | None] = None
    gathers: ClassVar[bool] = True

    def __init__(self) -> None:
        try:
            import apprise
        except ImportError:
            raise SettingError(
                "CASELADDER_APPRISE: the package apprise is not installed; install caseladder[notify-more]"
            ) from None
        # It logs addresses, which hold passwords.
        logging.getLogger("apprise").setLevel(logging.CRITICAL + 1)
        self._package = apprise

    @asynccontextmanager
    async def session(self) -> AsyncIterator[Deliver]:
        """Open nothing; see `Channel.session`."""

        async def deliver(message: Message) -> None:
            service = self._package.Apprise()
            if not service.add(message.to):
                raise Undeliverable("not an address that apprise knows")
            try:
                taken = await service.async_notify(title=message.subject, body=message.text)
            except Exception as error:
                # Whatever one of its hundred services raises; its text may hold the address.
                raise Delayed(f"failed ({type(error).__name__})") from None
            if not taken:
                raise Delayed("not taken")

        yield deliver
