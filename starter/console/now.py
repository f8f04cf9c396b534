"""Now: what needs somebody, and the ladder with its cases. Its parts are asked for again as cases move."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from starter.access import sees
from starter.console.web import Look

# So many lines, and cases of a rung, are shown; more is a matter for Find.
MOST, EACH = 60, 25
STREAM = "/console/stream"


async def now(look: Look) -> Response:
    """Return the page."""
    return look.page("now.html", page="now", live=STREAM, **await _needed(look), **await _board(look))


async def todo(look: Look) -> Response:
    """Return what needs them, as a fragment."""
    return look.page("now_todo.html", **await _needed(look))


async def board(look: Look) -> Response:
    """Return the ladder, as a fragment."""
    return look.page("now_board.html", **await _board(look))


async def _needed(look: Look) -> dict[str, Any]:
    units, kinds = sees(look.who)
    lines = await look.services.worklist.now(look.who.role, look.who.id, units=units, kinds=kinds, limit=MOST)
    lowest = look.policy.ladder.rungs[0]
    return {"lines": [line | {"case": climbed(line["case"], lowest)} for line in lines], "most": MOST}


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
        "total": sum(column["count"] for column in found.values()),
    }


def climbed(view: Mapping[str, Any], lowest: str) -> dict[str, Any]:
    """Return a view that says whether the case stands above the lowest rung."""
    return {**view, "escalated": view["rung"] != lowest}
