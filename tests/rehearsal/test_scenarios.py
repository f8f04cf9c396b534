"""The worked cases and quick checks, and how a rehearsal tells what holds."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from activities.policies.store import Policies
from starter.rehearsal.command import rehearse
from starter.rehearsal.core_engine import run_case
from starter.rehearsal.engine import UNRECORDED, Engine
from starter.rehearsal.expectations import judge, same
from starter.rehearsal.scenario import load_scenario

FOLDER = Path(__file__).parents[1] / "scenarios"
# Those of a company with forms of its own, two of them after papers of others.
COMPANY = Path(__file__).parents[1] / "company"
SCENARIOS = [*sorted(FOLDER.glob("*.toml")), *sorted((COMPANY / "scenarios").glob("*.toml"))]
EDGE = FOLDER / "11b-resolved-at-the-limit.toml"


def test_every_worked_case_of_complaints_and_inquiries_has_its_file() -> None:
    numbers = {path.name[:2] for path in SCENARIOS}
    assert {f"{n:02d}" for n in (*range(1, 8), *range(11, 19), 39)} <= numbers
    cases = [load_scenario(path, Policies()).case for path in SCENARIOS]
    assert len({(case.kind, case.key) for case in cases}) == len(SCENARIOS)


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
async def test_scenario_holds(path: Path, engine: Engine) -> None:
    scenario = load_scenario(path, Policies())
    events = await engine.run_case(scenario.case)
    verdicts = judge(scenario, events)
    assert [verdict for verdict in verdicts if not verdict.holds] == []
    # A scenario that only forbids would also hold for a case that did nothing.
    assert scenario.expect
    recorded = [event.seq for event in events if event.seq != UNRECORDED]
    assert recorded == list(range(1, len(recorded) + 1))
    assert [event.at for event in events] == sorted(event.at for event in events)


def changed(tmp_path: Path, old: str, new: str, source: Path = EDGE) -> Path:
    text = source.read_text("utf-8")
    assert old in text
    path = tmp_path / "changed.toml"
    path.write_text(text.replace(old, new, 1), "utf-8")
    return path


def test_json_is_one_event_a_line_with_the_key(capsys: pytest.CaptureFixture[str]) -> None:
    assert rehearse([EDGE, FOLDER / "02a-inquiry-a-day-late.toml"], as_json=True) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {line["key"] for line in lines} == {"11b", "02a-late"}
    assert set(lines[0]) == {"seq", "type", "at", "recorded_at", "actor", "clauses", "data", "key"}
    assert lines[0]["type"] == "case_opened"
    assert lines[0]["at"] == "2026-03-10T09:00:00+08:00"
    refused = lines[-1]
    assert (refused["seq"], refused["type"]) == (None, "command_refused")
    assert (refused["data"]["command"], refused["data"]["code"]) == ("file", "out_of_validity")
    assert refused["clauses"] == ["S0-2.2.2"]


def test_a_refused_command_stands_at_its_place_and_outside_the_ledger() -> None:
    scenario = load_scenario(FOLDER / "18c-supervisor-acknowledges-a-second-late.toml", Policies())
    events = run_case(scenario.case)
    place = next(i for i, event in enumerate(events) if event.seq == UNRECORDED)
    assert events[place - 1].at.isoformat() == "2026-03-04T10:10:00+08:00"
    assert events[place].at.isoformat() == "2026-03-04T10:10:01+08:00"
    assert events[place + 1].at.isoformat() == "2026-03-04T10:15:00+08:00"
    assert events[place].data["message"].startswith("by.role = 'supervisor'")


def test_people_read_a_timeline_with_verdicts(capsys: pytest.CaptureFixture[str]) -> None:
    assert rehearse([EDGE]) == 0
    said = capsys.readouterr().out
    assert "2026-03-12 09:00:00+08:00  resolved" in said
    assert "by = agent-7 (agent)" in said
    assert "OK      expect 1: clock_met" in said
    assert "1 rehearsed, 1 OK, 0 FAILED" in said


@pytest.mark.parametrize("as_json", [False, True])
def test_a_wrong_expectation_fails_and_says_which(
    as_json: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # The resolution an instant earlier than it was.
    path = changed(
        tmp_path,
        'type = "resolved"\nat = 2026-03-12T09:00:00+08:00',
        'type = "resolved"\nat = 2026-03-12T08:59:59+08:00',
    )
    assert rehearse([path], as_json=as_json) == 1
    captured = capsys.readouterr()
    said = captured.err if as_json else captured.out
    assert "FAILED" in said
    assert "expect 3: resolved at 2026-03-12T08:59:59+08:00" in said
    assert "there is: resolved at 2026-03-12T09:00:00+08:00" in said
    if as_json:
        assert all(json.loads(line)["key"] == "11b" for line in captured.out.splitlines())


def test_an_expectation_without_any_such_event_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert rehearse([changed(tmp_path, 'type = "resolved"', 'type = "reopened"')]) == 1
    assert "no event of that type occurred" in capsys.readouterr().out


def test_a_forbidden_event_fails_and_is_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = changed(tmp_path, '[[forbid]]\ntype = "escalated"', '[[forbid]]\ntype = "acknowledged"')
    assert rehearse([path]) == 1
    said = capsys.readouterr().out
    assert "FAILED  forbid 2: acknowledged" in said
    assert "there is: acknowledged at 2026-03-10T09:02:00+08:00" in said


def test_the_nearest_events_are_shown(tmp_path: Path) -> None:
    path = changed(tmp_path, 'data = { clock = "resolution", due = 2026', 'data = { clock = "resolution", due = 2027')
    scenario = load_scenario(path, Policies())
    broken = [verdict for verdict in judge(scenario, run_case(scenario.case)) if not verdict.holds]
    assert len(broken) == 1
    assert "resolution" in [event.data["clock"] for event in broken[0].details]
    assert len(broken[0].details) == 3


def test_another_policy_for_the_same_scenarios(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    policy = tmp_path / "hasty.toml"
    policy.write_text(quicker(), "utf-8")
    assert rehearse([EDGE], policy=str(policy)) == 1
    assert "policy hasty" in capsys.readouterr().out


def test_a_policy_path_is_relative_to_the_scenario(tmp_path: Path) -> None:
    (tmp_path / "hasty.toml").write_text(quicker(), "utf-8")
    path = changed(tmp_path, 'key = "11b"', 'key = "11b"\npolicy = "./hasty.toml"')
    assert load_scenario(path, Policies()).case.policy.name == "hasty"
    assert rehearse([path]) == 1


def quicker() -> str:
    """The default policy with one hour less for the solution."""
    text = (Path(__file__).parents[2] / "cases" / "policy" / "default.toml").read_text("utf-8")
    return text.replace('name = "default"', 'name = "hasty"').replace('elapsed = "PT48H"', 'elapsed = "PT47H"')


@pytest.mark.parametrize(
    ("wanted", "actual"),
    [
        ({}, {"a": 1}),
        ({"a": {"b": 1}}, {"a": {"b": 1, "c": 2}}),
        (18, "18.00"),
        (0.75, "0.75"),
        ("18", "18.00"),
        ("2026-03-10T01:00:00+00:00", "2026-03-10T09:00:00+08:00"),
        (["x", 2], ("x", "2.0")),
        (None, None),
        (True, True),
    ],
)
def test_same(wanted: object, actual: object) -> None:
    assert same(wanted, actual)


@pytest.mark.parametrize(
    ("wanted", "actual"),
    [
        ({"a": 1}, {}),
        ({"a": None}, {}),
        ({"a": 1}, "a"),
        (18, "18.01"),
        (True, 1),
        (1, True),
        (True, "True"),
        ("a", "b"),
        (["x"], ["x", "y"]),
        ([], "x"),
        ("2026-03-10T09:00:01+08:00", "2026-03-10T09:00:00+08:00"),
        ("2026-03-10T09:00:00", "2026-03-10T09:00:00+08:00"),
        ("nan", "nano"),
    ],
)
def test_not_same(wanted: object, actual: object) -> None:
    assert not same(wanted, actual)


GOOD = """\
kind = "complaint"
key = "X-1"
received_at = 2026-03-10T09:00:00+08:00
until = 2026-03-10T12:00:00+08:00
[facts]
category = "delay"
[[step]]
at = 2026-03-10T09:02:00+08:00
command = "acknowledge"
by = { id = "agent-7", role = "agent" }
[[step]]
at = 2026-03-10T09:20:00+08:00
command = "reply"
by = { id = "agent-7", role = "agent" }
with = { stage = "interim" }
[[expect]]
type = "replied"
"""


def test_the_good_file_that_the_bad_ones_are_made_of(tmp_path: Path) -> None:
    path = tmp_path / "good.toml"
    path.write_text(GOOD, "utf-8")
    assert rehearse([path], as_json=True) == 0


BAD = [
    ("kind =", "knid =", "'knid' is not a known field; allowed: kind, key,"),
    ('command = "reply"', 'comand = "reply"', "step 2: 'comand' is not a known field; allowed: at, command, by, with"),
    ('kind = "complaint"', 'kind = "compliant"', "kind = 'compliant': not a kind of case; allowed: complaint, claim,"),
    ('key = "X-1"', "", "key is missing"),
    ('key = "X-1"', 'key = "X 1"', "key = (text)"),
    ("09:00:00+08:00", "09:00:00", "received_at = 2026-03-10T09:00:00: must be a date and time with an offset"),
    ("received_at = 2026-03-10T09:00:00+08:00", "received_at = 20260310", "received_at = 20260310: must be a date"),
    ("received_at = 2026-03-10T09:00:00+08:00", 'received_at = "soon"', "received_at = 'soon': must be a date"),
    ("at = 2026-03-10T09:20:00+08:00", "at = 2026-03-10T09:20:00", "step 2.at = 2026-03-10T09:20:00: must be"),
    ("09:20:00", "09:01:00", "step 2.at = 2026-03-10T09:01:00+08:00 lies before step 1.at"),
    ("09:02:00", "08:59:59", "step 1.at = 2026-03-10T08:59:59+08:00 lies before received_at"),
    ("12:00:00", "09:19:59", "until = 2026-03-10T09:19:59+08:00 lies before step 2.at"),
    ('command = "reply"', 'command = "repyl"', "step 2: command = 'repyl': this case takes acknowledge, "),
    ('stage = "interim"', 'stage = "final"', "step 2: reply: stage = 'final': Input should be 'interim' or 'answer'"),
    ('stage = "interim"', 'stge = "interim"', "step 2: reply: stage is missing"),
    ("with = {", "with = { request_id = 'r-1',", "step 2.with: request_id may not stand among"),
    ("with = {", "with = { by = 'me',", "step 2.with: by may not stand among"),
    ('role = "agent" }', 'role = "agent", name = "Ada" }', "step 1.by: 'name' is not a known field; allowed: id, role"),
    ('category = "delay"', 'category = "dealy"', "facts.category = 'dealy': Input should be 'attitude', 'delay'"),
    ('category = "delay"', 'catgory = "delay"', "facts.category is missing"),
    ('key = "X-1"', 'key = "X-1"\npolicy = "strict"', "policy = 'strict' is not known; allowed: cross_company, d"),
    ('key = "X-1"', 'key = "X-1"\npolicy = "no/such.toml"', "no/such.toml: cannot be read"),
    ('type = "replied"', 'type = "reply"', "expect 1.type = 'reply': not a type of event; allowed: case_opened"),
    ('type = "replied"', 'type = "replied"\nwhen = 1', "expect 1: 'when' is not a known field; allowed: type,"),
    ('type = "replied"', 'type = "replied"\nat = 2026-03-10T09:20:00', "expect 1.at = 2026-03-10T09:20:00: must be"),
    ("[facts]", "[effects]\nnotices = 'maybe'\n[facts]", "effects.notices = 'maybe': Input should be 'ok' or 'fail'"),
    ("[facts]", "[facts", "not TOML"),
    ("[facts]", "[facts]\ndescription = 5", "facts.description: Input should be a valid string"),
]


@pytest.mark.parametrize(("old", "new", "message"), BAD, ids=[message[:40] for _, _, message in BAD])
def test_a_bad_file_is_named_with_what_is_allowed(
    old: str, new: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "bad.toml"
    assert old in GOOD
    path.write_text(GOOD.replace(old, new, 1), "utf-8")
    # The good file comes first: nothing of it may have been run.
    assert rehearse([EDGE, path], as_json=True) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert str(path) in captured.err or "no/such.toml" in message
    assert message in captured.err
    assert captured.err.count("\n") == 1


def test_a_wrong_policy_file_names_scenario_and_policy(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "wrong.toml").write_text(quicker().replace('"PT47H"', '"-PT47H"'), "utf-8")
    path = tmp_path / "case.toml"
    path.write_text(GOOD.replace('key = "X-1"', 'key = "X-1"\npolicy = "wrong.toml"'), "utf-8")
    assert rehearse([path]) == 2
    said = capsys.readouterr().err
    assert "case.toml" in said
    assert "wrong.toml" in said
    assert "complaint.clocks.resolution.elapsed" in said


def test_dates_in_facts_are_read_as_dates_and_naive_instants_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    inquiry = FOLDER / "01a-inquiry-answered-at-the-limit.toml"
    shipment = load_scenario(inquiry, Policies()).case.intake["facts"]["shipment"]
    assert shipment["posted_on"] == "2026-02-20"
    naive = changed(
        tmp_path, "posted_on = 2026-02-20", "posted_on = 2026-02-20, promised_at = 2026-03-01T18:00:00", inquiry
    )
    assert rehearse([naive]) == 2
    assert "facts.shipment.promised_at = '2026-03-01T18:00:00'" in capsys.readouterr().err


def test_what_does_not_go_together(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    twin = tmp_path / "twin.toml"
    twin.write_text(EDGE.read_text("utf-8"), "utf-8")
    wrong: list[tuple[dict[str, object], str]] = [
        ({"files": []}, "nothing to rehearse"),
        ({"files": [EDGE], "engine": "steam"}, "--engine = 'steam': not an engine; allowed: core"),
        ({"files": [EDGE], "against": "default"}, "--against = default: allowed only together with --log"),
        ({"files": [EDGE], "limit": 3}, "--limit = 3: allowed only together with --log"),
        ({"files": [EDGE], "log": Path("l.csv"), "mapping": Path("m.toml")}, "do not go together"),
        ({"files": [], "log": Path("l.csv")}, "--log needs --mapping"),
        ({"files": [EDGE, twin]}, "key = '11b' is that of"),
        ({"files": [tmp_path / "none.toml"]}, "cannot be read"),
        ({"files": [EDGE], "policy": "strict"}, "policy = 'strict' is not known; allowed: cross_company, default"),
    ]
    for options, message in wrong:
        assert rehearse(**options) == 2, options  # type: ignore[arg-type]  # a table of options
        captured = capsys.readouterr()
        assert message in captured.err
        assert captured.out == ""
