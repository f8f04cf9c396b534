"""Forms of commands, made from the commands' own JSON schemas, and what was typed made into a body.

A form asks for what the model takes and checks nothing: what is wrong with a body the model and the
case say, the same as to the API.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from types import MappingProxyType
from typing import Any
from zoneinfo import ZoneInfo

from pydantic import TypeAdapter

from cases.vocabulary.commands import Command
from cases.vocabulary.values import MOST_LISTED, CaseId, Month, OtherCase, PayeeToken, Role, Sha256, Token
from starter.console.translations import PageTranslations
from starter.console.vocabulary import OWN, resolved

Options = Sequence[tuple[str, str]]
# Texts of one line, though they may be long.
_SHORT = frozenset({"name", "where", "label", "channel", "phone", "email", "ref"})
# A text of more characters than this gets several lines.
_LINE = 200
# Kinds of what is written in digits.
_PLAIN = frozenset({"amount", "number", "instant", "day", "month", "week"})
# Texts by name that people write in groups, of the characters that may stand in them.
_GROUPED, _OF_GROUPS = frozenset({"waybill", "phone", "account"}), re.compile(r"[A-Za-z0-9+()._:/-]+")
# What an open choice is at if words of one's own are meant, and what their field is called after its own.
OTHER, OWN_WORDS = "*", ".other"
# What stands between the id and the role of a person in one choice.
_BAR = "|"
# So many rows a table begins with, and gets more at a time.
ROWS = 3
# How a value of a field is written, by the field's kind; a text by the pattern that its model asks for.
_WRITTEN = {
    "amount": "amount", "number": "integer", "instant": "instant", "day": "date", "month": "month", "week": "week",
    "choice": "choice", "many": "choice", "yesno": "bool", "person": "staff", "group": "group", "rows": "rows",
    "attachment": "attachment",
}  # fmt: skip
_TYPES: Mapping[str, Any] = {
    "token": Token, "sha256": Sha256, "month": Month, "case": CaseId, "other_case": OtherCase, "payee": PayeeToken,
    "role": Role,
}  # fmt: skip


@dataclass(frozen=True)
class Field:
    """One thing that a form asks for.

    Args:
        name: its path in the body, ``loss.total_value``.
        kind: ``text area amount number instant day month week choice open yesno lines many person attachment group
            rows``; of an ``open`` one the options are offered, and words of one's own go too.
        options: of a choice, as value and label.
        inner: the fields of a group or an attachment, or the columns of rows.
        plain: whether it is a code, a number or a time, which full-width characters stand for as well.
        needed_to: of what only one of several buttons needs, which that is, in words.
        written: how a value is written, as the console's texts name it: ``wrong_token`` says what is wrong with one.
    """

    name: str
    kind: str
    label: str
    required: bool
    hint: str = ""
    options: Options = ()
    default: str = ""
    inner: tuple[Field, ...] = ()
    plain: bool = False
    needed_to: str = ""
    written: str = "text"

    @property
    def id(self) -> str:
        """Return the id of its element, to which its label belongs."""
        return f"f-{self.name.replace('.', '-')}"


def fields_of(
    model: type[Command],
    words: PageTranslations,
    choices: Mapping[str, Options],
    needed: Collection[str] = (),
    offered: Mapping[str, Sequence[str]] = MappingProxyType({}),
) -> tuple[Field, ...]:
    """Return what a command's form asks for.

    Args:
        choices: for fields of which the case knows what is allowed now, by name; ``(id|role, label)``
            for persons.
        needed: the fields that the reader has to give though not everybody has.
        offered: for fields that take any words, what the policy offers, by name.
    """
    schema = model.model_json_schema()
    schema["required"] = [*schema.get("required", ()), *needed]
    return fields_in(schema, schema.get("$defs", {}), words, choices, offered, command=model.NAME)


def fields_in(
    schema: Mapping[str, Any],
    known: Mapping[str, Any],
    words: PageTranslations,
    choices: Mapping[str, Options],
    offered: Mapping[str, Sequence[str]] = MappingProxyType({}),
    *,
    command: str = "",
) -> tuple[Field, ...]:
    """Return what a form asks for that is filled in by a schema.

    Args:
        known: what the schema refers to.
        offered: see `fields_of`.
        command: the name of the command that it fills in; empty for none.
    """
    return tuple(_fields(schema, known, None, _Asked(command, words, choices, offered)))


@dataclass(frozen=True)
class _Asked:
    """What the fields of one form are called and may be, see `fields_in`."""

    command: str
    words: PageTranslations
    choices: Mapping[str, Options]
    offered: Mapping[str, Sequence[str]]

    def hint(self, path: str) -> str:
        """Return how a field is filled in; one command may say so otherwise than all others."""
        name = f"{self.command}.{path}" if self.words.has("hint", f"{self.command}.{path}") else path
        return self.words.word("hint", name) if self.words.has("hint", name) else ""


def _fields(
    schema: Mapping[str, Any],
    known: Mapping[str, Any],
    group: Field | None,
    asked: _Asked,
) -> Iterator[Field]:
    words, choices = asked.words, asked.choices
    # What a group needs is needed only if the group is.
    needed = schema.get("required", ()) if group is None or group.required else ()
    above = "" if group is None else f"{group.name}."
    for name, raw in schema["properties"].items():
        if not above and (name in OWN or (name == "notice" and name not in choices)):
            continue
        path = f"{above}{name}"
        shape = resolved(raw, known)
        if shape.get("type") == "object" and "properties" not in shape:
            # What only a form knows is asked for by the form.
            continue
        required = name in needed
        default = str(raw.get("default", "")).lower() if isinstance(raw.get("default"), (bool, str)) else ""
        kind, options = _kind(name, shape, words, choices.get(path))
        if kind == "text" and asked.offered.get(name):
            kind, options = "open", [(term, words.word(name, term)) for term in asked.offered[name]]
        if kind == "lines" and "properties" in resolved(shape["items"], known):
            kind = "rows"
        plain = kind in _PLAIN or (kind == "text" and "pattern" in shape)
        label, written = words.label(path, asked.command), _written(kind, shape)
        field = Field(path, kind, label, required, asked.hint(path), options, default, plain=plain, written=written)
        if kind in ("group", "rows"):
            inside = shape if kind == "group" else resolved(shape["items"], known)
            inner = _fields(inside, known, field, asked)
            # A row that is left empty is none.
            field = replace(
                field, inner=tuple(replace(one, required=one.required and kind == "group") for one in inner)
            )
        yield field


def _kind(name: str, shape: Mapping[str, Any], words: PageTranslations, choices: Options | None) -> tuple[str, Options]:
    sort = shape.get("type")
    if sort == "object":
        return ("person", choices) if choices is not None else ("group", ())
    if sort == "array":
        return ("lines", ()) if choices is None else ("many", choices)
    if choices is not None:
        return "choice", choices
    if "enum" in shape:
        return "choice", [(value, words.word(name, value)) for value in shape["enum"]]
    if sort == "boolean":
        return "yesno", [("true", words.say("app.yes")), ("false", words.say("app.no"))]
    if sort == "integer":
        return "number", ()
    if "anyOf" in shape:  # a decimal: a number, or a text that is one
        return "amount", ()
    if shape.get("format") == "date-time":
        return "instant", ()
    if shape.get("format") == "date":
        return "day", ()
    long = shape.get("maxLength", 0) > _LINE and name not in _SHORT
    return ("area" if long else "text"), ()


def _patterns() -> dict[str, str]:
    """Return how a text is written by its pattern."""
    return {TypeAdapter(type_).json_schema()["pattern"]: name for name, type_ in _TYPES.items()}


_BY_PATTERN = _patterns()


def _written(kind: str, shape: Mapping[str, Any]) -> str:
    return _WRITTEN.get(kind) or _BY_PATTERN.get(shape.get("pattern", ""), "text")


def inputs_in(fields: Sequence[Field], sent: Mapping[str, Sequence[str]]) -> Iterator[tuple[str, Field]]:
    """Yield each field with its place in the body that is made of what was sent: groups and tables before their own."""
    for field in fields:
        yield field.name, field
        if field.kind == "rows":
            for place, row in enumerate(rows_of(field, sent)):
                yield from ((f"{field.name}.{place}.{one.name.rpartition('.')[2]}", one) for one in row)
        else:
            yield from inputs_in(field.inner, sent)


def first_input(fields: Sequence[Field], sent: Mapping[str, Sequence[str]], wrong: Mapping[str, str]) -> str:
    """Return the name of what the keyboard begins at: the first that is wrong, else the first of all."""
    inputs = [field for _, field in inputs_in(fields, sent)]
    for number, field in enumerate(inputs):
        if field.name in wrong:
            inner = (one for one in inputs[number:] if one.kind not in ("group", "attachment"))
            return _typed_into(next(inner, field))
    return next((_typed_into(one) for one in inputs if one.kind not in ("group", "attachment")), "")


def _typed_into(field: Field) -> str:
    return row_of(field, 0)[0].name if field.kind == "rows" else field.name


def body_of(fields: Sequence[Field], sent: Mapping[str, Sequence[str]], zone: ZoneInfo) -> dict[str, Any]:
    """Return what was typed as the body of a command; what was left empty is left out.

    Args:
        zone: of times that were typed without one.
    """
    body: dict[str, Any] = {}
    for field in fields:
        name = field.name.rpartition(".")[2]
        if field.kind in ("group", "attachment"):
            value: Any = body_of(field.inner, sent, zone)
        elif field.kind == "rows":
            value = [body_of(row, sent, zone) for row in rows_of(field, sent)]
        else:
            value = _value(field, sent, zone)
        if value not in (None, {}, []):
            body[name] = value
    return body


def rows_of(field: Field, sent: Mapping[str, Sequence[str]]) -> list[tuple[Field, ...]]:
    """Return the fields of each row that something was typed into, in order."""
    begin = f"{field.name}."
    typed = [name.removeprefix(begin) for name, values in sent.items() if name.startswith(begin) and any(values)]
    places = sorted({int(place) for place, _, _ in (name.partition(".") for name in typed) if place.isdecimal()})
    return [row_of(field, place) for place in places]


def row_of(field: Field, place: int) -> tuple[Field, ...]:
    """Return the fields of one row; rows count from 0."""
    named = ((one, one.name.rpartition(".")[2]) for one in field.inner)
    return tuple(replace(one, name=f"{field.name}.{place}.{name}") for one, name in named)


def rows_shown(field: Field, typed: Mapping[str, Sequence[str]]) -> list[tuple[Field, ...]]:
    """Return the rows that a page offers: those that were sent, more where they were asked for, and some at least."""
    begin = f"{field.name}."
    places = (name.removeprefix(begin).partition(".")[0] for name in typed if name.startswith(begin))
    there = max((int(place) + 1 for place in places if place.isdecimal()), default=0)
    asked = ROWS if list(typed.get("more", ())) == [field.name] else 0
    return [row_of(field, place) for place in range(min(max(there + asked, ROWS), MOST_LISTED))]


def _value(field: Field, sent: Mapping[str, Sequence[str]], zone: ZoneInfo) -> Any:
    values = [value for value in sent.get(field.name, ()) if value.strip()]
    if field.kind == "open" and values in ([], [OTHER]):
        values = [value for value in sent.get(field.name + OWN_WORDS, ()) if value.strip()]
    if not values:
        return None
    # Browsers send line ends as the network's, texts keep the usual one.
    text = tidy(field.name, values[0].replace("\r\n", "\n").strip(), plain=field.plain)
    if field.kind == "many":
        return values
    if field.kind == "lines":
        return [line.strip() for line in text.split("\n") if line.strip()]
    if field.kind == "yesno":
        return {"true": True, "false": False}.get(text, text)
    if field.kind == "number":
        return int(text) if text.isascii() and text.removeprefix("-").isdigit() and len(text) < 40 else text
    if field.kind == "person":
        person, _, role = text.rpartition(_BAR)
        return {"id": person, "role": role}
    if field.kind == "instant":
        try:
            at = datetime.fromisoformat(text)
        except ValueError:
            return text
        return (at.replace(tzinfo=zone) if at.tzinfo is None else at).isoformat()
    return text


def tidy(name: str, text: str, *, plain: bool = False) -> str:
    """Return what was typed as it is meant: full width as half, a waybill, a phone or an account without blanks.

    Args:
        name: of the field, whose last part says whether it is written in groups.
        text: what was typed.
        plain: whether it is a code, a number or a time.
    """
    narrow = unicodedata.normalize("NFKC", text).strip()
    if name.rpartition(".")[2] in _GROUPED:
        joined = "".join(narrow.split())
        # What holds words, like an extension, stays as it was typed.
        return joined if _OF_GROUPS.fullmatch(joined) else text.strip()
    return narrow if plain else text
