"""What is wrong with the shape of a policy's tables: a key that is unknown or missing, a value of a wrong type.

Nothing in a policy is personal. So its faults show the names and the values that stand there, unlike those of what
people send (`cases.vocabulary.refusals`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from typing import Any

from pydantic import BaseModel, ValidationError

from cases.vocabulary.refusals import KEY, fields_at, worded

# So much of a value or a name is shown.
_MOST = 80
A_NAME = "a small letter, then small letters, digits and _"
# What the patterns of a policy's texts allow, in words.
IN_WORDS: Mapping[str, str] = {
    r"^[a-z][a-z0-9_]*$": A_NAME,
    r"^[a-z][a-z0-9_]{0,39}$": f"{A_NAME}, at most 40",
    r"^[a-z0-9][a-z0-9._-]*$": "a small letter or a digit, then small letters, digits and . _ -",
    r"^(field:)?[a-z][a-z0-9_]*\+?$": "a role, ROLE+ for a rung and all above, ladder, or field:NAME",
    r"^[A-Za-z0-9][A-Za-z0-9_-]{0,39}$": "a letter or a digit, then letters, digits, _ and -, at most 40",
    r"^([01]\d|2[0-3]):[0-5]\d-([01]\d|2[0-3]):[0-5]\d$": "two times, like 09:00-18:00",
}


def shape_faults(error: ValidationError, model: type[BaseModel]) -> Iterator[str]:
    """Yield each fault, with its key path, the value and what is allowed.

    Args:
        model: what was validated, to name the keys that there are where one is not known.
    """
    for item in error.errors(include_url=False):
        loc, kind = item["loc"], item["type"]
        if kind == "too_short" and len(item["input"]) >= item["ctx"]["min_length"]:
            # Only entries without a fault were counted; those with one are told by themselves.
            continue
        place = ".".join(named(part) for part in loc if part != KEY)
        if not loc and kind == "value_error":
            # A check of the whole policy names the keys itself.
            yield worded(item["msg"])
        elif kind == "missing":
            yield f"{place} is missing" + (f"; allowed is at least one [[{place}]]" if _is_steps(loc) else "")
        elif kind == "extra_forbidden":
            known = fields_at(model, loc[:-1])
            yield f"{place} is not a known field" + (f"; allowed: {', '.join(known)}" if known else "")
        elif kind == "too_long":
            yield f"{place}: there are {len(item['input'])}; allowed are at most {item['ctx']['max_length']}"
        elif loc[-1] == KEY or (kind == "value_error" and isinstance(item["input"], dict)):
            # The name is the value; and a check of a table names the keys itself.
            yield f"{place}: {_allowed(item)}"
        else:
            allowed = f"allowed is at least one [[{place}]]" if kind == "too_short" and _is_steps(loc) else None
            yield f"{place} = {shown(item['input'])}: {allowed or _allowed(item)}"


def _is_steps(loc: Sequence[int | str]) -> bool:
    return loc[0] == "form" and loc[2:] == ("step",)


def _allowed(item: Any) -> str:
    """Return what is allowed where a value or a name is wrong."""
    if item["type"] == "string_pattern_mismatch" and item["ctx"]["pattern"] in IN_WORDS:
        return f"allowed are {IN_WORDS[item['ctx']['pattern']]}"
    if item["type"] in ("model_type", "dict_type"):
        return "allowed is a table"
    return worded(item["msg"])


def without_these(content: Mapping[str, Any], error: ValidationError) -> dict[str, Any] | None:
    """Return what can still be judged of a policy: all but the forms and notices that the error is about.

    Of a form only the unknown keys are left out if nothing else is wrong; any other has its place taken by one without
    a fault, since what names it is not wrong by that.

    Returns:
        None, if anything else is wrong.
    """
    items = error.errors(include_url=False, include_context=False, include_input=False)
    wrong = {item["loc"][:2] for item in items}
    if not all(len(place) == 2 and place[0] in ("form", "notice") for place in wrong):
        return None
    broken = {item["loc"][1] for item in items if item["loc"][0] == "form" and item["type"] != "extra_forbidden"}
    forms = deepcopy({name: form for name, form in content.get("form", {}).items() if name not in broken})
    for item in items:
        if item["loc"][1] in forms:
            *above, last = item["loc"][1:]
            inner: Any = forms
            for part in above:
                inner = inner[part]
            del inner[last]
    forms |= dict.fromkeys(sorted(map(str, broken)), _stand_in(content["ladder"]["rungs"][0]))
    notices = [one for place, one in enumerate(content.get("notice", ())) if ("notice", place) not in wrong]
    return {**content, "form": forms, "notice": notices}


def _stand_in(role: str) -> dict[str, Any]:
    day = {"elapsed": "P1D", "clause": "-"}
    return {
        "clause": "-", "files": [role], "fields": {}, "step": [{"name": "a", "roles": [role]}],
        "clocks": {"step": day}, "reminders": {"first": "P1D", "factor": 1, "longest": "P1D", "clause": "-"},
    }  # fmt: skip


def shown(value: Any) -> str:
    """Return how a fault says a value: on one line, of a long one the beginning."""
    return "(table)" if isinstance(value, dict) else _cut(repr(value))


def named(part: int | str) -> str:
    """Return how a key path says a name, which in a file may be any text: on one line, of a long one the beginning."""
    text = str(part)
    return _cut(text if text.isprintable() else repr(text))


def _cut(text: str) -> str:
    return text if len(text) <= _MOST else f"{text[: _MOST - 3]}..."
