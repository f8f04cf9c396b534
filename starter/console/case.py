"""One case: who holds it, its way up the ladder, its clocks, its history, its money, and what may be done."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4
from zoneinfo import ZoneInfo

from starlette.responses import Response

from cases.policy.model import Policy
from cases.registry import KINDS
from cases.vocabulary.events import Event
from cases.vocabulary.refusals import Refused
from starter.access import may_change, may_read_personal, sees
from starter.api import actions
from starter.api.actions import NoAnswer, actions_for, may_decide, policy_of
from starter.console import drawing
from starter.console.forms import Options, body_of, fields_of
from starter.console.telling import details_of, facts_of, formula, refused, signatures_of
from starter.console.times import Times
from starter.console.web import Look, Message, NotForYou, case_url, money

STREAM = "/console/stream"
# Kinds that are about no customer.
INTERNAL = frozenset({"summary", "handover", "swap"})
# A page after a write waits so long, in tries of 50 ms, until the casebook has it.
TRIES = 40

Json = dict[str, Any]
View = Mapping[str, Any]


async def case(look: Look) -> Response:
    """The page, with the form of one command where ``do`` asks for it; a form that was sent comes here too."""
    view, policy = await _find(look)
    doing = look.request.query_params.get("do")
    allowed = actions_for(look.who, view, policy)
    if look.request.method == "POST":
        return await _send(look, view, policy, doing or "")
    done = look.request.query_params.get("done")
    if done in KINDS[view["kind"]].COMMANDS:
        view = await _caught_up(look, view)
        allowed = actions_for(look.who, view, policy)
        look.message = Message("good", look.say("case.done", what=look.words.word("command", done)))
    typed = look.draft() if doing else None
    form = None
    if doing in allowed:
        form = await _form(look, view, policy, doing, typed.fields if typed else {})
    elif doing and typed:
        look.message = Message("bad", look.say("case.changed"))
    return await _page(look, view, policy, allowed, form)


async def body(look: Look) -> Response:
    """What the case says of itself and what may be done, as a fragment; the form that is open stays as it is."""
    view, policy = await _find(look)
    allowed = ordered(actions_for(look.who, view, policy))
    told = await _told(look, view, policy)
    return look.page("case_fresh.html", allowed=allowed, form=None, may_change=may_change(look.who), **told)


async def personal(look: Look) -> Response:
    """The page with the customer's data; the look is recorded."""
    view, policy = await _find(look)
    if look.request.method != "POST":
        return look.go(case_url(view["id"]))
    seen = await actions.personal(look.services, look.who, view["id"])
    return await _page(look, view, policy, actions_for(look.who, view, policy), None, seen)


async def verify(look: Look) -> Response:
    """The page with what checking the case's chain found."""
    view, policy = await _find(look)
    if look.request.method != "POST":
        return look.go(case_url(view["id"]))
    report = await look.services.book.verify(view["id"])
    if report.fault is None:
        look.message = Message("good", look.say("case.verified", events=report.events))
    else:
        look.message = Message("bad", look.say("case.broken", seq=report.fault.seq, what=report.fault.detail))
    return await _page(look, view, policy, actions_for(look.who, view, policy), None)


async def events(look: Look) -> Response:
    """Every event of the case as JSON, to be kept."""
    view, _ = await _find(look)
    found = await look.services.book.events(view["id"])
    text = json.dumps(found, ensure_ascii=False, indent=1)
    name = f"{view['kind']}-{view['number'] or 'case'}.json"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(text, media_type="application/json", headers=headers)


# What somebody most likely came for stands first.
_FIRST = ("approve", "reject", "sign", "confirm_payment", "acknowledge", "reply", "resolve", "escalate")


def ordered(names: list[str]) -> list[str]:
    """Commands in the order in which a page offers them."""
    return sorted(names, key=lambda name: _FIRST.index(name) if name in _FIRST else len(_FIRST))


# --- sending a command ----------------------------------------------------------------------------


async def _send(look: Look, view: View, policy: Policy, name: str) -> Response:
    form = await _form(look, view, policy, name, look.fields)
    body = body_of(form["fields"], look.fields, ZoneInfo(policy.zone))
    request_id = look.field("request_id") or uuid4().hex
    try:
        after = await actions.command(look.services, look.who, view["id"], name, body, request_id)
    except Refused as refusal:
        look.message = Message("bad", look.say("case.again", why=refused(look, refusal)))
        # The same request would be answered the same again, so the next try is a new one.
        form["request_id"] = uuid4().hex
        fresh = await actions.find(look.services, look.who, view["id"])
        page = await _page(look, fresh, policy, actions_for(look.who, fresh, policy), form)
        page.status_code = 422
        return page
    except NoAnswer:
        look.message = Message("bad", look.say("error.away"))
        page = await _page(look, view, policy, actions_for(look.who, view, policy), form)
        page.status_code = 503
        return page
    return look.go(case_url(view["id"], done=name, events=str(after["events"])))


async def _form(look: Look, view: View, policy: Policy, name: str, typed: Mapping[str, list[str]]) -> Json:
    model = KINDS[view["kind"]].COMMANDS.get(name)
    if model is None:
        raise NotForYou
    choices = await _choices(look, view, policy, name)
    values = {"rung": look.words.word("role", view["rung"])}
    values |= {field: view.get(field) or "" for field in ("offered", "agreed")}
    consequence = look.say(f"consequence.{name}", **values) if look.words.has("consequence", name) else ""
    return {
        "name": name,
        "fields": fields_of(model, look.words, choices),
        "typed": typed or _suggested(view, policy, name, look),
        "consequence": consequence,
        "request_id": (typed.get("request_id") or [uuid4().hex])[0],
    }


async def _choices(look: Look, view: View, policy: Policy, name: str) -> dict[str, Options]:
    """What the case allows now for fields that the schema leaves open."""
    words, rungs = look.words, policy.ladder.rungs
    place = rungs.index(view["rung"]) if view["rung"] in rungs else 0
    if name == "assign":
        directory = await look.services.directory.current()
        people = [person for rung in rungs[: place + 1] for person in directory.people_of(rung)]
        named = [(f"{one.id}|{one.role}", f"{one.id} · {words.word('role', one.role)} · {one.unit}") for one in people]
        mine = (f"{look.who.id}|{look.who.role}", f"{look.who.id} ({look.say('app.you')})")
        own = [mine] if look.who.role in rungs[: place + 1] else []
        return {"to": [*own, *(one for one in named if one[0] != mine[0])]}
    if name == "name_relief":
        directory = await look.services.directory.current()
        return {
            "to": [
                (f"{one.id}|{one.role}", f"{one.id} · {words.word('role', one.role)} · {one.unit}")
                for one in directory.people
                if one.id != look.who.id
            ]
        }
    if name == "escalate":
        return {"to": [(rung, words.word("role", rung)) for rung in rungs[place + 1 :]]}
    if name in ("approve", "reject"):
        waiting = [approval for approval in view["approvals"] if may_decide(look.who, approval, policy)]
        return {"subject": [(one["subject"], _subject(look, one)) for one in waiting]}
    if name == "extend":
        rules = policy.rule(view["kind"]).clocks
        names = [clock["clock"] for clock in view["clocks"]]
        may = [clock for clock in names if rules[clock.partition(":")[0]].extendable]
        return {"clock": [(clock, words.word("clock", clock)) for clock in may]}
    if name == "confirm_phone_notice":
        return {"roles": [(role, words.word("role", role)) for role in view.get("to_call", ())]}
    if name == "resend":
        recorded = await look.services.book.events(view["id"])
        told = [event for event in recorded if event["type"] == "notified"]
        return {"notice": [(str(event["seq"]), _notice(look, event)) for event in reversed(told)]}
    if name == "check_goods":
        return {"checklist.witnesses": []}
    return {}


def _notice(look: Look, event: View) -> str:
    data, words = event["data"], look.words
    return f"#{event['seq']} {words.word('notice', data['notice'])} · {words.words('role', data['roles'])}"


def _subject(look: Look, approval: View) -> str:
    amount = f" · {look.say('app.yuan', amount=money(approval['amount']))}" if approval["amount"] is not None else ""
    return f"{look.words.word('subject', approval['subject'])}{amount}"


def _suggested(view: View, policy: Policy, name: str, look: Look) -> dict[str, list[str]]:
    """What a form begins with where the answer is likely."""
    if name in ("approve", "reject"):
        waiting = [one for one in view["approvals"] if may_decide(look.who, one, policy)]
        return {"subject": [waiting[0]["subject"]]} if len(waiting) == 1 else {}
    if name == "offer" and view.get("assessment"):
        return {"amount": [view["assessment"]["total"]]}
    return {}


# --- the page -------------------------------------------------------------------------------------


async def _find(look: Look) -> tuple[Json, Policy]:
    try:
        view = await actions.find(look.services, look.who, look.request.query_params.get("id", ""))
    except Refused:
        raise NotForYou from None
    return view, await policy_of(look.services, view)


async def _caught_up(look: Look, view: Json) -> Json:
    """The view once the casebook has what was just done; what it has after a while."""
    wanted = look.request.query_params.get("events", "")
    for _ in range(TRIES):
        if not wanted.isdigit() or len(wanted) > 6 or view["events"] >= int(wanted):
            break
        await asyncio.sleep(0.05)
        view = await look.services.book.case(view["id"]) or view
    return view


async def _page(
    look: Look, view: View, policy: Policy, allowed: list[str], form: Json | None, seen: Json | None = None
) -> Response:
    told = await _told(look, view, policy)
    return look.page(
        "case.html",
        live=f"{STREAM}?{case_url(view['id']).partition('?')[2].replace('id=', 'case=', 1)}",
        allowed=ordered(allowed),
        form=form,
        seen=seen,
        may_change=may_change(look.who),
        may_read=may_read_personal(look.who, view),
        has_customer=view["kind"] not in INTERNAL,
        **told,
    )


async def _told(look: Look, view: View, policy: Policy) -> Json:
    """What the page shows of a case, from its recorded events."""
    recorded = await look.services.book.events(view["id"])
    units, kinds = sees(look.who)
    linked = await look.services.desk.linked(view["id"], units=units, kinds=kinds)
    replayed = KINDS[view["kind"]].replay(policy, (Event.from_json(event) for event in recorded))
    times = Times(ZoneInfo(policy.zone), look.words)
    warned = {name: rule.warn_percent for name, rule in policy.rule(view["kind"]).clocks.items()}
    now = datetime.now(UTC)
    if recorded:
        # Between two events only time has passed; a case never runs backwards.
        now = max(now, datetime.fromisoformat(recorded[-1]["at"]))
    return {
        "view": {**view, "escalated": view["rung"] != policy.ladder.rungs[0] and view["status"] == "open"},
        "events": list(reversed(recorded)),
        "ladder": drawing.ladder(recorded, policy.ladder.rungs),
        "clocks": drawing.clocks(replayed.explain(now), warned, now),
        "bar": drawing.BAR,
        "linked": linked,
        "times": times,
        "facts": facts_of(view),
        "options": list(getattr(replayed, "options", ())),
        "signed": signatures_of(view, look),
        "formula": lambda line: formula(line, look.words),
        "details": lambda event: details_of(event, look),
    }
