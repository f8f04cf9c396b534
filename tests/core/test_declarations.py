"""A kind is declared once: what is missing, misspelt or doubled is one clear error when it is loaded."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import pytest

from cases import registry
from cases.case import Case
from cases.kinds.complaint import Complaint
from cases.kinds.inquiry import Inquiry
from cases.mechanisms.part import Part
from cases.policy.tables import NoticeRoute
from cases.registry import KINDS, declare, kinds
from cases.vocabulary.commands import COMMANDS, Command
from cases.vocabulary.events import EVENTS, EventData
from cases.vocabulary.refusals import Refused
from tests.core.support import AGENT, DEFAULT, at, complaint, default_policy, do, notices, only, policy_with
from tests.core.support import clock as clock_of


@pytest.fixture(autouse=True)
def nothing_stays() -> Iterator[None]:
    known = dict(KINDS), dict(EVENTS), dict(COMMANDS)
    yield
    for registry_, before in zip((KINDS, EVENTS, COMMANDS), known, strict=True):
        registry_.clear()  # type: ignore[attr-defined]
        registry_.update(before)  # type: ignore[attr-defined]


def declaration(**changes: Any) -> type[Case]:
    """A kind like the inquiry, under another name, with changes; None leaves a part out."""
    own = {"KIND": "other", "WORKFLOW": "Other", **changes}
    return type("Other", (Inquiry,), own)


# --- what a declaration must hold -------------------------------------------------------------------


@pytest.mark.parametrize("part", sorted(registry._PARTS))
def test_a_part_that_is_missing_is_named(part: str) -> None:
    parts = {name: value for name, value in vars(Inquiry).items() if name in registry._PARTS and name != part}
    bare = type("Bare", (Case,), parts)
    if hasattr(Case, part):
        return  # every case has one, until a kind says otherwise
    with pytest.raises(TypeError, match=rf"Bare\.{part} is missing"):
        declare(bare)
    assert "Bare" not in {kind.__name__ for kind in KINDS.values()}


def test_a_kind_is_declared_once() -> None:
    with pytest.raises(TypeError, match="the kind 'inquiry' is declared twice"):
        declare(declaration(KIND="inquiry"))
    with pytest.raises(TypeError, match="the workflow type 'Inquiry' is declared twice"):
        declare(declaration(WORKFLOW="Inquiry"))
    declare(declaration())
    with pytest.raises(TypeError, match="declared twice"):
        declare(declaration())


def test_a_command_needs_its_handler() -> None:
    class Weigh(Command):
        """Weigh the parcel."""

        NAME = "weigh"

    with pytest.raises(TypeError, match="the command 'weigh' has no handler _do_weigh"):
        declare(declaration(COMMANDS={**Inquiry.COMMANDS, "weigh": Weigh}))


def test_a_handler_needs_its_command() -> None:
    with pytest.raises(TypeError, match=r"Other\._do_propose: COMMANDS does not list the command"):
        declare(declaration(_do_propose=lambda *_: None))


@pytest.mark.parametrize(
    ("name", "what"),
    [("_on_case_opend", "event"), ("_do_aknowledge", "command"), ("_may_rsolve", "command"), ("_check_x", "command")],
)
def test_a_misspelt_handler_fails_as_soon_as_its_class_is_made(name: str, what: str) -> None:
    for base in (Complaint, Part):
        with pytest.raises(TypeError, match=rf"Wrong\.{name} handles no declared {what}"):
            type("Wrong", (base,), {name: lambda *_: None})


def test_an_event_and_a_command_have_one_declaration() -> None:
    with pytest.raises(TypeError, match="event type 'noted' is declared twice: Noted and Remarked"):

        class Remarked(EventData):
            """Something was said."""

            TYPE: ClassVar[str] = "noted"

    with pytest.raises(TypeError, match="command 'note' of Remark is declared twice"):

        class Remark(Command):
            """Say something."""

            NAME = "note"


def test_an_example_must_be_an_intake() -> None:
    with pytest.raises(TypeError, match=r"Other\.EXAMPLE is no intake of the kind"):
        declare(declaration(EXAMPLE={"key": "x", "facts": {}}))


def test_a_kind_after_the_fact_is_known_everywhere_and_asks_for_its_table() -> None:
    assert kinds() is KINDS
    # Read before: a policy that is read afterwards needs a table for it.
    policy = default_policy()
    declare(declaration())
    assert "other" in kinds()
    assert "other" not in kinds(policy)
    with pytest.raises(Refused, match=r"no section \[other\]"):
        policy.rule("other")


# --- the table of a kind ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("table", "key", "value"),
    [
        ("inquiry", "witnesses", '["agent"]'),
        ("complaint", "payout_retries", '{ first = "PT1H", factor = 2, longest = "P1D", clause = "x" }'),
        ("claim", "validity_years", "1"),
        ("exception", "most_options", "4"),
        ("summary", "follow_ups", "1"),
        ("handover", "signatures", '[["agent"]]'),
        ("swap", "tell_before", '"PT20M"'),
    ],
)
def test_a_setting_of_another_kind_is_refused_with_its_key_path(table: str, key: str, value: str) -> None:
    with pytest.raises(Refused) as caught:
        policy_with((f"[{table}]\n", f"[{table}]\n{key} = {value}\n"))
    assert caught.value.code == "bad_policy"
    assert f"{table}.{key} is not a known field" in caught.value.message
    assert "allowed: authority, clocks, " in caught.value.message


def test_a_table_of_no_kind_is_refused() -> None:
    with pytest.raises(Refused, match="complaints is not a known field"):
        policy_with(("[complaint]\n", "[complaints]\nreopen_days = 1\n[complaint]\n"))


# --- what a notice means ----------------------------------------------------------------------------


def test_a_route_under_another_name_still_meets_its_clock() -> None:
    """Its name says how it is told, not what its delivery means."""
    case = complaint("03-10 09:00:00", policy=policy_with(('name = "report"', 'name = "broadcast"')))
    [notice] = [one for one in notices(case) if one.name == "broadcast"]
    assert notice.meets == ("report",)
    case.rehearse_effects(at("03-10 09:00:00"))
    assert clock_of(case, "report")[0] == "met"
    assert only(case, "report_sent").data["roles"] == ["supervisor", "qa_manager", "general_manager"]


def test_a_route_of_an_older_policy_means_what_it_meant() -> None:
    text = "\n".join(line for line in DEFAULT.splitlines() if not line.startswith(("meets", "acknowledge")))
    policy, now = policy_with((DEFAULT, text)), default_policy()
    for old, new in zip(policy.notice, now.notice, strict=True):
        known = old.name in {*NoticeRoute.MET, *NoticeRoute.ACKNOWLEDGED}
        wanted = (new.acknowledge, bool(new.meets)) if known else (False, False)
        assert (old.acknowledge, bool(old.meets)) == wanted, old.name
    case = complaint("03-10 09:00:00", policy=policy)
    case.rehearse_effects(at("03-10 09:00:00"))
    assert clock_of(case, "report")[0] == "met"


def test_only_what_tells_of_a_rung_is_acknowledged() -> None:
    case = complaint("03-10 09:00:00")
    do(case, "03-10 09:01:00", "request_approval", AGENT, subject="voucher", amount="90000.00")
    assert {(notice.name, notice.acknowledge) for notice in notices(case)} == {
        ("report", False), ("rung", True), ("approval", False),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("old", "new", "path"),
    [
        ('meets = ["report"]', 'meets = ["raport"]', "notice.report.meets = 'raport' is not a clock; allowed: rung, "),
        (
            'when = { clock = ["rung"] }',
            'when = { clock = ["rang"] }',
            "notice.rung.when.clock = 'rang' is not a clock",
        ),
    ],
)
def test_a_route_that_names_an_unknown_clock_is_refused(old: str, new: str, path: str) -> None:
    with pytest.raises(Refused) as caught:
        policy_with((old, new))
    assert path in caught.value.message
