"""Who holds a rung for a unit at a time, and why; and what a directory must not be."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from cases.directory import CHANNELS, Absence, Answer, BadDirectory, Directory, Person, Shift, Unit
from cases.vocabulary.addresses import FORMS
from cases.vocabulary.refusals import invalid

HOUR = timedelta(hours=1)
# A day of the roster begins.
DAY = datetime(2026, 3, 10, 0, tzinfo=UTC)
UNITS = (Unit(id="north", parent="headquarters"), Unit(id="harbour", parent="north"), Unit(id="headquarters"))


def at(hour: float) -> datetime:
    """An hour of the day."""
    return DAY + hour * HOUR


def person(id: str, unit: str = "north", *deputies: str, role: str | None = None) -> Person:
    """One of the staff; the role stands in front of the id's number."""
    return Person(id=id, role=role or id.rpartition("-")[0], unit=unit, deputies=deputies)


def shift(who: str, begins: float, ends: float) -> Shift:
    """A shift between two hours of the day."""
    return Shift(id=f"{who}/{begins}", person=who, starts_at=at(begins), ends_at=at(ends))


def away(who: str, begins: float = 0, ends: float = 24) -> Absence:
    """An absence between two hours of the day."""
    return Absence(person=who, starts_at=at(begins), ends_at=at(ends))


def build(people: Iterable[Person], absences: Iterable[Absence] = (), shifts: Iterable[Shift] = ()) -> Directory:
    """A directory with three units."""
    return Directory.build(UNITS, people, absences, shifts)


def told(answer: Answer) -> tuple[str | None, str, str | None]:
    """Who, why, and for whom."""
    return _id(answer), answer.why, answer.acts_for


def line(found: Directory, role: str = "agent", unit: str | None = "north", hour: float = 10) -> list[str | None]:
    """The ids of a line."""
    return [_id(answer) for answer in found.line(role, unit, at(hour))]


def _id(answer: Answer) -> str | None:
    return None if answer.person is None else answer.person.id


# --- on duty --------------------------------------------------------------------------------------


def test_who_has_no_roster_is_always_on_duty() -> None:
    found = build([person("agent-1")])
    answer = found.who("agent", "north", at(3))
    assert told(answer) == ("agent-1", "on_duty", None)
    assert answer.because == ("agent-1 is agent of north, on duty (has no roster)",)


def test_who_has_a_roster_is_on_duty_within_it_to_the_instant() -> None:
    found = build([person("agent-1"), person("agent-2")], shifts=[shift("agent-1", 8, 20), shift("agent-2", 20, 32)])
    tick = timedelta(microseconds=1)
    assert told(found.who("agent", "north", at(20) - tick)) == ("agent-1", "on_duty", None)
    assert told(found.who("agent", "north", at(20))) == ("agent-2", "on_duty", None)
    assert found.who("agent", "north", at(21)).because == (
        "agent-2 is agent of north, on duty since 2026-03-10T20:00:00+00:00",
    )


def test_several_on_duty_whose_shift_began_first_then_by_id() -> None:
    people = [person(f"agent-{n}") for n in (1, 2, 3, 4)]
    shifts = [shift("agent-4", 7, 19), shift("agent-3", 6, 18), shift("agent-2", 7, 19)]
    # agent-1 has no roster: who was put on duty by one comes first.
    assert line(build(people, shifts=shifts)) == ["agent-3", "agent-2", "agent-4", "agent-1"]


def test_without_a_unit_headquarters_is_asked() -> None:
    answer = build([person("agent-1"), person("agent-2", "headquarters")]).who("agent", None, at(10))
    assert told(answer) == ("agent-2", "on_duty", None)
    assert answer.because[0] == "no unit, so it belongs to headquarters"


# --- deputies -------------------------------------------------------------------------------------


def test_a_deputy_acts_for_one_who_is_absent() -> None:
    found = build([person("supervisor-1", "north", "agent-1"), person("agent-1")], [away("supervisor-1", 9, 17)])
    assert told(found.who("supervisor", "north", at(9))) == ("agent-1", "deputy", "supervisor-1")
    assert told(found.who("supervisor", "north", at(17))) == ("supervisor-1", "on_duty", None)
    assert found.who("supervisor", "north", at(10)).because == (
        "supervisor-1 is supervisor of north, absent until 2026-03-10T17:00:00+00:00",
        "agent-1 is deputy of supervisor-1, on duty (has no roster)",
    )


def test_a_colleague_on_duty_comes_before_the_deputy_of_one_who_is_absent() -> None:
    found = build([person("agent-1", "north", "clerk-1"), person("agent-2"), person("clerk-1")], [away("agent-1")])
    assert line(found) == ["agent-2", "clerk-1"]


def test_deputies_have_deputies() -> None:
    people = [person("agent-1", "north", "clerk-1", "clerk-3"), person("clerk-1", "north", "clerk-2")]
    people += [person("clerk-2"), person("clerk-3")]
    everybody = build(people, [away("agent-1")])
    assert line(everybody) == ["clerk-1", "clerk-2", "clerk-3"]
    answer = build(people, [away("agent-1"), away("clerk-1")]).who("agent", "north", at(10))
    assert told(answer) == ("clerk-2", "deputy", "agent-1")
    assert len(answer.because) == 3


def test_deputies_in_a_circle_end() -> None:
    people = [person("agent-1", "north", "agent-2"), person("agent-2", "north", "agent-1")]
    assert told(build(people, [away("agent-1")]).who("agent", "north", at(10))) == ("agent-2", "on_duty", None)
    nobody = build(people, [away("agent-1"), away("agent-2")]).who("agent", "north", at(10))
    assert told(nobody) == (None, "nobody", None)


def test_a_deputy_off_duty_is_asked_after_the_unit_above() -> None:
    people = [person("agent-1", "north", "clerk-1"), person("clerk-1"), person("agent-2", "headquarters")]
    found = build(people, [away("agent-1")], [shift("clerk-1", 20, 24)])
    assert line(found) == ["agent-2", "clerk-1"]


def test_a_deputy_does_not_act_for_one_who_is_off_duty_while_the_unit_above_is_on_duty() -> None:
    people = [person("supervisor-1", "north", "agent-1"), person("agent-1"), person("supervisor-2", "headquarters")]
    roster = [shift("supervisor-1", 20, 24)]
    assert told(build(people, shifts=roster).who("supervisor", "north", at(10))) == (
        "supervisor-2", "parent_unit", None,
    )  # fmt: skip
    alone = build(people[:2], shifts=roster)
    assert told(alone.who("supervisor", "north", at(10))) == ("agent-1", "deputy", "supervisor-1")
    assert line(alone, "supervisor") == ["agent-1", "supervisor-1"]


# --- units above, off duty, nobody ----------------------------------------------------------------


def test_the_unit_above_answers_where_nobody_has_the_role() -> None:
    found = build([person("agent-1"), person("agent-2", "headquarters")])
    answer = found.who("agent", "harbour", at(10))
    assert told(answer) == ("agent-1", "parent_unit", None)
    assert (answer.unit, answer.because[0]) == ("north", "nobody is agent in harbour")
    assert line(found, unit="harbour") == ["agent-1", "agent-2"]


def test_the_unit_above_answers_where_nobody_is_on_duty() -> None:
    people = [person("agent-1"), person("agent-2"), person("agent-9", "headquarters")]
    found = build(people, [away("agent-2")], [shift("agent-1", 20, 24)])
    answer = found.who("agent", "north", at(10))
    assert told(answer) == ("agent-9", "parent_unit", None)
    assert answer.because[0] == (
        "no agent of north is on duty, and no deputy for one who is absent: agent-2 is absent until"
        " 2026-03-11T00:00:00+00:00, agent-1 is off duty until 2026-03-10T20:00:00+00:00"
    )
    # Who is off duty is asked last, but is asked.
    assert line(found) == ["agent-9", "agent-1"]


def test_with_nobody_on_duty_anywhere_the_next_to_come_is_told() -> None:
    people = [person(f"agent-{n}") for n in (1, 2, 3)]
    found = build(people, shifts=[shift("agent-1", 0, 5), shift("agent-2", 20, 24), shift("agent-3", 12, 20)])
    assert told(found.who("agent", "north", at(10))) == ("agent-3", "off_duty", None)
    assert line(found) == ["agent-3", "agent-2", "agent-1"]


def test_a_unit_that_nobody_knows_is_answered_by_headquarters() -> None:
    answer = build([person("agent-1", "headquarters")]).who("agent", "hub-3", at(10))
    assert told(answer) == ("agent-1", "parent_unit", None)
    assert answer.because[0] == "hub-3 is no unit of the directory, so headquarters answers"


def test_nobody_is_an_answer_too() -> None:
    assert told(build([]).who("agent", "north", at(10))) == (None, "nobody", None)
    answer = build([person("agent-1")], [away("agent-1")]).who("agent", "north", at(10))
    assert told(answer) == (None, "nobody", None)
    assert answer.because[0].endswith("agent-1 is absent until 2026-03-11T00:00:00+00:00")
    assert answer.because[-1] == "nobody can be reached"
    assert told(Directory().who("agent", "north", at(10))) == (None, "nobody", None)
    assert len(Directory().line("agent", None, at(10))) == 1


def test_after_whom_is_said() -> None:
    found = build([person("agent-1", "north", "clerk-1"), person("clerk-1")])
    [first, second] = found.line("agent", "north", at(10))
    assert told(second) == ("clerk-1", "deputy", "agent-1")
    assert first == found.who("agent", "north", at(10))
    assert second.because[0] == "after agent-1"
    found = build([person("agent-1"), person("agent-2", "headquarters"), person("agent-3", "headquarters")])
    assert found.line("agent", "harbour", at(10))[2].because == (
        "nobody is agent in harbour",
        "after agent-1, agent-2",
        "agent-3 is agent of headquarters, on duty (has no roster)",
    )


def test_explanations_hold_no_personal_data() -> None:
    known = Person(
        id="agent-1", name="Li Lei", role="agent", unit="north", contacts={"email": "li.lei@example.com"}
    )  # fmt: skip
    answer = build([known]).who("agent", "north", at(10))
    assert answer.person == known
    for text in (repr(answer), str(answer), *answer.because):
        assert "Li Lei" not in text
        assert "example.com" not in text


# --- look-ups -------------------------------------------------------------------------------------


def test_look_ups() -> None:
    people = [person("agent-2"), person("agent-1", "harbour"), person("supervisor-1")]
    found = build(people, [away("agent-2", 9, 10)], [shift("agent-2", 20, 24), shift("agent-2", 8, 12)])
    assert found.person("agent-2") is people[0]
    assert found.person("agent-9") is None
    assert [one.id for one in found.people_of("agent")] == ["agent-1", "agent-2"]
    assert found.units_under("headquarters") == {"headquarters", "north", "harbour"}
    assert found.units_under("north") == {"north", "harbour"}
    assert found.units_under("elsewhere") == {"elsewhere"}
    running = found.shift_at("agent-2", at(9))
    assert running is not None
    assert running.starts_at == at(8)
    assert found.shift_at("agent-2", at(12)) is None
    assert (found.absent("agent-2", at(9)), found.absent("agent-2", at(10))) == (True, False)
    assert [found.on_duty("agent-2", at(hour)) for hour in (8, 9, 10, 12, 20)] == [True, False, True, False, True]


# --- what a directory must not be -----------------------------------------------------------------

Parts = tuple[Sequence[Unit], Sequence[Person], Sequence[Absence], Sequence[Shift]]
BAD: dict[str, tuple[Parts, list[str]]] = {
    "a unit twice": (([*UNITS, UNITS[0]], [], [], []), ["units.3.id: 'north' is there twice"]),
    "an unknown parent": (
        ([*UNITS, Unit(id="east", parent="west")], [], [], []),
        ["units.3.parent: 'west' is not a known unit; allowed: east, harbour, headquarters, north"],
    ),
    "two without a parent": (
        ([*UNITS, Unit(id="east")], [], [], []),
        ["units.3.parent: 'east' has none, as 'headquarters'; only headquarters has no parent"],
    ),
    "a circle of units": (
        ([*UNITS, Unit(id="d", parent="a"), Unit(id="a", parent="b"), Unit(id="b", parent="a")], [], [], []),
        ["units.4.parent: goes in a circle: a -> b -> a"],
    ),
    "a unit above itself": (
        ([Unit(id="a", parent="a")], [], [], []),
        ["units.0.parent: goes in a circle: a -> a"],
    ),
    "a person twice": ((UNITS, [person("agent-1"), person("agent-1")], [], []), ["staff.1.id: 'agent-1' is there"]),
    "an unknown unit": (
        (UNITS, [person("agent-1", "east")], [], []),
        ["staff.0.unit: 'east' is not a known unit; allowed: harbour, headquarters, north"],
    ),
    "no unit at all": (([], [person("agent-1")], [], []), ["staff.0.unit: 'north' is not a known unit; allowed: none"]),
    "a deputy of oneself": (
        (UNITS, [person("agent-1", "north", "agent-1")], [], []),
        ["staff.0.deputies: 'agent-1' is named as deputy of itself"],
    ),
    "an unknown deputy": (
        (UNITS, [person("agent-1", "north", "agent-9")], [], []),
        ["staff.0.deputies: 'agent-9' is nobody of the staff"],
    ),
    "a deputy twice": (
        (UNITS, [person("agent-1", "north", "agent-2", "agent-2"), person("agent-2")], [], []),
        ["staff.0.deputies: 'agent-2' is named more than once"],
    ),
    "nobody's absence": ((UNITS, [], [away("agent-9")], []), ["absences.0.person: 'agent-9' is nobody of the staff"]),
    "an absence that ends first": (
        (UNITS, [person("agent-1")], [away("agent-1", 9, 9)], []),
        ["absences.0.to: 2026-03-10T09:00:00+00:00 is not after from = 2026-03-10T09:00:00+00:00"],
    ),
    "nobody's shift": ((UNITS, [], [], [shift("agent-9", 8, 9)]), ["roster.0.person: 'agent-9' is nobody of"]),
    "a shift that ends first": (
        (UNITS, [person("agent-1")], [], [shift("agent-1", 9, 8)]),
        ["roster.0.to: 2026-03-10T08:00:00+00:00 is not after from = 2026-03-10T09:00:00+00:00"],
    ),
    "a shift twice": (
        (UNITS, [person("agent-1")], [], [shift("agent-1", 9, 10), shift("agent-1", 9, 10)]),
        ["roster.1.id: 'agent-1/9' is there twice", "roster.1.from: 2026-03-10T09:00:00+00:00 lies within the shift"],
    ),
    "shifts that overlap": (
        (UNITS, [person("agent-1")], [], [shift("agent-1", 19.99, 30), shift("agent-1", 8, 20)]),
        ["lies within the shift 'agent-1/8' of 'agent-1', which ends 2026-03-10T20:00:00+00:00"],
    ),
    "one shift over several": (
        (UNITS, [person("agent-1")], [], [shift("agent-1", *hours) for hours in ((0, 24), (2, 3), (22, 23))]),
        ["roster.1.from:", "roster.2.from:"],
    ),
    "everything at once": (
        ([Unit(id="a", parent="x")], [person("p-1", "b", "p-1")], [away("q-1")], [shift("q-2", 2, 1)]),
        ["units.0.parent", "staff.0.unit", "staff.0.deputies", "absences.0.person", "roster.0.person", "roster.0.to"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_every_problem_is_named(case: str) -> None:
    parts, messages = BAD[case]
    with pytest.raises(BadDirectory) as refused:
        Directory.build(*parts)
    assert refused.value.code == "bad_directory"
    assert len(refused.value.problems) == len(messages)
    for message in messages:
        assert message in refused.value.message


def test_shifts_that_touch_do_not_overlap() -> None:
    both = build([person("agent-1")], shifts=[shift("agent-1", 8, 20), shift("agent-1", 20, 24)])
    assert both.on_duty("agent-1", at(20))
    build([person("agent-1"), person("agent-2")], shifts=[shift("agent-1", 8, 20), shift("agent-2", 8, 20)])


def test_a_role_that_the_policy_does_not_have() -> None:
    Directory.build(UNITS, [person("agent-1")], roles=["agent", "supervisor"])
    with pytest.raises(BadDirectory, match=r"staff\.0\.role: 'agent' is not a known role; allowed: boss, supervisor"):
        Directory.build(UNITS, [person("agent-1")], roles=["supervisor", "boss"])


@pytest.mark.parametrize(
    ("channel", "address"),
    [
        ("email", "zhang.wei+duty@mail.example.com"),
        ("wecom", "https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=0"),
        ("dingtalk", "https://oapi.dingtalk.com/robot/send?access_token=0"),
        ("feishu", "https://open.feishu.cn/open-apis/bot/v2/hook/0"),
        ("webhook", "https://user.example.com:8443/hook"),
        ("webhook", "http://127.0.0.1:9/hook"),
        ("webhook", "http://[::1]:9/hook"),
        ("apprise", "tgram://123456789:AAExample/12315544"),
    ],
)
def test_good_addresses(channel: str, address: str) -> None:
    made = Person.model_validate({"id": "p", "role": "agent", "unit": "north", "contacts": {channel: address}})
    assert dict(made.contacts) == {channel: address}


@pytest.mark.parametrize(
    ("channel", "address"),
    [
        ("email", "secret"), ("email", "secret@"), ("email", "Secret <s@example.com>"),
        ("email", "s@example.com\nBcc: x"), ("email", "s..t@example.com"), ("email", "s@" + "e" * 260 + ".com"),
        ("wecom", "secret"), ("wecom", "http://secret.example.com/"), ("dingtalk", "ftp://secret.example.com/"),
        ("feishu", "https:///secret"), ("webhook", "https://secret:99999/"), ("webhook", "https://secret.org/ b"),
        ("webhook", "https://secret.example.com/\n"), ("webhook", "http://127.0.0.1.secret.example.com/"),
        ("webhook", "https://secret.example.com/" + "x" * 2000),
        ("apprise", "secret"), ("apprise", "tgram://"), ("apprise", "tgram://secret and more"),
    ],
)  # fmt: skip
def test_addresses_of_the_wrong_form_are_not_repeated(channel: str, address: str) -> None:
    with pytest.raises(ValidationError) as error:
        Person.model_validate({"id": "p", "role": "agent", "unit": "north", "contacts": {channel: address}})
    message = invalid(error.value, "person p").message
    assert message.startswith(f"person p: contacts: {channel}: not a")
    assert "allowed: " in message
    assert "secret" not in message.lower()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"contacts": {"fax": "1"}}, "contacts.fax.[key]: Input should be 'email', 'wecom'"),
        ({"language": "de"}, "language = 'de': Input should be 'zh' or 'en'"),
        ({"id": "Li Lei"}, "id = (text)"),
        ({"role": "Agent"}, "role = 'Agent'"),
        ({"phone": "1"}, "phone is not a known field"),
    ],
)
def test_bad_fields_of_a_person(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError) as error:
        Person.model_validate({"id": "p", "role": "agent", "unit": "north", **change})
    assert message in invalid(error.value, "person").message


def test_every_channel_has_a_form() -> None:
    assert tuple(FORMS) == CHANNELS == ("email", "wecom", "dingtalk", "feishu", "webhook", "apprise")
