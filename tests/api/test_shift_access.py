"""Who sees a handover and a swap: whoever it is between, wherever it is; and who signs it."""

from __future__ import annotations

from typing import Any

import pytest

from starter.access import Caller, in_reach, may_see

ONE, OTHER = {"id": "a", "role": "agent"}, {"id": "b", "role": "agent"}
HANDOVER = {"kind": "handover", "unit": "north", "outgoing": ONE, "relief": OTHER}
SWAP = {"kind": "swap", "unit": "north", "facts": {"initiator": ONE, "counterparty": OTHER}}
# A kind of case that is between nobody, whatever its view holds.
COMPLAINT = {"kind": "complaint", "unit": "north", "outgoing": ONE, "relief": OTHER}


def person(id_: str, role: str = "agent", *units: str) -> Caller:
    """Somebody of the staff."""
    return Caller(id_, role, frozenset(units) if units else None, "person")


@pytest.mark.parametrize("view", [HANDOVER, SWAP])
@pytest.mark.parametrize(("id_", "sees"), [("a", True), ("b", True), ("c", False)])
def test_the_two_see_it_from_another_unit(view: dict[str, Any], id_: str, sees: bool) -> None:
    assert may_see(person(id_, "agent", "south"), view) is sees
    assert may_see(person(id_, "agent", "north"), view)


def test_nobody_else_does() -> None:
    assert not may_see(person("b", "agent", "south"), COMPLAINT)
    assert not may_see(person("b", "agent", "south"), {**HANDOVER, "relief": None})
    assert not may_see(Caller("a", "system", frozenset({"south"}), "system", frozenset({"read"})), HANDOVER)


def test_the_department_manager_sees_swaps_of_every_unit() -> None:
    manager = person("m", "department_manager")
    assert may_see(manager, SWAP)
    assert not may_see(manager, HANDOVER)
    assert in_reach(manager, "summary", "north")
    assert not may_see(person("p", "project_manager"), SWAP)
