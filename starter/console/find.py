"""Find: filters over every case that somebody may see, counts, exports, and the check of the whole chain."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import Any, Literal
from urllib.parse import urlencode

from starlette.responses import Response, StreamingResponse

from activities.casebook.filter import Filter, FilterField, fields
from cases.vocabulary.refusals import Refused
from starter.access import may_read_names, may_settle_messages, may_verify, own, reader, sees
from starter.api import actions
from starter.console.forms import tidy
from starter.console.views import shown_views
from starter.console.vocabulary import clocks
from starter.console.web import Look, Message, NotForYou, instant, kinds_seen

PAGE = 20
MEDIA = {
    "csv": "text/csv; charset=utf-8",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}
ORDERS = ("due", "opened")
# No more people are suggested: a page with them has to arrive soon.
SUGGESTED = 500
# The first choice of a list of choices.
FIRST = {"status": "active"}


async def find(look: Look) -> Response:
    """Return the page."""
    return await _page(look)


async def verify(look: Look) -> Response:
    """Return the page with what checking the whole ledger found."""
    if look.request.method != "POST":
        return look.go("/console/find")
    if not may_verify(look.who):
        raise NotForYou
    report = await look.services.audit.verify()
    fault = report.fault
    if fault is None:
        look.message = Message("good", look.say("find.verified_all", cases=report.cases, events=report.events))
    else:
        what = f"{look.words.word('fault', fault.what)} ({fault.detail})"
        where = {"case": fault.case_id or "—", "seq": fault.seq, "what": what}
        look.message = Message("bad", look.say("find.broken_all", **where))
    return await _page(look)


async def export(look: Look) -> Response:
    """Return what is filtered as a file in the words of the page, ``csv`` or ``xlsx``, sent while it is read."""
    # The library that writes workbooks takes a while to import.
    from starter import exports
    from starter.console.tables import Tables

    sort: exports.Format = "xlsx" if look.request.query_params.get("as") == "xlsx" else "csv"
    filter, _ = _filter(look)
    units, kinds = sees(look.who)
    # Where customers' words find a case, the look is recorded before the first row goes out.
    await actions.search(look.services, look.who, filter, limit=1)
    tables = Tables(look.words, look.times.zone)
    found = look.services.search.rows(filter, units=units, kinds=kinds, own=own(look.who), reader=reader(look.who))
    rows = tables.case_rows(found)
    name = f"cases-{look.times.now:%Y%m%d-%H%M}.{sort}"
    return StreamingResponse(
        exports.stream(rows, tables.heads(exports.COLUMNS), sort, marked=True),
        media_type=MEDIA[sort],
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


async def _page(look: Look) -> Response:
    units, _ = sees(look.who)
    given = _given(look)
    order = look.request.query_params.get("order")
    order = order if order in ORDERS else "due"
    after = look.request.query_params.get("after") or None
    shown: dict[str, Any] = {"cases": [], "after": None, "count": None}
    status = 200
    try:
        filter, given = _filter(look)
        by: Literal["due", "opened"] = "opened" if order == "opened" else "due"
        page = await actions.search(look.services, look.who, filter, order=by, limit=PAGE, after=after, counted=True)
        lowest = look.policy.ladder.rungs[0]
        cases = [{**view, "escalated": view["rung"] != lowest and view["status"] == "open"} for view in page.cases]
        shown = {"cases": cases, "after": page.after, "count": page.count}
    except Refused as refusal:
        look.message, status = Message("bad", look.words.refusal(refusal)), 422
    asked = {name: value for name, value in given.items() if value} | ({"order": order} if order != "due" else {})
    return look.page(
        "find.html",
        status=status,
        page="find",
        given=given,
        order=order,
        asked=urlencode(asked),
        paged=after is not None,
        filters=[(field, _choices(look, field)) for field in fields()],
        suggested=_suggested(look, units),
        may_verify=may_verify(look.who),
        may_settle=may_settle_messages(look.who),
        **await shown_views(look, "find", look.request.url.query),
        **shown,
    )


def _filter(look: Look) -> tuple[Filter, dict[str, str]]:
    """Return the filter that the address says, and what it says as text.

    Raises:
        Refused: naming the field, its value and what is allowed.
    """
    given = _given(look)
    values: dict[str, Any] = {}
    for field in fields():
        text = given[field.name]
        if not text:
            continue
        if field.sort == "instant":
            values[field.name] = _instant(look, field.name, text)
        elif field.sort == "flag":
            values[field.name] = {"yes": True, "no": False}.get(text)
        else:
            values[field.name] = text
    return Filter.read(values), given


def _given(look: Look) -> dict[str, str]:
    given = {field.name: look.request.query_params.get(field.name, "") for field in fields()}
    return {
        field.name: tidy(field.name, given[field.name].strip(), plain=field.sort == "instant") for field in fields()
    }


def _choices(look: Look, field: FilterField) -> tuple[str, ...]:
    """Return what the form offers for a field; nothing where any text goes."""
    match field.column.words:
        case "kind":
            return tuple(kinds_seen(look.who, sees(look.who)[1]))
        case "role":
            return tuple(look.policy.ladder.rungs)
        case "clock":
            return tuple(clocks())
    choices = () if field.one_of is None else field.one_of.allowed()
    return tuple(sorted(choices, key=lambda choice: choice != FIRST.get(field.name)))


def _suggested(look: Look, units: frozenset[str] | None) -> dict[str, list[tuple[str, str]]]:
    """Return what is offered while somebody types into a field, each with what it is called: of what they may see."""
    directory = look.formatter.directory
    return {
        "holder": people_suggested(look, units),
        "unit": [(one.id, look.formatter.unit(one.id)) for one in directory.units if units is None or one.id in units],
        "policy": [(name, name) for name in look.services.policies.names()],
    }


def people_suggested(look: Look, units: frozenset[str] | None) -> list[tuple[str, str]]:
    """Return what a field for one of the staff of some units offers, or of all: a name or an id, and who that is."""
    directory = look.formatter.directory
    people = [one for one in directory.people if units is None or one.unit in units] if may_read_names(look.who) else []
    # A name that several have names none of them.
    namesakes = Counter(one.name for one in people)
    known = [
        (one.name if one.name and namesakes[one.name] == 1 else one.id, look.formatter.staff(one.model_dump()))
        for one in people
    ]
    return sorted(known)[:SUGGESTED]


def _instant(look: Look, name: str, text: str) -> datetime:
    try:
        at = instant(text, look.times.zone)
    except ValueError:
        at = None
    if at is None:
        raise Refused("invalid", f"{look.words.word('filter', name)}: 2026-03-04T09:00")
    return at
