"""The operations of customers' messages, under /api/v1: taking them in, by keys, and settling those that wait."""

from __future__ import annotations

import hashlib
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import JSONResponse
from starlette.responses import Response

from activities.access.access_log import MESSAGE
from activities.replies.inbox import Inbox, Letter
from activities.replies.incoming import Incoming, shortened, storable, storable_id
from activities.replies.ways import masked
from cases.vocabulary.refusals import Refused
from starter.access import may_bring_messages
from starter.api import actions, schemas, shapes
from starter.api.guards import MAIL
from starter.api.routes import CallerOf, Key, Paging, ServicesOf, object_of
from starter.incoming import most_of_mail, take_mail
from starter.messages import Messages, beginning, check_may_settle

router = APIRouter(default_response_class=JSONResponse)
Number = Annotated[int, Path(ge=1, le=1 << 53, description="of the message")]
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
        most = most_of_mail(services.settings) + 1
        return JSONResponse({"state": await take_mail(await _beginning(request, most), inbox, services.settings)})
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


@router.get("/messages", tags=["messages"], responses={200: {"model": shapes.WaitingMessages}, **shapes.problems()})
async def waiting_messages(services: ServicesOf, caller: CallerOf, paging: Annotated[Paging, Query()]) -> Response:
    """Return the messages that no case takes and that wait for a person, the oldest first.

    For who handles and files cases. Whom each is from is masked.
    """
    found, after = await Messages(services.database).waiting(caller, paging.limit, paging.after)
    return JSONResponse({"messages": [_listed(one) for one in found], "after": after})


@router.get(
    "/messages/{number}",
    tags=["messages"],
    responses={200: {"model": shapes.WaitingMessage}, **shapes.problems(404, 409)},
)
async def waiting_message(services: ServicesOf, caller: CallerOf, number: Number) -> Response:
    """Return a message that waits, with whom it is from and all that it says. The look is recorded."""
    letter = await Messages(services.database).one(caller, number)
    await services.access_log.look(MESSAGE.format(letter.id), caller.id, caller.role, masked=False)
    return JSONResponse({**_listed(letter), "from": dict(letter.sender), "text": letter.text})


@router.post(
    "/messages/{number}/add",
    tags=["messages"],
    responses={200: {"model": shapes.SettledMessage}, **shapes.problems(404, 409, 413, 415)},
    openapi_extra=shapes.body(shapes.MessageTarget, {"case": "complaint:call-2026-0042"}),
)
async def add_message(
    request: Request, services: ServicesOf, caller: CallerOf, number: Number, key: Key = None
) -> Response:
    """Put a message that waits on a case, whose holder is told; a worker does it, after this answer.

    A case that takes none is refused: `closed`. `message_settled`: somebody else was faster; `busy`: somebody else
    settles it just now, and may leave it again.
    """
    body = await object_of(request)
    check_may_settle(caller)
    messages = Messages(services.database)

    async def do() -> dict[str, Any]:
        schemas.check(shapes.MessageTarget, body, "message")
        view = await actions.named(services, caller, "case", str(body["case"]))
        await messages.add(caller, number, view)
        return {"id": number, "state": "added", "case": view["id"]}

    return JSONResponse(await actions.once(services, caller, key, ("add message", number, body), do))


@router.post(
    "/messages/{number}/dismiss",
    tags=["messages"],
    responses={200: {"model": shapes.SettledMessage}, **shapes.problems(404, 409, 413, 415)},
    openapi_extra=shapes.body(shapes.MessageDismissal, {"reason": "spam"}),
)
async def dismiss_message(
    request: Request, services: ServicesOf, caller: CallerOf, number: Number, key: Key = None
) -> Response:
    """Say that nothing follows from a message that waits; what it says is deleted."""
    body = await object_of(request)
    check_may_settle(caller)
    messages = Messages(services.database)

    async def do() -> dict[str, Any]:
        schemas.check(shapes.MessageDismissal, body, "message")
        await messages.dismiss(caller, number, str(body["reason"]))
        return {"id": number, "state": "dismissed", "case": None}

    return JSONResponse(await actions.once(services, caller, key, ("dismiss message", number, body), do))


def _listed(letter: Letter) -> dict[str, Any]:
    """Return a message as a list has it: whom it is from masked, and how it begins."""
    return {
        "id": letter.id,
        "came_at": letter.came_at.isoformat(),
        "via": letter.via,
        "from": {way: masked(address) for way, address in letter.sender.items()},
        "subject": letter.subject,
        "text": beginning(letter),
        "why": letter.why,
    }


async def _beginning(request: Request, most: int) -> bytes:
    """Return as many bytes of a body."""
    kept = bytearray()
    async for chunk in request.stream():
        kept += chunk[: most - len(kept)]
    return bytes(kept)
