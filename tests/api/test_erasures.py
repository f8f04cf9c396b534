"""Erasures over HTTP: two people, a case of years ago, and what everybody else is told."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tests.activities.test_audit_everything import record
from tests.activities.test_erasure import ENDED
from tests.api.server import ApiServer, problem

# Closed the day after, and kept for three years.
LONG_AGO = datetime(2021, 3, 9, 1, tzinfo=UTC)


@pytest.fixture
async def case_id(api: ApiServer) -> str:
    """A complaint that closed years ago, recorded as it was then."""
    key = f"E-{datetime.now(UTC).timestamp():.6f}"
    await record(api.backend.book, "complaint", key, ENDED, start=LONG_AGO)
    return f"complaint:{key}"


async def test_two_people_erase_a_case(api: ApiServer, case_id: str) -> None:
    asked = await api.post("qa-1", "/erasures", {"case": case_id, "why": "customer"})
    assert asked.status_code == 200, asked.text
    number = asked.json()["id"]
    assert (asked.json()["approved"], asked.json()["kept"]) == (None, {})
    problem(await api.post("qa-1", f"/erasures/{number}/approve", None), 403, "four_eyes")
    problem(await api.post("super-hq", f"/erasures/{number}/approve", None), 403, "role")
    assert (await api.get("auditor-1", f"/erasures/{number}")).json()["decided_by"] is None
    done = (await api.post("gm-1", f"/erasures/{number}/approve", None)).json()
    assert (done["approved"], done["decided_by"], done["cases"][0]["refused"]) == (True, "gm-1", None)
    assert done["cases"][0]["erased_at"]
    problem(await api.post("gm-1", f"/erasures/{number}/reject", None), 409, "decided")
    personal = (await api.get("gm-1", f"/cases/{case_id}/personal")).json()
    assert (personal["erased"], personal["facts"]) == (True, {})
    events = (await api.get("gm-1", f"/cases/{case_id}/timeline")).json()["events"]
    assert events[-1]["data"] == {"why": "customer", "asked_by": "qa-1"}
    assert "looking for the parcel" not in str(events)
    problem(await api.post("qa-1", "/erasures", {"case": case_id, "why": "customer"}), 409, "already_erased")
    listed = (await api.get("auditor-1", "/erasures", params={"limit": 1})).json()["erasures"]
    assert [one["id"] for one in listed] == [number]
    older = (await api.get("gm-1", "/erasures", params={"before": number})).json()["erasures"]
    assert all(one["id"] < number for one in older)


async def test_a_legal_hold_stands_before_everything(api: ApiServer, case_id: str) -> None:
    held = await api.post("gm-1", "/holds", {"case": case_id, "reference": "(2028) Hu 01 Min Chu 17"})
    assert [one["set_by"] for one in held.json()["holds"]] == ["gm-1"]
    problem(await api.post("gm-1", "/holds", {"case": case_id, "reference": "again"}), 409, "on_hold")
    problem(await api.post("qa-1", "/erasures", {"case": case_id, "why": "authority"}), 409, "on_hold")
    assert case_id in (await api.get("auditor-1", "/holds")).text
    lifted = await api.post("qa-1", "/holds/lift", {"case": case_id})
    assert lifted.json()["holds"][0]["lifted_by"] == "qa-1"
    problem(await api.post("qa-1", "/holds/lift", {"case": case_id}), 404, "not_found")
    assert (await api.post("qa-1", "/erasures", {"case": case_id, "why": "authority"})).status_code == 200


async def test_what_is_open_or_was_closed_lately_is_kept(api: ApiServer) -> None:
    open_one = await api.file("complaint", "north")
    problem(await api.post("gm-1", "/erasures", {"case": open_one, "why": "customer"}), 409, "not_closed")
    key = f"E-{datetime.now(UTC).timestamp():.6f}"
    await record(api.backend.book, "complaint", key, ENDED, start=datetime.now(UTC) - timedelta(days=1000))
    answer = problem(
        await api.post("gm-1", "/erasures", {"case": f"complaint:{key}", "why": "customer"}), 409, "retained"
    )
    assert answer["clause"] == "O-APP2"
    for body in (
        {"why": "customer"},
        {"case": open_one, "customer": "c-1", "why": "customer"},
    ):
        problem(await api.post("gm-1", "/erasures", body), 422, "invalid")
    for body in ({"case": open_one, "why": "boredom"}, {"case": "nonsense", "why": "customer"}, {"case": open_one}):
        problem(await api.post("gm-1", "/erasures", body), 400, "malformed")
