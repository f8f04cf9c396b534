"""Acknowledging straight from a notice: a signed token for a link, and a short code for the command line.

Both say that a person of a role takes a case up, on the word of the event ``seq`` that they were told
of. Nothing is stored: the signature shows that a token is ours and until when it is good, and the
case refuses it once nobody is waited for (`cases.vocabulary.commands.Acknowledge`), so each works once.

Secrets come as a tuple, the newest first: it signs, and what any of them signed counts.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any

from itsdangerous import BadData, URLSafeSerializer
from itsdangerous.encoding import base64_decode, base64_encode

from cases.vocabulary.events import Actor
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

    def command(self, person: str | None = None) -> dict[str, Any]:
        """Return the body of the command ``acknowledge``.

        Args:
            person: what this person's accounts have in common, where the directory says so.
        """
        return {"by": Actor(self.person, self.role, person).as_json(), "notice": self.seq}


def issue(secrets: tuple[str, ...], case_id: str, seq: int, person: str, role: str, expires_at: datetime) -> str:
    """Issue a token for a link: URL-safe text, the same whenever it is asked for.

    Args:
        seq: the event that the person is told of.
        expires_at: an aware instant; whole seconds count.
    """
    return _signer(secrets).dumps([case_id, seq, person, role, int(expires_at.timestamp())])


def read(secrets: tuple[str, ...], token: str, now: datetime) -> Ack:
    """Read what a token says.

    Raises:
        Refused: code ``token_forged``: we did not issue it; code ``token_expired``.
    """
    try:
        case_id, seq, person, role, expires = _signer(secrets).loads(token)
        signature = token.rpartition(".")[2].encode()
        # Of the texts that a decoder takes for the same signature only one is ours.
        forged = base64_encode(base64_decode(signature)) != signature
    except BadData:
        forged = True
    if forged:
        raise Refused("token_forged", "this link is not one of ours, or not the whole of it: use the one in the notice")
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
    """Return the code to type, like ``K7Q2-M9XA``: the same whenever it is asked for."""
    content = json.dumps([case_id, seq, person, int(expires_at.timestamp())], separators=(",", ":")).encode()
    number = int.from_bytes(hmac.digest(secret.encode(), b"code\0" + content, hashlib.sha256)[:8], "big")
    letters = "".join(_ALPHABET[number >> 5 * place & 31] for place in range(_LENGTH))
    return f"{letters[:4]}-{letters[4:]}"


def read_code(text: str) -> str | None:
    """Bring a typed code into the form of `short_code`; None when it cannot be one."""
    letters = text.upper().replace("-", "").replace(" ", "")
    if len(letters) != _LENGTH or not set(letters) <= set(_ALPHABET):
        return None
    return f"{letters[:4]}-{letters[4:]}"


def find(
    secrets: tuple[str, ...], case_id: str, events: Iterable[Mapping[str, Any]], people: Collection[str], code: str
) -> Ack | None:
    """Find whose code it is: who of these people was told so of one of the case's events; None for nobody's.

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
        for person, secret in product(people, secrets):
            if hmac.compare_digest(short_code(secret, case_id, event["seq"], person, expires), code):
                return Ack(case_id, event["seq"], person, rung, expires)
    return None


def expiry(event_at: str) -> datetime:
    """Return until when the tokens of a notice of an event are good."""
    return datetime.fromisoformat(event_at) + VALID


def _signer(secrets: tuple[str, ...]) -> URLSafeSerializer:
    return URLSafeSerializer(
        list(reversed(secrets)),  # the library signs with the last one
        salt="caseladder acknowledge link",
        signer_kwargs={"key_derivation": "hmac", "digest_method": hashlib.sha256},
    )
