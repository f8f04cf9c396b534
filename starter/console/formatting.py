"""What a case says, formatted for a reader: its facts, its events, its money, and who signed.

How a field is shown follows from its type (`starter.console.field_types`), or stands in a table below where its type
does not say. A field that neither knows, of a later release, is shown as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from cases.directory import Directory
from cases.vocabulary.events import SYSTEM
from starter.console.field_types import event_sort, fact_sorts
from starter.console.papers.titles import FormTranslations
from starter.console.papers.values import said
from starter.console.times import Times
from starter.console.translations import PageTranslations
from starter.console.vocabulary import APART

View = Mapping[str, Any]


@dataclass(frozen=True)
class Formatter:
    """Formats values for one reader.

    Args:
        words: of the reader's language.
        times: instants in the zone of the case's policy.
        directory: whose names are shown; an empty one shows ids alone.
    """

    words: PageTranslations
    times: Times
    directory: Directory

    # --- values -----------------------------------------------------------------------------------

    def moment(self, instant: str) -> str:
        """Return an instant in the fewest characters."""
        moment = self.times.moment(instant)
        return moment.short if moment else ""

    def yuan(self, amount: str) -> str:
        """Return an amount in yuan, given as a decimal text."""
        return self.words.say("app.yuan", amount=money(amount))

    def yes_or_no(self, value: bool) -> str:
        """Return an answer."""
        return self.words.say("app.yes" if value else "app.no")

    def person(self, id: str) -> str:
        """Return a member of staff by name, with the id beside it; the id alone where there is no name."""
        found = self.directory.person(id)
        return named(id, found.name if found else None)

    def unit(self, id: str) -> str:
        """Return a unit by name, with the id beside it; the id alone where there is no name."""
        found = self.directory.unit(id)
        return named(id, found.name if found else None)

    def staff(self, one: View) -> str:
        """Return a person and a role; the role alone where nobody of it is named."""
        role = self.words.word("role", one["role"])
        return f"{self.person(one['id'])} · {role}" if one.get("id") else role

    # --- parts of a case --------------------------------------------------------------------------

    def facts(self, view: View) -> list[tuple[str, str, Any]]:
        """Return the facts of a case as (name, how it is shown, value); none of them is personal.

        How: ``text``, ``money`` (a decimal text) or ``cases`` (their ids).
        """
        return list(self._facts(view["facts"], view.get("kind")))

    def _facts(self, facts: View, kind: str | None) -> Iterator[tuple[str, str, Any]]:
        for name, value in facts.items():
            if name in APART or value is None:
                continue
            if fact_sorts(kind).get(name) == "yuan":
                yield name, "money", value
            elif name == "cases":
                yield name, "cases", [one["id"] for one in value]
            elif isinstance(value, Mapping) and name not in FACTS:
                yield from self._facts(value, kind)
            else:
                yield name, "text", self.fact(name, value, kind)

    def fact(self, name: str, value: Any, kind: str | None) -> str:
        """Return a fact of a kind of case that is no amount."""
        if name in FACTS:
            return FACTS[name](self, value)
        match fact_sorts(kind).get(name):
            case "choice":
                return self.words.word(name, value)
            case "instant":
                return _full(self, value)
        return self.yes_or_no(value) if isinstance(value, bool) else str(value)

    def details(self, event: View) -> tuple[list[str], list[str]]:
        """Return what an event says beside its type: short remarks, and the free texts."""
        remarks: list[str] = []
        texts: list[str] = []
        for name, value in event["data"].items():
            shown = shown_as(event["type"], name)
            if value is None:
                continue
            rendered = shown.render(self, value)
            (texts if shown.free else remarks).extend([rendered] if isinstance(rendered, str) else rendered)
        return [remark for remark in remarks if remark], texts

    def sentence(self, event: View) -> tuple[str, bool]:
        """Return what happened as a sentence, and whether it names who did it."""
        type_ = event["type"]
        if not self.words.has("told", type_):
            return self.words.word("event", type_), False
        said = self.words.word("told", type_)
        actor = event["actor"]
        who = self.words.word("role", actor["role"]) if actor["role"] == SYSTEM.role else self.staff(actor)
        return said.replace("{who}", who), "{who}" in said

    def formula(self, line: View) -> str:
        """Return how an amount was calculated; where the language has no words for it, in the rules' own."""
        if not self.words.has("formula", line["name"]):
            return str(line["formula"])
        numbers = {**line["inputs"], "role": self.words.word("role", line["inputs"].get("role"))}
        try:
            said = self.words.say(f"formula.{line['name']}", **numbers)
            said += self.words.say("formula.proven", **numbers) if "total_value" in numbers else ""
            return said + (self.words.say("formula.share", **numbers) if "of" in numbers else "")
        except KeyError:
            return str(line["formula"])

    def note(self, note: View) -> str:
        """Return a note of an assessment; where the language has no words for it, in the rules' own."""
        return self.words.word("note", note["code"]) if self.words.has("note", note["code"]) else str(note["text"])

    def signatures(self, view: View) -> list[tuple[str, str]]:
        """Return who has signed, as a sentence and what they wrote: of a summary's steps, a handover or a swap."""
        signed = view.get("signed") or []
        return [
            (self._signature(one), one.get("text") or "")
            for one in ([signed] if isinstance(signed, Mapping) else signed)
        ]

    def _signature(self, one: View) -> str:
        role, person = self.words.word("role", one["role"]), self.person(one["id"])
        if "step" in one:
            return self.words.say("case.signed_by", step=self.step(one["step"]), role=role, id=person)
        return f"{role} · {person}"

    def step(self, step: int | str) -> str:
        """Return a step of a route, by its number or its name."""
        if isinstance(step, int) or not self.words.has("step", step):
            return self.words.say("remark.step", n=step)
        return self.words.word("step", step)


def money(amount: str) -> str:
    """Return yuan, given as a decimal text, with the thousands apart."""
    return f"{Decimal(amount):,.2f}"


def named(id: str, name: str | None) -> str:
    """Return a name with the id beside it; the id alone where there is no name."""
    return f"{name} ({id})" if name else id


# --- the renderers --------------------------------------------------------------------------------

Render = Callable[[Formatter, Any], str | list[str]]


@dataclass(frozen=True)
class Shown:
    """How a field of an event is shown.

    Args:
        free: whether it is free text, which stands apart from the remarks.
    """

    render: Render
    free: bool = False


def _term(section: str) -> Callable[[Formatter, Any], str]:
    return lambda f, value: f.words.word(section, value)


def _terms(section: str) -> Callable[[Formatter, Any], str]:
    return lambda f, value: f.words.words(section, value)


def _answer(name: str) -> Callable[[Formatter, Any], str]:
    return lambda f, value: f"{f.words.label(name)}: {f.yes_or_no(value)}"


def _filled(f: Formatter, value: View) -> list[str]:
    """Return what fields of a form hold, where the form is known."""
    words = f.words
    if not isinstance(words, FormTranslations):
        return []
    known = ((name, words.table.fields.get(name), one) for name, one in value.items())
    return [f"{words.title(rule, name)}: {said(words, f, rule, one)}" for name, rule, one in known if rule is not None]


def _count(text: str) -> Callable[[Formatter, Any], str]:
    return lambda f, value: f.words.say(f"remark.{text}", n=value)


def _labelled(text: str) -> Callable[[Formatter, Any], str]:
    return lambda f, value: f.words.say(text, at=f.moment(value))


def _due(f: Formatter, value: str) -> str:
    return f"{f.words.say('case.due')} {f.moment(value)}"


def _nothing(_: Formatter, value: Any) -> str:
    return ""


def _plain(_: Formatter, value: Any) -> str:
    return str(value) if isinstance(value, (str, int)) and not isinstance(value, bool) else ""


def _as_written(_: Formatter, value: Any) -> str | list[str]:
    return [str(one) for one in value if one != ""] if isinstance(value, (list, tuple)) else str(value)


def _percent(_: Formatter, value: str) -> str:
    return f"{value[2:]} %" if value.startswith("0.") else value


def _subject(f: Formatter, value: str) -> str:
    # Who signs late is reminded of the clock of their step.
    return f.words.word("clock" if f.words.has("clock", value.partition(":")[0]) else "subject", value)


def _channels(f: Formatter, value: str) -> str:
    return f.words.words("channel", value.split(", "))


def _case_and_reason(f: Formatter, value: Any) -> list[str]:
    return [f"{one['case']}: {f.words.word('code', one['code'])}" for one in value]


def _moves(f: Formatter, value: Any) -> list[str]:
    return [
        f.words.say("remark.move", **{**move, "from": f.person(move["from"]), "to": f.person(move["to"])})
        for move in value
    ]


def _copies(f: Formatter, value: Any) -> list[str]:
    return [f"{one['no']} → {f.words.word('role', one['to'])}" for one in value]


def _verified(f: Formatter, value: View) -> list[str]:
    return [f"{f.words.word('fact', name)}: {f.fact(name, one, 'quality')}" for name, one in value.items()]


def _shares(f: Formatter, value: Any) -> list[str]:
    return [f"{f.words.word('role', one['department'])} {one['percent']} %" for one in value]


def _losses(f: Formatter, value: Any) -> list[str]:
    return [" ".join(part for part in (str(one.get("item") or ""), f.yuan(one["amount"])) if part) for one in value]


def _shift(f: Formatter, value: View) -> str:
    return f"{value['id']} {f.moment(value['starts_at'])} – {f.moment(value['ends_at'])}"


def _full(f: Formatter, value: str) -> str:
    moment = f.times.moment(value)
    return moment.full if moment else ""


def _unpaid(f: Formatter, value: str) -> str:
    """Return why a payment failed: in words what happened, and beside it what the gateway's code or the error says."""
    what, colon, said = value.partition(": ")
    return f"{f.words.reason(what)} ({said})" if colon and f.words.has("reason", what) else f.words.reason(value)


SILENT = Shown(_nothing)
PLAIN = Shown(_plain)
FREE = Shown(_as_written, free=True)
REASON = Shown(lambda f, value: f.words.reason(value), free=True)
YUAN = Shown(Formatter.yuan)
MOMENT = Shown(Formatter.moment)
ROLE = Shown(_term("role"))
PERSON = Shown(Formatter.staff)
TO_PERSON = Shown(lambda f, value: f"→ {f.staff(value)}")


def _said_by_customer(f: Formatter, value: View) -> str:
    """Return who of the customer's side said something, by which channel and when."""
    parts = (f.words.word("by", value["by"]), f.words.word("channel", value["channel"]), f.moment(value["at"]))
    return " · ".join(parts)


def _claims(f: Formatter, value: Any) -> list[str]:
    """Return other claims on the parcel, each with how it stands where that is said."""
    section = {"open": "status"}
    return [
        one
        if isinstance(one, str)
        else f"{one['case']} ({f.words.word(section.get(one['state'], 'event'), one['state'])})"
        for one in value
    ]


def _counted(text: str) -> Callable[[Formatter, Any], str]:
    """Return a renderer of goods as a paper counts them: how many, at which price, and what that comes to."""

    def render(f: Formatter, value: View) -> str:
        said = f"{value['quantity']} × {value['unit_price']} = {f.yuan(value['amount'])}"
        return f.words.say(f"remark.{text}", n=said)

    return render


def _document(_: Formatter, value: View) -> list[str]:
    return [value[name] for name in ("name", "where") if isinstance(value.get(name), str)]


# The fields of events by name whose type does not say how they are shown. Silent are those that say nothing to people
# or stand elsewhere on the page.
FIELDS: Mapping[str, Shown] = {
    "action": FREE,
    "actual": Shown(_count("actual")),
    "also": Shown(_terms("role")),
    "approved": Shown(_count("approved")),
    "attempts": SILENT,
    "cases": Shown(lambda f, value: f.words.say("remark.cases", n=len(value) if isinstance(value, list) else value)),
    "channel": Shown(_channels),
    "checklist": SILENT,
    "clauses": SILENT,
    "unknown": Shown(lambda f, value: f.words.say("remark.unknown") if value else ""),
    "claimant": SILENT,
    "claims": Shown(_claims),
    "clock": Shown(_term("clock")),
    "clocks": Shown(_terms("clock")),
    "code": Shown(_term("code")),
    "command": Shown(_term("command")),
    "copies": Shown(_copies),
    "count": Shown(_count("reminder")),
    "date": Shown(_term("date")),
    "days_off": SILENT,
    "delay_cause": Shown(_term("delay_cause")),
    "document": Shown(_document, free=True),
    "discretion": Shown(lambda f, value: f.words.word("line", "discretion") if value else ""),
    "due": Shown(_due),
    "dues": SILENT,
    "eligible": SILENT,
    "facts": SILENT,
    "factor": Shown(_term("factor")),
    "fields": Shown(_filled),
    "finding": FREE,
    "found": SILENT,
    "fraction": Shown(_percent),
    "from": PERSON,
    "holder_role": SILENT,
    "id": Shown(Formatter.person),
    "inquiries": SILENT,
    "inspection_offered": SILENT,
    "key": SILENT,
    "kind": SILENT,
    "known_at": Shown(_labelled("remark.known_at")),
    "left": Shown(_case_and_reason),
    "limit": Shown(_count("limit")),
    "limit_due": Shown(_due),
    "lines": SILENT,
    "meant": SILENT,
    "minutes": Shown(_count("minutes")),
    "moves": Shown(_moves),
    "needs_person": SILENT,
    "notes": SILENT,
    "no": Shown(_count("copy")),
    "notice": Shown(_term("notice")),
    "of": SILENT,
    "option": FREE,
    "party": FREE,
    "options": FREE,
    "order": SILENT,
    "outcome": Shown(_term("outcome")),
    "overridden": SILENT,
    "path": Shown(_term("path")),
    "people": Shown(lambda f, value: [f.person(id) for id in value]),
    "policy": SILENT,
    "policy_hash": SILENT,
    "provisional": SILENT,
    "published": SILENT,
    "quantity": Shown(_count("quantity")),
    "reason": REASON,
    "reasons": SILENT,
    "refusal": SILENT,
    "refused_because": Shown(_term("refusal")),
    "remarks": SILENT,
    "relation": Shown(_term("relation")),
    "reply_by": Shown(_labelled("remark.reply_by")),
    "result": FREE,
    "report": Shown(_term("report")),
    "received": Shown(_counted("received")),
    "reported_at": Shown(_labelled("remark.reported_at")),
    "responsibility": FREE,
    "returned": Shown(_counted("returned")),
    "role": ROLE,
    "roles": Shown(_terms("role")),
    "round": Shown(_count("round")),
    "rung": ROLE,
    "said": SILENT,
    "salesperson": Shown(Formatter.person),
    "sent_back": Shown(lambda f, value: f.words.word("event", "sent_back") if value else ""),
    "sha256": SILENT,
    "side": Shown(_term("side")),
    "size": Shown(_count("size")),
    "stage": Shown(_term("stage")),
    "step": Shown(Formatter.step),
    "subject": Shown(_term("subject")),
    "summary": FREE,
    "text": FREE,
    "to": TO_PERSON,
    "units": Shown(_terms("role")),
    "via": Shown(_term("via")),
    "waits": SILENT,
    "was": SILENT,
    "why_not": FREE,
    "written": SILENT,
    "within": Shown(lambda f, value: f.words.say("remark.within" if value else "remark.above")),
}
# Where an event means something else by a name.
BY_EVENT: Mapping[tuple[str, str], Shown] = {
    ("approval_requested", "asked_by"): PERSON,
    # Each of them is an event of its own.
    ("duplicate_taken", "promises"): SILENT,
    ("erased", "why"): Shown(_term("erased_for")),
    ("erased", "asked_by"): Shown(Formatter.person),
    ("escalated", "from"): ROLE,
    ("escalated", "to"): Shown(lambda f, value: f"→ {f.words.word('role', value)}"),
    ("escalated", "cause"): Shown(_term("escalation")),
    ("found", "cause"): FREE,
    ("notified", "outcome"): Shown(_term("delivery")),
    ("reminded", "subject"): Shown(_subject),
    ("accepted", "closing_due"): Shown(_due),
    ("judged", "class"): Shown(_term("class")),
    ("judged", "loss"): Shown(_losses, free=True),
    ("judged", "responsible"): Shown(_shares),
    ("qa_reported", "cause"): FREE,
    ("qa_reported", "responsible"): Shown(_terms("role")),
    ("sent_back", "to"): Shown(lambda f, value: f"→ {f.step(value)}"),
    ("slip_answered", "cause"): FREE,
    ("withdrawn", "said"): Shown(_said_by_customer),
    ("verified", "complete"): SILENT,
    ("verified", "found"): Shown(_verified),
    ("notified", "id"): SILENT,
    ("customer_wrote", "known"): Shown(lambda f, value: "" if value else f.words.say("remark.other_sender")),
    ("payout_failed", "reason"): Shown(_unpaid, free=True),
    ("reply_failed", "reason"): Shown(_term("unsent")),
    ("opening_done", "failed"): Shown(lambda f, value: f.words.word("delivery", "failed") if value else ""),
    ("absence_recorded", "from"): MOMENT,
    ("absence_recorded", "to"): MOMENT,
    ("absence_recorded", "unknown"): Shown(lambda f, value: [f.person(id) for id in value]),
    ("took_effect", "early"): Shown(lambda f, value: f.words.say("remark.early") if value else ""),
}


def shown_as(type_: str, name: str) -> Shown:
    """Return how a field of an event is shown."""
    named = BY_EVENT.get((type_, name)) or FIELDS.get(name)
    if named is not None:
        return named
    match event_sort(type_, name):
        case "yuan":
            return YUAN
        case "instant":
            return MOMENT
        case "flag":
            return Shown(_answer(name))
        case "choice":
            return Shown(_term(name))
    return PLAIN


# The facts by name whose type does not say how they are shown.
FACTS: Mapping[str, Callable[[Formatter, Any], str]] = {
    "channel": _term("channel"),
    "counterparty": Formatter.staff,
    "filed_by": Formatter.staff,
    "given": _shift,
    "initiator": Formatter.staff,
    "outgoing": Formatter.staff,
    "relief": Formatter.staff,
    "returned": _shift,
    "salesperson": Formatter.person,
    "witnesses": _terms("role"),
}
