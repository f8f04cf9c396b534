"""Attachments of a case: uploaded by who may attach to it, given to who may read what was written in it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple
from uuid import uuid4

import structlog
from python_multipart.exceptions import MultipartParseError
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from activities.attachments import picture
from activities.attachments.book import PLACE
from activities.attachments.content import TYPES, check
from activities.attachments.stores import StoreAway
from cases.vocabulary.commands import Attach
from cases.vocabulary.contract import PASSING
from cases.vocabulary.refusals import Refused
from starter.access import Caller, may_change, may_read_texts
from starter.api import actions
from starter.api.guards import FILES
from starter.api.services import Services

log = structlog.get_logger(__name__)
# Fields beside the files of one form.
FIELDS = 50
# What a download is sent as, whatever it is: no browser opens it by itself.
MEDIA = "application/octet-stream"
HEADERS = {"Content-Security-Policy": "sandbox; default-src 'none'", "X-Content-Type-Options": "nosniff"}

Json = dict[str, Any]


class Found(NamedTuple):
    """An attachment that was given: its name, its content, and how it is sent."""

    name: str
    content: bytes
    media: str


@dataclass(frozen=True)
class Attached:
    """An attachment as a list shows it; ``file`` names it, None for a mere reference to somewhere else."""

    name: str
    size: int | None
    sha256: str
    where: str
    at: str
    by: str
    file: str | None
    is_picture: bool

    def as_json(self) -> Json:
        """Return it as the API gives it."""
        return {name: value for name, value in asdict(self).items() if name != "is_picture"}


@asynccontextmanager
async def form_of(request: Request) -> AsyncIterator[FormData]:
    """Read a form with files, which are gone afterwards.

    Raises:
        Refused: ``malformed``: it is none, or has too many parts.
    """

    async def body() -> AsyncGenerator[bytes, None]:
        async for chunk in request.stream():
            yield chunk

    try:
        form = await MultiPartParser(request.headers, body(), max_files=FILES, max_fields=FIELDS).parse()
    except (MultiPartException, MultipartParseError, KeyError, ValueError):
        raise Refused("malformed", f"the body must be a form with at most {FILES} files") from None
    try:
        yield form
    finally:
        await form.close()


async def upload(services: Services, caller: Caller, case_id: str, file: UploadFile, request_id: str | None) -> Json:
    """Keep a file and attach it to a case; returns the case's view.

    Args:
        request_id: makes a repeat of the same file harmless; None for none.

    Raises:
        Refused: what `actions.command` says to ``attach``; ``no_store``; what
            `activities.attachments.content.check` says. Nothing of the file is kept then.
        StoreAway: nothing was attached.
        NoAnswer: it may be attached all the same; with the same request id it can be repeated.
    """
    view = await actions.find(services, caller, case_id, "command")
    if not may_change(caller):
        raise Refused("read_only", f"role {caller.role!r} reads and changes nothing")
    case = await actions.replayed(services, caller, view)
    # Before anything is stored: whoever may not attach stores nothing.
    if Attach.NAME not in actions.allowed_to(caller, case):
        refusal = case.allowed(caller.actor(), actions.now_in(case)).get(Attach.NAME)
        raise refusal or Refused("role", f"role {caller.role!r} attaches nothing")
    if not services.attachments.takes:
        raise Refused("no_store", "CASELADDER_ATTACHMENTS: this server keeps no attachments; attach a reference")
    settings = services.settings
    content = await file.read(settings.attachment_limit + 1)
    name, _ = await asyncio.to_thread(
        check, file.filename or "", content, settings.attachment_limit, settings.taken_types
    )
    once = request_id or uuid4().hex
    kept = await services.attachments.keep(case_id, content, f"{caller.kind}\n{caller.id}\n{once}")
    body = {"name": name, "sha256": kept.sha256, "where": kept.where, "size": kept.size}
    try:
        return await actions.command(services, caller, case_id, Attach.NAME, body, f"{once}-{kept.sha256[:16]}")
    except Refused as refusal:
        if refusal.code not in PASSING:
            with suppress(StoreAway):
                await services.attachments.drop(case_id, [kept.id])
        raise


def listed(recorded: Iterable[Json]) -> list[Attached]:
    """Return the attachments of a case, by its events as somebody may read them, the last first."""
    found = []
    for event in recorded:
        data = event["data"]
        if event["type"] != "attached" or data.get("name") is None:
            continue
        file = data["where"].removeprefix(PLACE) if str(data["where"]).startswith(PLACE) else None
        known = TYPES.get(data["name"].rpartition(".")[2].lower())
        found.append(
            Attached(
                data["name"], data.get("size"), data["sha256"], data["where"], event["at"], event["actor"]["id"], file,
                known is not None and known.image,
            )
        )  # fmt: skip
    return found[::-1]


async def given(services: Services, caller: Caller, case_id: str, file: str, *, as_picture: bool = False) -> Found:
    """Return an attachment to somebody who may read what was written in its case; the look is recorded.

    Args:
        file: its id, as its event says after ``attachment:``.
        as_picture: a picture that was made anew, to be shown in a page.

    Raises:
        Refused: ``not_found``; ``file_type`` for what is no picture; ``untrue``: it was changed in the store.
        StoreAway: the store does not answer.
    """
    view = await actions.find(services, caller, case_id)
    if not may_read_texts(caller, view):
        raise Refused("not_found", "there is no such attachment")
    recorded = await actions.events(services, caller, view)
    one = next((one for one in listed(recorded) if one.file == file), None)
    if one is None:
        raise Refused("not_found", "there is no such attachment")
    try:
        content = await services.attachments.content(case_id, file)
    except ValueError as error:
        log.error("attachment_changed", case=case_id)
        raise Refused("untrue", str(error)) from None
    if content is None:
        raise Refused("not_found", "there is no such attachment")
    await services.access_log.look(case_id, caller.id, caller.role, masked=False)
    if as_picture:
        if not one.is_picture:
            raise Refused("file_type", "it is no picture")
        return Found(one.name, await asyncio.to_thread(picture.remade, content), picture.MEDIA)
    return Found(one.name, content, MEDIA)
