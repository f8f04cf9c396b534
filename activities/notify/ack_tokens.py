"""Acknowledging straight from a notice: a signed token for a link, and a short code for the command line.

Both say that a person of a role takes a case up, on the word of the event ``seq`` that they were told
of. Nothing is stored: the signature shows that a token is ours and until when it is good, and the
case refuses it once nobody is waited for (`cases.vocabulary.commands.Acknowledge`), so each works once.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from cases.vocabulary.refusals import Refused

# From the event on; later a reminder brings a new one.
VALID = timedelta(hours=24)
# Without letters and digits that are taken for each other.
_ALPHABET = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"
_LENGTH = 8


@dataclass(frozen=True, slots=True)
class Ack:
    """What a token says."""

    case_id: str
    seq: int
    person: str
    role: str
    expires_at: datetime

    def command(self) -> dict[str, Any]:
        """The body of the command ``acknowledge``."""
        return {"by": {"id": self.person, "role": self.role}, "notice": self.seq}


def issue(secret: str, case_id: str, seq: int, person: str, role: str, expires_at: datetime) -> str:
    """A token for a link: URL-safe text.

    Args:
        secret: the signing key.
        seq: the event that the person is told of.
        expires_at: an aware instant; whole seconds count.
    """
    content = json.dumps([case_id, seq, person, role, int(expires_at.timestamp())], separators=(",", ":")).encode()
    return f"{_text(content)}.{_text(_sign(secret, b'token', content))}"


def read(secret: str, token: str, now: datetime) -> Ack:
    """What a token says.

    Raises:
        Refused: code ``token_forged``: we did not issue it; code ``token_expired``.
    """
    body, _, signature = token.partition(".")
    try:
        content, signed = _bytes(body), _bytes(signature)
    except (ValueError, binascii.Error):
        content, signed = b"", b""
    if not hmac.compare_digest(signed, _sign(secret, b"token", content)):
        raise Refused("token_forged", "this link is not one of ours, or not the whole of it: use the one in the notice")
    case_id, seq, person, role, expires = json.loads(content)
    ack = Ack(case_id, seq, person, role, datetime.fromtimestamp(expires, UTC))
    check_expiry(ack.expires_at, now)
    return ack


def check_expiry(expires_at: datetime, now: datetime) -> None:
    """Refuse what was good until before now.

    Raises:
        Refused: code ``token_expired``.
    """
    if now >= expires_at:
        moment = expires_at.isoformat(timespec="seconds")
        raise Refused("token_expired", f"it was good until {moment}; use the newest notice, or acknowledge by name")


def short_code(secret: str, case_id: str, seq: int, person: str, expires_at: datetime) -> str:
    """The code to type, like ``K7Q2-M9XA``: the same whenever it is asked for."""
    content = json.dumps([case_id, seq, person, int(expires_at.timestamp())], separators=(",", ":")).encode()
    number = int.from_bytes(_sign(secret, b"code", content)[:8], "big")
    letters = "".join(_ALPHABET[number >> 5 * place & 31] for place in range(_LENGTH))
    return f"{letters[:4]}-{letters[4:]}"


def read_code(text: str) -> str | None:
    """A typed code in the form of `short_code`; None when it cannot be one."""
    letters = text.upper().replace("-", "").replace(" ", "")
    if len(letters) != _LENGTH or not set(letters) <= set(_ALPHABET):
        return None
    return f"{letters[:4]}-{letters[4:]}"


def find(
    secret: str, case_id: str, events: Iterable[Mapping[str, Any]], people: Collection[str], code: str
) -> Ack | None:
    """Whose code it is: who of these people was told so of one of the case's events; None for nobody's.

    Args:
        events: all events of the case as public JSON, in order.
        people: staff ids.
        code: as `read_code` gives it. Whether it is still good is not looked at.
    """
    rung = ""
    for event in events:
        data = event["data"]
        match event["type"]:
            case "case_opened":
                rung = data["holder_role"]
            case "escalated":
                rung = data["to"]
            case "assigned":
                rung = data["to"]["role"]
            case "clock_started" | "reminded":
                pass
            case _:
                continue
        expires = expiry(event["at"])
        for person in people:
            if hmac.compare_digest(short_code(secret, case_id, event["seq"], person, expires), code):
                return Ack(case_id, event["seq"], person, rung, expires)
    return None


def expiry(event_at: str) -> datetime:
    """Until when the tokens of a notice of an event are good."""
    return datetime.fromisoformat(event_at) + VALID


def _sign(secret: str, purpose: bytes, content: bytes) -> bytes:
    return hmac.digest(secret.encode(), purpose + b"\0" + content, hashlib.sha256)


def _text(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


def _bytes(text: str) -> bytes:
    # Strict: of two texts that mean the same only one is ours.
    content = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    if _text(content) != text:
        raise ValueError("not in its only form")
    return content
