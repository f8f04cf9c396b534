"""Approvals: one after the other, with what it takes to decide."""

from __future__ import annotations

from decimal import Decimal
from typing import Any
from uuid import uuid4

from starlette.responses import Response

from cases.vocabulary.refusals import Refused
from starter.access import sees
from starter.api import actions
from starter.api.actions import NoAnswer
from starter.console.now import STREAM
from starter.console.passkeys import confirming
from starter.console.web import Look, Message

# Of more than these the ones that fall due first are shown.
MOST = 100
HERE = "/console/approvals"

Json = dict[str, Any]


async def approvals(look: Look) -> Response:
    """Return the page with one approval open, and the decision on it where the form was sent."""
    if look.request.method == "POST":
        return await _decide(look)
    return await _page(look, look.draft())


async def waiting(look: Look) -> Response:
    """Return the list beside it, as a fragment."""
    asked = await _asked(look)
    return look.page("approvals_list.html", asked=asked, place=_place(look, asked))


async def _asked(look: Look) -> list[Json]:
    """Return what this person may decide now."""
    units, kinds = sees(look.who)
    roles = _decided_as(look)
    if not roles:
        return []
    page = await look.services.worklist.approvals(roles=roles, not_by=look.who.id, units=units, kinds=kinds, limit=MOST)
    found = []
    for asked in page.cases:
        case = await actions.replayed(look.services, look.who, asked["case"])
        may = case.choices("approve", look.who.actor(), actions.now_in(case))["subject"]
        if asked["approval"]["subject"] in may:
            limit = (case.rule.authority or case.policy.authority).limits.get(look.who.role)
            amount = asked["approval"]["amount"]
            passkey = case.approvals.needs_passkey(None if amount is None else Decimal(amount))
            found.append({**asked, "limit": None if limit is None else f"{limit:.2f}", "passkey": passkey})
    return found


def _decided_as(look: Look) -> frozenset[str]:
    """Return whose decisions this person may make: a higher rung may decide what a lower one is asked for."""
    # Some kinds, and forms, have an authority of their own.
    deciding = [(look.policy, kind) for kind in look.policy.kinds]
    deciding += [(form.DECLARED_BY, name) for name, form in look.services.forms.items()]
    ladders = [policy.authority_for(kind).rungs for policy, kind in deciding]
    below = (rungs[: rungs.index(look.who.role) + 1] for rungs in ladders if look.who.role in rungs)
    return frozenset(role for roles in below for role in roles)


def _place(look: Look, asked: list[Json]) -> int:
    wanted = look.request.query_params.get("id"), look.request.query_params.get("subject")
    places = [(one["case"]["id"], one["approval"]["subject"]) for one in asked]
    return places.index(wanted) if wanted in places else 0


async def _page(look: Look, draft: Any = None, *, status: int = 200) -> Response:
    asked = await _asked(look)
    place = _place(look, asked)
    typed = draft.fields if draft else look.fields
    return look.page(
        "approvals.html",
        status=status,
        page="approvals",
        live=STREAM,
        asked=asked,
        place=place,
        one=asked[place] if asked else None,
        formula=look.formatter.formula,
        reason=(typed.get("reason") or [""])[0],
        request_id=uuid4().hex,
    )


async def _decide(look: Look) -> Response:
    case_id, subject = look.request.query_params.get("id", ""), look.request.query_params.get("subject", "")
    decision = "approve" if look.field("decision") == "approve" else "reject"
    body: Json = {"subject": subject}
    if decision == "approve" and (amount := look.field("amount")):
        body["amount"] = amount
    if reason := (look.field("reason") or "").replace("\r\n", "\n").strip():
        body["reason"] = reason
    try:
        case = await actions.replayed(look.services, look.who, await actions.find(look.services, look.who, case_id))
        sent = confirming(look, case, decision, body)
        if isinstance(sent, Response):
            return sent
        request_id = sent.get("request_id") or look.field("request_id")
        await actions.command(look.services, look.who, case_id, decision, sent, request_id)
    except Refused as refusal:
        look.message = Message("bad", look.say("case.again", why=look.words.refusal(refusal)))
        return await _page(look, status=422)
    except NoAnswer:
        look.message = Message("bad", look.say("error.away"))
        return await _page(look, status=503)
    return look.go(f"{HERE}/next?{look.request.url.query}&done={decision}")


async def following(look: Look) -> Response:
    """After a decision: what comes next, once the casebook knows of the decision."""
    done = look.request.query_params.get("done")
    if done in ("approve", "reject"):
        look.message = Message("good", look.say("case.done", what=look.words.word("command", done)))
    decided = look.request.query_params.get("id"), look.request.query_params.get("subject")
    asked = [one for one in await _asked(look) if (one["case"]["id"], one["approval"]["subject"]) != decided]
    return look.page(
        "approvals.html", page="approvals", live=STREAM, asked=asked, place=0, one=asked[0] if asked else None,
        formula=look.formatter.formula, reason="", request_id=uuid4().hex,
    )  # fmt: skip
