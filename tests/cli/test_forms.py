"""Forms on the command line: filed by options, signed, sent back, refused, listed and explained."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

from tests.cli.program import Up, call, spawn

COMPANY = Path(__file__).parents[1] / "company"
AGENT, SUPERVISOR = ("--by", "agent-1", "--role", "agent"), ("--by", "supervisor-1", "--role", "supervisor")
KEYS = count(1)


def leave(up: Up) -> str:
    """File a leave and return its id."""
    begins = datetime.now(UTC) + timedelta(days=3)
    answer = up(
        "file", "leave", "--key", f"form-{next(KEYS)}", *AGENT, "--set", "facts.unit=north",
        "--field", f"from={begins.isoformat()}", "--field", f"to={(begins + timedelta(hours=8)).isoformat()}",
        "--field", "emergency=true", "--field", "reason=my mother is ill", "--json",
    )  # fmt: skip
    assert answer.json["facts"]["filed_by"] == {"id": "agent-1", "role": "agent"}
    return str(answer.json["id"])


def test_a_leave_is_filed_and_signed(up: Up) -> None:
    case_id = leave(up)
    shown = up("show", case_id)
    assert "Leave 请假单" in shown.out
    assert "supervisor" in shown.out
    assert "Emergency" in shown.out
    assert "mother" not in shown.out
    signed = up("sign", case_id, *SUPERVISOR, "--text", "get well", "--json").json
    assert signed["effective"]
    assert signed["signed"][0]["text"] == "get well"
    assert case_id in up("list", "--kind", "leave").out


def test_a_leave_is_refused(up: Up) -> None:
    case_id = leave(up)
    assert "refuse instead" in up("send-back", case_id, "--reason", "why?", *SUPERVISOR).refused(1)
    assert up("refuse", case_id, "--reason", "it is the peak", *SUPERVISOR, "--json").json["outcome"] == "refused"


def test_a_wrong_field_is_named() -> None:
    refused = call("file", "leave", "--key", "x", *AGENT, "--field", "emergency=perhaps").refused(2)
    assert "fields.emergency" in refused
    assert "fields.from" in refused
    assert "--field" in call("file", "complaint", "--key", "x", "--field", "a=b").refused(2)
    assert "NAME=VALUE" in call("file", "leave", "--key", "x", "--field", "from").refused(2)


def test_an_unknown_kind_lists_kinds_and_forms() -> None:
    for arguments in (("file", "leaf", "--key", "x"), ("schema", "leaf")):
        refused = call(*arguments).refused(2)
        assert "complaint" in refused
        assert "leave" in refused
    assert "leave" in call("list", "--kind", "leaf").refused(2)


def test_the_schema_of_a_form(tmp_path: Path) -> None:
    made = call("schema", "leave").json
    assert made["$defs"]["LeaveFields"]["properties"].keys() == {"from", "to", "emergency", "reason"}
    env = {"CASELADDER_POLICIES": str(COMPANY)}
    assert "CarHireFields" in call("schema", "car_hire", env=env).json["$defs"]
    assert "key_number" in json.dumps(call("schema", "car_hire", "--command", "sign", env=env).json)
    assert "/api/v1/cases/car_hire" in call("schema", "openapi", env=env).json["paths"]
    assert "car_hire" in call("schema", "car_hire", "--policy", "cross_company").refused(2)


def test_stdout_has_the_schema_alone_where_a_policy_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "bad.toml").write_text('name = "bad"\nextends = "worse"\n')
    made = spawn("schema", "leave", env={"CASELADDER_POLICIES": str(tmp_path)})
    assert "LeaveFields" in made.json["$defs"]
    assert "policy_not_read" in made.err
