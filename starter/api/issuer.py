"""The development issuer: tokens for the sample people, on this machine only.

It stands in for a company's OIDC issuer on the embedded stack. Whoever reaches the port may become
anybody, so it refuses to start where another machine could.
"""

from __future__ import annotations

import hashlib
import ipaddress
import json
import os
import secrets
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from cases.directory import OUTSIDE, Directory, Person
from starter.access import AccessTable, Claims, Grant
from starter.settings import SettingsError

ISSUER = "caseladder:development"
AUDIENCE = "caseladder"
LIFETIME = timedelta(hours=8)
_FILE = "issuer.pem"


class Issuer:
    """Signs tokens with a key that is made once and kept in the data folder.

    Args:
        folder: the data folder of the embedded stack.
    """

    def __init__(self, folder: Path) -> None:
        key = serialization.load_pem_private_key(_kept(folder / _FILE), password=None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        self._key = key
        public: dict[str, Any] = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(key.public_key()))
        kid = hashlib.sha256(f"{public['x']}{public['y']}".encode()).hexdigest()[:16]
        self._public = {**public, "kid": kid, "use": "sig", "alg": "ES256"}

    def jwks(self) -> dict[str, Any]:
        """Return the key set that its tokens are checked with."""
        return {"keys": [self._public]}

    def table(self, roles: Sequence[str]) -> AccessTable:
        """Return the access table that goes with it: a token says its bearer's role, the directory their unit."""
        return AccessTable(
            issuer=ISSUER,
            audience=AUDIENCE,
            algorithms=("ES256",),
            claims=Claims(roles="role"),
            grant=tuple(Grant(value=role, role=role) for role in roles if role not in OUTSIDE),
        )

    def token(self, person: Person, now: datetime, lifetime: timedelta = LIFETIME) -> str:
        """Issue a token for a person, good from now on for ``lifetime``."""
        claims = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": person.id,
            "role": person.role,
            "locale": person.language,
            "iat": now,
            "exp": now + lifetime,
            "jti": secrets.token_hex(8),
        }
        if person.name:
            claims["name"] = person.name
        return jwt.encode(claims, self._key, algorithm="ES256", headers={"kid": self._public["kid"]})


def sample_people(directory: Directory, roles: Sequence[str]) -> list[Person]:
    """Whom the development issuer knows: the staff of the directory, in the order of their roles."""
    known = {role: place for place, role in enumerate(roles) if role not in OUTSIDE}
    return sorted((one for one in directory.people if one.role in known), key=lambda one: (known[one.role], one.id))


def check_loopback(host: str, public_url: str | None) -> None:
    """Refuse an address at which another machine could reach the development issuer.

    Raises:
        SettingsError: naming the address and what to do.
    """
    for name in (host, urlsplit(public_url).hostname if public_url else None):
        if name is not None and not is_loopback(name):
            raise SettingsError(
                f"the development issuer makes anybody whoever they like, so it does not serve {name}: "
                "listen on 127.0.0.1, or name your own issuer in CASELADDER_ACCESS"
            )


def is_loopback(host: str) -> bool:
    """Whether a host is this machine and nothing else."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _kept(path: Path) -> bytes:
    """Return the private key in the file, which is made if it is not there; two who make it agree on one."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        made = ec.generate_private_key(ec.SECP256R1()).private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        own = path.with_name(f"{path.name}.{os.getpid()}")
        own.touch(mode=0o600)
        own.write_bytes(made)
        try:
            # Whoever was first made the key that both read.
            with suppress(FileExistsError):
                os.link(own, path)
        finally:
            own.unlink()
    return path.read_bytes()
