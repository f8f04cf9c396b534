"""Sessions: a sealed cookie, the token that guards forms, and what was typed when a session ran out.

The cookie holds the verified claims of whoever logged in, never a token of the issuer; what they
are worth is asked of the access table and the directory at every request, and whether the session was
ended of the database (`activities.access.sessions`).
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from cachetools import TTLCache
from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

# Browsers drop cookies that are longer.
LONGEST = 3800


class Sealer:
    """Encrypts and signs small JSON values, so that only this installation can read or make them.

    Args:
        keys: secrets of the installation, newest first: it seals, and what any of them sealed is opened.
            Without one a random one, so that a restart ends all sessions.
    """

    def __init__(self, *keys: str) -> None:
        self._keys = [key.encode() for key in keys] or [secrets.token_bytes(32)]

    def seal(self, value: Mapping[str, Any], purpose: str) -> str:
        """Seal a value as text; ``purpose`` keeps one sort of them from being taken for another."""
        packed = zlib.compress(json.dumps(value, separators=(",", ":")).encode(), 9)
        # Without the padding, which would have to be quoted in a cookie.
        return self._fernet(purpose).encrypt(packed).decode().rstrip("=")

    def open(self, text: str | None, purpose: str, lifetime: timedelta | None = None) -> dict[str, Any] | None:
        """Open what was sealed here for this purpose, within ``lifetime``; None for anything else."""
        token = text or ""
        seconds = None if lifetime is None else int(lifetime.total_seconds())
        try:
            packed = self._fernet(purpose).decrypt(token + "=" * (-len(token) % 4), seconds)
            found = json.loads(zlib.decompress(packed))
        except (InvalidToken, ValueError, zlib.error):  # ValueError: a character that no token has
            return None
        return found if isinstance(found, dict) else None

    def _fernet(self, purpose: str) -> MultiFernet:
        """Return the encryption of a purpose, with a key derived for it from each secret."""
        info = f"caseladder console {purpose}".encode()
        derived = (HKDF(SHA256(), length=32, salt=None, info=info).derive(key) for key in self._keys)
        return MultiFernet([Fernet(base64.urlsafe_b64encode(key)) for key in derived])


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
    def id(self) -> bytes:
        """What tells it from all others, and gives nothing away."""
        return hashlib.sha256(self.csrf.encode()).digest()

    @property
    def expired(self) -> bool:
        """Whether somebody was logged in and is no more."""
        return self.claims is not None and datetime.now(UTC).timestamp() >= self.expires

    def logged_in(self, claims: Mapping[str, Any], lifetime: timedelta, draft: str | None) -> Session:
        """Begin a new session; its form token is a new one, so that nobody can have fixed it before."""
        expires = int((datetime.now(UTC) + lifetime).timestamp())
        return Session(claims=dict(claims), expires=expires, draft=draft)

    def sealed(self, sealer: Sealer) -> str:
        """Return the cookie's text."""
        said = {"csrf": self.csrf, "claims": self.claims, "expires": self.expires, "draft": self.draft}
        return sealer.seal({name: value for name, value in said.items() if value is not None}, self.PURPOSE)

    @classmethod
    def read(cls, sealer: Sealer, cookie: str | None) -> Session | None:
        """Read the session of a cookie; None without a good one."""
        said = sealer.open(cookie, cls.PURPOSE)
        return None if said is None else cls(**said)

    def guarded(self, token: str | None) -> bool:
        """Whether a form carries this session's token."""
        return token is not None and secrets.compare_digest(token.encode(), self.csrf.encode())

    def without_draft(self) -> Session:
        """Return the same, once what was typed has come back."""
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
        most: how many; the one that was used least lately goes first.
    """

    def __init__(self, most: int = 500, lifetime: timedelta = timedelta(hours=1)) -> None:
        self._kept: TTLCache[str, Draft] = TTLCache(most, lifetime.total_seconds())

    def keep(self, draft: Draft) -> str:
        """Keep a form; answers the name that it is taken out with."""
        name = secrets.token_urlsafe(18)
        self._kept[name] = draft
        return name

    def look(self, name: str | None, person: str, path: str) -> Draft | None:
        """Return the form of this name, if it is this person's and of this address."""
        found = self._kept.get(name or "")
        return found if found is not None and (found.person, found.path) == (person, path) else None

    def drop(self, name: str | None) -> None:
        """Forget a form."""
        self._kept.pop(name or "", None)
