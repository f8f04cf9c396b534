"""A group bot of WeCom (企业微信).

Its address: https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=KEY
"""

from __future__ import annotations

from typing import Any, ClassVar

from activities.notify.channels.bots import BotChannel

# Bytes that a plain text holds; markdown holds twice as many.
_TEXT = 2048


class WecomChannel(BotChannel):
    """Posts a text; one that is too long for that as markdown."""

    capacity: ClassVar[int | None] = 4096
    CODES = ("errcode",)
    # busy; asked too often (20 messages a minute); too many at once
    TEMPORARY = frozenset({-1, 45009, 45033})

    def ask(self, address: str, secret: str, text: str, now: int) -> tuple[str, dict[str, Any]]:
        """See `BotChannel.ask`; the key is part of the address, and nothing is signed."""
        form = "text" if len(text.encode()) <= _TEXT else "markdown"
        return address, {"msgtype": form, form: {"content": text}}
