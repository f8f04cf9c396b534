"""Sessions: a sealed cookie, the token that guards forms, and what was typed when a session ran out.

The cookie holds the verified claims of whoever logged in, never a token of the issuer; what they
are worth is asked of the access table and the directory at every request.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import zlib
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

# Browsers drop cookies that are longer.
LONGEST = 3800
_NONCE = 12


class Sealer:
    """Encrypts and signs small JSON values, so that only this installation can read or make them.

    Args:
        secret: of the installation; without one a random one, so that a restart ends all sessions.
    """

    def __init__(self, secret: str | None) -> None:
        own = secrets.token_bytes(32) if secret is None else secret.encode()
        self._key = AESGCM(hashlib.sha256(b"caseladder console session\0" + own).digest())

    def seal(self, value: Mapping[str, Any], purpose: str) -> str:
        """A value as text; ``purpose`` keeps one sort of them from being taken for another."""
        nonce = secrets.token_bytes(_NONCE)
        packed = zlib.compress(json.dumps(value, separators=(",", ":")).encode(), 9)
        return base64.urlsafe_b64encode(nonce + self._key.encrypt(nonce, packed, purpose.encode())).decode().rstrip("=")

    def open(self, text: str | None, purpose: str) -> dict[str, Any] | None:
        """The value, or None for anything that was not sealed here for this purpose."""
        if not text:
            return None
        try:
            raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
            found = json.loads(zlib.decompress(self._key.decrypt(raw[:_NONCE], raw[_NONCE:], purpose.encode())))
        except (InvalidTag, ValueError, zlib.error):
            return None
        return found if isinstance(found, dict) else None


@dataclass(frozen=True)
class Session:
    """What a browser's cookie says.

    Args:
        csrf: every form of this session carries it.
        claims: of whoever logged in; None before that.
        expires: seconds since 1970.
        draft: names what was typed when the session before ran out.
    """

    csrf: str = field(default_factory=lambda: secrets.token_urlsafe(18))
    claims: Mapping[str, Any] | None = None
    expires: int = 0
    draft: str | None = None

    PURPOSE = "session"

    @property
    def expired(self) -> bool:
        """Whether somebody was logged in and is no more."""
        return self.claims is not None and datetime.now(UTC).timestamp() >= self.expires

    def logged_in(self, claims: Mapping[str, Any], lifetime: timedelta, draft: str | None) -> Session:
        """A new session; its form token is a new one, so that nobody can have fixed it before."""
        expires = int((datetime.now(UTC) + lifetime).timestamp())
        return Session(claims=dict(claims), expires=expires, draft=draft)

    def sealed(self, sealer: Sealer) -> str:
        """The cookie's text."""
        said = {"csrf": self.csrf, "claims": self.claims, "expires": self.expires, "draft": self.draft}
        return sealer.seal({name: value for name, value in said.items() if value is not None}, self.PURPOSE)

    @classmethod
    def read(cls, sealer: Sealer, cookie: str | None) -> Session | None:
        """The session of a cookie; None without a good one."""
        said = sealer.open(cookie, cls.PURPOSE)
        return None if said is None else cls(**said)

    def guarded(self, token: str | None) -> bool:
        """Whether a form carries this session's token."""
        return token is not None and secrets.compare_digest(token.encode(), self.csrf.encode())

    def without_draft(self) -> Session:
        """The same, once what was typed has come back."""
        return replace(self, draft=None)


@dataclass(frozen=True)
class Draft:
    """A form that was sent too late: its address, what was typed, and who it was."""

    path: str
    fields: Mapping[str, list[str]]
    person: str


class Drafts:
    """Keeps forms for a while, in memory: they may hold free text, which belongs into no cookie.

    Args:
        most: how many; the oldest goes first.
    """

    def __init__(self, most: int = 500, lifetime: timedelta = timedelta(hours=1)) -> None:
        self._most, self._lifetime = most, lifetime
        self._kept: OrderedDict[str, tuple[datetime, Draft]] = OrderedDict()

    def keep(self, draft: Draft) -> str:
        """Keep a form; answers the name that it is taken out with."""
        name = secrets.token_urlsafe(18)
        self._kept[name] = (datetime.now(UTC), draft)
        while len(self._kept) > self._most:
            self._kept.popitem(last=False)
        return name

    def look(self, name: str | None, person: str, path: str) -> Draft | None:
        """The form of this name, if it is this person's and of this address."""
        found = self._kept.get(name or "")
        if found is None or datetime.now(UTC) - found[0] >= self._lifetime:
            return None
        return found[1] if found[1].person == person and found[1].path == path else None

    def drop(self, name: str | None) -> None:
        """Forget a form."""
        self._kept.pop(name or "", None)
