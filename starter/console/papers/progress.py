"""How far a form has come: its steps one after the other, who signed them, and whose turn it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from cases.kinds.form import Form
from starter.console.papers.titles import FormTranslations

State = Literal["done", "now", "next", "skipped", "refused"]


@dataclass(frozen=True)
class Signature:
    """Who signed a step and when (an RFC 3339 instant), and what they wrote."""

    role: str
    id: str
    at: str
    text: str


@dataclass(frozen=True)
class Stand:
    """A step of a form as it stands.

    Args:
        turn: who is to act, now or when it comes to it.
        any_of: whether one of them is enough.
        due: until when, if it is their turn now.
    """

    name: str
    title: str
    state: State
    signed: tuple[Signature, ...]
    turn: tuple[str, ...]
    any_of: bool
    due: str | None


@dataclass(frozen=True)
class Hindrance:
    """Why it went back or was refused: what happened, in which step, who said so and why, and where it went."""

    what: str
    step: str
    to: str
    id: str
    role: str
    reason: str
    at: str


def progress(case: Form, words: FormTranslations) -> list[Stand]:
    """Return the steps of a form in order."""
    plan = {str(step.name): step for step in case.route.plan()}
    dues = {one["clock"]: one["due"] for one in case.explain(case.events[-1].at) if one["ended_at"] is None}
    stands = []
    for rule in case.rule.steps:
        step = plan.get(rule.name)
        present = case.route.step == rule.name
        signed = tuple(
            Signature(role, event.actor.id, event.at.isoformat(), str(event.data.get("text") or ""))
            for role, event in case.route.signed.get(rule.name, {}).items()
        )
        state: State = "done" if signed else "next"
        turn: tuple[str, ...] = ()
        due = None
        if step is None:
            state = "skipped"
        elif present and case.status == "open":
            waiting = case.approvals.waiting(rule.name)
            state, turn = "now", case.route.turn
            due = dues.get(step.clock if waiting is None else waiting.clock)
        elif present and case.outcome == "refused":
            state = "refused"
        elif state == "next":
            asked = step.roles if step.asked is None else step.asked
            turn = case.authority.rungs if step.decision else asked
        any_of = step is not None and (step.any_of or step.decision)
        stands.append(Stand(rule.name, rule.titles[words.language], state, signed, turn, any_of, due))
    return stands


def hindrance(events: Sequence[Mapping[str, Any]], words: FormTranslations) -> Hindrance | None:
    """Return why a form came back, until it is signed again, or why it was refused.

    Args:
        events: public event JSON, in order.
    """
    for event in reversed(events):
        data = event["data"]
        if event["type"] in ("signed", "approved", "reopened"):
            return None
        if event["type"] in ("sent_back", "form_refused"):
            actor = event["actor"]
            return Hindrance(
                event["type"], words.word("step", data["step"]), words.word("step", data.get("to")), actor["id"],
                data["role"], data.get("reason") or "", event["at"],
            )  # fmt: skip
    return None
