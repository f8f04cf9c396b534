"""Reading the policy that a case pinned under another release.

A pinned document never changes, and neither does its hash. What it does not say means what it meant then: a clock
that came later is one that this case does not have, and a required field that came later has its value from `MEANT`.
What a later release said in it, and this one does not know, is passed over.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from copy import deepcopy
from fnmatch import fnmatchcase
from typing import Any

from pydantic import ValidationError, ValidationInfo

# For each required field that came after release 0.1, what documents from before it mean. The key is its path, in
# which * stands for what may differ: ``complaint.most_options``, ``*.clocks.*.clause``, ``notice.*.clause``.
MEANT: dict[str, Any] = {}

# The context of a validation, see `pinned`.
PINNED = "pinned"


def pinned(info: ValidationInfo) -> bool:
    """Whether a pinned document is read; else a file is, which must be complete and name nothing unknown."""
    return info.context == PINNED


def as_it_was_meant(content: Mapping[str, Any], error: ValidationError) -> dict[str, Any]:
    """Return the content of a pinned document with what it lacks, and without what this release does not know.

    Args:
        content: the document, as JSON.
        error: what is wrong with it as it stands. What is still wrong then is for the caller to find.
    """
    read: dict[str, Any] = deepcopy(dict(content))
    for item in error.errors(include_url=False, include_context=False, include_input=False):
        place, what = item["loc"], item["type"]
        if what == "extra_forbidden":
            # What a form has from [form_defaults] is an error there too.
            with suppress(KeyError):
                _at(read, place[:-1]).pop(place[-1], None)
        elif place[-1:] == ("[key]",):
            # One of a fixed set of keys, like a severity.
            _at(read, place[:-2]).pop(place[-2], None)
        elif what == "missing":
            path = ".".join(map(str, place))
            for pattern, value in MEANT.items():
                if fnmatchcase(path, pattern):
                    _at(read, place[:-1])[place[-1]] = deepcopy(value)
    return read


def _at(content: Any, path: Sequence[int | str]) -> Any:
    for part in path:
        content = content[part]
    return content
