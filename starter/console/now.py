"""Now: what needs somebody, and the ladder with its cases. Its parts are asked for again as cases move."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, urlencode
from uuid import uuid4

from starlette.responses import Response

from activities.casebook.filter import Filter, FilterField, fields
from activities.casebook.worklist import ORDERS
from activities.people.desk import Preferences
from cases.policy.forms import titles_of
from cases.registry import kind_named
from cases.vocabulary.commands import Acknowledge
from cases.vocabulary.refusals import Refused
from starter.access import may_change, sees
from starter.console.bulk import Bulk, Sent, gathered, send_all, sent, started, until_recorded
from starter.console.views import shown_views
from starter.console.web import Look, Message, instant, kinds_seen
from starter.messages import Messages

# So many lines are shown, and so many more at a time, up to an end; and so many cases of a rung.
STEP, MOST, EACH = 20, 240, 8
STREAM = "/console/stream"
HERE = "/console/"
# What was decided is told until it was seen, and no longer than this.
TOLD = timedelta(days=7)
# By what the list can be narrowed.
NARROWED_BY = ("kind", "unit", "severity", "is_breached")


@dataclass(frozen=True)
class Asked:
    """What the address of the page asks for.

    Args:
        given: what it says, by name; empty where it says nothing.
        show: how many lines.
        query: the same again, for the addresses of the page's parts.
    """

    given: Mapping[str, str]
    filter: Filter
    sort: str
    show: int
    query: str


async def now(look: Look) -> Response:
    """Return the page; an order that its address asks for is remembered."""
    preferences = await look.services.desk.preferences(look.who.id)
    asked = _asked(look, preferences)
    if asked.sort != preferences.now_sort:
        await look.services.desk.prefer(look.who.id, now_sort=asked.sort)
    return await _page(look, asked, preferences)


async def todo(look: Look) -> Response:
    """Return what needs them, as a fragment."""
    preferences = await look.services.desk.preferences(look.who.id)
    asked = _asked(look, preferences)
    return look.page("now_todo.html", **_about(asked), **await _needed(look, asked, preferences))


async def board(look: Look) -> Response:
    """Return the ladder, as a fragment."""
    return look.page("now_board.html", **await _board(look))


async def take(look: Look) -> Response:
    """Take one case up and return its line as it is then; without the script the page."""
    events, _, case_id = (look.field("take") or "").partition(" ")
    if look.request.method != "POST" or not case_id:
        return look.go(_back(look))
    # Taking up the case as it was shown is one request, however often the button is pressed.
    outcome = await sent(look, case_id, Acknowledge.NAME, {}, f"take:{events[:9]}:{case_id}")
    await until_recorded(look, [outcome])
    preferences = await look.services.desk.preferences(look.who.id)
    asked = _asked(look, preferences)
    if look.request.headers.get("HX-Request"):
        needed = await _needed(look, asked, preferences, only=[case_id])
        return look.page("now_line.html", case_id=case_id, outcome=outcome, **_about(asked), **needed)
    if outcome.why is None:
        look.message = Message("good", look.say("case.done", what=look.words.word("command", Acknowledge.NAME)))
    else:
        look.message = Message("bad", look.say("case.again", why=outcome.why))
    return await _page(look, asked, preferences)


async def bulk(look: Look) -> Response:
    """Do one thing to all cases that were chosen, or ask for what it takes first; say of each what came of it."""
    if look.request.method != "POST":
        return look.go(_back(look))
    doing = look.field("send") or look.field("do") or ""
    form, outcomes = None, None
    chosen = gathered(look, MOST)
    if doing and not chosen:
        look.message = Message("note", look.say("bulk.none"))
    elif doing:
        form = await started(look, doing, chosen)
        if form.ready and (look.field("send") or not form.fields):
            outcomes = await send_all(look, form, chosen)
            # What was refused stays chosen, and the next try is another request.
            form, chosen = None, [one.case_id for one in outcomes if one.why is not None]
    preferences = await look.services.desk.preferences(look.who.id)
    return await _page(look, _asked(look, preferences), preferences, form, outcomes, chosen)


async def seen(look: Look) -> Response:
    """Put away what was decided, up to what was shown."""
    try:
        at = instant(look.field("seen"), look.times.zone)
    except ValueError:
        at = None
    if look.request.method == "POST" and at is not None:
        # What is decided later is told, whatever the form says.
        await look.services.desk.prefer(look.who.id, seen_at=min(at, datetime.now(UTC)))
    return look.go(_back(look))


async def preferences(look: Look) -> Response:
    """Keep whether somebody wants to be told by the desktop, and by a sound."""
    if look.request.method == "POST":
        said = {"yes": True, "no": False}
        notify, sound = (said.get(look.field(name) or "") for name in ("notify", "sound"))
        await look.services.desk.prefer(look.who.id, notify=notify, sound=sound)
    return look.go(_back(look))


# --- what the address asks for ----------------------------------------------------------------------


def _asked(look: Look, preferences: Preferences) -> Asked:
    """Return what the address asks for; what it says wrongly is left out and said."""
    query = look.request.query_params
    given = {name: query.get(name, "").strip() for name in (*NARROWED_BY, "why")}
    sort = query.get("sort", preferences.now_sort)
    show = query.get("show", "")
    try:
        filter = Filter.read(
            {
                field.name: {"yes": True, "no": False}.get(given[field.name]) if field.sort == "flag" else text
                for field in narrowing()
                if (text := given[field.name])
            }
        )
    except Refused as refusal:
        look.message, filter = Message("bad", look.words.refusal(refusal)), Filter()
        given = dict.fromkeys(given, "")
    if given["why"] not in look.words.sections["why"]:
        given["why"] = ""
    lines = int(show) if show.isascii() and show.isdigit() and len(show) < 5 else STEP
    sort = sort if sort in ORDERS else "due"
    lines = max(STEP, min(lines, MOST))
    said = {name: value for name, value in given.items() if value} | {"sort": sort}
    return Asked(given, filter, sort, lines, urlencode(said | ({"show": str(lines)} if lines > STEP else {})))


def narrowing() -> list[FilterField]:
    """Return the fields by which the list can be narrowed."""
    return [field for field in fields() if field.name in NARROWED_BY]


def _back(look: Look) -> str:
    query = look.request.url.query
    return HERE + (f"?{query}" if query else "")


# --- the page ---------------------------------------------------------------------------------------


async def _page(
    look: Look,
    asked: Asked,
    preferences: Preferences,
    form: Bulk | None = None,
    outcomes: list[Sent] | None = None,
    chosen: Collection[str] = (),
) -> Response:
    units, kinds = sees(look.who)
    needed, board, views = await asyncio.gather(
        _needed(look, asked, preferences), _board(look), shown_views(look, "now", asked.query)
    )
    choices: dict[str, Collection[str]] = {
        "kind": kinds_seen(look.who, kinds),
        "unit": [one.id for one in look.directory.units if units is None or one.id in units],
        "severity": next((one.one_of.allowed() for one in narrowing() if one.one_of and one.name == "severity"), ()),
        "is_breached": ("yes", "no"),
    }
    return look.page(
        "now.html",
        page="now",
        live=STREAM,
        preferences=preferences,
        narrowing=[(field, choices[field.name]) for field in narrowing()],
        bulk=form,
        request_id=uuid4().hex,
        with_sort=lambda sort: urlencode(dict(parse_qsl(asked.query)) | {"sort": sort}),
        outcomes=outcomes,
        chosen=frozenset(chosen),
        **_about(asked),
        **needed,
        **board,
        **views,
    )


def _about(asked: Asked) -> dict[str, Any]:
    return {"given": asked.given, "sort": asked.sort, "show": asked.show, "query": asked.query}


async def _needed(
    look: Look, asked: Asked, preferences: Preferences, only: Collection[str] | None = None
) -> dict[str, Any]:
    units, kinds = sees(look.who)
    since = datetime.now(UTC) - TOLD
    if preferences.seen_at is not None:
        since = max(since, preferences.seen_at)
    worklist = look.services.worklist
    found = await worklist.now(
        look.who.role, look.who.id, units=units, kinds=kinds, limit=asked.show, order=asked.sort,
        filter=asked.filter, why=asked.given["why"] or None, only=only,
    )  # fmt: skip
    messages = 0 if only else await Messages(look.services.database).count(look.who)
    decided = [] if only else await worklist.decided(look.who.id, since, units=units, kinds=kinds)
    lowest, changes = look.policy.ladder.rungs[0], may_change(look.who)
    return {
        "lines": [
            line | {"case": climbed(line["case"], lowest), "takes_up": changes and _waits(line)} for line in found.lines
        ],
        "total": found.total,
        "decided": [one | {"about": _decided_what(look, one)} for one in decided],
        "messages": messages,
        "step": STEP,
        "most": MOST,
        "may_change": changes,
    }


def _decided_what(look: Look, one: Mapping[str, Any]) -> str:
    """Return what was decided, as people read it: of a form the step, or nothing once everybody has signed."""
    subject, steps = one["subject"], one["case"].get("step_titles")
    if subject is None or steps is None:
        return look.words.word("subject", subject) if subject else ""
    return titles_of(steps.get(subject), subject)[look.words.language]


def _waits(line: Mapping[str, Any]) -> bool:
    """Whether a line is there since its case waits to be taken up; whether they may, the case says when they do."""
    view = line["case"]
    kind = kind_named(view["kind"])
    waits = line["why"] in ("rung", "holder") and view["status"] == "open" and not view["acknowledged"]
    return waits and kind is not None and Acknowledge.NAME in kind.COMMANDS


async def _board(look: Look) -> dict[str, Any]:
    units, kinds = sees(look.who)
    rungs = look.policy.ladder.rungs
    found = await look.services.worklist.board(units=units, kinds=kinds, each=EACH)
    # A case of another policy may stand on a rung that this one does not have.
    columns = [(rung, found.get(rung)) for rung in (*rungs, *(rung for rung in found if rung not in rungs))]
    return {
        "columns": [
            {
                "rung": rung,
                "step": place + 1,
                "steps": len(rungs),
                "count": column["count"] if column else 0,
                "cases": [climbed(view, rungs[0]) for view in column["cases"]] if column else [],
            }
            for place, (rung, column) in enumerate(columns)
        ],
    }


def climbed(view: Mapping[str, Any], lowest: str) -> dict[str, Any]:
    """Return a view that says whether the case stands above the lowest rung."""
    return {**view, "escalated": view["rung"] != lowest}
