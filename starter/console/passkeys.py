"""Passkeys: registering an authenticator, and confirming an approval with one.

Nothing is kept here. A registration ends with an entry for the key set, which somebody else keeps; and what a form
carries to the authenticator and back is bound by the challenge, which is worked out anew from what comes back.
"""

from __future__ import annotations

import hashlib
import ipaddress
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import structlog
from pydantic import ValidationError
from starlette.responses import Response
from webauthn import generate_registration_options, options_to_json, verify_registration_response
from webauthn.helpers import base64url_to_bytes, bytes_to_base64url
from webauthn.helpers.exceptions import WebAuthnException
from webauthn.helpers.structs import AuthenticatorSelectionCriteria as Criteria
from webauthn.helpers.structs import PublicKeyCredentialDescriptor as Descriptor
from webauthn.helpers.structs import ResidentKeyRequirement, UserVerificationRequirement

from activities.senders.check import LIFETIME, check
from activities.senders.key_set import NOBODY, BadKeySet, KeySet, Passkey, passkey_entry, read_key_set
from activities.senders.sign import prepare
from activities.senders.statement import Said, challenge, of_command
from cases.case import Case
from cases.vocabulary.commands import Approve, read_command
from cases.vocabulary.proof import PasskeyProof, Proof
from cases.vocabulary.refusals import Refused
from starter.api import actions
from starter.console.web import Look, Message

# What seals a registration that is under way, and how long it may take.
PURPOSE, ON_ITS_WAY = "passkey", timedelta(minutes=10)
# Milliseconds that a browser waits for the person at the authenticator.
PATIENCE = 120_000
_PORTS = {"https": 443, "http": 80}

Json = dict[str, Any]
log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Site:
    """Where the console is, as browsers say it; a passkey is of one such place."""

    origin: str

    @property
    def host(self) -> str:
        """The id of the relying party."""
        return urlsplit(self.origin).hostname or ""

    @property
    def usable(self) -> bool:
        """Whether browsers make passkeys here: under a name, by https or on this machine itself."""
        try:
            ipaddress.ip_address(self.host)
        except ValueError:
            return self.origin.startswith("https://") or self.host == "localhost"
        return False


def site_of(look: Look) -> Site:
    """Return where people reach the console: the setting, else what the browser asked for.

    On this machine itself, the browser's word: the embedded stack's setting is an address of numbers.
    """
    here, public = str(look.request.base_url), look.services.settings.public_url
    url = urlsplit(here if public is None or urlsplit(here).hostname == "localhost" else public)
    port = "" if url.port in (None, _PORTS.get(url.scheme)) else f":{url.port}"
    return Site(f"{url.scheme}://{url.hostname}{port}")


def _keys(look: Look) -> KeySet:
    """Return the key set as it is now; nobody's where there is none, or it cannot be read."""
    file = look.services.settings.senders
    try:
        return NOBODY if file is None else read_key_set(file)
    except BadKeySet as error:
        log.error("key_set_unreadable", reason=str(error))
        return NOBODY


def _known(look: Look) -> list[Passkey]:
    """Return the passkeys that the key set has of whoever looks."""
    return [one for one in _keys(look).passkeys.values() if one.id == look.who.id]


def usable(look: Look) -> list[str]:
    """Return the credentials with which whoever looks can confirm something here and now."""
    now, here = datetime.now(UTC), site_of(look).origin
    return [one.credential for one in _known(look) if one.origin == here and (one.until is None or now <= one.until)]


# --- registering ----------------------------------------------------------------------------------


async def passkeys(look: Look) -> Response:
    """Show a person's passkeys, and have an authenticator make another one."""
    made = None
    if look.request.method == "POST":
        try:
            made = _registered(look)
        except (WebAuthnException, ValueError, TypeError, KeyError) as error:
            log.info("passkey_refused", person=look.who.id, error=type(error).__name__)
            look.message = Message("bad", look.say("passkeys.not_made"))
    site, known = site_of(look), _known(look)
    asked = generate_registration_options(
        rp_id=site.host,
        rp_name=look.say("app.name"),
        # A handle tells an authenticator whose it is; it holds no personal data.
        user_id=hashlib.sha256(look.who.id.encode()).digest(),
        user_name=look.who.id,
        challenge=secrets.token_bytes(32),
        timeout=PATIENCE,
        authenticator_selection=Criteria(
            user_verification=UserVerificationRequirement.REQUIRED, resident_key=ResidentKeyRequirement.PREFERRED
        ),
        exclude_credentials=[Descriptor(id=base64url_to_bytes(one.credential)) for one in known],
    )
    state = {"challenge": bytes_to_base64url(asked.challenge), "person": look.who.id}
    return look.page(
        "passkeys.html",
        status=422 if look.request.method == "POST" and made is None else 200,
        page="approvals",
        site=site,
        known=known,
        made=made,
        has_keys=look.services.settings.senders is not None,
        options=options_to_json(asked),
        state=look.site.sealer.seal(state, PURPOSE),
    )


def _registered(look: Look) -> str:
    """Return the entry of the key set for what an authenticator has made.

    Raises:
        WebAuthnException, ValueError, TypeError, KeyError: it was not made here and now, by this person.
    """
    state = look.site.sealer.open(look.field("state"), PURPOSE, ON_ITS_WAY)
    if state is None or state["person"] != look.who.id:
        raise ValueError("asked too long ago, or of somebody else")
    site = site_of(look)
    made = verify_registration_response(
        credential=look.field("answer") or "",
        expected_challenge=base64url_to_bytes(state["challenge"]),
        expected_rp_id=site.host,
        expected_origin=site.origin,
        require_user_verification=True,
    )
    log.info("passkey_made", person=look.who.id)
    names = bytes_to_base64url(made.credential_id), bytes_to_base64url(made.credential_public_key)
    return passkey_entry(look.who.id, site.origin, *names)


# --- confirming -----------------------------------------------------------------------------------


def confirming(look: Look, case: Case, name: str, body: Json) -> Json | Response:
    """Return a command as it is sent, with the passkey that it needs; or the page that asks for that.

    Args:
        case: as it is recorded.
        body: what the form says, with the amount that it showed.

    Raises:
        Refused: code ``not_confirmed``: what came back was not confirmed by this person.
    """
    if name != Approve.NAME:
        return body
    if (prepared := look.field("prepared")) is not None:
        return _confirmed(look, case, prepared)
    by = look.who.actor().as_json()
    trial = type(case).replay(case.policy, case.events)
    try:
        trial.decide(read_command(case.COMMANDS, name, {**body, "by": by}), actions.now_in(case))
    except Refused as refusal:
        # Whatever else there is against it, the case says when it is sent.
        if refusal.code == "passkey_required" and "amount" in body:
            return _ask(look, case, prepare(_id(case), name, {**body, "by": by}))
    return body


def _ask(look: Look, case: Case, prepared: Json) -> Response:
    said, site = _said(case, prepared), site_of(look)
    credentials = usable(look) if site.usable else []
    asked = {
        "challenge": bytes_to_base64url(challenge(said.statement, Proof.model_validate(said.proof))),
        "rpId": site.host,
        "timeout": PATIENCE,
        "userVerification": "required",
        "allowCredentials": [{"type": "public-key", "id": one} for one in credentials],
    }
    return look.page(
        "confirm.html",
        page="approvals",
        case=case,
        asked=prepared,
        site=site,
        credentials=credentials,
        options=json.dumps(asked),
        prepared=json.dumps(prepared, ensure_ascii=False),
        minutes=LIFETIME.seconds // 60,
    )


def _confirmed(look: Look, case: Case, prepared: str) -> Json:
    """Return what was prepared with what the authenticator said to it, once that is right.

    Whatever was changed on the way has another challenge, so it is not what was confirmed.
    """
    try:
        body = json.loads(prepared)
        passkey = PasskeyProof.model_validate_json(look.field("answer") or "")
        body = {**body, "by": look.who.actor().as_json(), "proof": {**body["proof"], "passkey": passkey.model_dump()}}
        check(_said(case, body), _keys(look), datetime.now(UTC))
    except Refused as refusal:
        raise Refused("not_confirmed", refusal.message) from None
    except (ValidationError, ValueError, TypeError, KeyError):
        raise Refused("not_confirmed", "the browser sent nothing that an authenticator says") from None
    return body


def _said(case: Case, body: Mapping[str, Any]) -> Said:
    command = read_command(case.COMMANDS, Approve.NAME, body)
    proof = {} if command.proof is None else command.proof.model_dump(mode="json", exclude_none=True)
    return Said(of_command(_id(case), command), proof)


def _id(case: Case) -> str:
    return f"{case.KIND}:{case.key}"
