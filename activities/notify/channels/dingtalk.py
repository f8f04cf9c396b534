"""A bot of DingTalk (钉钉).

Its address: https://oapi.dingtalk.com/robot/send?access_token=KEY#SECRET
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import Any, ClassVar
from urllib.parse import quote_plus

from activities.notify.channels.bots import BotChannel


class DingtalkChannel(BotChannel):
    """Posts a text, signed where the address has a secret."""

    capacity: ClassVar[int | None] = 18_000
    CODES = ("errcode",)
    # busy; asked too often, by the bot's own limit (20 messages a minute) and by those of the platform
    TEMPORARY = frozenset({-1, 130101, 410100, 90005, 90006, 90018, 90030, 41047, 41048})

    def ask(self, address: str, secret: str, text: str, now: int) -> tuple[str, dict[str, Any]]:
        """See `BotChannel.ask`; time and signature stand in the address."""
        if secret:
            moment = now * 1000
            signature = hmac.digest(secret.encode(), f"{moment}\n{secret}".encode(), hashlib.sha256)
            signed = quote_plus(base64.b64encode(signature))
            address += f"{'&' if '?' in address else '?'}timestamp={moment}&sign={signed}"
        return address, {"msgtype": "text", "text": {"content": text}}
