"""Commands that need no server: policies, schemas, help, and bad input of every sort."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from starter.cli.intake import assign
from tests.cli.program import ROOT, call, environment, spawn

POLICY = ROOT / "cases" / "policy" / "default.toml"
NAIVE = '{"key": "a", "received_at": "2026-03-10T09:00:00", "facts": {"category": "delay"}}'
NOWHERE = ("--data", "/nonexistent/caseladder")

# Arguments, what stands on stdin, the exit code, and what the one line must say.
BAD: dict[str, tuple[Sequence[str], str, int, Sequence[str]]] = {
    "command": (["fly"], "", 2, ['Unknown command "fly"', "caseladder --help"]),
    "option": (["list", "--colour", "red"], "", 2, ["Unknown option", "--colour"]),
    "argument": (["show"], "", 2, ["CASE requires an argument"]),
    "kind": (["file", "praise", "--key", "a"], "", 2, ["kind = 'praise'", "complaint"]),
    "missing field": (["file", "complaint", "--key", "a"], "", 2, ["facts is missing"]),
    "value": (
        ["file", "complaint", "--key", "a", "--set", "facts.category=slow"],
        "",
        2,
        ["facts.category = 'slow'", "'attitude', 'delay'"],
    ),
    "unknown field": (
        ["file", "complaint", "-", "--set", "facts.colour=red"],
        '{"key": "a", "facts": {"category": "delay"}}',
        2,
        ["facts.colour is not a known field"],
    ),
    "naive timestamp": (["file", "complaint", "-"], NAIVE, 2, ["received_at = '2026-03-10T09:00:00'", "timezone"]),
    "naive timestamp in TOML": (
        ["file", "complaint", "-"],
        'key = "a"\nreceived_at = 2026-03-10T09:00:00\nfacts = { category = "delay" }\n',
        2,
        ["received_at = '2026-03-10T09:00:00'", "timezone"],
    ),
    "float": (
        ["file", "inquiry", "-"],
        '{"key": "a", "facts": {"shipment": {"waybill": "W1", "posted_on": "2026-03-10", "weight_kg": 1.5}}}',
        2,
        ["facts.shipment.weight_kg = 1.5", "written as a string"],
    ),
    "not JSON": (["file", "complaint", "-"], '{"key": }', 2, ["stdin: not JSON", "line 1 column 9"]),
    "not TOML": (["file", "complaint", "-"], "key = \n", 2, ["stdin: not TOML", "line 1"]),
    "no object": (["file", "complaint", "-"], "[1]", 2, ["stdin: must be one JSON object, not list"]),
    "no file": (["file", "complaint", "nowhere.json"], "", 2, ["nowhere.json: cannot be read", "No such file"]),
    "unknown option of file": (["file", "complaint", "--colour"], "", 2, ["--colour"]),
    "set": (["file", "complaint", "--set", "facts"], "", 2, ["--set facts", "NAME=VALUE"]),
    "set through a value": (["file", "complaint", "--set", "key=a", "--set", "key.b=c"], "", 2, ["key is no object"]),
    "case": (["show", "nonsense"], "", 2, ["CASE = 'nonsense'", "complaint:KEY", "2026-03-0007"]),
    "by without role": (["acknowledge", "complaint:a", "--by", "a1"], "", 2, ["--by and --role go together"]),
    "nobody": (["acknowledge", "complaint:a"], "", 2, ["by is missing", "--by agent-7 --role agent"]),
    "no text": (
        ["do", "complaint:a", "note", "text=a\udcff", "--by", "a1", "--role", "agent"],
        "",
        2,
        ["no text in UTF-8"],
    ),
    "no reason": (["escalate", "complaint:a", "--by", "a1", "--role", "agent"], "", 2, ["--reason"]),
    "with": (["do", "complaint:a", "note", "--with", "text"], "", 2, ["--with: not JSON"]),
    "pair": (["do", "complaint:a", "note", "text"], "", 2, ["note text", "NAME=VALUE"]),
    "timeout": (["show", "complaint:a", "--timeout", "0"], "", 2, ["--timeout", "Must be >= 1"]),
    "limit": (["list", "--limit", "0"], "", 2, ["--limit", "Must be >= 1"]),
    "limit above": (["list", "--limit", "1001"], "", 2, ["--limit", "Must be <= 1000"]),
    "list kind": (["list", "--kind", "praise"], "", 2, ["--kind = 'praise'", "complaint"]),
    "list status": (["list", "--status", "lost"], "", 2, ['"lost"', "open", "resolved", "closed"]),
    "due by": (["list", "--due-by", "2026-03-10T09:00:00"], "", 2, ["--due-by", "with an offset"]),
    "policy": (["policy", "show", "strict"], "", 2, ["policy = 'strict'", "allowed: cross_company, default"]),
    "policy file": (["policy", "check", "nowhere.toml"], "", 2, ["nowhere.toml", "cannot be read"]),
    "file of forms": (
        ["policy", "check", str(POLICY.parent / "forms" / "leave.toml")],
        "",
        2,
        ["leave.toml", "it is a file of forms, and no policy", "check that policy"],
    ),
    "summary month": (["summary", "2026-13"], "", 2, ["MONTH = '2026-13'", "like 2026-03"]),
    "summary too early": (["summary", "2099-12"], "", 1, ["month = 2099-12 has not ended", "S3-4.3.1.10"]),
    "summary policy": (["summary", "2026-03", "--policy", "strict"], "", 2, ["policy = 'strict'", "allowed: "]),
    "summary nothing": (["summary"], "", 2, ["MONTH"]),
    "schema kind": (["schema", "praise"], "", 2, ["kind = 'praise'", "complaint"]),
    "schema command": (["schema", "inquiry", "--command", "fly"], "", 2, ["--command = 'fly'", "acknowledge"]),
    "no database at all": (["list", *NOWHERE], "", 1, ["no database", "caseladder up", "CASELADDER_DATABASE_URL"]),
    "backup of nothing": (["backup", "file", *NOWHERE], "", 1, ["/nonexistent/caseladder is no data folder"]),
    "restore what": (["restore", "nowhere.backup"], "", 1, ["nowhere.backup: No such file"]),
    "restore no backup": (["restore", str(POLICY)], "", 1, ["default.toml is not a backup of caseladder"]),
    "restore either": (["restore", "file", "--ledger-only", "--engine-lost"], "", 2, ["give one of them"]),
    "rehearse nothing": (["rehearse"], "", 2, ["nothing to rehearse"]),
    "rehearse engine": (["rehearse", "--engine", "steam"], "", 2, ['"steam"', "core", "temporal"]),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_gets_one_clear_line_and_its_exit_code(name: str) -> None:
    arguments, given, code, words = BAD[name]
    # Nobody listens on port 1, so it shows when somebody is asked before the input was looked at.
    answer = call(*arguments, given=given, env={"TEMPORAL_ADDRESS": "127.0.0.1:1"})
    assert answer.code == code
    assert answer.out == ""
    assert answer.err.startswith("caseladder")
    assert answer.err.count("\n") == 1
    for word in words:
        assert word in answer.err


def test_the_process_ends_with_the_exit_code() -> None:
    shown = spawn("--help")
    assert shown.code == 0
    for word in ("Exit codes: 0 done, 1 refused", "audit", "escalate", "rehearse", "up"):
        assert word in shown.out
    assert "nowhere.toml" in spawn("policy", "check", "nowhere.toml").refused(2)


def test_no_server_no_database_and_wrong_settings_are_named() -> None:
    silent = {"TEMPORAL_ADDRESS": "127.0.0.1:1", "CASELADDER_DATABASE_URL": "postgresql://u:secret@127.0.0.1:1/db"}
    line = call("show", "complaint:a", env=silent).refused(1)
    assert "no Temporal server answers at 127.0.0.1:1 (TEMPORAL_ADDRESS)" in line
    assert "caseladder up" in line
    for command in (["list"], ["audit", "verify"]):
        line = call(*command, env=silent).refused(1)
        assert "the database does not serve" in line
        assert "secret" not in line
    line = call("migrate", env=silent).refused(2)
    assert line.startswith("CASELADDER_DATABASE_OWNER_URL is missing: the address of the role that owns the schema")
    line = call("list", env={"CASELADDER_DATABASE_URL": "mysql://u:secret@host/db"}).refused(2)
    assert "CASELADDER_DATABASE_URL" in line
    assert "postgresql://" in line
    assert "secret" not in line
    assert "CASELADDER_CONTACTS = /nowhere" in call("list", env={"CASELADDER_CONTACTS": "/nowhere"}).refused(2)


def test_commands_without_a_server_do_not_wait_for_temporals_client() -> None:
    code = "import sys; sys.argv[1:] = ['schema', 'complaint']; from starter.cli import main; main();"
    code += "print(sorted(name for name in sys.modules if name.startswith('temporalio')), file=sys.stderr)"
    run = [sys.executable, "-c", code]
    done = subprocess.run(run, cwd=ROOT, env=environment(), capture_output=True, text=True, check=True)
    assert done.stderr == "[]\n"


def test_from_which_amount_on_approvals_need_a_passkey_is_shown_where_they_do() -> None:
    policy = Path(__file__).parents[1] / "scenarios" / "policies" / "passkeys.toml"
    assert "from 5000.00 yuan on with a passkey" in call("policy", "show", str(policy)).out
    assert call("policy", "check", str(policy)).code == 0
    assert "passkey" not in call("policy", "show").out


def test_a_policy_is_shown_with_its_clauses() -> None:
    shown = call("policy", "show")
    assert shown.code == 0
    rows = [" ".join(line.split()) for line in shown.out.splitlines()]
    assert "complaint resolution 48 h 75 % paused, extended general_manager S4-2.4" in rows
    assert "complaint legal_limit 7 calendar days 75 % general_manager O-REG-29 [OUTSIDE]" in rows
    assert "supervisor decides up to 2000.00 yuan T3 [INVENTED]" in rows
    document = call("policy", "show", str(POLICY), "--json").json
    assert document["complaint"]["clocks"]["rung"]["elapsed"] == "PT5M"
    assert len(document["hash"]) == 64


def test_policies_are_checked_and_compared_key_by_key(tmp_path: Path) -> None:
    strict, bad = tmp_path / "strict.toml", tmp_path / "bad.toml"
    text = POLICY.read_text("utf-8")
    shutil.copytree(POLICY.parent / "forms", tmp_path / "forms")
    strict.write_text(
        text.replace('name = "default"', 'name = "strict"').replace('elapsed = "PT48H"', 'elapsed = "PT24H"')
    )
    bad.write_text(text.replace('elapsed = "PT48H"', 'elapsed = "-PT48H"'))
    checked = call("policy", "check", str(strict), "--json").json
    assert checked["name"] == "strict"
    line = call("policy", "check", str(bad)).refused(2)
    assert f"{bad}: policy: complaint.clocks.resolution.elapsed = '-PT48H'" in line
    assert call("policy", "diff", "default", str(strict), "--json").json == [
        {"key": "complaint.clocks.resolution.elapsed", "a": "PT48H", "b": "PT24H"},
        {"key": "name", "a": "default", "b": "strict"},
    ]
    people = call("policy", "diff", "default", str(strict))
    assert people.code == 0
    assert any(
        line.split() == ["complaint.clocks.resolution.elapsed", "PT48H", "PT24H"] for line in people.out.splitlines()
    )
    assert "say the same" in call("policy", "diff", "default", "default").out


def test_a_schema_says_what_an_intake_and_a_command_take() -> None:
    intake = call("schema", "complaint").json
    assert intake["required"] == ["key", "facts"]
    assert intake["additionalProperties"] is False
    facts = intake["$defs"]["ComplaintFacts"]
    assert facts["properties"]["category"]["enum"] == ["attitude", "delay", "damage", "shortage", "loss", "other"]
    money = intake["$defs"]["Shipment"]["properties"]["base_freight"]["anyOf"]
    assert {one["type"] for one in money} == {"string", "null"}
    assert set(json.loads((ROOT / "examples/complaint-platform-loss.json").read_text())["facts"]) <= set(
        facts["properties"]
    )
    command = call("schema", "complaint", "--command", "reject", "--json").json
    assert sorted(command["required"]) == ["by", "reason"]


def test_pairs_become_objects_and_only_json_is_read_as_json() -> None:
    body: dict[str, object] = {"facts": {"category": "delay"}}
    pairs = ["facts.shipment.weight_kg=1.50", "text=a=b", 'options=["A", "B"]', 'quoted="007"', "flag=true"]
    assign(body, pairs, "--set")
    assert body == {
        "facts": {"category": "delay", "shipment": {"weight_kg": "1.50"}},
        "text": "a=b",
        "options": ["A", "B"],
        "quoted": "007",
        "flag": "true",
    }
