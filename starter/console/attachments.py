"""What is attached to a case: a list, and files that are uploaded to it, chosen, dropped or photographed."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import uuid4

from starlette.datastructures import UploadFile
from starlette.responses import Response

from activities.attachments.stores import StoreAway
from cases.vocabulary.commands import Attach
from cases.vocabulary.refusals import Refused
from starter.access import may_read_texts
from starter.api import actions
from starter.api.actions import NoAnswer
from starter.api.attachments import HEADERS, given, listed, upload
from starter.api.files import download
from starter.api.guards import FILES
from starter.console.web import Look, NotForYou, case_url

Json = dict[str, Any]
# What was attached is waited for so long, in tries of 50 ms, until the casebook has it.
TRIES = 40


def shown(look: Look, view: Json, recorded: list[Json], *, may_attach: bool) -> Json:
    """Return what the part of a case's page about its attachments needs.

    Args:
        recorded: the events of the case, as whoever looks may read them.
    """
    settings = look.services.settings
    return {
        "attached": listed(recorded) if may_read_texts(look.who, view) else [],
        "may_upload": may_attach and look.services.attachments.takes,
        "types": ",".join(f".{one}" for one in settings.taken_types),
        "most": f"{settings.attachment_limit / 1_048_576:g}",
        "at_once": FILES,
        "upload_id": uuid4().hex,
        "outcomes": [],
    }


async def attachments(look: Look) -> Response:
    """Upload what was sent, and show what is attached, with what came of each file; a fragment of the case's page."""
    case_id = look.request.query_params.get("id", "")
    if look.request.method != "POST":
        return look.go(case_url(case_id))
    outcomes, wanted = [], 0
    for place, file in enumerate(look.files):
        if file.filename:
            events, why = await _outcome(look, case_id, file, f"{look.field('upload_id')}-{place}")
            outcomes.append((file.filename, why))
            wanted = max(wanted, events)
    if not outcomes:
        outcomes = [("", look.say("attachments.none_chosen"))]
    if not look.request.headers.get("HX-Request") and not any(why for _, why in outcomes):
        return look.go(f"{case_url(case_id)}#attachments")
    view, recorded, may_attach = await _state(look, case_id, wanted)
    told = shown(look, view, recorded, may_attach=may_attach) | {"outcomes": outcomes}
    fragment = bool(look.request.headers.get("HX-Request"))
    return look.page("attachments.html" if fragment else "attachments_page.html", view=view, **told)


async def _outcome(look: Look, case_id: str, file: UploadFile, request_id: str) -> tuple[int, str]:
    """Return how many events the case has with a file attached, and why it was not, in words; nothing where it was."""
    try:
        after = await upload(look.services, look.who, case_id, file, request_id)
    except Refused as refusal:
        return 0, look.words.refusal(refusal)
    except NoAnswer:
        return 0, look.say("error.away")
    except StoreAway:
        return 0, look.say("attachments.away")
    return int(after["events"]), ""


async def _state(look: Look, case_id: str, wanted: int) -> tuple[Json, list[Json], bool]:
    """Return the case once the casebook has so many events of it, or what it has after a while."""
    view = await actions.find(look.services, look.who, case_id)
    for _ in range(TRIES):
        if view["events"] >= wanted:
            break
        await asyncio.sleep(0.05)
        view = await actions.find(look.services, look.who, case_id)
    case = await actions.replayed(look.services, look.who, view)
    allowed = actions.allowed_to(look.who, case)
    return view, [event.as_json() for event in case.events], Attach.NAME in allowed


async def file(look: Look) -> Response:
    """Give an attachment: to be kept, or as a picture that was made anew. The look is recorded."""
    asked = look.request.query_params
    as_picture = "picture" in asked
    try:
        found = await given(look.services, look.who, asked.get("id", ""), asked.get("file", ""), as_picture=as_picture)
    except Refused as refusal:
        if refusal.code == "not_found":
            raise NotForYou from None
        raise
    if as_picture:
        return Response(found.content, media_type=found.media, headers={**HEADERS, "Content-Disposition": "inline"})
    return download(found)
