"""What the bots of the enterprise chats have in common.

They answer HTTP 200 to almost everything and say in the body what came of it, so the body's code
decides. The address of a bot holds its key; a secret to sign with follows after ``#``:
``https://host/path?access_token=KEY#SECRET``. Neither is ever repeated.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, ClassVar

from activities.events.outbound import Guard
from activities.notify.channels import Delayed, Deliver, Message, Undeliverable, cut
from activities.notify.channels.http import Answer, json_body, open_poster


class BotChannel:
    """Posts texts to bots; subclasses say how a bot is asked and what its codes mean.

    Args:
        timeout: seconds for one whole request.
        clock: seconds since 1970, for signatures.
        guard: see `open_poster`.
    """

    capacity: ClassVar[int | None] = None
    gathers: ClassVar[bool] = True
    # The fields in which an answer may give its code; 0 is success.
    CODES: ClassVar[tuple[str, ...]]
    # Codes that pass by themselves: busy, or asked too often. All others are refusals.
    TEMPORARY: ClassVar[frozenset[int]]

    def __init__(
        self, *, timeout: float = 10.0, clock: Callable[[], float] = time.time, guard: Guard | None = None
    ) -> None:
        self._timeout, self._guard = timeout, guard
        self._clock = clock

    @asynccontextmanager
    async def session(self) -> AsyncIterator[Deliver]:
        """Open one HTTP client; see `Channel.session`."""
        async with open_poster(self._timeout, self._guard) as poster:

            async def deliver(message: Message) -> None:
                address, _, secret = message.to.partition("#")
                # A repeat looks the same to people, so the id is the only thing to tell it by.
                text = f"{message.subject}\n{message.text.rstrip()}"
                room = (self.capacity or len(text.encode()) + 20) - 14
                url, body = self.ask(address, secret, f"{cut(text, room)}\n#{message.id[:10]}", int(self._clock()))
                self._judge(await poster.post(url, json_body(body), {}, personal=message.personal))

            yield deliver

    def ask(self, address: str, secret: str, text: str, now: int) -> tuple[str, dict[str, Any]]:
        """Return the address and the body of a request for a text, at ``now`` seconds since 1970."""
        raise TypeError(f"{type(self).__name__} is no bot")

    def _judge(self, answer: Answer) -> None:
        said = answer.json() or {}
        field = next((name for name in self.CODES if name in said), None)
        code = said.get(field) if field else None
        # Whoever answers is not always a bot, and may say anything.
        if isinstance(code, int) and code in self.TEMPORARY:
            raise Delayed(f"{field} {code}", answer.wait)
        answer.check()
        if not isinstance(code, int):
            raise Delayed("an answer that is not understood", answer.wait)
        if code != 0:
            # Not the words beside the code: they may repeat what was sent.
            raise Undeliverable(f"{field} {code}")
