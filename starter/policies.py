"""Comparison of two policies, for the command line and the console."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from cases.policy.model import Policy


@dataclass(frozen=True)
class Difference:
    """A key path at which two policies have different values; None if a policy does not have it."""

    key: str
    a: Any
    b: Any


def differences(a: Policy, b: Policy) -> list[Difference]:
    """List the key paths at which two policies differ, sorted."""
    left, right = (dict(_leaves(json.loads(policy.document))) for policy in (a, b))
    return [
        Difference(key, left.get(key), right.get(key))
        for key in sorted(left.keys() | right.keys())
        if left.get(key) != right.get(key)
    ]


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every key path with its value.

    A table in a list is denoted by its name, the second one of the same name by ``name#2``.
    """
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _leaves(inner, f"{path}.{name}" if path else name)
    elif isinstance(value, list) and any(isinstance(inner, Mapping) for inner in value):
        seen: dict[str, int] = {}
        for inner in value:
            name = str(inner.get("name"))
            seen[name] = seen.get(name, 0) + 1
            yield from _leaves(inner, f"{path}.{name}" + (f"#{seen[name]}" if seen[name] > 1 else ""))
    else:
        yield path, value
