"""JSON to an HTTP endpoint, signed as the Standard Webhooks specification says."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import ClassVar

from standardwebhooks import Webhook

from activities.notify.channels import Deliver, Message
from activities.notify.channels.http import json_body, open_poster
from activities.signatures import sign


class WebhookChannel:
    """Posts the payload of a message; any 2xx answer means that it was taken.

    Redirects are not followed: they count as a refusal.

    Args:
        secret: what messages are signed with.
        timeout: seconds for one whole request.
    """

    capacity: ClassVar[int | None] = None
    gathers: ClassVar[bool] = False

    def __init__(self, secret: Webhook, *, timeout: float = 10.0) -> None:
        self._secret = secret
        self._timeout = timeout

    @asynccontextmanager
    async def session(self) -> AsyncIterator[Deliver]:
        """Open one HTTP client; see `Channel.session`."""
        async with open_poster(self._timeout) as poster:

            async def deliver(message: Message) -> None:
                body = json_body(message.payload)
                (await poster.post(message.to, body, sign(self._secret, message.id, body))).check()

            yield deliver
