"""The one way in which a rule says no."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, Self, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo


@dataclass(frozen=True)
class Fault:
    """One value that a model does not take, for a page that says so at its field and in its own language.

    Args:
        place: the names and numbers that lead to it within what was sent.
        type: what pydantic calls it, for example ``string_too_long``.
        limits: the numbers that it names, for example ``max_length``.
    """

    place: tuple[str | int, ...]
    type: str
    limits: Mapping[str, Any]


class Refused(Exception):
    """A command or an intake that the rules do not allow; nothing was changed.

    Args:
        code: a stable machine-readable name, for example ``not_resolved``.
        message: a sentence for people that names the field, the value and what is allowed.
        clause: the rulebook clause that forbids it, empty for plain bad input.
        faults: what is wrong with which field, where a model was not filled in rightly. It stays in the process
            that found it: over the wire goes the message.
    """

    def __init__(self, code: str, message: str, clause: str = "", faults: tuple[Fault, ...] = ()) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.clause = clause
        self.faults = faults

    def under(self, *above: str | int) -> Self:
        """Return the refusal of a part of what was sent as one of the whole: the part stands at a place in it."""
        faults = tuple(replace(one, place=(*above, *one.place)) for one in self.faults)
        return type(self)(self.code, self.message, self.clause, faults)

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

    Values of personal fields (``PERSONAL``) are left out of the message, and so is what may be personal data in a
    place where it does not belong (`shown`, `path`).

    Args:
        model: what was validated, to name the fields that there are where one is not known.
    """
    return Refused("invalid", f"{what}: " + "; ".join(_complaints(error, model)), faults=faults_of(error))


def faults_of(error: ValidationError) -> tuple[Fault, ...]:
    """Return what pydantic found, without the values that were sent."""
    return tuple(
        Fault(
            tuple(item["loc"]), item["type"], {name: one for name, one in item.get("ctx", {}).items() if _counts(one)}
        )
        for item in error.errors(include_url=False, include_input=False)
    )


def _counts(value: Any) -> bool:
    return isinstance(value, (int, float, Decimal))


# The type of an error about a field that is personal by what declares it.
WITHHELD = "withheld"


def _complaints(error: ValidationError, model: type[BaseModel] | None) -> Iterable[str]:
    for item in error.errors(include_url=False, include_context=False):
        place = path(item["loc"]) or "(the whole object)"
        message = worded(item["msg"])
        if item["type"] == "missing":
            yield f"{place} is missing"
        elif item["type"] == "extra_forbidden":
            known = fields_at(model, item["loc"][:-1])
            yield f"{place} is not a known field" + (f"; allowed: {', '.join(known)}" if known else "")
        elif item["type"] == "value_error" and not item["loc"]:
            # A check of the whole object names the fields itself.
            yield message
        elif item["type"] in ("model_type", WITHHELD) or PERSONAL.intersection(str(part) for part in item["loc"]):
            yield f"{place}: {message}"
        else:
            yield f"{place} = {shown(item['input'])}: {message}"


def worded(message: str) -> str:
    """Return a message of pydantic as it is said to people."""
    # Whoever writes a file knows lists, and no tuples.
    message = message.removeprefix("Value error, ")
    return message.replace("valid tuple", "valid list").replace("Tuple should", "List should")


def fields_at(model: type[BaseModel] | None, place: Iterable[str | int]) -> list[str]:
    """Return the fields of the model at a place within another; nothing where there is no model."""
    for part in place:
        field = None if model is None else _by_name(model).get(str(part))
        if field is not None:
            model = next(_models_in(field.annotation), None)
    return [] if model is None else sorted(_by_name(model))


def _by_name(model: type[BaseModel]) -> dict[str, FieldInfo]:
    """Return the fields of a model by the names that JSON gives them."""
    return {field.alias or name: field for name, field in model.model_fields.items()}


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _models_in(inner)


# What people do not write names, numbers or sentences like: a word of a program, a number, a date or an instant.
_PLAIN = re.compile(r"[A-Za-z0-9_.:/+-]{0,40}")
_DATED = re.compile(r"[0-9]{4}-[01][0-9]-[0-3][0-9](?![0-9-])")
# What pydantic calls the name itself, where that is wrong.
KEY = "[key]"
# More digits than these are a telephone, an account or an identity card.
_DIGITS = 6


def shown(value: Any) -> str:
    """Return how a message says a value of a field that is not personal.

    That is the value, if it is plain: whoever sends personal data in such a field does not find it in an answer or a
    log. Else its type.
    """
    if isinstance(value, str):
        return repr(value) if _is_plain(value) else "(text)"
    if value is None or isinstance(value, (bool, int, float)):
        return repr(value) if _is_plain(repr(value)) else "(number)"
    return f"({type(value).__name__})"


def path(loc: Iterable[str | int]) -> str:
    """Return how a message says a place within an object: the names that lead there, those that may be names."""
    return ".".join(
        str(part) if isinstance(part, int) or part == KEY or _is_plain(part) else "(a name)" for part in loc
    )


def _is_plain(text: str) -> bool:
    few = sum(character.isdigit() for character in text) <= _DIGITS
    return _PLAIN.fullmatch(text) is not None and (few or _DATED.match(text) is not None)
