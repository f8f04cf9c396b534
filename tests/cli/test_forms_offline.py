"""What the command line says of forms without a server: routes, schemas, and faults with their key path."""

from __future__ import annotations

from pathlib import Path
from time import process_time

import pytest

from cases.policy.forms import FormTable
from tests.cli.program import call
from tests.core.support import default_policy
from tests.core.test_form_files import CAR, MINE


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """A policy with a form beside it."""
    (tmp_path / "mine.toml").write_text(MINE, "utf-8")
    (tmp_path / "forms").mkdir()
    (tmp_path / "forms" / "car_hire.toml").write_text(CAR, "utf-8")
    return tmp_path / "mine.toml"


def drawn(form: str, *arguments: str) -> str:
    """The lines of a form in what `policy show` prints."""
    shown = call("policy", "show", *arguments).out
    return shown[shown.index(f"\n{form}: ") :].strip().partition("\n\n")[0]


def test_the_route_of_a_form_is_drawn(mine: Path) -> None:
    assert drawn("car_hire", str(mine)).splitlines() == [
        "car_hire: Car hire · 用车申请 (INVENTED)",
        "  filed by agent",
        "  1. approve [approve]: supervisor",
        "     limit: 18 h working time, late goes to general_manager (INVENTED)",
        "  2. hand over [hand_over]: porter",
        "     limit: 18 h working time, late goes to general_manager (INVENTED)",
        "  at the end: approved, kept 3 years",
    ]


def test_all_that_a_route_holds_is_drawn() -> None:
    business = drawn("new_business")
    assert "filed by marketing; told: director" in business
    assert "warehouse_manager if business is warehousing or both and distribution_manager if business is" in business
    assert "before that, deputy_gm or general_manager may let it take effect; limit: 27 h working time" in business
    assert "supervisor and above or department_manager; above who filed it" in drawn("leave")
    assert "at the end: approved, effect absence, kept 3 years" in drawn("leave")
    decided = "decided by amount: deputy_gm up to 50000.00 yuan, general_manager any amount"
    assert decided in drawn("allowance")
    assert "customer or business; fills customer_document; also who filed it" in drawn("allowance")
    assert "copies 1 gm_office 2 accounting 3 the role in department" in drawn("penalty_notice")
    statement = drawn("statement")
    assert "limit: day 5 of the month after that in month (S3-7.2 [INVENTED])" in statement
    assert "as a whole: limit: the moment in payment_until, warned at 75 %, late goes to general_manager" in statement
    assert "limit: Monday after the week in week" in drawn("weekly_summary")
    assert "the role in unit; opinion with a text" in drawn("improvement_slip")


@pytest.mark.long
def test_every_form_is_drawn_with_every_step() -> None:
    for name, table in default_policy().form.items():
        assert isinstance(table, FormTable)
        text = drawn(name)
        assert [f"[{step.name}]: " in text for step in table.steps] == [True] * len(table.steps)


def test_a_form_has_a_schema(mine: Path) -> None:
    schema = call("schema", "car_hire", "--policy", str(mine)).json
    assert schema["title"] == "CarHireIntake"
    assert schema["$defs"]["CarHireFields"]["required"] == ["days"]
    allowance = call("schema", "allowance").json["$defs"]["AllowanceFields"]["properties"]
    # A decimal is a string, since a JSON number may be rounded in transit.
    assert allowance["amount"]["type"] == "string"
    assert "customer_document" not in allowance
    said = call("schema", "car_hire").refused(2)
    assert "kind = 'car_hire': allowed: complaint, " in said
    assert "leave, new_business" in said
    assert "policy = 'none'" in call("schema", "car_hire", "--policy", "none").refused(2)


def test_a_fault_is_named_with_its_key_path(mine: Path) -> None:
    assert call("policy", "check", str(mine)).code == 0
    assert "good: policy default" in call("policy", "check", "default").out
    form = mine.parent / "forms" / "car_hire.toml"
    form.write_text(CAR.replace('type = "integer"', 'type = "int"'), "utf-8")
    assert "form.car_hire.fields.days.type = 'int'" in call("policy", "check", str(mine)).refused(2)
    form.write_text(CAR.replace('["porter"]', '["driver"]').replace('["agent"]', '["boss"]'), "utf-8")
    said = call("policy", "check", str(mine)).refused(2)
    assert "form.car_hire.step.hand_over.roles = 'driver' is not a role; allowed: agent, " in said
    assert "form.car_hire.files = 'boss' is not a role" in said
    form.write_text('name = "x"\n' + CAR, "utf-8")
    assert f"{form}: policy: name: a file of forms" in call("policy", "check", str(mine)).refused(2)


def test_a_hundred_forms_are_checked_in_less_than_a_second(mine: Path) -> None:
    for number in range(100):
        (mine.parent / "forms" / f"car_{number}.toml").write_text(CAR.replace("car_hire", f"car_{number}"), "utf-8")
    call("policy", "check", "default")
    # Of this process, so that others on the machine do not count.
    begun = process_time()
    assert call("policy", "check", str(mine)).code == 0
    assert process_time() - begun < 1
