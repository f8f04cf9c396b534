"""The page of looks: who looked at personal data, found cases by a phone, or searched what customers said.

It says no more than the log holds: never what was searched for, nor which number somebody had.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from starlette.exceptions import HTTPException
from starlette.responses import Response

from activities.access.access_log import MESSAGE, SEARCH
from cases.vocabulary.refusals import Refused
from starter.access import may_read_looks
from starter.console.find import people_suggested
from starter.console.web import Look, Message, case_id_named, days_of

PAGE = 100
# By what the looks can be narrowed, as the address says it.
_NARROWED_BY = ("person", "case", "from", "to")


async def looks(look: Look) -> Response:
    """Return the page, the last look first.

    Raises:
        HTTPException: 403 for who may not read them.
    """
    if not may_read_looks(look.who):
        raise HTTPException(403)
    query = look.request.query_params
    given = {name: query.get(name, "").strip() for name in _NARROWED_BY}
    before = query.get("before", "")
    found: list[dict[str, Any]] = []
    status = 200
    try:
        days = days_of(look)
        found = await look.services.access_log.all(
            callers=_named(look, given["person"]) if given["person"] else None,
            case_id=await case_id_named(look, given["case"]) if given["case"] else None,
            since=days.since,
            until=days.until,
            before=int(before) if before.isascii() and before.isdigit() and len(before) < 19 else None,
            limit=PAGE + 1,
        )
    except Refused as refusal:
        look.message, status = Message("bad", look.words.refusal(refusal)), 422
    return look.page(
        "looks.html",
        status=status,
        page="find",
        given=given,
        asked=urlencode({name: value for name, value in given.items() if value}),
        looks=[{**one, "what": _what(one)} for one in found[:PAGE]],
        after=found[PAGE - 1]["id"] if len(found) > PAGE else None,
        paged=bool(before),
        suggested=people_suggested(look, None),
    )


def _named(look: Look, text: str) -> list[str]:
    """Return whom somebody means by a name or an id; an id of nobody, such as that of a system, stays as it is."""
    return [one.id for one in look.directory.people if text in (one.id, one.name)] or [text]


def _what(one: dict[str, Any]) -> str:
    """Return what somebody did, as the name of a text of the page."""
    if one["case_id"] == SEARCH:
        return "looks.searched"
    if one["case_id"].startswith(MESSAGE.format("")):
        return "looks.message"
    if one["by_phone"]:
        return "looks.by_phone" if one["case_id"] else "looks.no_case"
    return "looks.masked" if one["masked"] else "looks.in_full"
