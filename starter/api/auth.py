"""Who calls: a bearer token of the OIDC issuer, or a system's key, turned into a caller."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from time import monotonic, time
from typing import Any, Protocol

import httpx
import jwt
import structlog
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from activities.access.api_keys import KEY_PREFIX, ApiKeys
from cases.directory import Directory
from cases.vocabulary.refusals import Refused
from starter.access import AccessTable, Caller, caller_of
from starter.forms import Forms

# Seconds. Keys are asked for again after so long, and for an unknown key id not more often than this.
KEYS_AGE, KEYS_AGAIN = 3600, 30
# Characters of a token; no issuer needs more, and a header that long is refused anyway.
LONGEST = 8192
# Seconds that a token may be good for, since nothing ends one sooner: issuers give an hour, some a day. And the last
# second that an instant can be.
LIFETIME, LAST = 24 * 3600, 253_402_300_799
# Bits of a key that nobody finds the private part of.
RSA_BITS, CURVE_BITS = 2048, 256

log = structlog.get_logger(__name__)


class IssuerAway(Exception):
    """The issuer's keys cannot be had now, so no token can be checked."""


class OtherIssuer(ValueError):
    """A discovery document says that it is another issuer's than the one that was asked."""


async def discovery(client: httpx.AsyncClient, issuer: str) -> Mapping[str, Any]:
    """Fetch the discovery document of an issuer.

    Raises:
        httpx.HTTPError, httpx.InvalidURL: it cannot be had.
        OtherIssuer: it is that of another issuer.
        ValueError: it is no such document.
    """
    found = await _get_json(client, f"{issuer.rstrip('/')}/.well-known/openid-configuration")
    if not isinstance(found, Mapping):
        raise ValueError("the discovery document is no JSON object")
    if found.get("issuer") != issuer:
        raise OtherIssuer("the discovery document is that of another issuer")
    return found


async def _get_json(client: httpx.AsyncClient, address: str) -> Any:
    answer = await client.get(address)
    answer.raise_for_status()
    return answer.json()


class Keys(Protocol):
    """Where an issuer's public keys come from."""

    async def find(self, kid: str | None) -> jwt.PyJWK | None:
        """Return the key of an id; without an id the only one. Raises `IssuerAway`."""


class LocalKeys:
    """The keys of a key set at hand.

    Args:
        jwks: a JSON Web Key Set.
    """

    def __init__(self, jwks: Mapping[str, Any]) -> None:
        self._keys = _usable(jwks)

    async def find(self, kid: str | None) -> jwt.PyJWK | None:
        """See `Keys`."""
        return _pick(self._keys, kid)


class RemoteKeys:
    """The keys that an issuer publishes, fetched when they are needed and kept.

    An unknown key id means that the issuer may have changed its keys, so they are asked for again.
    While the issuer is away the last ones hold.

    Args:
        table: names the key set, or the issuer whose discovery document does.
    """

    def __init__(self, table: AccessTable, client: httpx.AsyncClient) -> None:
        self._table, self._client = table, client
        self._keys: list[jwt.PyJWK] = []
        self._fetched = self._tried = float("-inf")
        self._lock = asyncio.Lock()

    async def find(self, kid: str | None) -> jwt.PyJWK | None:
        """See `Keys`."""
        found = _pick(self._keys, kid)
        if found is not None and monotonic() - self._fetched < KEYS_AGE:
            return found
        async with self._lock:
            if monotonic() - self._tried >= KEYS_AGAIN:
                await self._fetch()
        if not self._keys:
            raise IssuerAway
        return _pick(self._keys, kid)

    async def _fetch(self) -> None:
        self._tried = monotonic()
        try:
            address = self._table.jwks
            if address is None:
                address = str((await discovery(self._client, self._table.issuer))["jwks_uri"])
            keys = _usable(await _get_json(self._client, address))
            if not keys:
                raise ValueError("the key set holds no usable key")
        except (httpx.HTTPError, httpx.InvalidURL, ValueError, KeyError, TypeError) as error:
            log.error("issuer_keys_not_fetched", reason=str(error) or type(error).__name__, kept=len(self._keys))
        else:
            self._keys, self._fetched = keys, monotonic()


class Verifier:
    """Turns a bearer token or a key into a caller.

    Args:
        table: whose tokens count, and for what.
        keys: the issuer's public keys.
        api_keys: those of systems.
        directory: asks for the directory of staff as it is now.
        forms: what callers may see and file beside the kinds that this build knows.
    """

    def __init__(
        self,
        table: AccessTable,
        keys: Keys,
        api_keys: ApiKeys,
        directory: Callable[[], Awaitable[Directory]],
        forms: Forms,
    ) -> None:
        self.table = table
        self._keys, self._api_keys, self._directory, self._forms = keys, api_keys, directory, forms

    async def caller(self, credential: str) -> Caller:
        """Find whose credential it is.

        Raises:
            Refused: ``bad_token``, ``bad_key``, ``no_role`` or ``not_staff``. It says why, but never repeats the
                credential.
            IssuerAway: the issuer's keys cannot be had.
            DatabaseAway: the database cannot serve.
        """
        if credential.startswith(KEY_PREFIX):
            key = await self._api_keys.find(credential)
            if key is None:
                raise Refused("bad_key", "the key is not known, or was revoked")
            return Caller(
                key.name, key.role, key.units, "system", key.scopes, customers=key.customers, forms=self._forms
            )
        return caller_of(await self.claims(credential), self.table, await self._directory(), self._forms)

    async def claims(self, token: str) -> dict[str, Any]:
        """Return the claims of a token whose signature, issuer, audience and times hold.

        Raises:
            Refused: ``bad_token``.
            IssuerAway: the issuer's keys cannot be had.
        """
        table = self.table
        try:
            if len(token) > LONGEST:
                raise jwt.InvalidTokenError("it is too long")
            header = jwt.get_unverified_header(token)
            # Looked at before the key, so that no public key ever serves as the secret of an HMAC.
            if header.get("alg") not in table.algorithms:
                raise jwt.InvalidAlgorithmError(f"its algorithm is none of {', '.join(table.algorithms)}")
            kid = header.get("kid")
            key = await self._keys.find(kid if isinstance(kid, str) else None)
            if key is None:
                raise jwt.InvalidTokenError("no key of the issuer signed it")
            claims: dict[str, Any] = jwt.decode(
                token,
                key.key,
                algorithms=list(table.algorithms),
                issuer=table.issuer,
                audience=table.audience,
                leeway=table.skew,
                options={"require": ["exp", "iss", "aud", table.claims.id]},
            )
            _check_times(claims, table.skew)
        except jwt.ExpiredSignatureError:
            raise Refused("bad_token", "the token has expired") from None
        except (jwt.PyJWTError, TypeError, ValueError, UnicodeError) as error:
            # What the library says names claims, never their values, save these of its own.
            reason = str(error) if type(error) in _PLAIN else type(error).__name__
            raise Refused("bad_token", f"the token is not accepted: {reason}") from None
        return claims


_PLAIN = (jwt.InvalidTokenError, jwt.InvalidAlgorithmError, jwt.MissingRequiredClaimError)


def _check_times(claims: Mapping[str, Any], skew: int) -> None:
    """Refuse times that are none, and a token that is good for too long; the library has looked whether it is now.

    Raises:
        jwt.InvalidTokenError: naming the claim.
    """
    for name in ("exp", "nbf", "iat"):
        at = claims.get(name, 0)
        if type(at) is not int or not 0 <= at <= LAST:
            raise jwt.InvalidTokenError(f"its {name} is no instant in whole seconds")
    if claims["exp"] - claims.get("iat", time()) > LIFETIME + skew:
        raise jwt.InvalidTokenError(f"it is good for more than {LIFETIME // 3600} hours")


def _usable(jwks: Any) -> list[jwt.PyJWK]:
    """Return the signing keys of a key set; what this program cannot use, or must not, is left out."""
    keys = []
    for raw in jwks["keys"] if isinstance(jwks, Mapping) else ():
        # A symmetric key in a published set would let its readers sign.
        if not isinstance(raw, Mapping) or raw.get("kty") == "oct" or raw.get("use", "sig") != "sig":
            continue
        try:
            key = jwt.PyJWK.from_dict(dict(raw))
        except (jwt.PyJWTError, ValueError, TypeError, KeyError):
            continue
        if weak := _weak(key.key):
            log.warning("issuer_key_not_used", kid=str(key.key_id)[:80], reason=weak)
        else:
            keys.append(key)
    return keys


def _weak(key: Any) -> str:
    """Say why a key is too weak to count; nothing of one that is not."""
    if isinstance(key, RSAPublicKey) and key.key_size < RSA_BITS:
        return f"RSA of {key.key_size} bits; allowed: {RSA_BITS} or more"
    if isinstance(key, EllipticCurvePublicKey) and key.curve.key_size < CURVE_BITS:
        return f"the curve {key.curve.name} of {key.curve.key_size} bits; allowed: {CURVE_BITS} or more"
    return ""


def _pick(keys: list[jwt.PyJWK], kid: str | None) -> jwt.PyJWK | None:
    if kid is None:
        return keys[0] if len(keys) == 1 else None
    return next((key for key in keys if key.key_id == kid), None)
