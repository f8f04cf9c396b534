"""Approvals: one after the other, with what it takes to decide.

The page stays where it is: with JavaScript a decision, and the way to another approval, renews the desk in it; without,
each is a page of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode
from uuid import uuid4

from starlette.responses import Response

from cases.vocabulary.refusals import Refused
from starter.access import sees
from starter.api import actions
from starter.api.actions import NoAnswer
from starter.console.asked import told, words_of
from starter.console.faults import in_form, refused_at_fields
from starter.console.forms import Field
from starter.console.now import STREAM
from starter.console.passkeys import confirming
from starter.console.web import Look, Message

# Of more than these the ones that fall due first are shown.
MOST = 100
HERE = "/console/approvals"
DECISIONS = ("approve", "reject")

Json = dict[str, Any]


async def approvals(look: Look) -> Response:
    """Return the page with one approval open, and the decision on it where the form was sent."""
    if look.request.method == "POST":
        return await _decide(look)
    asked = await _asked(look)
    place = _place(look, asked)
    draft = look.draft()
    if place < 0:
        look.message = Message("note", look.say("approvals.gone"))
    return await _desk(look, asked, place, reason=draft.fields.get("reason", [""])[0] if draft else "")


async def waiting(look: Look) -> Response:
    """Return the list beside it, as a fragment."""
    asked = await _asked(look)
    return look.page("approvals_list.html", asked=asked, place=_place(look, asked))


async def following(look: Look) -> Response:
    """After a decision: what comes next, once the casebook knows of the decision."""
    query = look.request.query_params
    decision = query.get("done")
    if decision not in DECISIONS:
        return look.go(HERE)
    return await _after(look, query.get("id", ""), query.get("subject", ""), decision, query.get("place", ""))


async def _asked(look: Look) -> list[Json]:
    """Return what this person may decide now, each with its case made anew."""
    units, kinds = sees(look.who)
    page = await look.services.worklist.approvals(
        roles=_decided_as(look), not_by=look.who.id, units=units, kinds=kinds, limit=MOST
    )
    found = []
    for asked in page.cases:
        case = await actions.replayed(look.services, look.who, asked["case"])
        may = case.choices("approve", look.who.actor(), actions.now_in(case))["subject"]
        if asked["approval"]["subject"] in may:
            limit = (case.rule.authority or case.policy.authority).limits.get(look.who.role)
            amount = asked["approval"]["amount"]
            found.append(
                {
                    **asked,
                    "replayed": case,
                    "said": words_of(look, case).word("subject", asked["approval"]["subject"]),
                    "limit": None if limit is None else f"{limit:.2f}",
                    "passkey": case.approvals.needs_passkey(None if amount is None else Decimal(amount)),
                }
            )
    return found


def _decided_as(look: Look) -> frozenset[str]:
    """Return whose decisions this person may make: a higher rung may decide what a lower one is asked for."""
    # Some kinds, and forms, have an authority of their own.
    deciding = [(look.policy, kind) for kind in look.policy.kinds]
    deciding += [(form.DECLARED_BY, name) for name, form in look.services.forms.items()]
    ladders = [policy.authority_for(kind).rungs for policy, kind in deciding]
    below = (rungs[: rungs.index(look.who.role) + 1] for rungs in ladders if look.who.role in rungs)
    return frozenset(role for roles in below for role in roles) | {look.who.role}


def _place(look: Look, asked: list[Json]) -> int:
    """Return which one the address means, the first where it names none; -1 where it is not there to be decided."""
    wanted = look.request.query_params.get("id"), look.request.query_params.get("subject")
    places = [(one["case"]["id"], one["approval"]["subject"]) for one in asked]
    if wanted in places:
        return places.index(wanted)
    return 0 if wanted == (None, None) else -1


async def _desk(
    look: Look,
    asked: list[Json],
    place: int,
    *,
    reason: str = "",
    status: int = 200,
    errors: Mapping[str, str] | None = None,
    moved: bool = False,
) -> Response:
    """Return the page; for a page that is there already, its desk and what is to be announced.

    Args:
        errors: what is wrong with what was typed, by the name of the field; None where nothing was refused.
        moved: whether the address must follow to what is open now.
    """
    part = "HX-Request" in look.request.headers and "HX-History-Restore-Request" not in look.request.headers
    one = asked[place] if 0 <= place < len(asked) else None
    typed = {"reason": [reason]}
    response = look.page(
        "approvals_part.html" if part else "approvals.html",
        # A refusal is shown like anything else: what is swapped in is no fault of the page.
        status=200 if part else status,
        page="approvals",
        live=STREAM,
        part=part,
        asked=asked,
        place=place,
        one=one,
        told=await told(look, one) if one else None,
        reason=_reason(look),
        typed=typed,
        # A refused form was sent under an id that would be answered the same again.
        request_id=uuid4().hex,
        said=look.message,
        # It is announced on the desk.
        message=None,
        **in_form([_reason(look)], typed, errors or {}, begins=errors is not None),
    )
    if part and moved:
        open_ = {"id": one["case"]["id"], "subject": one["approval"]["subject"]} if one else {}
        response.headers["HX-Push-Url"] = f"{HERE}?{urlencode(open_)}" if open_ else HERE
    return response


def _reason(look: Look) -> Field:
    """Return the one field of a decision."""
    return Field(
        "reason", "area", look.say("approvals.reason"), required=False, needed_to=look.say("approvals.reason_needed")
    )


async def _decide(look: Look) -> Response:
    case_id, subject = look.request.query_params.get("id", ""), look.request.query_params.get("subject", "")
    decision = "approve" if look.field("decision") == "approve" else "reject"
    body: Json = {"subject": subject}
    if decision == "approve" and (amount := look.field("amount")):
        body["amount"] = amount
    reason = (look.field("reason") or "").replace("\r\n", "\n").strip()
    if reason:
        body["reason"] = reason
    try:
        case = await actions.replayed(look.services, look.who, await actions.find(look.services, look.who, case_id))
        sent = confirming(look, case, decision, body)
        if isinstance(sent, Response):
            return sent
        request_id = sent.get("request_id") or look.field("request_id")
        await actions.command(look.services, look.who, case_id, decision, sent, request_id)
    except Refused as refusal:
        errors = refused_at_fields(refusal, [_reason(look)], look.fields, look.words)
        if not errors:
            look.message = Message("bad", look.say("case.again", why=look.words.refusal(refusal)))
        return await _again(look, reason, 422, errors)
    except NoAnswer:
        look.message = Message("bad", look.say("error.away"))
        return await _again(look, reason, 503)
    if "HX-Request" in look.request.headers:
        return await _after(look, case_id, subject, decision, look.field("place") or "")
    done = {"id": case_id, "subject": subject, "done": decision, "place": look.field("place") or ""}
    return look.go(f"{HERE}/next?{urlencode(done)}")


async def _again(look: Look, reason: str, status: int, errors: Mapping[str, str] | None = None) -> Response:
    asked = await _asked(look)
    return await _desk(look, asked, _place(look, asked), reason=reason, status=status, errors=errors or {})


async def _after(look: Look, case_id: str, subject: str, decision: str, place: str) -> Response:
    """Return the desk with what comes next: what stood after the decided one, which the list may still have."""
    asked = [one for one in await _asked(look) if (one["case"]["id"], one["approval"]["subject"]) != (case_id, subject)]
    said = look.say("approvals.left", count=len(asked)) if asked else look.say("approvals.nothing")
    with suppress(Refused, NoAnswer):
        view = await actions.find(look.services, look.who, case_id)
        case = await actions.replayed(look.services, look.who, view)
        words, amounts = words_of(look, case), [one.amount for one in case.approvals if one.subject == subject]
        amount = amounts[-1] if amounts else None
        what = words.word("subject", subject)
        what += "" if amount is None else f" {look.formatter.yuan(f'{amount:.2f}')}"
        which = f"{words.word('kind', case.KIND)} {view['number'] or view['key']}"
        said = f"{look.say(f'approvals.done_{decision}', what=what, case=which)} {said}"
    look.message = Message("good", said)
    # The one that stood there moved up.
    next_ = min(int(place), len(asked) - 1) if place.isdecimal() and len(place) < 4 else 0
    return await _desk(look, asked, next_ if asked else -1, moved=True)
