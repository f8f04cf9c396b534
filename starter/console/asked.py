"""What somebody who decides an approval is shown: why it is asked for, what the case is, what was decided before."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from cases.case import Case
from cases.compensation import above_formula
from cases.kinds.form import Form
from cases.mechanisms.approvals import ApprovalRequested, Approved, Rejected
from cases.vocabulary.events import SYSTEM, Event
from starter.api import texts
from starter.console.papers.titles import FormTranslations
from starter.console.papers.values import values_of
from starter.console.times import Times
from starter.console.translations import PageTranslations
from starter.console.web import Look

Json = dict[str, Any]
# What the customer wants stands apart from the other facts.
DEMAND = "demand"


def words_of(look: Look, case: Case) -> PageTranslations:
    """Return the words of the page with those that a form brings along."""
    return FormTranslations(look.words, case.KIND, case.rule) if isinstance(case, Form) else look.words


async def told(look: Look, asked: Mapping[str, Any]) -> Json:
    """Return what the page shows of an approval beside its amount.

    Args:
        asked: one of the worklist, with its case made anew (``replayed``) from what the reader may read.
    """
    case: Case = asked["replayed"]
    approval, words = asked["approval"], words_of(look, case)
    view = await texts.shown_one(look.services, look.who, asked["case"])
    formatter = replace(look.formatter, words=words, times=Times(ZoneInfo(case.policy.zone), words))
    amount = None if approval["amount"] is None else Decimal(approval["amount"])
    above = above_formula(amount, view.get("assessment"))
    facts, fields = formatter.facts(view), []
    if isinstance(words, FormTranslations):
        facts, fields = [], values_of(words.table, view["fields"], words, formatter)
    return {
        "view": view,
        "asking": _asking(case, approval["subject"]),
        "above": None if above is None else f"{above:.2f}",
        "demand": [(how, value) for name, how, value in facts if name == DEMAND],
        "counter": next((one.data["counter"] for one in reversed(case.events) if one.data.get("counter")), None),
        "facts": [fact for fact in facts if fact[0] != DEMAND],
        "fields": fields,
        "before": [
            {
                "approved": one.type == Approved.TYPE,
                "subject": words.word("subject", one.data["subject"]),
                "amount": one.data["amount"],
                "by": formatter.staff(one.actor.as_json()),
                "at": one.at,
                "reason": one.data.get("reason"),
            }
            for one in reversed(case.events)
            if one.type in (Approved.TYPE, Rejected.TYPE)
        ],
        "formula": formatter.formula,
        "note": formatter.note,
        "staff": formatter.staff,
    }


def _asking(case: Case, subject: str) -> Json:
    """Return who asked for what waits now, when and why; when it climbs, the case asks once more."""
    asked: Event | None = None
    for event in case.events:
        if event.data.get("subject") != subject:
            continue
        if event.type in (Approved.TYPE, Rejected.TYPE):
            asked = None
        elif event.type == ApprovalRequested.TYPE and asked is None:
            asked = event
    if asked is None:
        return {"by": None, "at": None, "reason": None}
    by = asked.data.get("asked_by") or asked.actor.as_json()
    return {"by": None if by["id"] == SYSTEM.id else by, "at": asked.at, "reason": asked.data.get("reason")}
