"""The command line against a running stack: the whole life of cases, refusals, the audit, outages."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import asyncpg
import psutil
import pytest
from temporalio.client import Client

from cases.directory import Person
from starter import client as doors
from starter.cli.options import StackOptions
from starter.cli.welcome import Sample, welcome
from starter.embedded import Addresses, running
from starter.encryption import new_key
from starter.settings import load_settings
from tests.cli.program import COMMAND, ROOT, Answer, Up, call, spawn

AGENT = ("--by", "a1", "--role", "agent")
SUPERVISOR = ("--by", "s1", "--role", "supervisor")
KEYS = count(1)


def filed(up: Up, kind: str = "complaint", *settings: str) -> str:
    """The id of a case of the test's own."""
    view = up("file", kind, "--key", f"t-{next(KEYS)}", "--set", "facts.category=delay", *settings, "--json").json
    return str(view["id"])


def eventually(up: Up, *arguments: str, has: str) -> Answer:
    """The answer once it holds a text: the casebook follows a case by some moments."""
    deadline = monotonic() + 15
    while True:
        answer = up(*arguments)
        if has in answer.out or monotonic() > deadline:
            assert has in answer.out, answer.err
            return answer


def test_a_start_says_where_everything_is_and_what_to_try(up: Up) -> None:
    addresses = running(up.data)
    assert addresses is not None
    says = up.says
    assert (says["pid"], says["temporal"], says["ui"]) == (up.process.pid, addresses.temporal, addresses.ui)
    assert says["database"].startswith("postgresql://caseladder_writer@127.0.0.1:")
    assert addresses.database_url.split(":")[2].split("@")[0] not in json.dumps(says)
    assert {sample["outcome"] for sample in says["samples"]} == {"filed"}
    kinds = {sample["id"].partition(":")[0] for sample in says["samples"]}
    assert {"claim", "complaint", "inquiry"} <= kinds
    # The contacts of the examples are told of the cases.
    deadline = monotonic() + 15
    while not any(Path(says["mail"]).glob("*.eml")) and monotonic() < deadline:
        sleep(0.05)
    assert any(Path(says["mail"]).glob("*.eml"))
    for step in says["next"]:
        words = step.split()
        assert words[:3] == COMMAND
        # As a process: what it prints is all there although the interpreter is not taken down.
        answer = spawn(*words[3:])
        assert answer.code == 0, answer.err
        assert ":sample-" in answer.out
    assert spawn("show", "complaint:nobody", "--data", str(up.data)).refused(1)


def test_the_sample_staff_holds_the_rungs(up: Up) -> None:
    answer = up("staff", "who", "supervisor", "--unit", "north", "--json").json
    assert (answer["person"], answer["why"]) == ("supervisor-1", "on_duty")
    assert up("staff", "who", "qa_manager", "--unit", "east", "--json").json["why"] == "parent_unit"


def _clock(view: dict[str, Any], name: str) -> dict[str, Any]:
    return next(one for one in view["clocks"] if one["clock"] == name)


def test_a_case_from_filing_to_its_end(up: Up) -> None:
    intake = {"key": "life", "facts": {"category": "damage", "description": "brøken 破损", "customer": {"name": "N"}}}
    view = up("file", "complaint", "-", "--set", "facts.unit=east", "--json", given=json.dumps(intake)).json
    assert (view["id"], view["status"], view["facts"]["unit"]) == ("complaint:life", "open", "east")
    again = up("file", "complaint", "-", "--set", "facts.unit=east", "--json", given=json.dumps(intake)).json
    assert again["opened_at"] == view["opened_at"]
    # The casebook gives the number when it records the case, and those who are told of it meet a clock.
    deadline, number, told = monotonic() + 30, None, False
    while number is None or not told:
        assert monotonic() < deadline
        seen = up("show", "complaint:life", "--json").json
        number, told = seen["number"], {"clock": "report", "state": "met"}.items() <= _clock(seen, "report").items()

    held = up("acknowledge", "complaint:life", *AGENT, "--json").json
    assert (held["acknowledged"], held["holder"]) == (True, "a1")
    shown = up("show", f"complaint/{number}", "--json").json
    # How much of it is recorded may have grown since.
    assert shown == {**held, "recorded": shown["recorded"]}
    assert shown["recorded"] >= held["recorded"]
    up("do", "complaint:life", "reply", "stage=interim", "text=We look into it", *AGENT)
    refund = '{"subject": "refund", "amount": "150.00"}'
    asked = up("do", "complaint:life", "request_approval", "--with", refund, *AGENT, "--json").json
    assert asked["approvals"][0]["state"] == "open"
    assert up("approve", "complaint:life", *SUPERVISOR, "--json").json["approvals"][0]["state"] == "approved"
    up("do", "complaint:life", "request_approval", "subject=voucher", *AGENT)
    rejected = up("reject", "complaint:life", "--subject", "voucher", "--reason", "not due", *SUPERVISOR, "--json")
    assert [one["state"] for one in rejected.json["approvals"]] == ["approved", "rejected"]
    raised = up("escalate", "complaint:life", "--reason", "asks for the boss", "--to", "qa_manager", *AGENT, "--json")
    assert raised.json["rung"] == "qa_manager"

    clocks = {one["clock"]: one for one in up("explain", "complaint:life", "--json").json}
    assert clocks["resolution"]["limit"] == {"elapsed_minutes": "2880"}
    up("do", "complaint:life", "resolve", "summary=refunded", "--by", "q1", "--role", "qa_manager")
    ended = up("do", "complaint:life", "withdraw", *SUPERVISOR, "--json").json
    assert (ended["status"], ended["outcome"]) == ("closed", "withdrawn")
    line = up("do", "complaint:life", "note", "text=late", *AGENT).refused(1)
    assert "the case is closed" in line
    assert "S1-5.9.8" in line

    events = up("timeline", "complaint:life", "--json").json
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    done = [event["type"] for event in events]
    for type_ in ("acknowledged", "replied", "approved", "rejected", "escalated", "resolved", "withdrawn", "closed"):
        assert type_ in done
    assert "破损" not in json.dumps(events, ensure_ascii=False)
    eventually(up, "list", "--status", "closed", "--json", has='"complaint:life"')


def test_the_samples_have_a_story(up: Up) -> None:
    seen = {view["key"]: view for view in up("list", "--limit", "1000", "--json").json}
    assert seen["sample-wrong-door"]["status"] == "closed"
    assert seen["sample-storm-delay"]["rung"] == "general_manager"
    [approval] = seen["sample-broken-vase"]["approvals"]
    assert (approval["amount"], approval["role"], approval["state"]) == ("1882.00", "supervisor", "open")


def test_papers_among_the_samples_are_on_their_way(up: Up) -> None:
    """A leave waits for its superior, a quality complaint is late in the middle of its route, a return is held."""
    leave = up("show", "leave:sample-sick-child", "--json").json
    assert (leave["step"], "supervisor" in leave["turn"], leave["signed"]) == ("superior", True, [])
    # Its policy gives a step five seconds.
    eventually(up, "timeline", "quality:sample-peeling-coat", "--json", has='"slip_issued"')
    quality = up("show", "quality:sample-peeling-coat", "--json").json
    assert (quality["policy"], quality["step"], quality["turn"]) == ("hurried", "manufacturing", ["manufacturing"])
    assert [clock["clock"] for clock in quality["clocks"] if clock["state"] == "breached"] == ["step:manufacturing"]
    held = up("show", "return:sample-above-the-ratio", "--json").json
    assert [approval["subject"] for approval in held["approvals"] if approval["state"] == "open"] == ["over_receipt"]


def test_people_get_tables(up: Up) -> None:
    case = filed(up)
    shown = up("show", case).out
    assert "held by   agent (agent), not acknowledged" in shown
    assert "in 4 min" in shown
    assert "48 h" in up("explain", case).out
    timeline = up("timeline", case).out
    assert "case_opened" in timeline
    assert "O-REG-29" in timeline
    assert f" {case} " in eventually(up, "list", has=case).out
    assert up("list", "--breached", "follow_up").out == "no such cases\n"
    # By its part in the story of the samples it is three days old.
    assert "complaint:sample-storm-delay" in up("list", "--breached", "resolution").out


def test_lists_are_filtered(up: Up) -> None:
    case = filed(up, "complaint", "--set", "facts.severity=critical")
    eventually(up, "list", "--json", has=case)
    found = up("list", "--rung", "qa_manager", "--kind", "complaint", "--status", "open", "--json").json
    assert case in {view["id"] for view in found}
    assert {view["rung"] for view in found} == {"qa_manager"}
    assert len(up("list", "--limit", "1", "--json").json) == 1
    assert "there are more" in up("list", "--limit", "1").out
    assert up("list", "--due-by", "2020-01-01T00:00:00+08:00", "--json").json == []
    assert up("list", "--holder", "nobody", "--status", "active", "--json").json == []
    [view] = up("list", "--text", case.partition(":")[2], "--json").json
    assert view["id"] == case
    # The one takes the instant in, the other does not.
    by = up("list", "--due-by", view["next_due"], "--limit", "1000", "--json").json
    before = up("list", "--due-before", view["next_due"], "--limit", "1000", "--json").json
    assert view["id"] in {one["id"] for one in by} - {one["id"] for one in before}
    assert "not both" in up("list", "--due-by", view["next_due"], "--due-before", view["next_due"]).refused(2)


def test_what_customers_write_cannot_steer_the_terminal(up: Up) -> None:
    case = filed(up)
    up("do", case, "note", "text=\x1b[2J[bold]loud[/bold]", *AGENT)
    shown = up("timeline", case).out
    assert "\x1b" not in shown
    assert "[bold]loud[/bold]" in shown


def test_refusals_name_what_is_wrong_and_change_nothing(up: Up) -> None:
    case = filed(up)
    key = case.partition(":")[2]
    before = up("timeline", case, "--json").json
    other = up("file", "complaint", "--key", key, "--set", "facts.category=loss").refused(1)
    assert other == f"key = '{key}' was filed with other content"
    line = up("do", case, "extend", "clock=resolution", "due=2099-01-01T00:00:00+08:00", "reason=r", *AGENT).refused(1)
    assert "by.role = 'agent' may not extend; allowed: supervisor, qa_manager, general_manager" in line
    line = up("acknowledge", case, "--by", "x", "--role", "boss").refused(2)
    assert "by.role = 'boss' is not a role; allowed: agent" in line
    assert "command = 'fly'" in up("do", case, "fly", *AGENT).refused(2)
    assert "text is missing" in up("do", case, "note", *AGENT).refused(2)
    assert "reply_by" in up("do", case, "promise", "reply_by=2099-01-01T00:00:00", *AGENT).refused(2)
    assert "nothing waits for a decision" in up("approve", case, *SUPERVISOR).refused(1)
    assert up("show", "complaint:nobody").refused(1) == "there is no case complaint:nobody"
    assert "there is no case complaint:nobody" in up("acknowledge", "complaint:nobody", *AGENT).refused(1)
    assert "no case with the number 1999-01-0001" in up("show", "1999-01-0001").refused(1)
    # Notices of the opening may still have been recorded meanwhile, but nobody's act.
    after = up("timeline", case, "--json").json
    acts = [event for event in after if event["actor"]["role"] != "system"]
    assert after[: len(before)] == before
    assert acts == []


def test_an_inquiry_that_is_too_old_is_refused_with_its_clause(up: Up) -> None:
    shipment = ("--set", "facts.shipment.waybill=W1", "--set", "facts.shipment.posted_on=2020-01-01")
    line = up("file", "inquiry", "--key", "old", *shipment).refused(1)
    assert "answerable until 2021-01-01" in line
    assert line.endswith("[S0-2.2.2]")


def test_the_record_says_who_filed(up: Up) -> None:
    case = filed(up, "complaint", *AGENT)
    assert up("timeline", case, "--json").json[0]["actor"] == {"id": "a1", "role": "agent"}
    assert "--by and --role go together" in up("file", "complaint", "--key", "x", "--by", "a1").refused(2)


def test_a_repeated_request_is_done_once(up: Up) -> None:
    case = filed(up)
    once = up("do", case, "note", "text=once", *AGENT, "--request-id", "r1", "--json").json
    assert up("do", case, "note", "text=once", *AGENT, "--request-id", "r1").code == 0
    line = up("do", case, "note", "text=twice", *AGENT, "--request-id", "r1").refused(1)
    assert "request_id = 'r1' was used with other content" in line
    noted = [event for event in up("timeline", case, "--json").json if event["type"] == "noted"]
    assert [event["data"]["text"] for event in noted] == ["once"]
    assert once["status"] == "open"


def test_a_number_that_two_kinds_have_is_not_guessed(up: Up) -> None:
    views = up("list", "--limit", "1000", "--json").json
    number = next(view["number"] for view in views if view["kind"] == "inquiry")
    line = up("show", number).refused(1)
    assert f"several kinds have a case {number}; give the id: claim:" in line
    assert up("show", f"inquiry/{number}", "--json").json["kind"] == "inquiry"


def test_what_is_up_to_date_is_left_alone(up: Up) -> None:
    answer = up("migrate", "--json").json
    assert answer["search_attributes"]["Breached"] == "KeywordList"
    assert answer["search_attributes"]["NextDue"] == "Datetime"
    # The embedded stack keeps ended cases for long enough.
    assert answer["warnings"] == []


def test_what_no_workflow_answers_for_is_said_by_the_ledger(up: Up, monkeypatch: pytest.MonkeyPatch) -> None:
    # Otherwise the client waits for seconds that somebody brings the case back.
    monkeypatch.setattr(doors, "PAUSES", (0.1,))
    lost, ended = (
        up("file", "complaint", "--key", key, "--set", "facts.category=delay", "--json").json["id"]
        for key in ("lost", "ended")
    )
    by = ("--by", "ag-1", "--role", "agent")
    up("do", ended, "withdraw", *SUPERVISOR)

    async def end() -> None:
        client = await Client.connect(up.says["temporal"], namespace=up.says["namespace"])
        await client.get_workflow_handle(lost).terminate()
        await client.get_workflow_handle(ended).result()

    asyncio.run(end())
    assert "caseladder recover" in up("do", lost, "note", "text=x", *by).refused(1)
    assert "the case is closed" in up("do", ended, "note", "text=x", *by).refused(1)
    for case, status in ((lost, "open"), (ended, "closed")):
        assert up("show", case, "--json").json["status"] == status
        assert up("timeline", case, "--json").json[0]["type"] == "case_opened"
        assert up("explain", case, "--json").json


def test_a_second_start_on_the_folder_is_turned_away(up: Up) -> None:
    answer = spawn("up", "--data", str(up.data))
    assert answer.code == 1
    assert answer.err.splitlines()[-1].startswith("caseladder: ")
    assert f"already running on {up.data} (pid {up.process.pid})" in answer.err


@contextmanager
def stopped(process: psutil.Process) -> Iterator[None]:
    """The process stands still meanwhile."""
    process.suspend()
    try:
        yield
    finally:
        process.resume()


def test_a_worker_that_does_not_answer_is_waited_for_no_longer_than_asked(up: Up) -> None:
    case = filed(up)
    with stopped(up.worker()):
        line = up("show", case, "--timeout", "1").refused(1)
        assert "no worker answered within 1 s" in line
        assert "caseladder worker" in line
        line = up("file", "complaint", "--key", "later", "--set", "facts.category=delay", "--timeout", "1").refused(1)
        assert "filing it again is harmless" in line
    eventually(up, "show", "complaint:later", "--timeout", "60", "--json", has='"status": "open"')


def test_the_audit_finds_the_first_bad_row(up: Up) -> None:
    case = filed(up)
    eventually(up, "list", "--limit", "1000", "--json", has=f'"{case}"')
    good = up("audit", "verify", "--full", "--json").json
    assert good["ok"] is True
    assert good["events"] >= good["cases"] >= 6
    assert "as they were recorded" in up("audit", "verify", case).out
    assert "the casebook has no case complaint:nobody" in up("audit", "verify", "complaint:nobody").refused(1)

    body = asyncio.run(tamper(up, case, None))
    try:
        line = up("audit", "verify", "--full").err.removeprefix("caseladder: ").rstrip("\n")
        assert (
            line == f"the record is not as it was written: {case} seq 1: changed: its hash is not the one of its body"
        )
        answer = up("audit", "verify", case, "--json")
        assert answer.code == 1
        fault: dict[str, Any] = json.loads(answer.out)["fault"]
        assert (fault["case_id"], fault["seq"], fault["what"]) == (case, 1, "changed")
    finally:
        asyncio.run(tamper(up, case, body))
    assert up("audit", "verify").code == 0


@pytest.mark.long
def test_checkpoints_are_made_handed_out_and_compared_with(up: Up, tmp_path: Path) -> None:
    case = filed(up)
    eventually(up, "list", "--limit", "1000", "--json", has=f'"{case}"')
    assert (up.data / "checkpoint-key.pem").stat().st_mode & 0o777 == 0o600
    file, public = tmp_path / "now.checkpoint", tmp_path / "public.pem"
    first = up("audit", "checkpoint", "-o", str(file), "--json").json
    assert first["made"]
    assert file.stat().st_mode & 0o777 == 0o600
    assert "signed by" in up("audit", "checkpoint").out
    good = up("audit", "verify", "--all-checkpoints", "--json").json
    assert (good["ok"], good["faults"], good["notes"]) == (True, [], [])
    assert good["checkpoints"] >= 1
    assert "are those that were signed by" in up("audit", "verify", "--against", str(file)).out
    # What the stack hands out by itself is the same; what is recorded between two looks makes one more.
    deadline, kept = monotonic() + 30, ""
    while kept != file.read_text("utf-8"):
        assert monotonic() < deadline
        file.unlink()
        up("audit", "checkpoint", "-o", str(file))
        kept = "".join(one.read_text("utf-8") for one in sorted((up.data / "checkpoints").glob("*.checkpoint")))
    covered = up("audit", "verify").out.splitlines()[1]
    assert covered.startswith("checkpoint ")
    assert "what has not grown since was not read again" in covered
    # An auditor has the public key and a file, and the address of the database.
    public.write_text(up("audit", "key").out)
    assert "PRIVATE" not in public.read_text()
    auditor = {"CASELADDER_CHECKPOINT_KEY": str(public)}
    stack = ("--data", str(up.data))
    assert call("audit", "verify", "--against", str(file), *stack, env=auditor).code == 0
    assert "no private key" in call("audit", "checkpoint", *stack, env=auditor).refused(2)

    body = asyncio.run(tamper(up, case, None, hash=True))
    try:
        answer = up("audit", "verify", "--against", str(file), "--json")
        assert answer.code == 1
        faults = json.loads(answer.out)["faults"]
        assert (case, 1, "changed") in [(one["case_id"], one["seq"], one["what"]) for one in faults]
        assert f"{case} seq 1" in up("audit", "verify", "--against", str(file)).err
    finally:
        asyncio.run(tamper(up, case, body, hash=True))
    assert up("audit", "verify", "--against", str(file)).code == 0


def test_a_case_is_proved_to_a_stranger(up: Up, tmp_path: Path) -> None:
    case = filed(up)
    eventually(up, "list", "--limit", "1000", "--json", has=f'"{case}"')
    assert "checkpoint" in up("audit", "prove", case).refused(1)
    up("audit", "checkpoint")
    proof, public = tmp_path / "proof.json", tmp_path / "public.pem"
    public.write_text(up("audit", "key").out)
    assert up("audit", "prove", case, "-o", str(proof)).out == f"{proof}: the proof of {case}\n"
    assert proof.read_text("utf-8") == up("audit", "prove", case).out
    script = [sys.executable, str(ROOT / "docs" / "verify_proof.py"), str(proof), str(public)]
    done = subprocess.run(script, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"{case}, number " in done.stdout


def test_what_is_no_checkpoint_and_no_key_is_refused(up: Up, tmp_path: Path) -> None:
    file = tmp_path / "x"
    file.write_text("x")
    assert "this is no checkpoint" in up("audit", "verify", "--against", str(file)).refused(2)
    assert "No such file" in up("audit", "verify", "--against", str(tmp_path / "none")).refused(1)
    assert "give it without" in up("audit", "verify", "complaint:x", "--all-checkpoints").refused(2)
    none = {"CASELADDER_CHECKPOINT_KEY": str(file)}
    for command in (["checkpoint"], ["verify", "--all-checkpoints"], ["key"], ["key", "--new"]):
        line = call("audit", *command, "--data", str(up.data), env=none).refused(2)
        assert line.startswith(f"CASELADDER_CHECKPOINT_KEY: {file}: allowed are PEM blocks of Ed25519 keys"), line
    # One that is named is not passed over because it is not there.
    missing = {"CASELADDER_CHECKPOINT_KEY": str(tmp_path / "missing.pem")}
    assert "missing.pem: No such file" in call(
        "audit", "verify", "--full", "--data", str(up.data), env=missing
    ).refused(2)
    assert f"{tmp_path} is a folder" in up("audit", "checkpoint", "-o", str(tmp_path)).refused(2)
    key = {"CASELADDER_CHECKPOINT_KEY": str(tmp_path / "key.pem")}
    first = call("audit", "key", "--new", "--json", env=key).json
    second = call("audit", "key", "--new", "--json", env=key).json
    assert second["trusted"] == [second["signs"], first["signs"]]


async def tamper(up: Up, case: str, body: str | None, *, hash: bool = False) -> str:
    """Write into the ledger behind the program's back: another first row, or the right one again."""
    addresses = running(up.data)
    assert addresses is not None
    connection = await asyncpg.connect(addresses.owner_url)
    try:
        async with connection.transaction():
            await connection.execute("ALTER TABLE case_event DISABLE TRIGGER case_event_append_only")
            old: str = await connection.fetchval("SELECT body FROM case_event WHERE case_id = $1 AND seq = 1", case)
            new = body or old.replace('"category":"delay"', '"category":"loss"')
            assert new != old
            anew = ", hash = sha256(prev_hash || convert_to($2, 'UTF8'))" if hash else ""
            await connection.execute(f"UPDATE case_event SET body = $2{anew} WHERE case_id = $1 AND seq = 1", case, new)
            await connection.execute("ALTER TABLE case_event ENABLE TRIGGER case_event_append_only")
    finally:
        await connection.close()
    return old


@pytest.mark.long
def test_a_worker_that_dies_is_started_again(up: Up) -> None:
    case = filed(up)
    up.worker().kill()
    assert up("acknowledge", case, *AGENT, "--timeout", "60", "--json").json["acknowledged"] is True
    said = up.errors.read_text()
    assert "the worker has ended; starting it again in 1 s" in said


@contextmanager
def taken(port: int) -> Iterator[None]:
    """Somebody else's server on a port, ours or one that has been there before."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with suppress(OSError):
            listener.bind(("127.0.0.1", port))
            listener.listen()
        yield


@pytest.mark.long
def test_a_stop_ends_everything_and_the_next_start_goes_on(tmp_path: Path) -> None:
    with taken(7233):
        first = Up(tmp_path / "data")
    try:
        assert not first.says["temporal"].endswith(":7233")
        assert first.says["samples"] == []
        file, _, show = (step.split()[3:] for step in first.says["next"])
        assert call(*file).code == 0
        opened = call(*show, "--json").json["opened_at"]
        assert first("file", "complaint", "examples/complaint-late-parcel.toml").code == 0
        family = first.family()
        assert len(family) >= 5
        assert first.stop() == 0
        assert [process for process in family if process.is_running()] == []
        words = ["stopping the API, the worker, Temporal and PostgreSQL", "stopped"]
        assert first.errors.read_text().splitlines()[-2:] == words
        assert "no database" in first("list").refused(1)
    finally:
        first.end()

    # From now on the engine keeps nothing in the open; what it has is still read.
    keys = {"CASELADDER_PAYLOAD_KEYS": new_key("k1")}
    second = Up(tmp_path / "data", "--examples", given=keys)
    try:
        assert call(*show, "--json", env=keys).json["opened_at"] == opened
        assert "the key k1" in call(*show).refused(1)
        kept = b"".join(file.read_bytes() for file in (tmp_path / "data").glob("temporal.db*"))
        before, after = (b"10000000001", b"10000000006")
        assert (before in kept, after in kept) == (True, False)
        outcomes = {sample["id"]: sample["outcome"] for sample in second.says["samples"]}
        assert outcomes.pop("complaint:sample-late-parcel") == "already there"
        assert set(outcomes.values()) == {"filed"}
        family = second.family()
        # Killed, it takes everything along all the same.
        second.process.kill()
        second.process.wait()
        _, alive = psutil.wait_procs(family, timeout=20)
        assert alive == []
    finally:
        second.end()


def test_people_are_told_where_everything_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    url = "postgresql://caseladder:secret@127.0.0.1:15432/postgres"
    settings = load_settings(data=tmp_path, smtp_url="smtp://mailer:secret@mail.example.com:2525").on_embedded(url)
    addresses = Addresses(1, "127.0.0.1:20000", "default", "http://127.0.0.1:8233", url, url)
    samples = [Sample("complaint:a", "already there")]
    people = [Person(id=f"agent-{number}", role="agent", unit="north") for number in range(25)]
    log, api = tmp_path / "logs" / "worker.log", "http://127.0.0.1:8080"
    welcome(StackOptions(), settings, addresses, log, samples, ["caseladder list"], api, people)
    said = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert "complaint:a already there" in said
    assert "Temporal UI http://127.0.0.1:8233" in said
    assert "Temporal 127.0.0.1:20000 (namespace default)" in said
    assert f"PostgreSQL postgresql://caseladder@127.0.0.1:15432/postgres (password in {tmp_path}/stack.json)" in said
    assert "Mail smtp://mail.example.com:2525" in said
    assert "Taken 7233 by another program, so free ports are used" in said
    assert "Console http://127.0.0.1:8080/console/" in said
    assert "agent-0 agent north" in said
    assert "and 5 more (caseladder staff export)" in said
    assert "caseladder list" in said
    assert "secret" not in " ".join(said)


def test_ctrl_c_while_it_starts_stops_what_has_started(tmp_path: Path) -> None:
    process = psutil.Popen(
        [*COMMAND, "up", "--data", str(tmp_path / "data")], cwd=ROOT, stdout=-1, stderr=-1, text=True
    )
    deadline = monotonic() + 30
    while not process.children() and monotonic() < deadline:
        sleep(0.05)
    family = process.children(recursive=True)
    assert family
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 0, err
    assert out.splitlines()[-1] == "stopped"
    assert [child for child in family if child.is_running()] == []
    assert running(tmp_path / "data") is None


def test_a_folder_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    answer = spawn("up", "--data", str(tmp_path / "file"))
    assert answer.code == 1
    assert f"{tmp_path / 'file'} cannot be the data folder" in answer.err.splitlines()[-1]


def test_a_scenario_is_rehearsed(tmp_path: Path) -> None:
    scenario = tmp_path / "c.toml"
    scenario.write_text(
        'kind = "complaint"\nkey = "C-17"\nreceived_at = 2026-03-04T10:00:00+08:00\n'
        "until = 2026-03-04T10:20:00+08:00\n"
        '[facts]\ncategory = "delay"\n'
        '[[expect]]\ntype = "escalated"\nat = 2026-03-04T10:15:00+08:00\ndata = { to = "general_manager" }\n'
    )
    assert call("rehearse", str(scenario)).code == 0
    lines = call("rehearse", str(scenario), "--json").out.splitlines()
    assert {json.loads(line)["key"] for line in lines} == {"C-17"}
    scenario.write_text(scenario.read_text().replace("10:15:00", "10:16:00"))
    assert call("rehearse", str(scenario)).code == 1
    scenario.write_text(scenario.read_text().replace("escalated", "exploded"))
    failed = call("rehearse", str(scenario))
    assert failed.code == 2
    assert "exploded" in failed.err
