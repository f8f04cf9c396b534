"""Saved views: filters and orders of Now and Find under a name, one's own and those that the unit shares.

A view says how to look, never what may be seen: whoever opens one is shown what they see anyway.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, urlencode

from starlette.responses import Response

from activities.casebook.filter import fields
from activities.people.desk import LONGEST_NAME, MOST_VIEWS
from cases.vocabulary.refusals import Refused
from starter.console.web import Look, Message, back_to

HERE = "/console/views"
ADDRESSES = {"now": "/console/", "find": "/console/find"}
# What an address may say beside its filter.
BESIDE = {"now": ("why", "sort"), "find": ("order",)}


async def views(look: Look) -> Response:
    """Return the page on which one's own views are renamed, shared and deleted; a change comes here too."""
    status = 200
    if look.request.method == "POST":
        try:
            if await _change(look):
                return look.go(f"{HERE}?done=1")
            look.message, status = Message("bad", look.say("views.gone")), 409
        except Refused as refusal:
            look.message, status = Message("bad", look.say("case.again", why=look.words.refusal(refusal))), 422
    elif look.request.query_params.get("done"):
        look.message = Message("good", look.say("views.changed"))
    return look.page("views.html", status=status, page="now", **await shown_views(look, "now", ""))


async def save(look: Look) -> Response:
    """Save what a page shows as a view, and go back to it."""
    page = look.field("page") or ""
    query = kept(page, look.field("query") or "")
    if look.request.method == "POST":
        try:
            await look.services.desk.save(
                look.who.id, look.field("name") or "", page, query, shared=look.field("shared") is not None
            )
        except Refused as refusal:
            look.message = Message("bad", look.say("case.again", why=look.words.refusal(refusal)))
            return look.page("views.html", status=422, page="now", **await shown_views(look, "now", ""))
    return look.go(back_to(address(page, query)))


async def shown_views(look: Look, page: str, query: str) -> dict[str, Any]:
    """Return the views that a page offers, and what it would save as one.

    Args:
        query: of the page's address.
    """
    here = kept(page, query)
    found = await look.services.desk.views(look.who.id)
    return {
        "views": [
            {
                "id": view.id,
                "name": view.name,
                "page": view.page,
                "address": address(view.page, view.query),
                "shared": view.shared,
                "mine": view.person == look.who.id,
                "person": view.person,
                "here": (view.page, view.query) == (page, here),
            }
            for view in found
        ],
        "saves": {"page": page, "query": here, "left_out": here != _said(query)},
        "longest_name": LONGEST_NAME,
        "most_views": MOST_VIEWS,
    }


def kept(page: str, query: str) -> str:
    """Return what of a query a view keeps: not what was looked for in words, which may name a customer."""
    names = {field.name for field in fields() if field.column.sql is not None} | set(BESIDE.get(page, ()))
    return urlencode(sorted((name, value) for name, value in parse_qsl(query) if name in names))


def _said(query: str) -> str:
    beside = ("show", "after")
    return urlencode(sorted((name, value) for name, value in parse_qsl(query) if name not in beside))


def address(page: str, query: str) -> str:
    """Return where a view leads."""
    return f"{ADDRESSES.get(page, ADDRESSES['now'])}{'?' if query else ''}{query}"


async def _change(look: Look) -> bool:
    number = look.field("id") or ""
    if not number.isascii() or not number.isdigit() or len(number) > 18:
        return False
    if look.field("drop") is not None:
        return await look.services.desk.drop(look.who.id, int(number))
    return await look.services.desk.change(
        look.who.id, int(number), look.field("name") or "", shared=look.field("shared") is not None
    )
