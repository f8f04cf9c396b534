"""The terms that people see: for each section of the words, the terms that exist.

Read from where they are declared; tests hold the words of both languages against it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, get_args, get_type_hints

from pydantic import BaseModel

from activities.casebook import filter
from activities.casebook.ledger import Fault
from activities.casebook.statistics import AGES
from activities.casebook.worklist import Needed
from activities.payouts.gateway import Payout
from activities.payouts.reconcile import Kind as DifferenceKind
from activities.policies.store import Policies
from cases.compensation import LineName, RefusalCode
from cases.directory import CHANNELS
from cases.kinds.form_route import EFFECTIVE, SIGNED
from cases.kinds.handover import OUTGOING, RELIEF
from cases.kinds.quality_events import Slip
from cases.mechanisms.clocks import ClockState
from cases.mechanisms.replies import Unsent
from cases.policy.model import Policy
from cases.registry import KINDS, case_types
from cases.vocabulary.commands import Command
from cases.vocabulary.events import EVENTS

Terms = frozenset[str]
Schema = Mapping[str, Any]

# What nothing declares yet; what cases record in the tests is held against these too.
APPROVAL_STATES = ("open", "approved", "rejected", "lapsed")
DELIVERIES = ("sent", "partly", "failed", "no_address")
MEASURES = ("value", "quantity", "weight")
# A month's summary counts exceptions without a category under this one.
UNSTATED = "unstated"
# Fields of commands that the console fills in, or that only a rehearsed case or the system takes.
OWN = frozenset({"by", "request_id", "at", "held_by", "proof"})
# Facts that a page shows elsewhere than among the facts, or not at all; and those that it shows as one.
APART = frozenset({"unit", "severity", "exceptions", "counts"})
AS_ONE = frozenset({"filed_by", "initiator", "counterparty", "outgoing", "relief", "given", "returned", "cases"})


def terms(policies: Sequence[Policy] = ()) -> dict[str, Terms]:
    """Return the terms by section, but for fields and facts (`fields`, `facts`) and what only code names.

    Args:
        policies: those whose names count; by default the ones that come with the program.
    """
    policies = policies or shipped()
    roles = {role for policy in policies for role in policy.all_roles}
    routes = [route for policy in policies for route in policy.notice]
    declared: dict[str, Any] = {
        "kind": KINDS,
        "role": roles,
        "recipient": {to.removesuffix("+") for route in routes for to in route.to} - roles,
        "clock": clocks(),
        "state": ClockState,
        "period": (name for policy in policies for kind in policy.kinds for name, _, _ in policy.rule(kind).years()),
        "status": filter.STATUSES,
        "side": (OUTGOING, RELIEF),
        "subject": {
            *(subject for kind in KINDS.values() for subject in kind.SUBJECTS),
            *(subject for policy in policies for subject in policy.choices.subject),
        },
        "step": (step for kind in KINDS.values() for step in kind.STEPS),
        "slip": get_args(Slip),
        "unsent": get_args(Unsent),
        "approval_state": APPROVAL_STATES,
        "money": (name for kind in KINDS.values() for name in kind.MONEY),
        "line": get_args(LineName),
        "refusal": get_args(RefusalCode),
        "measure": MEASURES,
        "notice": (*(route.name for route in routes), EFFECTIVE, SIGNED),
        "delivery": DELIVERIES,
        "event": EVENTS,
        "told": EVENTS,
        # Also what only the program sends, since a refusal may name it.
        "command": (name for kind in case_types() for name in kind.COMMANDS),
        "consequence": commands(),
        "why": get_args(Needed),
        "age": (name for name, _ in AGES),
        "filter": (field.name for field in filter.fields()),
        "fault": get_args(get_type_hints(Fault)["what"]),
        "payout_state": get_args(get_type_hints(Payout)["state"]),
        "difference": get_args(DifferenceKind),
        **enums(),
    }
    # People tell customers by others than notices go by.
    told = (channel for policy in policies for channel in policy.choices.channel)
    declared["channel"] = {*CHANNELS, *told, *declared["channel"]}
    return {section: frozenset(map(str, found)) for section, found in declared.items()}


def shipped() -> list[Policy]:
    """Return the policies that come with the program."""
    policies = Policies()
    return [policies.load(name) for name in policies.names()]


def clocks() -> tuple[str, ...]:
    """Return the names of all clocks, without the numbers of those that are numbered."""
    return tuple(dict.fromkeys(clock for kind in case_types() for clock in kind.TABLE.CLOCKS))


def commands() -> dict[str, type[Command]]:
    """Return the commands of all kinds by name, as doors take them."""
    return {name: model for kind in reversed(case_types()) for name, model in kind.offered_commands().items()}


def enums() -> dict[str, Terms]:
    """Return the values of facts' and commands' fields that take one of a few, by the field's name.

    Fields of one name are one section: ``category`` has the categories of complaints and of exceptions.
    """
    found: dict[str, set[str]] = {"category": {UNSTATED}}
    # What only the program sends stands in the history as well.
    sent = (model for kind in case_types() for model in kind.COMMANDS.values())
    for model in dict.fromkeys((*(kind.INTAKE for kind in KINDS.values()), *sent)):
        for path, shape in _leaves(model):
            if "enum" in shape:
                found.setdefault(path[-1], set()).update(shape["enum"])
    return {name: frozenset(values) for name, values in found.items()}


def fields(model: type[Command]) -> list[str]:
    """Return the paths of what a command's form may ask for, groups among them."""
    paths = ((*path[:end],) for path, _ in _leaves(model) for end in range(1, len(path) + 1))
    return list(dict.fromkeys(".".join(path) for path in paths if path[0] not in OWN))


def facts() -> Terms:
    """Return the names of the facts that pages show, personal ones among them."""
    found = set()
    for kind in KINDS.values():
        for path, _ in _leaves(kind.INTAKE):
            if path[0] == "facts" and path[1] not in APART:
                found.add(path[1] if path[1] in AS_ONE else path[-1])
    return frozenset(found)


@lru_cache(maxsize=1024)
def _leaves(model: type[BaseModel]) -> tuple[tuple[tuple[str, ...], Schema], ...]:
    """Return the path and the schema of each field that holds a value."""
    schema = model.model_json_schema()
    return tuple(_walk(schema, schema.get("$defs", {}), ()))


def _walk(schema: Schema, known: Schema, above: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Schema]]:
    for name, raw in schema.get("properties", {}).items():
        shape = resolved(raw, known)
        inner = resolved(shape["items"], known) if shape.get("type") == "array" else shape
        if "properties" in inner:
            yield from _walk(inner, known, (*above, name))
        else:
            yield (*above, name), shape


def resolved(raw: Schema, known: Schema) -> Schema:
    """Return a schema without its references, and without the null that stands for left out."""
    if "$ref" in raw:
        return resolved(known[raw["$ref"].rpartition("/")[2]], known)
    options = [option for option in raw.get("anyOf", ()) if option.get("type") != "null"]
    if len(options) == 1:
        return resolved(options[0], known)
    return {**raw, "anyOf": options} if options else raw
