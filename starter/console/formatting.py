"""What a case says, in words: its facts, its events, its money, who signed, and why it refuses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cases.vocabulary.refusals import Refused
from starter.console.text import Words
from starter.console.web import Look, money

View = Mapping[str, Any]


def refused(look: Look, refusal: Refused) -> str:
    """A refusal in words: the rules' own sentence, with its clause."""
    said = look.words.word("code", refusal.code) if look.words.has("code", refusal.code) else ""
    clause = f" [{refusal.clause}]" if refusal.clause else ""
    return f"{said} ({refusal.message}){clause}" if said else f"{refusal.message}{clause}"


def formula(line: View, words: Words) -> str:
    """How an amount was reckoned, in the language of the page; where it has no words, in the rules' own."""
    if not words.has("formula", line["name"]):
        return str(line["formula"])
    numbers = {**line["inputs"], "role": words.word("role", line["inputs"].get("role"))}
    try:
        said = words.say(f"formula.{line['name']}", **numbers)
        return said + (words.say("formula.share", **numbers) if "of" in numbers else "")
    except KeyError:
        return str(line["formula"])


def signatures_of(view: View, look: Look) -> list[tuple[str, str]]:
    """Who has signed, as a sentence and what they wrote: of a summary's steps, a handover or a swap."""
    signed = view.get("signed") or []
    found = []
    for one in [signed] if isinstance(signed, Mapping) else signed:
        said = f"{look.words.word('role', one['role'])} ({one['id']})"
        if "step" in one:
            said = look.say("case.signed_by", step=one["step"], role=look.words.word("role", one["role"]), id=one["id"])
        found.append((said, one.get("text") or ""))
    return found


# What a fact is, for the way in which it is shown; by name.
_MONEY = frozenset(
    {"base_freight", "surcharges", "insured_amount", "agreed_compensation", "demand", "estimated_amount"}
    | {"total_value", "lost_value"}
)
_TIMES = frozenset({"promised_at", "delivered_at", "signed_at", "known_at", "occurred_at", "shift_ends_at"})
_WORDS = {"category": "category", "source": "source", "severity": "severity", "route": "route", "factor": "factor"}
_CHOICES = frozenset({"cause", "relation", "packed_by"})
# Shown elsewhere on the page, or too long for it.
_NOT_FACTS = frozenset({"unit", "severity", "exceptions", "counts"})


def facts_of(view: View) -> list[tuple[str, str, Any]]:
    """The facts of a case as (name, how it is shown, value); none of them is personal."""
    shown: list[tuple[str, str, Any]] = []

    def walk(facts: View) -> None:
        for name, value in facts.items():
            if name in _NOT_FACTS or value is None:
                continue
            if isinstance(value, Mapping) and value.keys() == {"id", "role"}:
                shown.append((name, "person", value))
            elif isinstance(value, Mapping) and "starts_at" in value:
                shown.append((name, "shift", value))
            elif name == "cases":
                shown.append((name, "cases", [one["id"] for one in value]))
            elif isinstance(value, Mapping):
                walk(value)
            elif name in _MONEY:
                shown.append((name, "money", value))
            elif name in _TIMES:
                shown.append((name, "time", value))
            elif isinstance(value, bool):
                shown.append((name, "yesno", value))
            elif name in _WORDS:
                shown.append((name, _WORDS[name], value))
            elif name in _CHOICES:
                shown.append((name, "choice", value))
            elif isinstance(value, list):
                shown.append((name, "roles" if name == "witnesses" else "text", value))
            else:
                shown.append((name, "text", value))

    walk(view["facts"])
    return shown


# Fields of an event that are free text, said whole and apart from the rest.
_FREE = ("text", "reason", "summary", "finding", "action", "why_not", "responsibility", "option")
# Fields that say nothing to people, or stand elsewhere on the page.
_SILENT = frozenset(
    {"key", "kind", "policy", "policy_hash", "facts", "holder_role", "of", "lines", "inputs", "published", "found"}
    | {"notes", "refusal", "overridden", "clauses", "inspection_offered", "sha256", "reasons", "checklist", "waits"}
    | {"days_off", "was", "needs_person", "eligible", "said", "options"}
)
_ROLES = frozenset({"role", "rung"})


def details_of(event: View, look: Look) -> tuple[list[str], list[str]]:
    """What an event says beside its type: short remarks, and its free texts."""
    words, data, kind = look.words, event["data"], event["type"]
    remarks: list[str] = []
    texts = [str(data[name]) for name in _FREE if data.get(name) and isinstance(data[name], str)]
    if kind == "found":
        texts.insert(0, str(data["cause"]))
    texts += [str(option) for option in data.get("options", ())] if kind == "proposed" else []
    for name, value in data.items():
        if name in _FREE or name in _SILENT or value is None or (kind == "found" and name == "cause"):
            continue
        if name == "clock":
            remarks.append(words.word("clock", value))
        elif name == "clocks":
            remarks.append(words.words("clock", value))
        elif name in ("due", "reply_by", "limit_due", "reached_at", "reported_at", "known_at"):
            moment = look.times.moment(value)
            remarks.append(f"{look.say('case.due')} {moment.short}" if moment else "")
        elif kind == "escalated" and name in ("from", "to"):
            remarks.append(("→ " if name == "to" else "") + words.word("role", value))
        elif kind == "escalated" and name == "cause":
            remarks.append(words.word("cause", value))
        elif kind == "assigned" and name in ("from", "to"):
            remarks.append(("→ " if name == "to" else "") + str(value["id"] or words.word("role", value["role"])))
        elif name == "roles":
            remarks.append(words.words("role", value))
        elif name in _ROLES:
            remarks.append(words.word("role", value))
        elif name in ("amount", "total", "counter"):
            remarks.append(look.say("app.yuan", amount=money(value)))
        elif name == "fraction":
            remarks.append(f"{value[2:]} %" if str(value).startswith("0.") else str(value))
        elif name in ("stage", "path", "delay_cause", "report", "cause"):
            remarks.append(words.word("choice", "false_report" if (name, value) == ("report", "false") else value))
        elif name == "refused_because":
            remarks.append(words.word("refusal", value))
        elif name == "subject":
            remarks.append(words.word("subject", value))
        elif name in ("satisfied", "accepted", "reached", "justified", "carried_out"):
            answer = look.say("app.yes" if value else "app.no")
            remarks.append(f"{words.word('field', name)}: {answer}")
        elif name == "outcome":
            remarks.append(words.word("why_closed" if kind == "closed" else "outcome", value))
        elif name in ("notice", "factor", "channel"):
            remarks.append(words.word(name, value))
        elif isinstance(value, (str, int)) and not isinstance(value, bool):
            remarks.append(str(value).replace("_", " ") if name in ("code", "command") else str(value))
    return [remark for remark in remarks if remark], texts
