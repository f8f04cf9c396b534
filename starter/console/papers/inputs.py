"""What a form's fields look like on a page, and what is wrong with what was typed, at its field."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pydantic import ValidationError

from cases.kinds.form_fields import Attachment
from cases.policy.forms import CheckRule, FieldRule, FormTable
from cases.vocabulary.facts import Intake
from cases.vocabulary.refusals import Refused, faults_of
from starter.console.faults import at_fields
from starter.console.forms import Field, Options
from starter.console.papers.titles import FormTranslations

FIELDS = "fields"
# How a type of field is asked for, where it is not by a list of what there is.
_KINDS = {
    "text": "area", "token": "text", "yuan": "amount", "number": "amount", "integer": "number", "date": "day",
    "instant": "instant", "month": "month", "week": "week", "case": "text",
}  # fmt: skip
# How the parts of an attachment are written that are no plain texts.
_PART = {"sha256": "sha256"}
# What an input of a type that browsers may not know looks like.
_EXAMPLE = {"month": "2026-03", "week": "2026-W10", "case": "claim:K-17"}


@dataclass(frozen=True)
class Offered:
    """What fields choose from: the roles of the policy, and the people of the directory, as value and label."""

    roles: Options
    people: Options


def inputs_of(
    fields: Mapping[str, FieldRule], words: FormTranslations, offered: Offered, *, needed: bool = False
) -> tuple[Field, ...]:
    """Return what a page asks for.

    Args:
        fields: of the form, by name, in order.
        needed: whether each of them is, as those that a step fills.
    """
    return tuple(_input(f"{FIELDS}.{name}", name, rule, words, offered, needed) for name, rule in fields.items())


def _input(path: str, name: str, rule: FieldRule, words: FormTranslations, offered: Offered, needed: bool) -> Field:
    label, required = words.title(rule, name), rule.required or needed
    if rule.type == "rows":
        inner = tuple(
            _input(f"{path}.{column}", column, its, words, offered, False) for column, its in rule.columns.items()
        )
        return Field(path, "rows", label, required, inner=inner, written=rule.type)
    if rule.type == "attachment":
        inner = tuple(
            Field(f"{path}.{part}", "text", words.label(part), required=required, written=_PART.get(part, "text"))
            for part in Attachment.model_fields
        )
        return Field(path, "attachment", label, required, inner=inner, written=rule.type)
    options: Options = ()
    kind = _KINDS.get(rule.type, "choice")
    match rule.type:
        case "choice":
            options = [(value, words.choice(rule, value)) for value in rule.of]
        case "role":
            options = offered.roles
        case "staff":
            # Without a directory, or names, an id is typed.
            kind, options = ("choice", offered.people) if offered.people else ("text", ())
        case "bool":
            kind, options = "yesno", [("true", words.say("app.yes")), ("false", words.say("app.no"))]
    hint = words.say("paper.like", example=_EXAMPLE[rule.type]) if rule.type in _EXAMPLE else ""
    plain = kind not in ("area", "choice", "yesno")
    return Field(path, kind, label, required, hint, options, plain=plain, written=rule.type)


# --- what is wrong --------------------------------------------------------------------------------


def faults_in(
    model: type[Intake],
    body: Mapping[str, Any],
    inputs: Sequence[Field],
    sent: Mapping[str, Sequence[str]],
    words: FormTranslations,
) -> dict[str, str]:
    """Return what the model does not take, in the language of the page, by the name of the input.

    What stands at no input is left to whoever files it.
    """
    try:
        model.model_validate(body)
    except ValidationError as error:
        faults = (replace(one, place=one.place[one.place[:1] == ("facts",) :]) for one in faults_of(error))
        return at_fields(faults, inputs, sent, words)
    return {}


def refused_at(refusal: Refused, table: FormTable, words: FormTranslations) -> dict[str, str]:
    """Return what a check of the form refused, in the language of the page, by the name of the input it is about."""
    check = next((one for one in table.checks if _is_of(refusal, one)), None)
    if check is None:
        named = next((name for name in table.fields if f"{FIELDS}.{name}" in refusal.message), None)
        return {} if named is None else {f"{FIELDS}.{named}": words.refusal(refusal)}
    missing = check.rule == "required_if"
    at = [one for one in check.fields if f"{FIELDS}.{one}" in refusal.message] if missing else _about(check)[:1]
    names = {name: words.word("fact", field) for name, field in (("from", check.start), ("to", check.to))}
    said = words.say(f"paper.check_{check.rule}", **names, days=check.days or 0)
    if check.unless is not None:
        said += words.say("paper.unless", field=words.word("fact", check.unless))
    return {f"{FIELDS}.{name}": said for name in at}


def _is_of(refusal: Refused, check: CheckRule) -> bool:
    return refusal.code == (check.code or "not_ended") and any(f"{name}" in refusal.message for name in _about(check))


def _about(check: CheckRule) -> list[str]:
    named: Iterable[str | None] = (*check.fields, check.field, check.start, check.to)
    return [name for name in named if name is not None]
