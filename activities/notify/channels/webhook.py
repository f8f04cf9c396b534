"""JSON to an HTTP endpoint, signed as the Standard Webhooks specification says."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import ClassVar

from standardwebhooks import Webhook

from activities.events.outbound import Guard
from activities.notify.channels import Deliver, Message
from activities.notify.channels.http import json_body, open_poster
from activities.signatures import sign


class WebhookChannel:
    """Posts the payload of a message; any 2xx answer means that it was taken.

    Redirects are not followed: they count as a refusal.

    Args:
        secret: what messages are signed with.
        timeout: seconds for one whole request.
        guard: see `open_poster`.
    """

    capacity: ClassVar[int | None] = None
    gathers: ClassVar[bool] = False

    def __init__(self, secret: Webhook, *, timeout: float = 10.0, guard: Guard | None = None) -> None:
        self._secret = secret
        self._timeout, self._guard = timeout, guard

    @asynccontextmanager
    async def session(self) -> AsyncIterator[Deliver]:
        """Open one HTTP client; see `Channel.session`."""
        async with open_poster(self._timeout, self._guard) as poster:

            async def deliver(message: Message) -> None:
                body = json_body(message.payload)
                signed = sign(self._secret, message.id, body)
                (await poster.post(message.to, body, signed, personal=message.personal)).check()

            yield deliver
