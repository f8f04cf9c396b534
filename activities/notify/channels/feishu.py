"""A custom bot of Feishu or Lark (飞书).

Its address: https://open.feishu.cn/open-apis/bot/v2/hook/KEY#SECRET
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import Any, ClassVar

from activities.notify.channels.bots import BotChannel


class FeishuChannel(BotChannel):
    """Posts a text, signed where the address has a secret."""

    capacity: ClassVar[int | None] = 18_000
    CODES = ("code", "StatusCode")
    # asked too often, under each of the codes that say so (9499 also for a body that is not
    # understood: then the next channel has its turn); an error inside the platform
    TEMPORARY = frozenset({9499, 11232, 230020, 99991400, 2200})

    def ask(self, address: str, secret: str, text: str, now: int) -> tuple[str, dict[str, Any]]:
        """See `BotChannel.ask`; time and signature stand in the body."""
        body: dict[str, Any] = {"msg_type": "text", "content": {"text": text}}
        if secret:
            # The secret is part of the key here, and what is signed is empty.
            signature = hmac.digest(f"{now}\n{secret}".encode(), b"", hashlib.sha256)
            body = {"timestamp": str(now), "sign": base64.b64encode(signature).decode(), **body}
        return address, body
