"""All cases of a customer or a parcel that somebody may see; and what several of them are linked or merged by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import uuid4

from starlette.responses import Response

from activities.casebook.filter import Filter
from activities.casebook.related import MOST, Clues
from cases.registry import kind_named
from cases.vocabulary.refusals import Refused
from starter.access import may_change, own, sees
from starter.api import actions
from starter.api.actions import NoAnswer
from starter.console.web import SESSION, Look, Message

Json = dict[str, Any]
PAGE = 50
# Commands between two cases, each with the field that names the other one: the earlier of them.
BETWEEN = {"link": "case", "unlink": "case", "merge": "into"}
_PURPOSE = "phone"


@dataclass(frozen=True)
class Outcome:
    """What came of a command that was sent to one of several cases."""

    view: Json
    done: bool
    text: str


async def customer(look: Look) -> Response:
    """Show the cases of a customer: by the reference in the address, or by a phone that was sent."""
    ref = look.request.query_params.get("ref", "").strip()
    if look.request.method == "POST" and not ref:
        return await _by_phone(look)
    return await _listed(look, "customer", ref, Filter(), [ref])


async def shipment(look: Look) -> Response:
    """Show the cases of a parcel."""
    waybill = look.request.query_params.get("waybill", "").strip()
    try:
        filter = Filter.read({"waybill": waybill} if waybill else {})
    except Refused as refusal:
        look.message = Message("bad", look.words.refusal(refusal))
        waybill, filter = "", Filter()
    return await _listed(look, "shipment", waybill, filter, None)


async def _listed(look: Look, what: str, value: str, filter: Filter, customers: list[str] | None) -> Response:
    after = look.request.query_params.get("after") or None

    async def found() -> tuple[list[Json], str | None]:
        if not value or "\0" in value:
            return [], None
        units, kinds = sees(look.who)
        page = await look.services.search.page(
            filter, units=units, kinds=kinds, customers=customers, own=own(look.who), order="opened", limit=PAGE,
            after=after,
        )  # fmt: skip
        return page.cases, page.after

    cases, following = await found()
    outcomes = await _sent(look, cases)
    if outcomes:
        cases, following = await found()
    return _page(look, what, value, cases, outcomes, after=following)


async def _by_phone(look: Look) -> Response:
    """Show the cases of a phone, which stands in no address; a look is logged once, until another page is opened."""
    looked = look.site.sealer.open(look.field("looked"), _PURPOSE, SESSION)
    again = looked is not None and looked["session"] == look.session.id.hex()
    phone = looked["phone"] if looked is not None and again else (look.field("phone") or "").strip()
    if not any(character.isdigit() for character in phone) or "\0" in phone:
        look.message = Message("bad", look.say("related.no_phone"))
        return _page(look, "customer", "", [], [], status=422)
    units, kinds = sees(look.who)

    async def found(log: bool) -> list[Json]:
        near = await look.services.related.find(
            Clues(phone=phone), units=units, kinds=kinds, caller=look.who.id, role=look.who.role, log=log
        )
        return [one.view for one in near]

    cases = await found(not again)
    outcomes = await _sent(look, cases)
    if outcomes:
        cases = await found(False)
    sealed = look.site.sealer.seal({"phone": phone, "session": look.session.id.hex()}, _PURPOSE)
    return _page(look, "customer", "", cases, outcomes, looked=sealed, most=len(cases) == MOST)


def _page(
    look: Look,
    what: str,
    value: str,
    cases: Sequence[Json],
    outcomes: Sequence[Outcome],
    *,
    after: str | None = None,
    looked: str = "",
    most: bool = False,
    status: int = 200,
) -> Response:
    kinds = [kind_named(kind) for kind in {view["kind"] for view in cases}]
    known = {name for kind in kinds if kind is not None for name in kind.COMMANDS}
    return look.page(
        "related.html",
        status=status,
        page="find",
        what=what,
        value=value,
        cases=cases,
        after=after,
        looked=looked,
        most=MOST if most else 0,
        asked=bool(value or looked),
        between=[name for name in BETWEEN if name in known] if may_change(look.who) else [],
        chosen=frozenset(look.fields.get("case", ())),
        request_id=uuid4().hex,
        outcomes=outcomes,
    )


async def _sent(look: Look, cases: Sequence[Json]) -> list[Outcome]:
    """Send what was chosen: to each of the chosen cases but the earliest, which it names."""
    name, chosen = look.field("do"), look.fields.get("case", [])
    if look.request.method != "POST" or name not in BETWEEN:
        return []
    views = sorted((view for view in cases if view["id"] in chosen), key=_opened)
    if len(views) < 2:
        look.message = Message("bad", look.say("related.choose"))
        return []
    body = {BETWEEN[name]: views[0]["id"]}
    return [await _one(look, view, name, body) for view in views[1:]]


def _opened(view: Mapping[str, Any]) -> tuple[datetime, str]:
    return datetime.fromisoformat(view["opened_at"]), view["id"]


async def _one(look: Look, view: Json, name: str, body: Json) -> Outcome:
    request_id = f"{look.field('request_id') or uuid4().hex}-{view['id']}"
    try:
        await actions.command(look.services, look.who, view["id"], name, body, request_id[:128])
    except Refused as refusal:
        return Outcome(view, False, look.words.refusal(refusal))
    except NoAnswer:
        return Outcome(view, False, look.say("error.away"))
    return Outcome(view, True, look.say("case.done", what=look.words.word("command", name)))
