"""What a kind of case needs beside its declaration (`cases.registry.declare`) and its words (tests/test_words.py)."""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from cases.case import Case
from cases.policy.model import Policy


def missing_parts(
    kinds: Iterable[type[Case]], policy: Policy, scenarios: Iterable[Path], histories: Collection[str]
) -> list[str]:
    """Name what kinds of case lack.

    Args:
        histories: the workflow types of which there is a history that replays.
    """
    rehearsed = {tomllib.loads(path.read_text("utf-8"))["kind"] for path in scenarios}
    return [part for kind in kinds for part in _missing(kind, policy, rehearsed, histories)]


def _missing(kind: type[Case], policy: Policy, rehearsed: Collection[str], histories: Collection[str]) -> Iterator[str]:
    name = kind.KIND
    if name not in policy.kinds:
        yield f"policy {policy.name}: the table [{name}] is missing"
    elif kind.CLIMBS and not _is_told_of(name, policy):
        yield f"policy {policy.name}: a [[notice]] with acknowledge, which tells of a new {name}, is missing"
    if name not in rehearsed:
        yield f"scenarios: one of the kind {name} is missing"
    if kind.WORKFLOW not in histories:
        yield f"histories: one of the workflow {kind.WORKFLOW} is missing"


def _is_told_of(kind: str, policy: Policy) -> bool:
    """Whether somebody hears of a new case so that they can take it up; a rung clock tells of every arrival."""
    arrivals = ["case_opened", *(["clock_started"] if "rung" in policy.rule(kind).clocks else [])]
    return any(route.acknowledge for arrival in arrivals for route in policy.routes(kind, arrival))
