"""Reading of input files and of ``NAME=VALUE`` arguments into plain JSON."""

from __future__ import annotations

import json
import re
import sys
import tomllib
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starter.cli.errors import BadInput

if TYPE_CHECKING:
    from cases.policy.forms import FieldRule

STDIN = "-"


def read_object(file: Path) -> dict[str, Any]:
    """Read the object in a JSON or TOML file, or on stdin.

    Raises:
        BadInput: the file cannot be read, or is neither JSON nor TOML.
    """
    name = "stdin" if str(file) == STDIN else str(file)
    try:
        text = (sys.stdin.buffer.read() if str(file) == STDIN else file.read_bytes()).decode("utf-8")
    except OSError as error:
        raise BadInput(f"{name}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise BadInput(f"{name}: is not UTF-8: {error.reason} at byte {error.start}") from None
    if file.suffix == ".toml" or (file.suffix != ".json" and not text.lstrip().startswith(("{", "["))):
        # Imported here because it imports Temporal, which JSON does not need.
        from starter.rehearsal.files import plain

        try:
            return {key: plain(value) for key, value in tomllib.loads(text).items()}
        except tomllib.TOMLDecodeError as error:
            raise BadInput(f"{name}: not TOML: {error}") from None
    return read_json_object(text, name)


def read_json_object(text: str, name: str) -> dict[str, Any]:
    """Parse a JSON object.

    Args:
        text: the JSON text.
        name: where the text came from, for the error message.

    Raises:
        BadInput: the text is not a JSON object.
    """
    try:
        value = json.loads(text)
    except ValueError as error:
        raise BadInput(f"{name}: not JSON: {error}") from None
    if not isinstance(value, dict):
        raise BadInput(f"{name}: must be one JSON object, not {type(value).__name__}")
    return value


def assign(target: dict[str, Any], pairs: Iterable[str], option: str) -> None:
    """Set the fields of an object from pairs like ``a.b=value``.

    A value that begins with ``{``, ``[`` or ``"`` is parsed as JSON; any other is a string.

    Args:
        target: the object, which is changed.
        pairs: the pairs, a dot separating the names of nested objects.
        option: the option that they were given with, for the error message.

    Raises:
        BadInput: a pair has no ``=``, its JSON is invalid, or its path leads through a value that is not an object.
    """
    for pair in pairs:
        path, equals, text = pair.partition("=")
        if not equals or not all(path.split(".")):
            raise BadInput(f"{option} {path}: give it as NAME=VALUE or OUTER.INNER=VALUE")
        value: Any = text
        if text.startswith(("{", "[", '"')):
            try:
                value = json.loads(text)
            except ValueError as error:
                raise BadInput(f"{option} {path}: not JSON: {error}") from None
        *outer, last = path.split(".")
        inner = target
        for name in outer:
            inner = inner.setdefault(name, {})
            if not isinstance(inner, dict):
                raise BadInput(f"{option} {path}: {name} is no object")
        inner[last] = value


def read_fields(fields: Mapping[str, FieldRule], pairs: Iterable[str]) -> dict[str, Any]:
    """Read fields of a form from pairs like ``emergency=true``, each as its type wants it.

    Raises:
        BadInput: a pair cannot be read. What the form does not know is left to it to refuse.
    """
    found: dict[str, Any] = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals or not name:
            raise BadInput(f"--field {name}: give it as NAME=VALUE")
        rule = fields.get(name)
        match rule and rule.type:
            case "rows" | "attachment":
                try:
                    found[name] = json.loads(text)
                except ValueError as error:
                    raise BadInput(f"--field {name}: not JSON: {error}") from None
            case "bool" if text in ("true", "false"):
                found[name] = text == "true"
            case "integer" if re.fullmatch("-?[0-9]{1,18}", text):
                found[name] = int(text)
            case _:
                found[name] = text
    return found


def check_text(value: dict[str, Any], name: str) -> None:
    """Check that an object can be sent: an argument that is no UTF-8 is turned into what no JSON takes.

    Raises:
        BadInput: it cannot.
    """
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise BadInput(f"{name}: a field holds what is no text in UTF-8") from None


def read_instant(text: str, option: str) -> datetime:
    """Parse an instant with an offset.

    Args:
        text: the instant in RFC 3339 form.
        option: the option that it was given with, for the error message.

    Raises:
        BadInput: the text is not an instant, or has no offset.
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise BadInput(f"{option} = {text!r}: give an instant with an offset, like 2026-03-10T09:00:00+08:00")
    return moment
