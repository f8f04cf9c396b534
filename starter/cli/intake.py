"""Input from files and ``key=value`` arguments, as plain JSON."""

from __future__ import annotations

import json
import sys
import tomllib
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

from starter.cli.errors import BadInput

STDIN = "-"


def read_object(file: Path) -> dict[str, Any]:
    """The one object in a JSON or TOML file, or on stdin.

    Raises:
        BadInput: it cannot be read, or is neither.
    """
    name = "stdin" if str(file) == STDIN else str(file)
    try:
        text = (sys.stdin.buffer.read() if str(file) == STDIN else file.read_bytes()).decode("utf-8")
    except OSError as error:
        raise BadInput(f"{name}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise BadInput(f"{name}: is not UTF-8: {error.reason} at byte {error.start}") from None
    if file.suffix == ".toml" or (file.suffix != ".json" and not text.lstrip().startswith(("{", "["))):
        # Imported here: it brings Temporal along, which JSON does not need.
        from starter.rehearsal.files import plain

        try:
            return {key: plain(value) for key, value in tomllib.loads(text).items()}
        except tomllib.TOMLDecodeError as error:
            raise BadInput(f"{name}: not TOML: {error}") from None
    return read_json_object(text, name)


def read_json_object(text: str, name: str) -> dict[str, Any]:
    """The JSON object in a text.

    Raises:
        BadInput: it is not one; ``name`` says where it came from.
    """
    try:
        value = json.loads(text)
    except ValueError as error:
        raise BadInput(f"{name}: not JSON: {error}") from None
    if not isinstance(value, dict):
        raise BadInput(f"{name}: must be one JSON object, not {type(value).__name__}")
    return value


def assign(target: dict[str, Any], pairs: Iterable[str], option: str) -> None:
    """Put ``a.b=value`` pairs into an object. What begins with ``{ [ "`` is read as JSON, the rest is text.

    Raises:
        BadInput: a pair has no ``=``, or leads through something that is no object.
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


def read_instant(text: str, option: str) -> datetime:
    """The instant in a text.

    Raises:
        BadInput: it is none, or has no offset; ``option`` says where it was given.
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise BadInput(f"{option} = {text!r}: give an instant with an offset, like 2026-03-10T09:00:00+08:00")
    return moment
