"""Whatever the package apprise can reach: an optional extra, ``caseladder[notify-more]``.

It says of a message only whether it was taken, not why not, and takes some answers for success that
are none; so where there is a channel of our own, that one is better. It makes its connections by itself, so where an
address of somebody's leads is looked at before, and only as far as the address itself names a host.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from typing import Any, ClassVar
from urllib.parse import urlsplit

from activities.events.outbound import Guard, PrivateAddress, UnknownHost
from activities.notify.channels import Delayed, Deliver, Message, SettingError, Undeliverable
from activities.notify.channels.http import NOT_PUBLIC


class AppriseChannel:
    """Sends a text to any of apprise's addresses.

    Args:
        guard: judges where the addresses of people may lead; without one, anywhere.

    Raises:
        SettingError: the package is not installed.
    """

    capacity: ClassVar[int | None] = None
    gathers: ClassVar[bool] = True

    def __init__(self, guard: Guard | None = None) -> None:
        try:
            import apprise
        except ImportError:
            raise SettingError(
                "CASELADDER_APPRISE: the package apprise is not installed; install caseladder[notify-more]"
            ) from None
        # It logs addresses, which hold passwords.
        logging.getLogger("apprise").setLevel(logging.CRITICAL + 1)
        self._package, self._guard = apprise, guard

    @asynccontextmanager
    async def session(self) -> AsyncIterator[Deliver]:
        """Open nothing; see `Channel.session`."""

        async def deliver(message: Message) -> None:
            service = self._package.Apprise()
            if not service.add(message.to):
                raise Undeliverable("not an address that apprise knows")
            if message.personal and self._guard is not None:
                await _look(self._guard, message.to, service)
            try:
                taken = await service.async_notify(title=message.subject, body=message.text)
            except Exception as error:
                # Whatever one of its hundred services raises; its text may hold the address.
                raise Delayed(f"failed ({type(error).__name__})") from None
            if not taken:
                raise Delayed("not taken")

        yield deliver


async def _look(guard: Guard, address: str, services: Iterable[Any]) -> None:
    """Refuse an address that names a host which may not be called, and have none followed that this one names."""
    host = urlsplit(address).hostname or ""
    # In its place other services have secrets, which no name server is told; they hold no dot.
    hosts: set[str | None] = {host} if host == "localhost" or "." in host or ":" in host else set()
    for one in services:
        # What apprise itself takes for a host, which may have no dot, or stand further behind.
        if "host" in one.template_tokens:
            hosts |= {one.host, getattr(one, "smtp_host", None)}
        # Whoever answers there does not say where to go on.
        one.redirects = False
    for named in filter(None, hosts):
        with suppress(UnknownHost):
            try:
                await guard.addresses(named.strip("[]"), 443)
            except PrivateAddress:
                raise Undeliverable(NOT_PUBLIC) from None
