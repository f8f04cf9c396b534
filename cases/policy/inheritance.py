"""A policy that says only what it changes: ``extends = "default"`` and the keys that differ.

Tables merge key by key; any other value takes the place of the one below, except lists of tables
(``[[notice]]``), which come after those below. ``without`` names what is not taken over: key paths
like ``authority.limits``, in a list of tables the ``name`` of the tables, like ``notice.breach``. With a
form go the notices that are of it alone.

Between them may stand files that hold only forms, and the notices of these forms.
"""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Mapping, Sequence
from copy import deepcopy
from functools import lru_cache
from typing import Any, TypeGuard

from cases.vocabulary.refusals import Refused

EXTENDS, WITHOUT = "extends", "without"
FORM, NOTICE = "form", "notice"
# So many dots a line has at most: reading a key of tables within tables takes long by the square of their number.
MOST_DOTS = 200


@lru_cache(maxsize=256)
def read_table(text: str) -> Mapping[str, Any]:
    """Return the table that a policy file holds; not to be changed.

    Raises:
        Refused: code ``bad_policy``: it is not TOML, or does not extend a policy as it may.
    """
    for number, line in enumerate(text.split("\n"), 1):
        if line.count(".") > MOST_DOTS:
            raise Refused("bad_policy", f"policy: line {number} has more than {MOST_DOTS} dots; break it up")
    try:
        table = tomllib.loads(text)
        _check_values(table)
    except ValueError as error:
        raise Refused("bad_policy", f"policy: not TOML: {error}") from None
    base = table.get(EXTENDS)
    if EXTENDS in table and not (isinstance(base, str) and base):
        raise Refused("bad_policy", f"policy: {EXTENDS} = {base!r}: it is the name of one policy")
    if EXTENDS in table and "name" not in table:
        raise Refused("bad_policy", "policy: name is missing: a policy that extends another has a name of its own")
    if WITHOUT in table:
        paths = table[WITHOUT]
        if EXTENDS not in table:
            raise Refused("bad_policy", f"policy: {WITHOUT} needs {EXTENDS}: it says what is not taken over")
        if not (isinstance(paths, list) and all(isinstance(path, str) for path in paths)):
            raise Refused("bad_policy", f"policy: {WITHOUT}: it is a list of key paths, like authority.limits")
    return table


def _check_values(value: Any) -> None:
    """Refuse what no message can name, and no database keeps: a case would never be recorded by such a policy."""
    if isinstance(value, dict):
        value = [*value, *value.values()]
    if isinstance(value, list):
        for inner in value:
            _check_values(inner)
    elif isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise ValueError("an integer beyond 64 bits")
    elif isinstance(value, str) and "\0" in value:
        raise ValueError("a text holds NUL")


def is_of_forms(text: str) -> bool:
    """Whether a text holds forms, and nothing that a policy has beside them.

    Raises:
        Refused: code ``bad_policy``, as `read_table`.
    """
    table = read_table(text)
    return FORM in table and table.keys() <= {FORM, NOTICE}


def check_forms(text: str) -> None:
    """Check a file of forms.

    Raises:
        Refused: code ``bad_policy``: it is not TOML, or holds something else than ``[form.NAME]`` and each
            ``[[notice]]`` of these forms.
    """
    table = read_table(text)
    forms, notices = table.get(FORM), table.get(NOTICE, [])
    for key in table:
        if key not in (FORM, NOTICE):
            raise Refused("bad_policy", f"policy: {key}: a file of forms holds only [form.NAME] and [[notice]] of them")
    if not isinstance(forms, dict) or not forms or not all(isinstance(form, dict) for form in forms.values()):
        raise Refused("bad_policy", "policy: form: a file of forms holds tables [form.NAME]")
    for notice in notices if _tables(notices) else [{}] if notices else []:
        name, kinds = notice.get("name"), notice.get("kinds")
        if name is not None and not isinstance(name, str):
            raise Refused("bad_policy", f"policy: {NOTICE}.name = {name!r}: it is a text")
        if not _is_only_of(notice, forms):
            path = f"{NOTICE}.{name}.kinds"
            raise Refused("bad_policy", f"policy: {path} = {kinds!r}: allowed here: {', '.join(forms)}")


def layered(texts: Sequence[str]) -> dict[str, Any]:
    """One table of a policy and of those that it extends.

    Args:
        texts: TOML texts, what is extended first.

    Raises:
        Refused: code ``bad_policy``: see `read_table`; ``without`` names what is not there; or the
            first text extends a policy that is not given.
    """
    result: dict[str, Any] = {}
    for place, text in enumerate(texts):
        table = read_table(text)
        only_forms = place > 0 and table.keys() <= {FORM, NOTICE}
        if (EXTENDS in table) != (place > 0) and not only_forms:
            raise Refused("bad_policy", f"policy: {EXTENDS} = {table.get(EXTENDS)!r}: no such policy is at hand")
        _drop_all(result, table.get(WITHOUT, ()))
        _merge(result, {key: value for key, value in table.items() if key not in (EXTENDS, WITHOUT)})
    return result


def _merge(into: dict[str, Any], table: Mapping[str, Any]) -> None:
    for key, value in table.items():
        below = into.get(key)
        if isinstance(below, dict) and isinstance(value, dict):
            _merge(below, value)
        elif _tables(below) and _tables(value):
            into[key] = [*below, *deepcopy(value)]
        else:
            into[key] = deepcopy(value)


def _tables(value: Any) -> TypeGuard[list[dict[str, Any]]]:
    return isinstance(value, list) and bool(value) and all(isinstance(inner, dict) for inner in value)


def _drop_all(table: dict[str, Any], paths: Sequence[str]) -> None:
    forms = set(_forms(table))
    for path in paths:
        _drop(table, path)
    forms -= set(_forms(table))
    if forms and _tables(notices := table.get(NOTICE)):
        table[NOTICE] = [one for one in notices if not _is_only_of(one, forms)]


def _forms(table: Mapping[str, Any]) -> Mapping[str, Any]:
    forms = table.get(FORM)
    return forms if isinstance(forms, dict) else {}


def _is_only_of(notice: Mapping[str, Any], forms: Collection[str]) -> bool:
    kinds = notice.get("kinds")
    return isinstance(kinds, list) and bool(kinds) and all(isinstance(kind, str) and kind in forms for kind in kinds)


def _drop(table: dict[str, Any], path: str) -> None:
    inner, (*above, last) = table, path.split(".")
    for place, key in enumerate(above):
        found = inner.get(key)
        if _tables(found) and place == len(above) - 1:
            left = [entry for entry in found if entry.get("name") != last]
            if len(left) < len(found):
                inner[key] = left
                return
        if not isinstance(found, dict):
            raise _missing(path)
        inner = found
    if last not in inner:
        raise _missing(path)
    del inner[last]


def _missing(path: str) -> Refused:
    return Refused("bad_policy", f"policy: {WITHOUT}: {path!r} is not in the policy that is extended")
