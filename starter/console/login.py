"""Logging in: through the company's OIDC issuer, or as one of the sample people of the development issuer."""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import httpx
import structlog
from starlette.responses import Response

from cases.directory import Directory, Person
from cases.vocabulary.refusals import Refused
from starter.access import caller_of
from starter.api.auth import IssuerAway, OtherIssuer, discovery
from starter.api.issuer import sample_people
from starter.api.services import all_roles
from starter.console.session import LONGEST
from starter.console.translations import LANGUAGES
from starter.console.web import KEYS, KEYS_SAID, LANGUAGE, SESSION, THEME, THEMES, Look, Message, back_to

log = structlog.get_logger(__name__)

# What a login on its way remembers, and how long it may take.
STATE, ON_ITS_WAY = "caseladder_login", timedelta(minutes=10)
# Seconds for an answer of the issuer.
PATIENCE = 5


class NoLogin(Exception):
    """The issuer did not let somebody in, or did not answer as it must; the text says why."""


async def login(look: Look) -> Response:
    """Show the page, and take the choice of a sample person."""
    if look.request.method == "POST":
        return await _as_sample(look)
    ended = look.request.query_params.get("ended")
    if ended and look.message is None:
        kept = look.request.query_params.get("draft")
        look.message = Message("note", look.say("login.expired" if kept else "login.expired_plain"))
    return await _page(look)


async def _page(look: Look, status: int = 200) -> Response:
    if look.session.claims is not None and look.caller is None:
        # The one that ran out; a form that is sent from here on is a new one's.
        look.session = type(look.session)()
    elif look.session.claims is None:
        look.session = look.session.without_draft()
    query, directory = look.request.query_params, await look.services.directory.now()
    if not directory.people and look.message is None:
        look.message = Message("note", look.say("login.nobody"))
    return look.page(
        "login.html",
        status=status,
        people=_people(look, directory),
        nobody=not directory.people,
        oidc=look.services.settings.console_client is not None and look.services.issuer is None,
        to={"next": back_to(query.get("next")), "draft": query.get("draft") or ""},
    )


def _people(look: Look, directory: Directory) -> list[Person]:
    return [] if look.services.issuer is None else sample_people(directory, all_roles(look.services.policies))


async def _as_sample(look: Look) -> Response:
    issuer, attempts = look.services.issuer, look.services.attempts
    attempts.check(look.request)
    directory = await look.services.directory.now()
    chosen = next((one for one in _people(look, directory) if one.id == look.field("person")), None)
    if issuer is None or chosen is None:
        attempts.failed(look.request)
        return look.problem("error.forbidden", 403)
    claims = await look.services.verifier.claims(issuer.token(chosen, datetime.now(UTC)))
    return await _enter(look, claims, look.field("next"), look.field("draft"))


async def _enter(look: Look, claims: Mapping[str, Any], target: str | None, draft: str | None) -> Response:
    """Begin a session, and go on to where somebody wanted to be.

    Raises:
        Refused: the access table grants them nothing, or the directory does not know them.
    """
    table = look.services.verifier.table
    caller = caller_of(claims, table, await look.services.directory.now())
    names = table.claims
    kept = {name: claims[name] for name in (names.id, names.name, names.units, names.language) if name in claims}
    # Of all that a token may list only what the table knows is kept: a cookie has an end.
    held = claims.get(names.roles)
    granted = {grant.value for grant in table.grant}
    kept[names.roles] = [role for role in ([held] if isinstance(held, str) else held or ()) if role in granted]
    session = look.session.logged_in(kept, SESSION, draft or None)
    if len(session.sealed(look.site.sealer)) > LONGEST:
        raise Refused("too_large", "the token names too many units to be kept in a session")
    # Whoever was logged in here before is no more, wherever else that cookie is.
    await look.end()
    look.session = session
    log.info("console_login", person=caller.id, role=caller.role)
    return look.go(back_to(target))


async def logout(look: Look) -> Response:
    """End the session, here and on the server."""
    if look.request.method != "POST":
        return look.go("/console/")
    await look.end()
    return look.go("/console/login")


async def preferences(look: Look) -> Response:
    """Keep a language, a light or whether keys do something, and go back."""
    if (language := look.field("language")) in LANGUAGES and language is not None:
        look.remember(LANGUAGE, language)
    if (theme := look.field("theme")) in THEMES and theme is not None:
        look.remember(THEME, theme)
    if (keys := look.field("keys")) in KEYS_SAID and keys is not None:
        look.remember(KEYS, keys)
    return look.go(back_to(look.field("back")))


# --- OIDC: authorization code with PKCE -----------------------------------------------------------


async def depart(look: Look) -> Response:
    """Send somebody to the issuer."""
    client = look.services.settings.console_client
    if client is None:
        return look.problem("login.unavailable", 404)
    try:
        endpoint = await _endpoint(look, "authorization_endpoint")
    except NoLogin as error:
        return await _refused(look, str(error))
    state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
    query = look.request.query_params
    remembered = {
        "state": state,
        "nonce": nonce,
        "verifier": verifier,
        "next": back_to(query.get("next")),
        "draft": query.get("draft") or "",
    }
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")
    asked = {
        "response_type": "code",
        "client_id": client,
        "redirect_uri": _redirect(look),
        "scope": "openid profile",
        "state": state,
        "nonce": nonce,
        "code_challenge": challenge,
        "code_challenge_method": "S256",
    }
    response = look.go(f"{endpoint}?{urlencode(asked)}")
    response.set_cookie(
        STATE, look.site.sealer.seal(remembered, STATE), max_age=int(ON_ITS_WAY.total_seconds()),
        path="/console/login", secure=look.secure, httponly=True, samesite="lax",
    )  # fmt: skip
    return response


async def arrive(look: Look) -> Response:
    """Take somebody in whom the issuer sends back."""
    query, attempts = look.request.query_params, look.services.attempts
    attempts.check(look.request)
    known = look.site.sealer.open(look.request.cookies.get(STATE), STATE, ON_ITS_WAY)
    try:
        if known is None:
            raise NoLogin("it took too long; try again")
        if not secrets.compare_digest(known["state"].encode(), query.get("state", "").encode()):
            raise NoLogin("the answer belongs to another login; try again")
        if "code" not in query:
            # The issuer's own code, a plain word; anything else is left out.
            error = query.get("error", "")
            raise NoLogin(error if error.replace("_", "").isalnum() and len(error) < 40 else "the issuer refused")
        claims = await _exchange(look, query["code"], known)
        response = await _enter(look, claims, known["next"], known["draft"])
    except (NoLogin, Refused) as error:
        attempts.failed(look.request)
        return await _refused(look, str(error))
    except IssuerAway:
        return await _refused(look, "the issuer's keys cannot be had now")
    response.delete_cookie(STATE, path="/console/login")
    return response


async def _refused(look: Look, why: str) -> Response:
    look.message = Message("bad", look.say("login.refused", why=why))
    return await _page(look, 403)


async def _exchange(look: Look, code: str, known: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the verified claims of the token that a code is worth."""
    settings = look.services.settings
    endpoint = await _endpoint(look, "token_endpoint")
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": _redirect(look),
        "client_id": settings.console_client or "",
        "code_verifier": known["verifier"],
    }
    if settings.console_client_secret is not None:
        form["client_secret"] = settings.console_client_secret.get_secret_value()
    async with httpx.AsyncClient(timeout=PATIENCE) as client:
        try:
            answer = await client.post(endpoint, data=form, headers={"Accept": "application/json"})
            answer.raise_for_status()
            tokens = answer.json()
        except (httpx.HTTPError, ValueError):
            raise NoLogin("the issuer did not take the code") from None
    # The ID token says who logged in here; an issuer may put roles into the access token alone.
    identity = await _checked(look, tokens.get("id_token"))
    if identity is not None and identity.get("nonce") != known["nonce"]:
        raise NoLogin("the token belongs to another login")
    access = await _checked(look, tokens.get("access_token"))
    names = look.services.verifier.table.claims
    for claims in (access, identity):
        if claims is not None and claims.get(names.roles):
            return claims
    if access is None and identity is None:
        raise NoLogin("the issuer gave no token for this audience")
    return identity or access or {}


async def _checked(look: Look, token: Any) -> dict[str, Any] | None:
    """Return the claims of a token that holds here; None for one that is for others, or no JWT at all."""
    try:
        return await look.services.verifier.claims(token) if isinstance(token, str) else None
    except Refused:
        return None


async def _endpoint(look: Look, name: str) -> str:
    """Ask the issuer for one of its addresses.

    Raises:
        NoLogin: it does not answer as it must.
    """
    async with httpx.AsyncClient(timeout=PATIENCE) as client:
        try:
            return str((await discovery(client, look.services.verifier.table.issuer))[name])
        except OtherIssuer as error:
            raise NoLogin(str(error)) from None
        except (httpx.HTTPError, httpx.InvalidURL, ValueError, KeyError):
            raise NoLogin("the issuer does not answer") from None


def _redirect(look: Look) -> str:
    """Where the issuer sends people back to: registered with it, so the setting comes first."""
    base = look.services.settings.public_url or str(look.request.base_url)
    return f"{base.rstrip('/').removesuffix('/console')}/console/login/callback"
