"""What is wrong with what was typed, at its field and in the language of the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from cases.vocabulary.facts import Intake
from cases.vocabulary.refusals import Refused
from starter.console.filing.asked import PARENT, POLICY
from starter.console.forms import Field
from starter.console.translations import PageTranslations

_WRONG = {
    "amount": "paper.wrong_number", "number": "paper.wrong_integer", "day": "paper.wrong_date",
    "instant": "paper.wrong_instant", "yesno": "paper.wrong_bool", "choice": "paper.wrong_choice",
}  # fmt: skip


def faults_in(
    model: type[Intake], body: Mapping[str, Any], fields: Sequence[Field], words: PageTranslations
) -> dict[str, str]:
    """Return what the model does not take, by the name of the field; what stands at none is left to whoever files."""
    known = {field.name: field for field in fields}
    try:
        model.model_validate(body)
    except ValidationError as error:
        found: dict[str, str] = {}
        for item in error.errors(include_url=False, include_input=False):
            path = [str(part) for part in item["loc"]]
            name = ".".join(path[1:] if path[0] == "facts" else ("intake", *path))
            if name not in known:
                # A fault of a whole group stands at the first field of it.
                name = next((one for one in known if one.startswith(f"{name}.")), "")
            if name:
                found.setdefault(name, _said(item, known[name], words))
        return found
    return {}


def _said(item: Any, field: Field, words: PageTranslations) -> str:
    limits = item.get("ctx", {})
    match item["type"]:
        case "missing":
            return words.say("paper.missing")
        case "greater_than_equal":
            return words.say("paper.at_least", limit=limits["ge"])
        case "less_than_equal":
            return words.say("paper.at_most", limit=limits["le"])
        case "greater_than":
            return words.say("new.more_than", limit=limits["gt"])
        case "string_too_long":
            return words.say("new.too_long", limit=limits["max_length"])
        case "string_pattern_mismatch":
            # Of a case or a token.
            return words.say("paper.wrong_case" if "*:" in limits["pattern"] else "paper.wrong_token")
        case "value_error" if field.kind == "instant":
            return words.say("new.wrong_time")
        case "value_error" if field.kind == "amount":
            return words.say("new.wrong_amount")
    return words.say(_WRONG.get(field.kind, "paper.wrong_text"))


def refused_at(refusal: Refused, fields: Sequence[Field], words: PageTranslations) -> dict[str, str]:
    """Return what the rules refused, at the field that the refusal names; nothing where it names none."""
    paths = {field.name: f"facts.{field.name}" for field in fields if field.name not in (POLICY, PARENT)}
    named = [name for name, path in paths.items() if path in refusal.message]
    return {max(named, key=len): words.refusal(refusal)} if named else {}
