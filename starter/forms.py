"""The forms that the policies at hand declare: what doors offer beside the kinds of case that this build knows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import structlog

from activities.policies.store import Policies
from cases.kinds.form import Form
from cases.policy.forms import FieldRule, FormTable, StepRule, titles_of
from cases.policy.tables import ClockRule
from cases.registry import KINDS, kind_of
from cases.vocabulary.refusals import Refused, shown

log = structlog.get_logger(__name__)
# The policy whose forms win over those of the same name in others.
FIRST = "default"

Forms = Mapping[str, type[Form]]


def declared_forms(policies: Policies) -> dict[str, type[Form]]:
    """Return the forms by name; of a name that several policies have, that of the default policy, else of the first.

    A case goes by the policy that it names. A policy that cannot be read is passed over: whoever files by it hears why.
    """
    found: dict[str, type[Form]] = {}
    for name in sorted(policies.names(), key=lambda name: (name != FIRST, name)):
        try:
            policy = policies.load(name)
        except Refused as refusal:
            log.warning("policy_not_read", policy=name, code=refusal.code, reason=refusal.message)
            continue
        for form in policy.form:
            found.setdefault(form, cast("type[Form]", kind_of(form, policy)))
    return found


def check_kind(kind: str | None, forms: Forms) -> None:
    """Refuse a kind that is asked for and that nobody knows.

    Raises:
        Refused: code ``malformed``, naming what is allowed.
    """
    if kind is not None and kind not in KINDS and kind not in forms:
        raise Refused("malformed", f"kind = {shown(kind)}: allowed: {', '.join((*KINDS, *forms))}")


def table_of(form: type[Form]) -> FormTable:
    """Return the table that declares a form."""
    return form.DECLARED_BY.form[form.KIND]


def described(form: type[Form]) -> dict[str, Any]:
    """Return what a form is, as plain JSON: for programs that offer it."""
    table, policy = table_of(form), form.DECLARED_BY
    filled = {name: step.name for step in table.steps for name in step.fills}
    return {
        "name": form.KIND,
        "title": table.titles(form.KIND),
        "clause": table.clause,
        "policy": policy.name,
        "files": list(policy.expand(table.files)),
        "fields": [{**_field(name, rule), "filled_by": filled.get(name)} for name, rule in table.fields.items()],
        "checks": [check.model_dump(mode="json", by_alias=True, exclude_defaults=True) for check in table.checks],
        "steps": [_step(step, table, form) for step in table.steps],
        "clocks": {name: _plain(rule) for name, rule in table.clocks.items()},
        "early": None if table.early is None else list(policy.expand(table.early.roles)),
        "notify": list(table.notify),
        "copies": list(table.copies),
        "effect": table.effect,
        "outcome": table.outcome,
        "retain_years": table.retain_years,
    }


def _field(name: str, rule: FieldRule) -> dict[str, Any]:
    limits = {key: str(value) for key, value in (("min", rule.min), ("max", rule.max)) if value is not None}
    return {
        "name": name,
        "type": rule.type,
        "title": titles_of(rule.title, name),
        "required": rule.required,
        "personal": rule.personal,
        "key": rule.key,
        "sum": rule.sum,
        **limits,
        **(
            {"of": [{"value": one, "title": titles_of(rule.labels.get(one), one)} for one in rule.of]}
            if rule.of
            else {}
        ),
        **({"columns": [_field(column, its) for column, its in rule.columns.items()]} if rule.columns else {}),
    }


def _step(step: StepRule, table: FormTable, form: type[Form]) -> dict[str, Any]:
    policy, clock = form.DECLARED_BY, table.clock(f"step:{step.name}")
    roles = [
        {"role": role, "when": {name: list(values) for name, values in one.when.items()}}
        for one in step.roles
        for role in policy.expand((one.role,))
    ]
    decide = list(policy.authority_for(form.KIND).rungs) if step.decides else []
    return {
        "name": step.name,
        "title": step.titles,
        "act": step.act,
        "roles": roles,
        "any_of": list(policy.expand(step.any_of)),
        "when": {name: list(values) for name, values in step.when.items()},
        "fills": list(step.fills),
        "decides": step.decides,
        "rungs": decide,
        "own": step.own,
        "superior": step.superior,
        "refusable": step.refusable,
        "notify": list(step.notify),
        "clock": None if clock is None else _plain(clock),
    }


def _plain(rule: ClockRule) -> dict[str, Any]:
    return rule.model_dump(mode="json", exclude_defaults=True)
