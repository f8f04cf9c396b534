"""One case: who holds it, its way up the ladder, its clocks, its history, its money, and what may be done."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4
from zoneinfo import ZoneInfo

from pydantic import ValidationError
from starlette.responses import Response

from activities.payouts.payees import PayeeDetails
from cases.case import Case
from cases.kinds.complaint import Complaint
from cases.kinds.form import Form
from cases.mechanisms.payment import Paid, PayoutFailed, PayoutRequested, PayoutWaiting
from cases.policy.model import Policy
from cases.vocabulary.commands import Approve, Attach, Reply, Sign
from cases.vocabulary.refusals import Refused, faults_of
from starter.access import may_change, may_read_personal, may_verify, sees
from starter.api import actions, texts
from starter.api.actions import NoAnswer
from starter.console import attachments, drawing, replies
from starter.console.faults import at_fields, in_form, lacking, refused_at_fields
from starter.console.forms import Field, Options, body_of, fields_of
from starter.console.history import steps
from starter.console.likely import offered
from starter.console.papers.paper import signature_of
from starter.console.papers.progress import hindrance, progress
from starter.console.papers.titles import FormTranslations
from starter.console.papers.values import values_of
from starter.console.passkeys import confirming
from starter.console.people import people
from starter.console.times import Times
from starter.console.waiting import next_in
from starter.console.web import Look, Message, NotForYou, case_url

STREAM = "/console/stream"
# What tells how the payment of a case stands.
PAYOUT = frozenset({PayoutRequested.TYPE, PayoutWaiting.TYPE, PayoutFailed.TYPE})
# A page after a write waits so long, in tries of 50 ms, until the casebook has it.
TRIES = 40

Json = dict[str, Any]
View = Mapping[str, Any]


@dataclass
class Shown:
    """A case that a page is about: its view, its recorded events, and the case that they make."""

    view: Json
    recorded: list[Json]
    case: Case
    # What its holder sees of its clocks, and what the person at the page may do now.
    clocks: list[Json]
    allowed: list[str]

    @property
    def policy(self) -> Policy:
        """The policy that it is pinned to."""
        return self.case.policy


async def case(look: Look) -> Response:
    """Show the page, with the form of one command where ``do`` asks for it; a form that was sent comes here too."""
    shown = await _find(look)
    doing = look.request.query_params.get("do")
    if look.request.method == "POST" and look.field("more") is not None:
        return await _page(look, shown, await _form(look, shown, doing or "", look.fields))
    if look.request.method == "POST":
        return await _send(look, shown, doing or "")
    done = look.request.query_params.get("done")
    if done in shown.case.COMMANDS:
        shown = await _caught_up(look, shown)
        look.message = Message("good", look.say("case.done", what=look.words.word("command", done)))
        if done == Reply.NAME and replies.is_under_way(shown.case):
            look.message = Message("good", look.say("reply.sending"))
    if look.request.query_params.get("filed"):
        look.message = Message("good", look.say("paper.filed" if isinstance(shown.case, Form) else "new.filed"))
    if undone := look.request.query_params.get("undone"):
        names = [look.words.word("command", name) for name in undone.split(",") if name in shown.case.COMMANDS]
        look.message = Message("bad", look.say("new.undone", what=look.words.join(names)))
    if doing is None and isinstance(shown.case, Form) and Sign.NAME in shown.allowed:
        # Whoever opens a form that waits for them has its signature at hand.
        doing = Sign.NAME
    typed = look.draft() if doing else None
    form = None
    if doing is not None and doing in shown.allowed:
        form = await _form(look, shown, doing, typed.fields if typed else {})
    elif doing and typed:
        look.message = Message("bad", look.say("case.changed"))
    return await _page(look, shown, form)


async def body(look: Look) -> Response:
    """Show what the case says of itself and what may be done, as a fragment; the form that is open stays."""
    shown = await _find(look)
    told = await _told(look, shown)
    return look.page("case_fresh.html", form=None, may_change=may_change(look.who), **told)


async def personal(look: Look) -> Response:
    """Show the customer's data from now on, on this case and until the session ends; the look is recorded, once.

    As a fragment nothing else of the page moves, so that what is typed into a form stays.
    """
    shown = await _find(look)
    doing = look.request.query_params.get("do")
    if look.request.method == "POST":
        await actions.personal(look.services, look.who, shown.view["id"], look.session.id)
        if look.request.headers.get("HX-Request"):
            return look.page("case_personal.html", form=None, **await _told(look, shown))
    return look.go(case_url(shown.view["id"], **({"do": doing} if doing else {})))


async def verify(look: Look) -> Response:
    """Show the page with what checking the case's chain found."""
    shown = await _find(look)
    if look.request.method != "POST":
        return look.go(case_url(shown.view["id"]))
    report = await look.services.audit.verify(shown.view["id"])
    if report.fault is None:
        look.message = Message("good", look.say("case.verified", events=report.events))
    else:
        what = f"{look.words.word('fault', report.fault.what)} ({report.fault.detail})"
        look.message = Message("bad", look.say("case.broken", seq=report.fault.seq, what=what))
    return await _page(look, shown, None)


async def events(look: Look) -> Response:
    """Give every event of the case as JSON, to be kept."""
    shown = await _find(look)
    text = json.dumps(shown.recorded, ensure_ascii=False, indent=1)
    name = f"{shown.view['kind']}-{shown.view['number'] or 'case'}.json"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(text, media_type="application/json", headers=headers)


async def proof(look: Look) -> Response:
    """Give the proof of the case, which a stranger checks, as `caseladder audit prove` does."""
    shown = await _find(look)
    if not may_verify(look.who):
        raise NotForYou
    text = await actions.proof(look.services, look.who, shown.view["id"])
    headers = {"Content-Disposition": f'attachment; filename="{shown.view["kind"]}-proof.json"'}
    return Response(text, media_type="application/json", headers=headers)


# --- sending a command ----------------------------------------------------------------------------


async def _send(look: Look, shown: Shown, name: str) -> Response:
    form = await _form(look, shown, name, look.fields)
    body = body_of(form["fields"], look.fields, ZoneInfo(shown.policy.zone))
    if errors := _incomplete(look, shown, form, body):
        return await _again(look, shown, form, errors)
    # What was shown of the subject that was chosen.
    if name == Approve.NAME and (amount := look.field(f"amount.{body.get('subject')}")):
        body["amount"] = amount
    try:
        sent = confirming(look, shown.case, name, body)
        if isinstance(sent, Response):
            return sent
        body, request_id = sent, sent.get("request_id") or look.field("request_id") or uuid4().hex
        details = body.pop(_DETAILS, None)
        if details is not None:
            body["payee"] = await _add_payee(look, shown, details)
        after = await actions.command(look.services, look.who, shown.view["id"], name, body, request_id)
    except Refused as refusal:
        # The same request would be answered the same again, so the next try is a new one.
        form["request_id"] = uuid4().hex
        errors = refused_at_fields(refusal, form["fields"], look.fields, look.words)
        if not errors:
            look.message = Message("bad", look.say("case.again", why=look.words.refusal(refusal)))
        return await _again(look, await _find(look), form, errors)
    except NoAnswer:
        look.message = Message("bad", look.say("error.away"))
        page = await _page(look, shown, form)
        page.status_code = 503
        return page
    return look.go(case_url(shown.view["id"], done=name, events=str(after["events"])))


def _incomplete(look: Look, shown: Shown, form: Json, body: Json) -> dict[str, str]:
    """Return all that is wrong with what was typed, by field, if something was left empty that the form asks for."""
    missing = lacking(form["fields"], body, look.words)
    if not missing:
        return {}
    typed = {name: value for name, value in body.items() if name != _DETAILS}
    try:
        shown.case.offered_commands()[form["name"]].model_validate(typed)
    except ValidationError as error:
        # Who sends it is in no form, so that it stands at no field that it is not said yet.
        return at_fields(faults_of(error), form["fields"], look.fields, look.words) | missing
    return missing


async def _again(look: Look, shown: Shown, form: Json, errors: Mapping[str, str]) -> Response:
    """Show the form again with what was typed, and what is wrong with it at its fields."""
    page = await _page(look, shown, form, errors=errors)
    page.status_code = 422
    return page


async def _add_payee(look: Look, shown: Shown, details: Json) -> str:
    try:
        return await actions.add_payee(look.services, look.who, shown.view["id"], details)
    except Refused as refusal:
        raise refusal.under(_DETAILS) from None


async def _form(look: Look, shown: Shown, name: str, typed: Mapping[str, list[str]]) -> Json:
    model = shown.case.offered_commands().get(name)
    if model is None:
        raise NotForYou
    choices = shown.case.choices(name, look.who.actor(), actions.now_in(shown.case))
    values = {"rung": look.words.word("role", shown.view["rung"])}
    values |= {field: shown.view.get(field) or "" for field in ("offered", "agreed")}
    consequence = look.say(f"consequence.{name}", **values) if look.words.has("consequence", name) else ""
    if isinstance(shown.case, Form) and model is shown.case.COMMANDS[Sign.NAME]:
        fields = signature_of(look, shown.case)
    else:
        needed = shown.case.needed(name, look.who.actor())
        listed = shown.policy.choices.model_dump()
        fields = fields_of(model, look.words, await _options(look, shown, choices), needed, listed)
    if not shown.case.CUSTOMERS:
        # Nobody of a customer's side has said anything.
        fields = tuple(field for field in fields if field.name != "said")
    if model.GRAVE:
        # What cannot be taken back is not done without a word, also where the case would take it.
        fields = tuple(replace(one, required=True) if one.name == "reason" else one for one in fields)
    amounts: dict[str, str] = {}
    if name == Approve.NAME:
        # Nobody types the amount: it is the one that they are shown.
        fields = tuple(field for field in fields if field.name != "amount")
        open_ = shown.case.approvals.open()
        amounts = {one.subject: f"{one.amount:.2f}" for one in open_ if one.amount is not None}
        if any(shown.case.approvals.needs_passkey(one.amount) for one in open_):
            consequence = f"{consequence} {look.say('passkeys.will_ask')}".strip()
    form = {
        "name": name,
        "fields": _with_details(look, fields) if name == "name_payee" else fields,
        "amounts": amounts,
        "typed": typed or _suggested(shown, name, choices),
        "consequence": consequence,
        "grave": model.GRAVE,
        "request_id": (typed.get("request_id") or [uuid4().hex])[0],
    }
    return await replies.prepared(look, shown.case, shown.view, form) if name == Reply.NAME else form


# What the form of a payee asks for in place of a token.
_DETAILS = "details"


def _with_details(look: Look, fields: tuple[Field, ...]) -> tuple[Field, ...]:
    """Return the fields of a form that names a payee: by a token, or by an account that stays out of the record."""
    labels = {
        "name": look.say("payee.name"), "account": look.say("payee.account"),
        "method": look.say("payee.method"), "bank": look.say("payee.bank"),
    }  # fmt: skip
    inner = tuple(
        Field(f"{_DETAILS}.{name}", "text", labels[name], required=False) for name in PayeeDetails.model_fields
    )
    first = replace(inner[0], hint=look.say("payee.hint"))
    account = Field(_DETAILS, "group", look.say("case.payee"), required=False, inner=(first, *inner[1:]))
    return (*(replace(one, required=one.required and one.name != "payee") for one in fields), account)


async def _options(look: Look, shown: Shown, choices: Mapping[str, list[str]]) -> dict[str, Options]:
    """Return what the case allows now for fields of a form, as people read it."""
    options: dict[str, Options] = {}
    for field, values in choices.items():
        if field == "to.role":
            options["to"] = await people(look, values)
        elif field == "case":
            options[field] = await _cases(look, shown, values)
        else:
            # Where a form is sent back to is a step, where a case goes a role.
            at_step = field == "to" and isinstance(shown.case, Form)
            said = _OPTIONS.get("to.step" if at_step else field) or _word(field.rpartition(".")[2])
            options[field] = [(value, said(look, shown, value)) for value in values]
    return options


async def _cases(look: Look, shown: Shown, ids: list[str]) -> Options:
    """Return cases by kind and number; by id alone those out of sight."""
    units, kinds = sees(look.who)
    known = {one["id"]: one for one in await look.services.search.linked(shown.view["id"], units=units, kinds=kinds)}
    return [
        (id, f"{look.words.word('kind', known[id]['kind'])} {known[id]['number'] or id}" if id in known else id)
        for id in ids
    ]


def _word(section: str) -> Callable[[Look, Shown, str], str]:
    return lambda look, shown, value: look.words.word(section, value) if section in look.words.sections else value


def _notice(look: Look, shown: Shown, value: str) -> str:
    data, words = shown.case.event(int(value)).data, look.words
    return f"#{value} {words.word('notice', data['notice'])} · {words.words('role', data['roles'])}"


def _subject(look: Look, shown: Shown, value: str) -> str:
    approval = shown.case.approvals.waiting(value)
    known = approval is not None and approval.amount is not None
    amount = f" · {look.formatter.yuan(f'{approval.amount:.2f}')}" if approval and known else ""
    return f"{look.words.word('subject', value)}{amount}"


# What an option of a field is called, where it is no term of the field's own section.
_OPTIONS: Mapping[str, Callable[[Look, Shown, str], str]] = {
    "to": _word("role"),
    "roles": _word("role"),
    "to.step": _word("step"),
    "checklist.witnesses": _word("role"),
    "notice": _notice,
    "subject": _subject,
}


def _suggested(shown: Shown, name: str, choices: Mapping[str, list[str]]) -> dict[str, list[str]]:
    """Return what a form begins with where the answer is likely."""
    subjects = choices.get("subject", [])
    if len(subjects) == 1:
        return {"subject": subjects}
    if name == "offer" and shown.view.get("assessment"):
        return {"amount": [shown.view["assessment"]["total"]]}
    return {}


# --- the page -------------------------------------------------------------------------------------


async def _find(look: Look) -> Shown:
    try:
        view = await actions.find(look.services, look.who, look.request.query_params.get("id", ""))
    except Refused:
        raise NotForYou from None
    return await _shown(look, view)


async def _shown(look: Look, view: Json) -> Shown:
    case = await actions.replayed(look.services, look.who, view)
    recorded = [event.as_json() for event in case.events]
    view = await texts.shown_one(look.services, look.who, view)
    if isinstance(case, Form):
        look.speak(FormTranslations(look.words, case.KIND, case.rule))
    # What the ledger gives; then time runs on, and with it what may be done.
    clocks = case.explain(actions.now_in(case))
    return Shown(view, recorded, case, clocks, actions.allowed_to(look.who, case))


async def _caught_up(look: Look, shown: Shown) -> Shown:
    """Return the case once the casebook has what was just done, or what it has after a while."""
    wanted, view = look.request.query_params.get("events", ""), shown.view
    for _ in range(TRIES):
        if not wanted.isdigit() or len(wanted) > 6 or view["events"] >= int(wanted):
            break
        await asyncio.sleep(0.05)
        view = await look.services.casebook.case(view["id"]) or view
    return shown if view is shown.view else await _shown(look, view)


async def _page(look: Look, shown: Shown, form: Json | None, *, errors: Mapping[str, str] | None = None) -> Response:
    view = shown.view
    told = await _told(look, shown)
    # Whoever asked for the form, or sent it, goes on in it.
    asked = form is not None and look.request.query_params.get("do") == form["name"]
    told |= in_form(form["fields"] if form else (), look.fields, errors or {}, begins=asked)
    return look.page(
        "case.html",
        live=f"{STREAM}?{case_url(view['id']).partition('?')[2].replace('id=', 'case=', 1)}",
        form=form,
        # Whoever has done something goes on with what is likely next, and hears what came of it there.
        at_hand=form is None and not {"done", "filed"}.isdisjoint(look.request.query_params),
        may_change=may_change(look.who),
        may_verify=may_verify(look.who),
        **attachments.shown(look, view, shown.recorded, may_attach=Attach.NAME in shown.allowed),
        **told,
    )


async def _seen(look: Look, view: View, may_read: bool) -> Json | None:
    """Return the customer's data, if whoever looks has looked in this session already."""
    found = await actions.personal_again(look.services, look.who, view, look.session.id)
    if found is None:
        return None
    return {"masked": not may_read, "lines": list(_lines(look, found))}


def _lines(look: Look, facts: View, above: str = "") -> Iterator[tuple[str, str, str]]:
    """Yield personal facts as a page shows them: path, label and text."""
    for name, value in facts.items():
        if isinstance(value, Mapping):
            yield from _lines(look, value, f"{above}{name}.")
        else:
            values = value if isinstance(value, list) else [value]
            texts = (look.formatter.yes_or_no(one) if isinstance(one, bool) else str(one) for one in values)
            yield f"{above}{name}", look.words.word("fact", name), ", ".join(texts)


def _payment(recorded: list[Json]) -> Json | None:
    """Return the last event about a payment that has not gone out; None where none is under way."""
    about = (event for event in reversed(recorded) if event["type"] in {*PAYOUT, Paid.TYPE})
    last = next(about, None)
    return last if last is not None and last["type"] in PAYOUT else None


def _proposed(shown: Shown) -> list[tuple[str, str]]:
    """Return the solutions of a complaint, best first, each with how it stands: offered, accepted or nothing."""
    case = shown.case
    if not isinstance(case, Complaint) or case.proposed is None or not case.options:
        return []
    said: list[str] = shown.recorded[case.proposed.seq - 1]["data"]["options"]
    states = {f"options.{case.offered}": "offered"}
    if case.accepted is not None:
        states[case.accepted.field] = "accepted"
    return [(text, states.get(f"options.{place}", "")) for place, text in enumerate(said)]


async def _told(look: Look, shown: Shown) -> Json:
    """Return what the page shows of a case, from its recorded events."""
    view, policy, recorded = shown.view, shown.policy, shown.recorded
    units, kinds = sees(look.who)
    linked = await look.services.search.linked(view["id"], units=units, kinds=kinds)
    formatter = replace(look.formatter, times=Times(ZoneInfo(policy.zone), look.words))
    warned = {name: rule.warn_percent for name, rule in shown.case.rule.clocks.items()}
    now = max(datetime.now(UTC), datetime.fromisoformat(recorded[-1]["at"]))
    paper = None
    if isinstance(shown.case, Form) and isinstance(look.words, FormTranslations):
        words = look.words
        paper = {
            "steps": progress(shown.case, words),
            "hindrance": hindrance(recorded, words),
            "values": values_of(shown.case.rule, view["fields"], words, formatter),
        }
    may_read = may_read_personal(look.who, view)
    return {
        "has_customer": shown.case.FILED,
        "may_read": may_read,
        "seen": await _seen(look, view, may_read),
        "offered": offered(shown.case, shown.allowed, look.who.actor(), actions.now_in(shown.case)),
        "commands": shown.case.COMMANDS,
        "paper": paper,
        "view": {**view, "escalated": view["rung"] != policy.ladder.rungs[0] and view["status"] == "open"},
        "steps": list(reversed(steps(recorded))),
        "upcoming": next_in(shown.case, look.words, formatter, look.who.id),
        "ladder": drawing.ladder(recorded, policy.ladder.rungs),
        "clocks": drawing.clocks(shown.clocks, warned, now),
        "bar": drawing.BAR,
        "linked": linked,
        "times": formatter.times,
        "facts": [] if paper else formatter.facts(view),
        # What the formula gives stands in a table of its own.
        "amounts": [(name, amount) for name, amount in shown.case.money(view).items() if amount and name != "assessed"],
        "payment": _payment(recorded),
        "options": _proposed(shown),
        "signed": [] if paper else formatter.signatures(view),
        "formula": formatter.formula,
        "note": formatter.note,
        "details": formatter.details,
        "sentence": formatter.sentence,
    }
