"""The kinds of case: the one registry, filled from the declarations of `cases.kinds`.

A new kind is a module of its own in ``cases/kinds`` and a line here. Every other name is that of a form of a policy.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from pydantic import ValidationError

from cases.case import Case
from cases.kinds.claim import Claim
from cases.kinds.complaint import Complaint
from cases.kinds.exception_report import ExceptionReport
from cases.kinds.form import Form, form_of
from cases.kinds.goods_return import GoodsReturn
from cases.kinds.handover import Handover
from cases.kinds.inquiry import Inquiry
from cases.kinds.quality import QualityComplaint
from cases.kinds.summary import Summary
from cases.kinds.swap import ShiftSwap
from cases.mechanisms.numbering import Numbering
from cases.mechanisms.part import handler_of
from cases.policy.model import Policy
from cases.vocabulary.events import FACTS
from cases.vocabulary.refusals import Refused, shown

# Every kind by the name that stands in workflow ids, in the order in which lists show them.
KINDS: dict[str, type[Case]] = {}


def declare(kind: type[Case]) -> None:
    """Add a kind.

    Raises:
        TypeError: its declaration lacks a part or contradicts itself, or another kind has its name.
    """
    who = kind.__qualname__
    for part, what in _PARTS.items():
        if not hasattr(kind, part):
            raise TypeError(f"{who}.{part} is missing: {what}")
    if not _NAME.fullmatch(kind.KIND):
        raise TypeError(f"{who}.KIND = {kind.KIND!r}: allowed are small letters only, as ids and addresses take them")
    if kind.KIND in KINDS:
        raise TypeError(f"{who}: the kind {kind.KIND!r} is declared twice: {KINDS[kind.KIND].__qualname__} has it")
    if kind.WORKFLOW in {other.WORKFLOW for other in KINDS.values()}:
        raise TypeError(f"{who}: the workflow type {kind.WORKFLOW!r} is declared twice")
    if not kind.NUMBERED_AT_OPENING and not any(issubclass(part, Numbering) for part in kind.PARTS.values()):
        raise TypeError(f"{who}.PARTS: Numbering is missing: without a number at opening it asks for one later")
    for name in kind.COMMANDS:
        if handler_of((kind, *kind.PARTS.values()), "_do_", name) is None:
            raise TypeError(f"{who}: the command {name!r} has no handler _do_{name}")
    taken = {name for owner in (kind, *kind.PARTS.values()) for name in vars(owner) if name.startswith("_do_")}
    for name in sorted(name.removeprefix("_do_") for name in taken if name in vars(kind)):
        if name not in kind.COMMANDS:
            raise TypeError(f"{who}._do_{name}: COMMANDS does not list the command")
    if unknown := sorted(kind.AFTER_RESOLVED - kind.COMMANDS.keys() - Case.AFTER_RESOLVED):
        raise TypeError(f"{who}.AFTER_RESOLVED names no command of the kind: {', '.join(unknown)}")
    try:
        kind.INTAKE.model_validate(kind.EXAMPLE)
    except ValidationError as error:
        raise TypeError(f"{who}.EXAMPLE is no intake of the kind: {error}") from None
    KINDS[kind.KIND] = kind
    facts = kind.INTAKE.model_fields["facts"].annotation
    assert isinstance(facts, type)
    FACTS[kind.KIND] = facts


_NAME = re.compile("[a-z]+")
_FORM_NAME = re.compile("[a-z][a-z0-9_]{0,39}")
# What a declaration must hold.
_PARTS = {
    "KIND": "the name in workflow ids, like complaint",
    "WORKFLOW": "the workflow type",
    "INTAKE": "the model of its intake",
    "EXAMPLE": "an intake as documentation shows it",
    "TABLE": "the model of its table in a policy",
    "COMMANDS": "the commands that it takes",
    "VIEW": "the model of its view",
    "CLIMBS": "whether somebody takes it up, rung by rung",
    "FILED": "whether people and systems file it, or the system itself does",
    "SEEN_BY": "who beside the rungs sees it",
    "ABOUT": "the fact that says what it is about in one line of a list",
    "MONEY": "what of its view is yuan, by the name in lists and exports",
}


def kinds(policy: Policy | None = None) -> Mapping[str, type[Case]]:
    """Return the kinds of case by name; with a policy those that it has a table for, with its forms."""
    return KINDS if policy is None else {name: kind_of(name, policy) for name in policy.kinds}


def case_types() -> tuple[type[Case], ...]:
    """Return what has a workflow type of its own: every kind, and what all forms have in common."""
    return (*KINDS.values(), Form)


def kind_named(name: str) -> type[Case] | None:
    """Return what is known of a kind without its policy: of a form what all of them have in common; else None."""
    return KINDS.get(name) or (Form if _FORM_NAME.fullmatch(name) else None)


def kind_of(name: str, policy: Policy) -> type[Case]:
    """Return a kind of case, or the form that a policy declares under this name.

    Raises:
        Refused: code ``unknown_kind``, naming the kinds and the forms of the policy.
    """
    known = KINDS.get(name)
    if known is not None:
        return known
    if name not in policy.form:
        forms = ", ".join(policy.form) or "none"
        allowed = f"allowed: {', '.join(KINDS)}; the forms of policy {policy.name}: {forms}"
        raise Refused("unknown_kind", f"kind = {shown(name)}: not a kind of case; {allowed}")
    return form_of(name, policy)


def numbered_later(kind: str) -> bool:
    """Whether the events of a kind say its number, instead of the casebook alone."""
    return kind in KINDS and not KINDS[kind].NUMBERED_AT_OPENING


for _kind in (
    Complaint, Claim, ExceptionReport, Inquiry, Summary, Handover, ShiftSwap, GoodsReturn, QualityComplaint,
):  # fmt: skip
    declare(_kind)
