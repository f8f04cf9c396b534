"""Who sees a handover, a swap, a form: whoever it is between, wherever it is; and who signs it."""

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


def form(**asked: Any) -> dict[str, Any]:
    """Somebody's form that no policy at hand declares any more."""
    filed = {"filed_by": {"id": "a", "role": "agent"}}
    view = {"kind": "car_hire", "unit": "north", "facts": filed, "approvals": [], "signed": [], "waits_for": []}
    return {**view, **asked}


@pytest.mark.parametrize(
    "asked",
    [
        {"waits_for": [{"role": "hr"}]},
        {"signed": [{"role": "hr", "id": "h"}]},
        {"approvals": [{"role": "deputy_gm", "also": ["hr"], "state": "open"}]},
    ],
)
def test_whose_role_a_form_asks_sees_it_when_it_is_gone_from_the_policies(asked: dict[str, Any]) -> None:
    assert may_see(person("h", "hr"), form(**asked))
    assert not may_see(person("p", "rnd"), form(**asked))
    assert not may_see(person("h", "hr"), {**form(**asked), "kind": "complaint"} | {"facts": {}})


def test_no_agent_sees_a_colleague_s_form_that_is_gone_from_the_policies() -> None:
    assert may_see(person("a", "agent", "south"), form())
    assert not may_see(person("c", "agent", "north"), form())
    signing = form(waits_for=[{"role": "agent"}])
    assert may_see(person("c", "agent", "north"), signing)
    assert not may_see(person("d", "agent", "south"), signing)
