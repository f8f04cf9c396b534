"""What is wrong with what was typed: at its field, and in the language of the page.

A model says what it does not take by field, type and limit (`cases.vocabulary.refusals.Fault`); a rule of a case begins
its sentence with the field that it is about. Neither a pattern nor a value is repeated.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from cases.vocabulary.refusals import Fault, Refused
from starter.console.forms import Field, first_input, inputs_in
from starter.console.translations import PageTranslations

# What is said of a fault with a limit, and what pydantic calls the limit; of anything else by how the field is written.
_LIMITED = {
    "greater_than": ("above", "gt"),
    "greater_than_equal": ("at_least", "ge"),
    "less_than": ("below", "lt"),
    "less_than_equal": ("at_most", "le"),
    "string_too_long": ("long_text", "max_length"),
    "too_long": ("too_long", "max_length"),
}
_MISSING = frozenset({"missing", "string_too_short", "too_short"})

Sent = Mapping[str, Sequence[str]]


def at_fields(faults: Iterable[Fault], fields: Sequence[Field], sent: Sent, words: PageTranslations) -> dict[str, str]:
    """Return what a model did not take by the name of the field; what stands at no field is left out.

    Args:
        fields: that the form asked for.
        sent: what was typed into it, by name.
    """
    inputs, found = dict(inputs_in(fields, sent)), dict[str, str]()
    for fault in faults:
        field = _at(fault, inputs)
        if field is not None:
            found.setdefault(field.name, _said(fault, field, words))
    return found


def refused_at_fields(refusal: Refused, fields: Sequence[Field], sent: Sent, words: PageTranslations) -> dict[str, str]:
    """Return what was refused by the name of the field that it is about; empty where it is about none of them."""
    if refusal.faults:
        return at_fields(refusal.faults, fields, sent, words)
    inputs = dict(inputs_in(fields, sent))
    named = re.match(r"(?:\w+: )?([A-Za-z_][\w.]*)(?: = | is |: )", refusal.message)
    field = None if named is None else inputs.get(named[1])
    return {} if field is None else {field.name: _rule_said(refusal, words)}


def lacking(fields: Sequence[Field], body: Mapping[str, object], words: PageTranslations) -> dict[str, str]:
    """Return what the form asks for and was left empty, by the name of the field; what a group needs its model says."""
    return {
        field.name: words.say("paper.missing")
        for field in fields
        if field.required and not field.inner and field.name not in body
    }


def in_form(
    fields: Sequence[Field], sent: Sent, errors: Mapping[str, str], *, begins: bool = True, others: str = ""
) -> dict[str, Any]:
    """Return what the templates of fields are given of what is wrong (`templates/form.html`).

    Args:
        errors: what is wrong, by the name of the field.
        begins: whether the keyboard goes to the first field, or to the first that is wrong.
        others: what is wrong and stands at no field.
    """
    return {
        "errors": errors,
        "wrongs": [field for _, field in inputs_in(fields, sent) if field.name in errors],
        "others": others,
        "begin": first_input(fields, sent, errors) if begins else "",
    }


def _at(fault: Fault, inputs: Mapping[str, Field]) -> Field | None:
    """Return the field at a place, or the group or table that it lies in."""
    places = (".".join(map(str, fault.place[:end])) for end in range(len(fault.place), 0, -1))
    return next((inputs[place] for place in places if place in inputs), None)


def _said(fault: Fault, field: Field, words: PageTranslations) -> str:
    if fault.type in _MISSING:
        return words.say("paper.missing")
    text, limit = _LIMITED.get(fault.type, ("", ""))
    if limit in fault.limits:
        return words.say(f"paper.{text}", limit=fault.limits[limit])
    return words.say(f"paper.wrong_{field.written}")


def _rule_said(refusal: Refused, words: PageTranslations) -> str:
    """Return a rule's refusal in the language of the page; the rules' own sentence is English."""
    if words.language == "en" or not words.has("code", refusal.code):
        return words.refusal(refusal)
    said = words.word("code", refusal.code)
    return f"{said} [{refusal.clause}]" if refusal.clause else said
