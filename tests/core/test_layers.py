"""A policy that says only what it changes, and the policy of the ladder between companies that is one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from activities.policies.store import Policies
from cases.kinds.complaint import ComplaintTable
from cases.policy.inheritance import layered
from cases.policy.model import Policy
from cases.vocabulary.refusals import Refused
from tests.core.support import DEFAULT, default_policy

HEAD = 'name = "mine"\nextends = "default"\n'


def policies(folder: Path, **texts: str) -> Policies:
    """Policies with files of their own in a folder."""
    for name, text in texts.items():
        (folder / f"{name}.toml").write_text(text, "utf-8")
    return Policies(folder)


def document(policy: Policy) -> Any:
    """The whole policy as plain JSON."""
    return json.loads(policy.document)


def test_what_is_not_said_is_that_of_the_policy_below(tmp_path: Path) -> None:
    mine = policies(tmp_path, mine=f'{HEAD}[complaint.clocks.answer]\nelapsed = "PT6H"\n').load("mine")
    expected = document(default_policy())
    expected["name"] = "mine"
    expected["complaint"]["clocks"]["answer"]["elapsed"] = "PT6H"
    assert document(mine) == expected
    # What a case carries needs no other file.
    assert Policy.from_document(mine.document).hash == mine.hash


def test_layers_stand_on_layers(tmp_path: Path) -> None:
    found = policies(
        tmp_path,
        low=f"{HEAD}[complaint]\nreopen_days = 3\nfollow_ups = 2\n".replace("mine", "low"),
        high='name = "high"\nextends = "low"\n[complaint]\nreopen_days = 5\n',
    ).load("high")
    rule = found.rule("complaint")
    assert isinstance(rule, ComplaintTable)
    assert (rule.reopen_days, rule.follow_ups) == (5, 2)


def test_a_default_of_ones_own_may_extend_the_shipped_one(tmp_path: Path) -> None:
    known = policies(
        tmp_path,
        default='name = "default"\nextends = "default"\n[complaint]\nreopen_days = 3\n',
        mine=f"{HEAD}[inquiry]\nreopen_days = 2\n",
    )
    assert known.load("default").rule("complaint").reopen_days == 3
    assert default_policy().rule("complaint").reopen_days == 7
    assert [known.load("mine").rule(kind).reopen_days for kind in ("complaint", "inquiry")] == [3, 2]


def test_lists_are_replaced_and_lists_of_tables_grow() -> None:
    low = 'name = "a"\nroles = ["x", "y"]\n[[notice]]\nname = "p"\n[[notice]]\nname = "q"\n[[notice]]\nname = "p"\n'
    high = 'name = "b"\nextends = "a"\nroles = ["z"]\n[[notice]]\nname = "r"\n'
    merged = layered([low, high])
    assert merged == {"name": "b", "roles": ["z"], "notice": [{"name": n} for n in ("p", "q", "p", "r")]}
    merged["notice"][3]["name"] = "changed"
    less = layered([low, high.replace('extends = "a"\n', 'extends = "a"\nwithout = ["notice.p", "roles"]\n')])
    assert less == {"name": "b", "roles": ["z"], "notice": [{"name": "q"}, {"name": "r"}]}


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ('name = "mine"\nextends = 3\n', ["extends = 3", "the name of one policy"]),
        ('name = "mine"\nextends = ""\n', ["extends = ''", "the name of one policy"]),
        ('name = "mine"\nextends = "deflt"\n', ["extends = 'deflt'", "allowed: cross_company, default, mine"]),
        ('name = "mine"\nextends = "mine"\n', ["extends = 'mine'", "it extends itself"]),
        ('extends = "default"\n', ["name is missing", "a name of its own"]),
        (f'{HEAD}without = "authority.limits"\n', ["without", "a list of key paths"]),
        (f'{HEAD}without = ["authority.limit"]\n', ["without", "'authority.limit' is not in the policy"]),
        (f'{HEAD}without = ["notice.repot"]\n', ["'notice.repot' is not in the policy"]),
        (f'{HEAD}without = ["zone.x.y"]\n', ["'zone.x.y' is not in the policy"]),
        ('without = ["x"]\n' + DEFAULT, ["without needs extends"]),
        # Validated as a whole, and named by the path in the whole.
        (f"{HEAD}[ladder.reminders]\nfactor = 0\n", ["ladder.reminders.factor = 0", "or equal to 1"]),
        (f'{HEAD}[complaint.clocks.answer]\nworking_time = "PT1H"\n', ["complaint.clocks.answer", "only one of"]),
        (f"{HEAD}[complant]\nreopen_days = 3\n", ["complant is not a known field"]),
        (f'{HEAD}without = ["compensation"]\n', ["compensation is missing"]),
        (f'{HEAD}[exception]\nphone = ["boss"]\n', ["exception.phone = 'boss' is not a role"]),
        (f'{HEAD}[exception]\nwitnesses = ["cat"]\n', ["exception.witnesses = 'cat' is not a role"]),
        (f"{HEAD}[ladder\n", ["not TOML"]),
    ],
)
def test_a_wrong_file_is_told_where_what_and_what_is_allowed(tmp_path: Path, text: str, parts: list[str]) -> None:
    known = policies(tmp_path, mine=text)
    with pytest.raises(Refused) as caught:
        known.load("mine")
    assert caught.value.code == "bad_policy"
    for part in (f"{tmp_path / 'mine.toml'}: policy: ", *parts):
        assert part in caught.value.message


def test_two_that_extend_each_other_are_refused(tmp_path: Path) -> None:
    known = policies(tmp_path, a='name = "a"\nextends = "b"\n', b='name = "b"\nextends = "a"\n')
    with pytest.raises(Refused) as caught:
        known.load("a")
    assert "extends = 'a': it extends itself" in caught.value.message


def test_a_policy_by_its_path_extends_what_lies_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    low = f"{HEAD}[complaint]\nreopen_days = 3\n".replace("mine", "low")
    default = HEAD.replace("mine", "default")
    known = policies(tmp_path, low=low, mine='name = "mine"\nextends = "low"\n', default=default)
    mine = known.load("mine")
    assert Policies().read(tmp_path / "mine.toml").hash == mine.hash
    monkeypatch.chdir(tmp_path)
    assert Policies().read(Path("./mine.toml")).hash == mine.hash
    # A policy is one file, however its path is written.
    policies(tmp_path, default=default + 'without = ["form.leave"]\n')
    assert Policies(tmp_path).read(Path("default.toml")).hash == Policies(tmp_path).load("default").hash
    policies(tmp_path, low=low.replace('"default"', '"mine"'))
    with pytest.raises(Refused, match="extends = 'mine': it extends itself"):
        Policies().read(Path("mine.toml"))


def test_a_text_alone_has_nothing_to_extend() -> None:
    with pytest.raises(Refused) as caught:
        Policy.from_toml(HEAD)
    assert "extends = 'default': no such policy is at hand" in caught.value.message


def test_the_ladder_between_companies_is_one(tmp_path: Path) -> None:
    policy = Policies().load("cross_company")
    assert policy.ladder.rungs == ("window_and_site", "other_company_agent", "area_office", "headquarters")
    assert policy.ladder.clause == "S2-4.9"
    # What it does not change is the default's, and nothing of the default ladder climbs any more.
    assert policy.compensation.proposal_days == default_policy().compensation.proposal_days
    assert not {route.name for route in default_policy().notice} - {route.name for route in policy.notice}
    own = {rule.escalates_to for kind in policy.kinds for rule in policy.rule(kind).clocks.values()} - {None}
    assert own <= set(policy.ladder.rungs)


def test_every_number_of_it_is_marked_as_invented() -> None:
    text = (Path(__file__).parents[2] / "cases" / "policy" / "cross_company.toml").read_text("utf-8")
    for block in text.split("\n["):
        for line in block.splitlines():
            if any(mark in line for mark in ('"PT', '"P1', "discretion", "limits = {", "starts_at")):
                assert "[INVENTED]" in block, line


def test_a_policy_that_extends_another_shares_its_calendar(tmp_path: Path) -> None:
    known = policies(
        tmp_path,
        mine=f"{HEAD}",
        ours=HEAD.replace("mine", "ours") + '[calendar.years.2026]\nsource = "us"\n',
        theirs='name = "theirs"\nextends = "ours"\n',
    )
    assert known.shares_calendar("default")
    assert known.shares_calendar("mine")
    assert not known.shares_calendar("ours")
    assert not known.shares_calendar("theirs")
    assert set(document(known.load("mine"))["calendar"]["years"]) == {"2024", "2025", "2026"}
    assert set(document(known.load("theirs"))["calendar"]["years"]) == {"2026"}
    loaded = {"2027": {"source": "made up", "holidays": ["2027-01-01"]}}
    assert document(known.load("mine", loaded))["calendar"]["years"]["2027"] == loaded["2027"]
    assert "2027" not in document(known.load("ours", loaded))["calendar"]["years"]
