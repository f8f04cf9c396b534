"""The operation by which messages of customers come in, under /api/v1: for mail servers and gateways, by their keys."""

from __future__ import annotations

import hashlib

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from starlette.responses import Response

from activities.replies.inbox import Inbox
from activities.replies.incoming import LARGEST, Incoming, shortened, storable, storable_id
from cases.vocabulary.refusals import Refused
from starter.access import may_bring_messages
from starter.api import schemas, shapes
from starter.api.guards import MAIL
from starter.api.routes import CallerOf, ServicesOf, object_of
from starter.incoming import take_mail

router = APIRouter(default_response_class=JSONResponse)
_EXAMPLE = {"id": "sms-20260310-0017", "from": "13800000000", "text": "It is still not here.", "in_reply_to": "1f9c"}
_BODY = shapes.body(shapes.WantedMessage, _EXAMPLE)
_BODY["requestBody"]["content"][MAIL] = {"schema": {"type": "string", "contentMediaType": MAIL}}


@router.post(
    "/messages",
    tags=["commands"],
    operation_id="take_message",
    responses={200: {"model": shapes.TakenMessage}, **shapes.problems(409, 413, 415)},
    openapi_extra=_BODY,
)
async def take_message(request: Request, services: ServicesOf, caller: CallerOf) -> Response:
    """Take in what a customer has written: a mail as it came (`message/rfc822`), or a message of a gateway.

    It is kept once, by its id, and put on the case that it answers; that is done by a worker, after this answer.
    For systems with a key of the scope file or command that is for every unit.
    """
    if not may_bring_messages(caller):
        raise Refused("role", "messages of customers come from systems, with a key that may file or send commands")
    inbox = Inbox(services.database)
    sort = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if sort == MAIL:
        return JSONResponse({"state": await take_mail(await _beginning(request), inbox, services.settings)})
    body = await object_of(request)
    schemas.check(shapes.WantedMessage, body, "message")
    wish = shapes.WantedMessage.model_validate(body)
    if (wish.from_ is None) == (wish.ref is None):
        raise Refused("invalid", "message: give either from or ref")
    way = "ref" if wish.from_ is None else "email" if "@" in wish.from_ else "phone"
    found = Incoming(
        "message",
        # Two gateways may have the same id.
        f"{hashlib.sha256(f'{caller.id}/{wish.id}'.encode()).hexdigest()[:40]}@{wish.via}",
        () if wish.in_reply_to is None else (storable_id(wish.in_reply_to),),
        () if wish.number is None else ((wish.kind or "", wish.number),),
        text=shortened(wish.text),
    )
    return JSONResponse({"state": await inbox.put(found, wish.via, {way: storable(wish.from_ or wish.ref or "")})})


async def _beginning(request: Request) -> bytes:
    """Return as much of a body as is read of a mail."""
    kept = bytearray()
    async for chunk in request.stream():
        kept += chunk[: LARGEST - len(kept)]
    return bytes(kept)
