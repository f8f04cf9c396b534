"""The one way in which a rule says no."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, get_args

from pydantic import BaseModel, ValidationError


class Refused(Exception):
    """A command or an intake that the rules do not allow; nothing was changed.

    Args:
        code: a stable machine-readable name, for example ``not_resolved``.
        message: a sentence for people that names the field, the value and what is allowed.
        clause: the rulebook clause that forbids it, empty for plain bad input.
    """

    def __init__(self, code: str, message: str, clause: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.clause = clause

    def as_json(self) -> dict[str, str]:
        """Return the refusal as it travels over the wire."""
        return {"code": self.code, "message": self.message, "clause": self.clause}


# Values under these names may be personal data, so an error message never repeats them; free text
# is among them, since people write names and numbers into it.
PERSONAL = frozenset(
    {"customer", "name", "phone", "email", "contacts", "ref", "description", "question"}
    | {"text", "reason", "summary", "finding", "options", "where"}
    | {"action", "why_not", "responsibility"}
)


def invalid(error: ValidationError, what: str, model: type[BaseModel] | None = None) -> Refused:
    """Turn a pydantic error into a refusal that names field, value and what is allowed.

    Values of personal fields (``PERSONAL``) are left out of the message.

    Args:
        model: what was validated, to name the fields that there are where one is not known.
    """
    return Refused("invalid", f"{what}: " + "; ".join(_complaints(error, model)))


def _complaints(error: ValidationError, model: type[BaseModel] | None) -> Iterable[str]:
    for item in error.errors(include_url=False, include_context=False):
        path = ".".join(str(part) for part in item["loc"]) or "(the whole object)"
        message = item["msg"].removeprefix("Value error, ")
        if item["type"] == "missing":
            yield f"{path} is missing"
        elif item["type"] == "extra_forbidden":
            known = _fields_at(model, item["loc"][:-1])
            yield f"{path} is not a known field" + (f"; allowed: {', '.join(known)}" if known else "")
        elif item["type"] == "value_error" and not item["loc"]:
            # A check of the whole object names the fields itself.
            yield message
        elif item["type"] == "model_type" or PERSONAL.intersection(str(part) for part in item["loc"]):
            yield f"{path}: {message}"
        else:
            yield f"{path} = {_shown(item['input'])}: {message}"


def _fields_at(model: type[BaseModel] | None, place: Iterable[str | int]) -> list[str]:
    """Return the fields of the model at a place within another; nothing where there is no model."""
    for part in place:
        field = None if model is None else model.model_fields.get(str(part))
        if field is not None:
            model = next(_models_in(field.annotation), None)
    return [] if model is None else sorted(model.model_fields)


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _models_in(inner)


def _shown(value: Any) -> str:
    # An object may hold personal fields deeper down, so only plain values are shown.
    if isinstance(value, (dict, list)):
        return f"({type(value).__name__})"
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
