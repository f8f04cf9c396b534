"""The table of a form as the TOML that declares it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from cases.policy.model import Policy

_BARE = re.compile(r"[A-Za-z0-9_-]+")
# The order in which people write them; others follow.
_KEYS = ("name", "title", "clause", "type", "rule", "files", "required", "notify")
_TABLES = ("fields", "clocks", "reminders", "authority", "early")
_LISTS = ("check", "step")
# What a document notes of the order in a file.
_PLACE = "place"


def toml_of(name: str, policy: Policy) -> str:
    """Return a form, and the notices that are of it alone, as a file of forms."""
    document = json.loads(policy.document)
    form = document["form"][name]
    notices = [one for one in document.get("notice", ()) if one.get("kinds") == [name]]
    lines = [*_form(f"form.{name}", form)]
    for notice in notices:
        lines += ["", "[[notice]]", *_pairs(notice)]
    return "\n".join(lines) + "\n"


def _form(path: str, form: Mapping[str, Any]) -> Iterator[str]:
    yield f"[{path}]"
    yield from _pairs({key: value for key, value in form.items() if key not in (*_TABLES, *_LISTS)})
    for key in _TABLES:
        if key in form:
            yield from ("", f"[{path}.{key}]", *_pairs(form[key]))
    for key in _LISTS:
        for table in form.get(key, ()):
            yield from ("", f"[[{path}.{key}]]", *_pairs(table))


def _pairs(table: Mapping[str, Any]) -> Iterator[str]:
    yield from (f"{_key(key)} = {_value(value)}" for key, value in _ordered(table))


def _ordered(table: Mapping[str, Any]) -> list[tuple[str, Any]]:
    def place(item: tuple[str, Any]) -> tuple[int, int]:
        key, value = item
        noted = value.get(_PLACE) if isinstance(value, Mapping) else None
        return noted if isinstance(noted, int) else 0, _KEYS.index(key) if key in _KEYS else len(_KEYS)

    return sorted(((key, value) for key, value in table.items() if not _is_place(key, value)), key=place)


def _is_place(key: str, value: Any) -> bool:
    # A column may be called so too, and is a table.
    return key == _PLACE and isinstance(value, int)


def _key(key: str) -> str:
    return key if _BARE.fullmatch(key) else json.dumps(key, ensure_ascii=False)


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{ " + ", ".join(_pairs(value)) + " }" if value else "{}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_value, value)) + "]"
    return json.dumps(value, ensure_ascii=False)
