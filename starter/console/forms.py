"""Forms of commands, made from the commands' own JSON schemas, and what was typed made into a body.

A form asks for what the model takes and checks nothing: what is wrong with a body the model and the
case say, the same as to the API.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from cases.vocabulary.commands import Command
from starter.console.text import Words

Options = Sequence[tuple[str, str]]
# Fields that the console fills in, or that only a rehearsed case takes.
_OWN = frozenset({"by", "request_id", "at", "held_by"})
# Texts of one line, though they may be long.
_SHORT = frozenset({"name", "where", "label", "channel"})
# A text of more characters than this gets several lines.
_LINE = 200
# What stands between the id and the role of a person in one choice.
_BAR = "|"


@dataclass(frozen=True)
class Field:
    """One thing that a form asks for.

    Args:
        name: its path in the body, ``loss.total_value``.
        kind: ``text area amount number instant day choice yesno lines many person group``.
        options: of a choice, as value and label.
        inner: the fields of a group.
    """

    name: str
    kind: str
    label: str
    required: bool
    hint: str = ""
    options: Options = ()
    default: str = ""
    inner: tuple[Field, ...] = ()

    @property
    def id(self) -> str:
        """For the label that belongs to it."""
        return f"f-{self.name.replace('.', '-')}"


def fields_of(model: type[Command], words: Words, choices: Mapping[str, Options]) -> tuple[Field, ...]:
    """What a command's form asks for.

    Args:
        choices: for fields of which the case knows what is allowed now, by name; ``(id|role, label)``
            for persons.
    """
    schema = model.model_json_schema()
    return tuple(_fields(schema, schema.get("$defs", {}), None, words, choices))


def _fields(
    schema: Mapping[str, Any],
    known: Mapping[str, Any],
    group: Field | None,
    words: Words,
    choices: Mapping[str, Options],
) -> Iterator[Field]:
    # What a group needs is needed only if the group is.
    needed = schema.get("required", ()) if group is None or group.required else ()
    above = "" if group is None else f"{group.name}."
    for name, raw in schema["properties"].items():
        if not above and (name in _OWN or (name == "notice" and name not in choices)):
            continue
        path = f"{above}{name}"
        shape = _shape(raw, known)
        required = name in needed
        label = words.say(f"field.{path}") if words.has("field", path) else words.word("field", name)
        hint = words.say(f"hint.{path}") if words.has("hint", path) else ""
        default = str(raw.get("default", "")).lower() if isinstance(raw.get("default"), (bool, str)) else ""
        kind, options = _kind(name, shape, words, choices.get(path))
        field = Field(path, kind, label, required, hint, options, default)
        yield replace(field, inner=tuple(_fields(shape, known, field, words, choices))) if kind == "group" else field


def _kind(name: str, shape: Mapping[str, Any], words: Words, choices: Options | None) -> tuple[str, Options]:
    sort = shape.get("type")
    if sort == "object":
        return ("person", choices) if choices is not None else ("group", ())
    if sort == "array":
        return ("lines", ()) if choices is None else ("many", choices)
    if choices is not None:
        return "choice", choices
    if "enum" in shape:
        return "choice", [(value, _choice(name, value, words)) for value in shape["enum"]]
    if sort == "boolean":
        return "yesno", [(value, words.say(f"choice.{value}")) for value in ("true", "false")]
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


def _choice(name: str, value: str, words: Words) -> str:
    # A report may be "false", which elsewhere means no.
    return words.word("choice", "false_report" if (name, value) == ("report", "false") else value)


def _shape(raw: Mapping[str, Any], known: Mapping[str, Any]) -> Mapping[str, Any]:
    """A schema without its references, and without the null that stands for left out."""
    if "$ref" in raw:
        return _shape(known[raw["$ref"].rpartition("/")[2]], known)
    options = [option for option in raw.get("anyOf", ()) if option.get("type") != "null"]
    if len(options) == 1:
        return _shape(options[0], known)
    return {**raw, "anyOf": options} if options else raw


def body_of(fields: Sequence[Field], sent: Mapping[str, Sequence[str]], zone: ZoneInfo) -> dict[str, Any]:
    """What was typed as the body of a command; what was left empty is left out.

    Args:
        zone: of times that were typed without one.
    """
    body: dict[str, Any] = {}
    for field in fields:
        name = field.name.rpartition(".")[2]
        value = body_of(field.inner, sent, zone) if field.kind == "group" else _value(field, sent, zone)
        if value not in (None, {}, []):
            body[name] = value
    return body


def _value(field: Field, sent: Mapping[str, Sequence[str]], zone: ZoneInfo) -> Any:
    values = [value for value in sent.get(field.name, ()) if value.strip()]
    if not values:
        return None
    # Browsers send line ends as the network's, texts keep the usual one.
    text = values[0].replace("\r\n", "\n").strip()
    if field.kind == "many":
        return values
    if field.kind == "lines":
        return [line.strip() for line in text.split("\n") if line.strip()]
    if field.kind == "yesno":
        return {"true": True, "false": False}.get(text, text)
    if field.kind == "number":
        return int(text) if text.isascii() and text.isdigit() else text
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
