"""Where Temporal's web UI and command line have payloads decrypted, behind the console's login.

It speaks the protocol of Temporal's codec servers, and decrypts only. The UI comes with the console's cookie from an
origin of CASELADDER_UI_ORIGIN, the command line with a token of the issuer.
"""

from __future__ import annotations

import structlog
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from google.protobuf.json_format import MessageToDict, ParseDict, ParseError
from starlette.responses import Response
from temporalio.api.common.v1 import Payloads

from cases.vocabulary.contract import UnreadablePayload
from cases.vocabulary.refusals import Refused
from starter.access import Caller, may_decrypt
from starter.api.guards import CODEC, origins_of
from starter.api.limits import TooManyRequests, share_of
from starter.api.routes import object_of
from starter.console.web import Look, Site
from starter.encryption import SETTING, Codec

# So many payloads at most in one request; the UI sends those of one event.
MOST = 1000

log = structlog.get_logger(__name__)


def add_codec(app: FastAPI, site: Site) -> None:
    """Serve it, where there are keys."""

    @app.post(CODEC, include_in_schema=False)
    async def decode(request: Request) -> Response:
        """Decrypt the payloads that were sent, for who may read them."""
        codec = site.services.temporal.data_converter.payload_codec
        if not isinstance(codec, Codec) or not codec.decrypts:
            raise Refused("not_found", f"nothing is encrypted here: {SETTING} is not set")
        caller = await _caller(site, request)
        if not may_decrypt(caller):
            raise Refused("role", f"role {caller.role!r} may not decrypt payloads; QA and the general manager may")
        sent = await _payloads(request)
        try:
            opened = [codec.open(payload) for payload in sent.payloads]
        except UnreadablePayload as error:
            raise Refused("invalid", str(error)) from None
        log.info("payloads_decrypted", by=caller.id, role=caller.role, payloads=len(opened))
        return JSONResponse(MessageToDict(Payloads(payloads=opened)))


async def _caller(site: Site, request: Request) -> Caller:
    """Return who asks, by a token, or by the console's cookie that an allowed origin sends along.

    Raises:
        Refused: ``bad_origin``, ``unauthenticated``, or as `starter.api.auth.Verifier.caller`.
    """
    services = site.services
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    credential = token.strip() if scheme.lower() == "bearer" else None
    services.attempts.check(request, credential)
    try:
        origin = request.headers.get("Origin")
        if origin is not None and origin not in origins_of(services.settings.ui_origin):
            raise Refused("bad_origin", "Origin: allowed are those of CASELADDER_UI_ORIGIN")
        caller = None
        if credential is not None:
            caller = await services.verifier.caller(credential)
        elif origin is not None:
            # No form and no link has come here: a browser says where a script's request is from.
            caller = await Look(site, request).still()
        if caller is None:
            raise Refused("unauthenticated", "log in to the console, or give a bearer token")
    except Refused:
        services.attempts.failed(request, credential)
        raise
    if credential is not None:
        services.attempts.succeeded(credential)
    if wait := await services.limiter.wait(f"codec:{share_of(caller)}"):
        raise TooManyRequests(wait)
    return caller


async def _payloads(request: Request) -> Payloads:
    """Return what was sent; fields that a later UI adds are left out.

    Raises:
        Refused: ``unsupported_media_type``, so that no page of another origin sends it unasked; ``bad_json``,
            ``malformed``, ``too_large``.
    """
    raw = await object_of(request)
    try:
        found = ParseDict(raw, Payloads(), ignore_unknown_fields=True)
    except (ParseError, ValueError, TypeError, RecursionError):
        raise Refused("bad_json", "the body must be one JSON object with payloads") from None
    if len(found.payloads) > MOST:
        raise Refused("too_large", f"at most {MOST} payloads at a time")
    return found
