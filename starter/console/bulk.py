"""One command for many cases: what it asks for, and what came of each. The cases themselves say what they allow."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from activities.database.errors import DatabaseAway, StatementFailed
from cases.case import Case
from cases.vocabulary.commands import COMMANDS, Acknowledge, Assign, Note
from cases.vocabulary.refusals import Refused
from starter.access import may_change
from starter.api import actions
from starter.api.actions import NoAnswer
from starter.console.forms import Field, Options, body_of, fields_of
from starter.console.people import people
from starter.console.web import Look, Message, NotForYou

# What can be done to many cases at once.
OFFERED = (Acknowledge.NAME, Assign.NAME, Note.NAME)
# Cases that are asked, or sent a command, at the same time.
AT_ONCE = 4
# A page after a write waits so long, in tries of 50 ms, until the casebook has it.
TRIES = 40

Json = dict[str, Any]


@dataclass(frozen=True)
class Sent:
    """What came of a command: ``why`` it was refused, in words, or None where it was done.

    Args:
        view: of the case as it is now; None of one that the person does not see.
    """

    case_id: str
    view: Mapping[str, Any] | None
    why: str | None


@dataclass(frozen=True)
class Bulk:
    """The form of a command for many cases.

    Args:
        ready: whether everything that it needs was typed.
        refused: what cannot be done at all, by the words of the cases.
    """

    name: str
    fields: tuple[Field, ...]
    typed: Mapping[str, list[str]]
    request_id: str
    ready: bool
    refused: tuple[Sent, ...] = field(default=())


def gathered(look: Look, most: int) -> list[str]:
    """Return the ids of the cases that were chosen, each once, as many as a page shows."""
    return list(dict.fromkeys(look.fields.get("case", ())))[:most]


async def sent(look: Look, case_id: str, name: str, body: Mapping[str, Any], request_id: str) -> Sent:
    """Send a command to one case and return what came of it."""
    view: Json | None = None
    try:
        view = await actions.find(look.services, look.who, case_id)
        view = await actions.command(look.services, look.who, case_id, name, body, request_id)
    except Refused as refusal:
        return Sent(case_id, view, look.words.refusal(refusal))
    except (NoAnswer, DatabaseAway, StatementFailed):
        return Sent(case_id, view, look.say("error.away"))
    return Sent(case_id, view, None)


async def until_recorded(look: Look, outcomes: Sequence[Sent]) -> None:
    """Wait, not for long, until the casebook has what was done, so that the page shows it."""
    left = {one.case_id: one.view["events"] for one in outcomes if one.why is None and one.view is not None}
    for _ in range(TRIES):
        for case_id in list(left):
            view = await look.services.casebook.case(case_id)
            if view is not None and view["events"] >= left[case_id]:
                del left[case_id]
        if not left:
            return
        await asyncio.sleep(0.05)


async def started(look: Look, name: str, chosen: Sequence[str]) -> Bulk:
    """Return the form of a command for these cases, with what was typed into it.

    Raises:
        NotForYou: who changes nothing, or what is not offered for many.
    """
    if name not in OFFERED or not may_change(look.who):
        raise NotForYou
    model = COMMANDS[name]
    request_id = look.field("request_id") or uuid4().hex
    fields = fields_of(model, look.words, {})
    refused: list[Sent] = []
    if any(one.kind == "group" for one in fields):
        # Whom a case may be given to, the cases say.
        options, refused = await _options(look, name, chosen)
        fields = fields_of(model, look.words, options)
    body = body_of(fields, look.fields, look.times.zone)
    missing = [one.label for one in fields if one.required and one.name not in body]
    if missing and look.field("send"):
        look.message = Message("bad", look.say("bulk.missing", fields=", ".join(missing)))
    return Bulk(name, fields, look.fields, request_id, not missing, tuple(refused))


async def send_all(look: Look, form: Bulk, chosen: Sequence[str]) -> list[Sent]:
    """Send a command to each case, and return what came of each; what one refuses the others do all the same.

    The same form sent twice is answered again, and does nothing twice.
    """
    body = body_of(form.fields, look.fields, look.times.zone)
    outcomes = await _each(chosen, lambda one: sent(look, one, form.name, body, f"{form.request_id[:64]}:{one}"))
    await until_recorded(look, outcomes)
    return outcomes


async def _options(look: Look, name: str, chosen: Sequence[str]) -> tuple[dict[str, Options], list[Sent]]:
    """Return to whom all cases that allow it may be given, and what the others say."""

    async def ask(case_id: str) -> tuple[Json, Case, Refused | None] | Sent:
        try:
            view = await actions.find(look.services, look.who, case_id)
            case = await actions.replayed(look.services, look.who, view)
        except Refused as refusal:
            return Sent(case_id, None, look.words.refusal(refusal))
        now = actions.now_in(case)
        case.elapse(now, inclusive=False)
        return view, case, case.allowed(look.who.actor(), now).get(name, _UNKNOWN)

    refused: list[Sent] = []
    roles: list[str] | None = None
    units: set[str | None] = set()
    for found in await _each(chosen, ask):
        if isinstance(found, Sent):
            refused.append(found)
            continue
        view, case, refusal = found
        if refusal is not None:
            refused.append(Sent(view["id"], view, look.words.refusal(refusal)))
            continue
        may = case.choices(name, look.who.actor(), actions.now_in(case)).get("to.role", [])
        roles = may if roles is None else [role for role in roles if role in may]
        units.add(view["unit"])
    return {"to": await people(look, roles or [], units)}, refused


_UNKNOWN = Refused("unknown_command", "this case does not take it")


async def _each(ids: Sequence[str], do: Any) -> list[Any]:
    slots = asyncio.Semaphore(AT_ONCE)

    async def one(case_id: str) -> Any:
        async with slots:
            return await do(case_id)

    return list(await asyncio.gather(*(one(case_id) for case_id in ids)))
