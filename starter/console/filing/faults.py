"""What is wrong with what was typed, at its field and in the language of the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from pydantic import ValidationError

from cases.vocabulary.facts import Intake
from cases.vocabulary.refusals import Refused, faults_of
from starter.console.faults import at_fields
from starter.console.filing.asked import PARENT, POLICY
from starter.console.forms import Field
from starter.console.translations import PageTranslations


def faults_in(
    model: type[Intake], body: Mapping[str, Any], fields: Sequence[Field], words: PageTranslations
) -> dict[str, str]:
    """Return what the model does not take, by the name of the field; what stands at none is left to whoever files."""
    try:
        model.model_validate(body)
    except ValidationError as error:
        found = (replace(one, place=_in_form(one.place, fields)) for one in faults_of(error))
        return at_fields(found, fields, {}, words)
    return {}


def _in_form(place: tuple[str | int, ...], fields: Sequence[Field]) -> tuple[str]:
    """Return the name of the field at a place of an intake; a fault of a whole group stands at its first field."""
    path = [str(part) for part in place]
    name = ".".join(path[1:] if path[0] == "facts" else ("intake", *path))
    names = [field.name for field in fields]
    return (name if name in names else next((one for one in names if one.startswith(f"{name}.")), name),)


def refused_at(refusal: Refused, fields: Sequence[Field], words: PageTranslations) -> dict[str, str]:
    """Return what the rules refused, at the field that the refusal names; nothing where it names none."""
    paths = {field.name: f"facts.{field.name}" for field in fields if field.name not in (POLICY, PARENT)}
    named = [name for name, path in paths.items() if path in refusal.message]
    return {max(named, key=len): words.refusal(refusal)} if named else {}
