"""``caseladder erase`` and ``caseladder hold`` on a running stack, with cases of years ago."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from activities.database.database import Database
from starter.embedded import running
from tests.activities.test_audit_everything import record
from tests.activities.test_erasure import ENDED
from tests.casebook import Book
from tests.cli.program import Up, call

pytestmark = pytest.mark.long

LONG_AGO = datetime(2021, 3, 9, 1, tzinfo=UTC)
QA, GM = ("--by", "qa-1", "--role", "qa_manager"), ("--by", "gm-1", "--role", "general_manager")


@pytest.fixture
async def case_id(up: Up) -> str:
    """A complaint that closed years ago, recorded as it was then."""
    key = f"E-{datetime.now(UTC).timestamp():.6f}"
    stack = running(up.data)
    assert stack is not None
    async with Database.open(stack.database_url) as database:
        await record(Book(database), "complaint", key, ENDED, start=LONG_AGO)
    return f"complaint:{key}"


def test_it_is_asked_for_and_decided(up: Up, case_id: str, tmp_path: Path) -> None:
    asked = up("erase", case_id, "--why", "customer", *QA)
    assert asked.code == 0, asked.err
    assert "waits for somebody else's approval" in asked.out
    [mine] = [one for one in up("erase", "--list", "--json").json if one["cases"][0]["case"] == case_id]
    number = str(mine["id"])
    assert "somebody else decides" in up("erase", "--approve", number, *QA).refused(1)
    assert "may not erase; allowed: general_manager, qa_manager" in up(
        "erase", "--approve", number, "--by", "super-1", "--role", "supervisor"
    ).refused(1)
    done = up("erase", "--approve", number, *GM, "--json").json
    assert done[0]["cases"][0]["erased_at"]
    assert "erased " in up("show", case_id).out
    assert up("audit", "verify", case_id).code == 0
    assert "erased" in up("erase", case_id, "--why", "customer", *QA).refused(1)
    # The list, kept elsewhere, erases what a restored casebook has again; here nothing is left to do.
    listed = tmp_path / "erased.json"
    listed.write_text(up("erase", "--list", "--json").out, "utf-8")
    assert up("erase", "--again", str(listed), "--json").json["erased"] == 0


def test_a_hold_forbids_it(up: Up, case_id: str) -> None:
    assert "17" in up("hold", case_id, "--reference", "(2028) Hu 01 Min Chu 17", *GM).out
    assert "a legal hold stands; lift it first" in up("erase", case_id, "--why", "mistake", *QA).refused(1)
    assert case_id in up("hold").out
    assert [one["lifted_by"] for one in up("hold", case_id, "--lift", *QA, "--json").json] == ["qa-1"]
    assert "no legal hold stands" in up("hold", case_id, "--lift", *QA).refused(1)


def test_bad_input_says_what_is_allowed(up: Up, case_id: str, tmp_path: Path) -> None:
    assert "give one of CASE, --customer" in up("erase").refused(2)
    assert "give one of CASE, --customer" in up("erase", case_id, "--customer", "c-1").refused(2)
    assert "--why = 'boredom': allowed: retention, customer" in up("erase", case_id, "--why", "boredom", *QA).refused(2)
    assert "--by and --role" in up("erase", case_id, "--why", "customer").refused(2)
    for by in ("Wang Xiaoming", "gm-1 ", "13800001234\n", ""):
        assert "by" in up("erase", case_id, "--why", "customer", "--by", by, "--role", "qa_manager").refused(2)
    for number in ("0", "-1", "99999999999999999999"):
        assert "there is no erasure" in up("erase", f"--approve={number}", *GM).refused(1)
    assert "give one of" in up("erase", "--approve", "1", "--reject", "2", *GM).refused(2)
    assert "no case names this customer" in up("erase", "--customer", "nobody", "--why", "customer", *QA).refused(1)
    assert "give either --reference or --lift" in up("hold", case_id, *QA).refused(2)
    wrong = tmp_path / "wrong.json"
    wrong.write_text(json.dumps({"no": "list"}), "utf-8")
    assert "not what `erase --list --json` prints" in up("erase", "--again", str(wrong)).refused(2)
    assert "no database" in call("erase", "--list", "--data", "/nonexistent/caseladder").refused(1)


async def test_an_account_that_is_written_otherwise_is_the_same_persons(up: Up, case_id: str) -> None:
    stack = running(up.data)
    assert stack is not None
    async with Database.open(stack.database_url) as database, database.connection() as connection:
        await connection.execute(
            "INSERT INTO unit (id, parent) SELECT 'erasers', (SELECT id FROM unit WHERE parent IS NULL)"
        )
        await connection.execute(
            "INSERT INTO staff (id, role, unit, language, person) "
            "SELECT id, 'qa_manager', 'erasers', 'en', 'p-2' FROM unnest(ARRAY['two-1', 'two-2']) AS id"
        )
        try:
            asked = up("erase", case_id, "--why", "customer", "--by", "two-1", "--role", "qa_manager", "--json")
            for same in ("two-2", "TWO-2", "Two-1"):
                said = up("erase", "--approve", str(asked.json[0]["id"]), "--by", same, "--role", "qa_manager")
                assert "somebody else decides" in said.refused(1)
        finally:
            await connection.execute("DELETE FROM staff WHERE unit = 'erasers'")
            await connection.execute("DELETE FROM unit WHERE id = 'erasers'")
