"""``caseladder summary`` against a running stack."""

from __future__ import annotations

from datetime import UTC, datetime

from activities.policies.store import Policies
from cases.kinds.summary import month_before
from tests.cli.program import Up

LAST = month_before(Policies().load("default").local(datetime.now(UTC)))


def test_a_month_is_filed_once(up: Up) -> None:
    view = up("summary", LAST, "--json").json
    assert (view["id"], view["status"], view["step"]) == (f"summary:{LAST}", "open", 1)
    assert view["facts"]["month"] == LAST
    again = up("summary", LAST, "--json").json
    assert (again["opened_at"], again["number"]) == (view["opened_at"], view["number"] or again["number"])
    assert "to sign   project_manager, department_manager" in up("summary", LAST).out
    line = up("do", view["id"], "sign", "--by", "d1", "--role", "deputy_gm").refused(1)
    assert "it is the turn of project_manager and department_manager [S3-4.3.1.10]" in line


def test_every_month_is_filed_by_a_schedule(up: Up) -> None:
    made = up("summary", "schedule", "--json").json
    assert (made["schedule"], made["new"], made["zone"]) == ("month-end", True, "Asia/Shanghai")
    # The first of a month, 09:00 in Shanghai.
    assert datetime.fromisoformat(made["next"]).astimezone(UTC).strftime("%d %H:%M") == "01 01:00"
    assert up("summary", "schedule", "--json").json == {**made, "new": False}
    assert "schedule month-end: up to date, next" in up("summary", "schedule").out
