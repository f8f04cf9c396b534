"""Policies: what a wrong file is told, the hash, and the numbers of the default one."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import BaseModel

from activities.policies.store import Policies, published_years
from cases.kinds.inquiry import InquiryTable
from cases.policy.forms import CheckRule, EarlyRule, FieldRule, RoleRule, StepRule
from cases.policy.model import Policy
from cases.policy.shape_faults import IN_WORDS
from cases.policy.tables import ClockRule, KindTable, Reminders
from cases.registry import KINDS
from cases.vocabulary.commands import Command
from cases.vocabulary.events import canonical
from cases.vocabulary.refusals import Refused
from tests.core.support import DEFAULT, complaint, default_policy, do, policy_with, read_default, refuse

RUNGS = '["agent", "supervisor", "qa_manager", "general_manager"]'
ANSWER = "[complaint.clocks.answer]\nelapsed = "
WORKS_LIKE = "days, hours, minutes, seconds like P1D, PT12H or PT5M, above 0"

# Each: the text to replace, what to put there, and what the message must hold: where, what, what is allowed.
WRONG = {
    "no rungs": (f"rungs = {RUNGS}", "rungs = []", ["ladder.rungs", "at least 1"]),
    "a rung twice": (f"rungs = {RUNGS}", 'rungs = ["agent", "agent"]', ["ladder.rungs", "named twice"]),
    "unknown role in a permission": (
        'extend = ["supervisor+"]',
        'extend = ["boss"]',
        ["permissions.extend = 'boss'", "is not a role", "agent, supervisor", "customer"],
    ),
    "role and above where the role is no rung": (
        'extend = ["supervisor+"]',
        'extend = ["finance+"]',
        ["permissions.extend = 'finance+'", "supervisor+"],
    ),
    "a word for notices in a permission": (
        'extend = ["supervisor+"]',
        'extend = ["holder"]',
        ["permissions.extend = 'holder'", "supervisor+"],
    ),
    "unknown command in the permissions": (
        'extend = ["supervisor+"]',
        'extnd = ["supervisor+"]',
        ["permissions.extnd", "'extnd' is not a command", "extend"],
    ),
    "unknown role told": ('to = ["platform"]', 'to = ["operator"]', ["notice.platform.to = 'operator'", "holder"]),
    "unknown event": (
        'on = ["reminded"]',
        'on = ["reminder"]',
        ["notice.reminder.on = 'reminder'", "is not a type of event", "reminded"],
    ),
    "unknown kind": (
        'kinds = ["complaint"]',
        'kinds = ["complant"]',
        ["notice.report.kinds = 'complant'", "allowed: complaint, "],
    ),
    "no events": ('on = ["reminded"]', "on = []", ["notice.", ".on = ", "at least 1"]),
    "limit of no rung": (
        'agent = "200.00"',
        'boss = "200.00"',
        ["authority.limits.boss", "is not a rung", "agent, supervisor"],
    ),
    "limit of the top rung": (
        'agent = "200.00"',
        'general_manager = "200.00"',
        ["authority.limits.general_manager", "no limit"],
    ),
    "limits that fall": (
        'agent = "200.00"',
        'agent = "2000.01"',
        ["authority.limits.supervisor = 2000.00: allowed is at least the 2000.01 of agent, the rung below"],
    ),
    "any amount below a limit": (
        'agent = "200.00", ',
        "",
        ["authority.limits.supervisor = 2000.00: allowed is any amount of agent"],
    ),
    "negative limit": (
        'agent = "200.00"',
        'agent = "-200.00"',
        ["authority.limits.agent = '-200.00'", "no sign"],
    ),
    "limit as a float": ('agent = "200.00"', "agent = 200.0", ["authority.limits.agent = 200.0", "'18.00'"]),
    "limit of three decimals": ('agent = "200.00"', 'agent = "0.001"', ["authority.limits.agent = '0.001'", "two"]),
    "severity level missing": (
        'serious = "supervisor", ',
        "",
        ["severity.starts_at.serious is missing"],
    ),
    "unknown severity level": (
        'serious = "supervisor"',
        'urgent = "supervisor"',
        ["severity.starts_at.urgent", "'normal', 'serious' or 'critical'"],
    ),
    "severity starts at no rung": (
        'serious = "supervisor"',
        'serious = "finance"',
        ["severity.starts_at.serious = 'finance'", "is not a rung", "agent, supervisor"],
    ),
    "escalates to no rung": (
        'escalates_to = "qa_manager"',
        'escalates_to = "auditor"',
        ["complaint.clocks.answer.escalates_to = 'auditor'", "is not a rung", "agent, supervisor"],
    ),
    "two limits on one clock": (
        ANSWER,
        "[complaint.clocks.answer]\ncalendar_days = 1\nelapsed = ",
        ["complaint.clocks.answer", "only one of elapsed, calendar_days, working_time"],
    ),
    "no limit": (f'{ANSWER}"PT12H"', "[complaint.clocks.answer]", ["complaint.clocks.answer has no limit", "elapsed"]),
    "negative clock": (
        f'{ANSWER}"PT12H"',
        f'{ANSWER}"-PT12H"',
        ["complaint.clocks.answer.elapsed = '-PT12H'", WORKS_LIKE],
    ),
    "clock of zero": (f'{ANSWER}"PT12H"', f'{ANSWER}"PT0S"', ["complaint.clocks.answer.elapsed = 'PT0S'", "above 0"]),
    "clock in months": (f'{ANSWER}"PT12H"', f'{ANSWER}"P1M"', ["complaint.clocks.answer.elapsed = 'P1M'", WORKS_LIKE]),
    "clock without a unit": (f'{ANSWER}"PT12H"', f"{ANSWER}720", ["complaint.clocks.answer.elapsed = 720", WORKS_LIKE]),
    "clock of ages": (
        f'{ANSWER}"PT12H"',
        f'{ANSWER}"P36526D"',
        ["complaint.clocks.answer.elapsed = 'P36526D'", "P36525D"],
    ),
    "clock of numberless digits": (
        f'{ANSWER}"PT12H"',
        f'{ANSWER}"P{"9" * 30}D"',
        ["complaint.clocks.answer.elapsed", "P36525D"],
    ),
    "days below one": (
        "calendar_days = 7",
        "calendar_days = 0",
        ["complaint.clocks.legal_limit.calendar_days = 0", "greater than 0"],
    ),
    "days of ages": ("calendar_days = 7", "calendar_days = 99999", ["legal_limit.calendar_days = 99999", "36525"]),
    "calendar days paused": (
        "calendar_days = 7",
        "calendar_days = 7\npausable = true",
        ["complaint.clocks.legal_limit", "cannot be paused"],
    ),
    "warnings that fall": (
        "warn_percent = [75]",
        "warn_percent = [75, 50]",
        ["complaint.clocks.answer", "warn_percent must rise"],
    ),
    "a warning at the end": (
        "warn_percent = [75]",
        "warn_percent = [100]",
        ["complaint.clocks.answer.warn_percent.0 = 100", "less than 100"],
    ),
    "clock missing": (
        '[complaint.clocks.interim_reply]\nelapsed = "PT30M"\n'
        'escalates_to = "supervisor"                  # [INVENTED]\nclause = "S0-2.3.5"',
        "",
        ["complaint.clocks.interim_reply is missing"],
    ),
    "unknown clock": (
        "[inquiry.clocks.inquiry]",
        "[inquiry.clocks.inquery]",
        ["inquiry.clocks.inquery", "is not a clock", "inquiry, promise, approval"],
    ),
    "clause missing": ('clause = "S0-2.2.1"', "", ["inquiry.clocks.inquiry.clause is missing"]),
    "unknown key": ("follow_ups = 1", "followups = 1", ["complaint.followups is not a known field"]),
    "unknown table": ("[permissions]", "[permission]", ["permission is not a known field", "permissions is missing"]),
    "unknown zone": ('zone = "Asia/Shanghai"', 'zone = "Asia/Shanghay"', ["zone = 'Asia/Shanghay'", "tz database"]),
    "zone that is a path": ('zone = "Asia/Shanghai"', 'zone = "../../etc"', ["zone = '../../etc'", "tz database"]),
    "weekday": ("monday = ", "mondy = ", ["calendar.windows", "mondy is not one of monday, tuesday"]),
    "window": ('["09:00-18:00"]', '["9-18"]', ["calendar.windows.monday.0 = '9-18': allowed are two times"]),
    "window backwards": (
        '["09:00-18:00"]',
        '["18:00-09:00"]',
        ["calendar.windows.monday: 18:00-09:00", "after it starts"],
    ),
    "windows that overlap": (
        '["09:00-18:00"]',
        '["09:00-12:00", "11:30-18:00"]',
        ["calendar.windows.monday: 11:30-18:00", "before the window before it has ended"],
    ),
    "a day of another year": (
        "[calendar.windows]",
        '[calendar.years.2026]\nsource = "me"\nholidays = ["2025-01-01"]\n[calendar.windows]',
        ["calendar.years", "2025-01-01 stands under 2026"],
    ),
    "reminder factor": ("factor = 2", "factor = 0", ["ladder.reminders.factor = 0", "or equal to 1"]),
    "reopening without days": ("reopen_days = 7", "reopen_days = 0", ["complaint.reopen_days = 0", "greater than 0"]),
    "a message that files no kind": (
        "[permissions]",
        '[incoming]\nfiles = "complaynt"\n[permissions]',
        ["incoming.files = 'complaynt' is not a kind; allowed: complaint"],
    ),
    "name": ('name = "default"', 'name = "My Policy"', ["policy: name = 'My Policy': allowed are a small letter"]),
    "no TOML": ('name = "default"', "name = default", ["not TOML", "line 5"]),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_policy_is_told_where_what_and_what_is_allowed(case: str) -> None:
    old, new, parts = WRONG[case]
    with pytest.raises(Refused) as caught:
        policy_with((old, new))
    assert caught.value.code == "bad_policy"
    for part in ("policy: ", *parts):
        assert part in caught.value.message


def test_what_a_pattern_of_a_policy_allows_is_said_in_words() -> None:
    schema = json.dumps(type(default_policy()).model_json_schema())
    assert {json.loads(one) for one in re.findall(r'"pattern": ("(?:[^"\\]|\\.)*")', schema)} == set(IN_WORDS)


def test_a_working_clock_needs_working_hours() -> None:
    text = "\n".join(line for line in DEFAULT.splitlines() if "09:00" not in line or line.startswith("#"))
    text = text.replace('elapsed = "PT12H"', 'working_time = "PT12H"')
    with pytest.raises(Refused) as caught:
        Policy.from_toml(text, published_years())
    assert "complaint.clocks.answer.working_time needs hours in calendar.windows" in caught.value.message


def test_each_mistake_is_named() -> None:
    with pytest.raises(Refused) as caught:
        policy_with(("factor = 2", "factor = 0"), ("follow_ups = 1", "follow_ups = -1"), ("zone =", "zne ="))
    for part in ("ladder.reminders.factor", "complaint.follow_ups", "zne", "zone is missing"):
        assert part in caught.value.message


def test_a_wrong_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(DEFAULT.replace("factor = 2", "factor = 0"), "utf-8")
    with pytest.raises(Refused) as caught:
        Policies().read(path)
    assert str(path) in caught.value.message
    assert "ladder.reminders.factor = 0" in caught.value.message
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(Refused) as caught:
        Policies().read(path)
    assert f"{path}: cannot be read" in caught.value.message


def test_an_unknown_policy_names_those_that_are_known(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(DEFAULT.replace('name = "default"', 'name = "mine"'), "utf-8")
    policies = Policies(tmp_path)
    assert policies.names() == ["cross_company", "default", "mine"]
    assert policies.load("mine").name == "mine"
    with pytest.raises(Refused) as caught:
        policies.load("yours")
    assert caught.value.code == "unknown_policy"
    assert "'yours'" in caught.value.message
    assert "cross_company, default, mine" in caught.value.message


# --- the hash and the document --------------------------------------------------------------------


def test_the_hash_does_not_see_comments_and_order() -> None:
    tables = DEFAULT.split("\n[")
    assert len(tables) > 20
    # Top-level keys first; the notices are a list, whose order counts.
    single = [table for table in tables[1:] if not table.startswith("[notice")]
    several = [table for table in tables[1:] if table.startswith("[notice")]
    turned = "\n[".join([tables[0], *reversed(single), *several])
    bare = "\n".join(line for line in turned.splitlines() if not line.startswith("#"))
    assert read_default(bare).hash == default_policy().hash


def test_the_hash_sees_each_number() -> None:
    assert policy_with(('elapsed = "PT12H"', 'elapsed = "PT11H"')).hash != default_policy().hash
    years = {**published_years(), "2031": {"source": "me"}}
    assert read_default(DEFAULT, years).hash != default_policy().hash


def test_a_case_gets_the_same_policy_from_the_document_it_carries() -> None:
    policy = default_policy()
    again = Policy.from_document(json.loads(json.dumps(policy.document)))
    assert again == policy
    assert (again.hash, again.document) == (policy.hash, policy.document)
    assert canonical(json.loads(policy.document)) == policy.document
    assert Policy.from_document(policy.document) is again


# --- the default policy ---------------------------------------------------------------------------


def numbered(model: BaseModel, path: str = "") -> Iterator[tuple[str, BaseModel]]:
    """Every section of a policy, by its path."""
    yield path, model
    for name in type(model).model_fields:
        value = getattr(model, name)
        values = value if isinstance(value, dict) else {"": value}
        for key, inner in values.items():
            for part in inner if isinstance(inner, tuple) else (inner,):
                if isinstance(part, BaseModel):
                    yield from numbered(part, ".".join(filter(None, (path, name, str(key)))))


def test_every_section_of_the_default_policy_names_its_clause() -> None:
    sections = dict(numbered(default_policy()))
    # A kind's numbers have their clauses beside them, a published year has its source, and choices are no numbers.
    free = {"", *KINDS, "calendar.years", "form_defaults", "choices"}
    missing = [
        path
        for path, model in sections.items()
        if path not in free
        # What a form asks for, and of whom, rests on the clause of the form.
        and not isinstance(model, FieldRule | CheckRule | StepRule | RoleRule | EarlyRule)
        and not getattr(model, "clause", None)
        and not getattr(model, "source", None)
    ]
    assert missing == []
    clocks = [path for path, model in sections.items() if isinstance(model, ClockRule) and path[:4] != "form"]
    assert len(clocks) == sum(len(default_policy().rule(kind).clocks) for kind in KINDS) >= 12
    assert all(rule.reopen_clause for rule in sections.values() if isinstance(rule, KindTable))


def test_every_number_of_the_default_policy_stands_beside_its_clause() -> None:
    # Its section has a clause, or the section above it has, or the line says it.
    clauses: dict[str, bool] = {}
    for block in f"\n{DEFAULT}".split("\n[")[1:]:
        name = block.partition("]")[0].strip("[")
        clauses[name] = "\nclause = " in block or clauses.get(name.rpartition(".")[0], False)
        for line in block.splitlines():
            value, _, comment = line.partition("#")
            if any(letter.isdigit() for letter in value) and not clauses[name]:
                assert any(clause in comment for clause in ("[INVENTED]", "S0-", "S1-", "O-")), line


def test_the_default_numbers_are_those_of_the_rulebook() -> None:
    policy = default_policy()
    clocks = {
        f"{kind}.{name}": rule for kind in ("complaint", "inquiry") for name, rule in policy.rule(kind).clocks.items()
    }
    limits = {name: rule.elapsed or rule.calendar_days for name, rule in clocks.items()}
    minute = timedelta(minutes=1)
    assert limits == {
        "complaint.rung": 5 * minute,
        "complaint.report": 5 * minute,
        "complaint.interim_reply": 30 * minute,
        "complaint.answer": 12 * 60 * minute,
        "complaint.resolution": 48 * 60 * minute,
        "complaint.legal_limit": 7,
        "complaint.promise": None,
        "complaint.approval": 30 * minute,
        "complaint.follow_up": 3,
        "inquiry.inquiry": 20 * minute,
        "inquiry.promise": None,
        "inquiry.approval": 30 * minute,
    }
    assert [name for name, rule in clocks.items() if rule.pausable] == [
        "complaint.answer",
        "complaint.resolution",
    ]
    assert [name for name, rule in clocks.items() if rule.extendable] == [
        "complaint.answer",
        "complaint.resolution",
    ]
    assert {name: str(limit) for name, limit in policy.authority.limits.items()} == {
        "agent": "200.00",
        "supervisor": "2000.00",
        "qa_manager": "10000.00",
    }
    inquiry = policy.rule("inquiry")
    assert isinstance(inquiry, InquiryTable)
    assert inquiry.validity_years == 1
    # That approvals need a passkey, and that messages file cases, is for each company to say.
    own = {"document", "approvals", "incoming", "form"}
    assert set(tomllib.loads(DEFAULT)) == set(type(policy).model_fields) - own


@pytest.mark.parametrize(
    ("first", "factor", "longest", "minutes"),
    [
        ("PT5M", 2, "PT1H", [5, 10, 20, 40, 60, 60]),
        ("PT5M", 1, "PT1H", [5, 5, 5]),
        ("PT2H", 3, "PT1H", [60, 60]),
    ],
)
def test_reminders_grow_to_their_longest(first: str, factor: int, longest: str, minutes: list[int]) -> None:
    rule = Reminders.model_validate({"first": first, "factor": factor, "longest": longest, "clause": "x"})
    assert [rule.interval(count) / timedelta(minutes=1) for count in range(1, len(minutes) + 1)] == minutes
    assert rule.interval(100_000) <= timedelta(hours=1)


# --- permissions ----------------------------------------------------------------------------------


def test_a_command_that_the_policy_does_not_name_is_for_every_rung() -> None:
    policy = default_policy()
    assert policy.permitted("resolve") == frozenset(policy.ladder.rungs)
    assert policy.permitted("extend") == {"supervisor", "qa_manager", "general_manager"}
    assert policy.permitted("note") >= {"agent", "general_manager", "customer", "system"}


def test_a_command_that_is_for_nobody_is_refused_to_all() -> None:
    policy = policy_with(('extend = ["supervisor+"]', "extend = []\npromise = []"))
    assert policy.permitted("promise") == frozenset()
    case = complaint("03-10 09:00:00", policy)
    refuse(
        case,
        "03-10 09:01:00",
        "role",
        "promise",
        "'agent' may not promise",
        reply_by="2026-03-10T10:00:00+08:00",
    )


def test_a_role_beside_the_ladder_may_be_given_a_command() -> None:
    policy = policy_with(('extend = ["supervisor+"]', 'promise = ["finance", "qa_manager+"]'))
    case = complaint("03-10 09:00:00", policy)
    by = {"id": "f", "role": "finance"}
    do(case, "03-10 09:01:00", "promise", by, reply_by="2026-03-10T10:00:00+08:00")
    refuse(
        case,
        "03-10 09:01:00",
        "role",
        "promise",
        "qa_manager, general_manager, finance",
        reply_by="2026-03-10T10:00:00+08:00",
    )


def test_every_command_of_the_contract_has_a_name() -> None:
    assert {"acknowledge", "extend", "propose"} <= {model.NAME for model in Command.__subclasses__()}
