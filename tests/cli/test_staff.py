"""`caseladder staff` and `duty`: a directory as CSV, whole or not at all, and who holds a rung."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from activities.database.database import Database
from activities.database.migrate import migrate
from activities.people.directory import DirectoryBook
from cases.directory import CHANNELS, Absence, Directory, Person, Shift, Unit
from starter.cli import staff_files
from starter.cli.staff import import_sample
from tests.cli.program import ROOT, Answer, call
from tests.postgres import Cluster, as_writer, cluster

ZONE = ZoneInfo("Asia/Shanghai")
NOWHERE = ("--data", "/nonexistent/caseladder")
# The name of a unit may be left out, and so may the column in a file of no names.
UNITS = "id,name,parent\nheadquarters,,\nnorth,北区分公司,headquarters\n"
STAFF = (
    "id,name,role,unit,deputies,language,email,wecom,prefer\n"
    "agent-1,陈小雨,agent,north,agent-2;agent-3,,one@example.com,https://chat.example.com/send?key=K,wecom\n"
    "agent-2,,agent,north,,en,,,\n"
    "agent-3,Mia,agent,headquarters,,,,,\n"
)
ABSENCES = "person,from,to\nagent-1,2024-03-10T00:00,2024-03-11T00:00+08:00\n"
ROSTER = (
    "id,person,from,to\n"
    "d10,agent-1,2024-03-10T08:00,2024-03-10T20:00\n"
    "n10,agent-2,2024/3/10 20:00,2024/3/11 8:00\n"
    "d11,agent-1,2024-03-11T00:00Z,2024-03-11T12:00:00Z\n"
)

Ask = Callable[..., Answer]
Put = Callable[[str, str | bytes], str]


@pytest.fixture(scope="module")
def postgres() -> Iterator[Cluster]:
    """A running cluster."""
    with cluster() as made:
        yield made


@pytest.fixture(scope="module")
def migrated(postgres: Cluster) -> str:
    """The name of a migrated database, to copy from."""

    async def make() -> str:
        dsn = await postgres.fresh_database()
        await migrate(dsn)
        return dsn

    return asyncio.run(make()).rpartition("/")[2]


@pytest.fixture
async def address(postgres: Cluster, migrated: str) -> str:
    """A database with an empty directory."""
    return await postgres.fresh_database(f"TEMPLATE {migrated}")


def on(address: str) -> Ask:
    """Run the program on a database."""
    return lambda *arguments, given="": call(
        *arguments,
        *NOWHERE,
        given=given,
        env={"CASELADDER_DATABASE_URL": as_writer(address), "TEMPORAL_ADDRESS": "127.0.0.1:1"},
    )


@pytest.fixture
def ask(address: str) -> Ask:
    """Run the program on that database."""
    return on(address)


def writer(folder: Path) -> Put:
    """Write a file and answer with its path."""

    def write(name: str, content: str | bytes) -> str:
        file = folder / name
        file.write_bytes(content.encode() if isinstance(content, str) else content)
        return str(file)

    return write


@pytest.fixture
def put(tmp_path: Path) -> Put:
    """Write a file and answer with its path."""
    return writer(tmp_path)


def staff_it(ask: Ask, put: Put) -> Ask:
    """Put people into the directory."""
    files = [put("staff.csv", STAFF), "--units", put("units.csv", UNITS), "--absences", put("absences.csv", ABSENCES)]
    answer = ask("staff", "import", *files)
    assert answer.code == 0, answer.err
    assert "people: 3 (3 new, 0 changed, 0 gone), units: 2, absences: 1" in answer.out
    return ask


@pytest.fixture
def staffed(ask: Ask, put: Put) -> Ask:
    """The program on a directory with people in it."""
    return staff_it(ask, put)


@dataclass(frozen=True)
class Kept:
    """A directory with people and shifts that every test leaves as it is."""

    ask: Ask
    address: str
    before: Directory

    def refuses(self, *arguments: str) -> str:
        """The line that says why; nothing has changed."""
        line = self.ask(*arguments).refused(2)
        after = stored(self.address)
        assert (after.units, after.people) == (self.before.units, self.before.people)
        assert (after.absences, after.shifts) == (self.before.absences, self.before.shifts)
        return line


@pytest.fixture(scope="module")
def kept(postgres: Cluster, migrated: str, tmp_path_factory: pytest.TempPathFactory) -> Kept:
    """Such a directory."""
    address, put = asyncio.run(postgres.fresh_database(f"TEMPLATE {migrated}")), writer(tmp_path_factory.mktemp("kept"))
    ask = staff_it(on(address), put)
    assert ask("duty", "import", put("roster.csv", ROSTER)).code == 0
    return Kept(ask, address, stored(address))


def stored(address: str) -> Directory:
    """What the database holds."""

    async def read() -> Directory:
        async with Database.open(as_writer(address)) as store:
            return await DirectoryBook(store).read()

    return asyncio.run(read())


def everything(ask: Ask, folder: Path) -> dict[str, bytes]:
    """An export, by the name of the file."""
    assert ask("staff", "export", str(folder)).code == 0
    return {file.name: file.read_bytes() for file in folder.iterdir()}


# --- import, export, check ------------------------------------------------------------------------


def test_what_was_imported_answers(staffed: Ask) -> None:
    who = ["staff", "who", "agent", "--unit", "north", "--at"]
    answer = staffed(*who, "2024-03-10T09:00:00+08:00", "--json").json
    assert (answer["person"], answer["why"], answer["next"][0]["person"]) == ("agent-2", "on_duty", "agent-3")
    # The absence was given in local time and ends at midnight.
    assert staffed(*who, "2024-03-11T00:00:00+08:00", "--json").json["person"] == "agent-1"
    shown = staffed(*who, "2024-03-10T09:00:00+08:00").out
    assert "agent-2 (on duty)\n  agent-2 is agent of north, on duty (has no roster)\n" in shown
    assert "deputy of agent-1" in shown
    # A time without an offset is local, as in the files; so are the times of the answer.
    local = staffed(*who, "2024-03-10T09:00", "--json").json
    assert local == answer
    assert any("absent until 2024-03-11T00:00:00+08:00" in step for step in answer["next"][0]["because"])
    assert "nobody (nobody)" in staffed("staff", "who", "general_manager").out
    assert "陈小雨" not in shown


def test_export_and_import_give_the_same(staffed: Ask, put: Put, tmp_path: Path) -> None:
    assert staffed("duty", "import", put("roster.csv", ROSTER)).code == 0
    first = everything(staffed, tmp_path / "first")
    assert set(first) == {"units.csv", "staff.csv", "absences.csv", "roster.csv"}
    assert first["staff.csv"].startswith(b"\xef\xbb\xbfid,name,role,")
    assert "north,北区分公司,headquarters" in first["units.csv"].decode()
    # They hold names and addresses.
    assert stat.S_IMODE((tmp_path / "first" / "staff.csv").stat().st_mode) == 0o600
    files = {name: str(tmp_path / "first" / f"{name}.csv") for name in ("units", "staff", "absences", "roster")}
    again = staffed(
        "staff", "import", files["staff"], "--units", files["units"], "--absences", files["absences"], "--json"
    ).json
    assert (again["new"], again["changed"], again["gone"]) == ([], [], [])
    assert staffed("duty", "import", files["roster"], "--json").json["replaced"] == 3
    assert everything(staffed, tmp_path / "second") == first


def test_the_people_alone_go_to_a_file_or_to_stdout(staffed: Ask, tmp_path: Path) -> None:
    assert staffed("staff", "export", str(tmp_path / "only.csv")).code == 0
    assert list(tmp_path.glob("*/")) == []
    text = (tmp_path / "only.csv").read_text("utf-8-sig")
    assert next(csv.DictReader(io.StringIO(text)))["prefer"] == "wecom email"
    out = staffed("staff", "export", "-").out
    assert out.splitlines() == text.splitlines()
    assert (
        staffed(
            "staff",
            "import",
            "-",
            given=out,
        ).code
        == 0
    )


def test_who_is_gone_is_said(staffed: Ask, put: Put) -> None:
    fewer = put("fewer.csv", "id,role,unit,language\nagent-2,agent,north,zh\nagent-4,supervisor,north,\n")
    answer = staffed("staff", "import", fewer)
    assert "people: 2 (1 new, 1 changed, 2 gone), units: 2, absences: 0" in answer.out
    assert "gone: agent-1, agent-3" in answer.out


def test_check_says_everything_and_stores_nothing(staffed: Ask, address: str, put: Put) -> None:
    before = stored(address)
    good = staffed("staff", "check", put("good.csv", STAFF.replace("agent-3", "agent-9")))
    assert good.code == 0
    assert "nothing is wrong: 3 lines of people" in good.out
    bad = staffed(
        "staff", "check", put("bad.csv", STAFF.replace("one@", "one")), "--roster", put("r.csv", ROSTER + ROSTER[18:])
    )
    assert bad.code == 2
    assert "bad.csv" in bad.out
    assert "not an e-mail address" in bad.out
    assert "nothing was stored" in bad.err
    plain = staffed("staff", "check", put("bad.csv", STAFF + "x,y\n"), "--json")
    assert plain.code == 2
    assert [(one["line"], one["column"]) for one in json.loads(plain.out)] == [(5, "row")]
    after = stored(address)
    assert (after.people, after.shifts) == (before.people, before.shifts)


def test_files_are_checked_without_a_casebook(put: Put) -> None:
    staff, units = put("staff.csv", STAFF), put("units.csv", UNITS)
    answer = call("staff", "check", staff, "--units", units, *NOWHERE)
    assert answer.code == 0
    assert "no casebook at hand" in answer.out
    alone = call("staff", "check", staff, *NOWHERE)
    assert alone.code == 2
    assert "'north' is not a known unit; allowed: none" in alone.out
    assert "no database" in call("staff", "import", staff, *NOWHERE).refused(1)


# --- what is refused ------------------------------------------------------------------------------

HEAD = "id,name,role,unit,deputies,language,email,webhook,prefer\n"
BAD_STAFF: dict[str, tuple[str | bytes, list[str]]] = {
    "an id twice": (HEAD + "a,,agent,north,,,,,\na,,agent,north,,,,,\n", ["3: id: 'a' is there twice"]),
    "no id": (HEAD + ",Secret,agent,north,,,,,\n", ["2: id: is missing"]),
    "a name as id": (HEAD + "秘密,,agent,north,,,,,\n", ["2: id: what stands there: String should match"]),
    "no role": (HEAD + "a,,,north,,,,,\n", ["2: role: is missing"]),
    "an unknown role": (
        HEAD + "a,,boss,north,,,,,\n",
        ["2: role: 'boss' is not a known role; allowed: accounting"],
    ),
    "a customer": (HEAD + "a,,customer,north,,,,,\n", ["2: role: 'customer' is no role of the staff; systems have it"]),
    "a system": (HEAD + "a,,system,north,,,,,\n", ["2: role: 'system' is no role of the staff; systems have it, by"]),
    "a platform": (HEAD + "a,,platform,north,,,,,\n", ["2: role: 'platform' is no role of the staff"]),
    "a private address": (
        HEAD + "a,,agent,north,,,,https://10.1.2.3/hook,\nb,,agent,north,,,,https://[fe80::1]/hook,\n"
        "c,,agent,north,,,,https://127.0.0.1/hook,\n",
        [f"{line}: webhook: it leads to a network that is not public; notices may not go there" for line in (2, 3, 4)],
    ),
    "an unknown unit": (HEAD + "a,,agent,south,,,,,\n", ["2: unit: 'south' is not a known unit; allowed: headq"]),
    "a deputy of oneself": (HEAD + "a,,agent,north,a,,,,\n", ["2: deputies: 'a' is named as deputy of itself"]),
    "an unknown deputy": (HEAD + "a,,agent,north,b,,,,\n", ["2: deputies: 'b' is nobody of the staff"]),
    "a language": (HEAD + "a,,agent,north,,de,,,\n", ["2: language: 'de': Input should be 'zh' or 'en'"]),
    "no e-mail address": (HEAD + "a,,agent,north,,,secret,,\n", ["2: email: not an e-mail address; allowed: name@"]),
    "no secure address": (HEAD + "a,,agent,north,,,,http://secret.example.com,\n", ["2: webhook: not a secure web"]),
    "a preferred channel without an address": (
        HEAD + "a,,agent,north,,,a@example.com,,email wecom\n",
        ["2: prefer: 'wecom' is no channel that has an address here; allowed: email"],
    ),
    "cells too few": (HEAD + "a,Secret,agent,north\n", ["2: row: has 4 cells, the header 9"]),
    "every bad line, by the line it begins in": (
        HEAD + '\n"a","Sec\nret",agent,south,,,,,\nb,,agent,north,,,secret,,\n,,,,,,,,\nc,,boss,north,a b,fr,,,\n',
        ["3: unit: 'south'", "5: email: not", "7: language: 'fr'", "7: role: 'boss'"],
    ),
    "no header": (
        "a,Secret,agent,north\n",
        ["1: header of staff: column 1 is not a known one", "allowed: id,name,role"],
    ),
    "a column twice": ("id,role,unit,id\n", ["1: header of staff: 'id' is there twice"]),
    "a column missing": ("id,name\n", ["'role' is missing, 'unit' is missing"]),
    "nothing": ("\n", ["is empty; its first line names the columns: id,name,role"]),
    "an open quote": (HEAD + 'a,"Secret,agent\n', ["2: not CSV: unexpected end of data"]),
    "another encoding": (
        "id,name,role,unit\na,秘密,agent,north\n".encode("gbk"),
        ["2: not UTF-8; save it as CSV UTF-8"],
    ),
}


@pytest.mark.parametrize("case", BAD_STAFF)
def test_a_bad_line_is_named_and_nothing_is_imported(case: str, kept: Kept, put: Put) -> None:
    content, parts = BAD_STAFF[case]
    file = put("bad.csv", content)
    line = kept.refuses("staff", "import", file)
    for part in parts:
        assert part in line
    assert line.count(f"{file}:") == max(1, sum(part[0].isdigit() for part in parts))
    assert "secret" not in line.lower()
    assert "秘密" not in line


BAD_OTHERS = {
    "two headquarters": ("--units", "id,parent\nnorth,\neast,\n", ["3: parent: 'east' has none, as 'north'"]),
    "a circle": ("--units", "id,parent\nhq,\nnorth,east\neast,north\n", ["3: parent: goes in a circle: north -> east"]),
    "a unit that people are in is gone": (
        "--units",
        "id,parent\nheadquarters,\n",
        ["staff.csv:2: unit: 'north' is not"],
    ),
    "nobody's absence": (
        "--absences",
        "person,from,to\nz,2024-03-10T08:00,2024-03-11T08:00\n",
        ["2: person: 'z' is nobody"],
    ),
    "an absence without an end": ("--absences", "person,from,to\nagent-1,2024-03-10T08:00,\n", ["2: to: is missing"]),
    "an absence that ends first": (
        "--absences",
        "person,from,to\nagent-1,2024-03-10T08:00,2024-03-10T08:00+08:00\n",
        ["2: to: 2024-03-10T08:00:00+08:00 is not after"],
    ),
    "no time": (
        "--absences",
        "person,from,to\nagent-1,tomorrow,2024-02-30 08:00\n",
        [
            "2: from: 'tomorrow': not a time; allowed: 2026-03-10T08:00 (in Asia/Shanghai) or",
            "2: to: '2024-02-30 08:00': day is out of range",
        ],
    ),
}


@pytest.mark.parametrize("case", BAD_OTHERS)
def test_bad_units_and_absences(case: str, kept: Kept, put: Put) -> None:
    option, content, parts = BAD_OTHERS[case]
    line = kept.refuses("staff", "import", put("staff.csv", STAFF), option, put("other.csv", content))
    for part in parts:
        assert part in line


BAD_ROSTER = {
    "a shift twice": ("a,agent-1,2024-03-12T08:00,2024-03-12T09:00\n" * 2, ["3: id: 'a' is there twice"]),
    "overlapping shifts": (
        "a,agent-1,2024-03-12T08:00,2024-03-12T20:00\nb,agent-1,2024-03-12T19:59:59,2024-03-13T08:00\n",
        ["3: from: 2024-03-12T19:59:59+08:00 lies within the shift 'a' of 'agent-1'"],
    ),
    "a shift that overlaps a stored one": (
        "b,agent-2,2024-03-11T07:00,2024-03-11T09:00\n",
        ["2: from: 2024-03-11T07:00:00+08:00 lies within the shift 'n10'"],
    ),
    "an id that a stored shift has": (
        "d10,agent-2,2024-04-10T08:00,2024-04-10T20:00\n",
        ["roster in the casebook: id: 'd10'"],
    ),
    "nobody's shift": ("a,agent-9,2024-03-12T08:00,2024-03-12T20:00\n", ["2: person: 'agent-9' is nobody"]),
    "a shift that ends first": (
        "a,agent-1,2024-03-12T08:00,2024-03-12T07:00\n",
        ["2: to: 2024-03-12T07:00:00+08:00 is not"],
    ),
    "no shift": ("", ["holds no shift; to empty a period, give --from and --to"]),
}


@pytest.mark.parametrize("case", BAD_ROSTER)
def test_a_bad_roster(case: str, kept: Kept, put: Put) -> None:
    rows, parts = BAD_ROSTER[case]
    line = kept.refuses("duty", "import", put("bad.csv", f"id,person,from,to\n{rows}"))
    for part in parts:
        assert part in line


def test_a_roster_replaces_its_period_and_is_shown(staffed: Ask, put: Put) -> None:
    answer = staffed("duty", "import", put("roster.csv", ROSTER))
    assert "shifts: 3, in place of 0" in answer.out
    changed = put("changed.csv", "id,person,from,to\nx,agent-2,2024-03-10T20:00,2024-03-11T06:00\n")
    assert staffed("duty", "import", changed, "--json").json == {
        "shifts": 1, "replaced": 1, "from": "2024-03-10T20:00:00+08:00", "to": "2024-03-11T06:00:00+08:00",
        # A shift that is over is not handed over any more.
        "handovers": 0,
    }  # fmt: skip
    window = ["--from", "2024-03-10T20:00", "--to", "2024-03-11T08:00"]
    assert staffed("duty", "show", *window, "--json").json == [
        {
            "id": "x", "person": "agent-2", "role": "agent", "unit": "north",
            "from": "2024-03-10T20:00:00+08:00", "to": "2024-03-11T06:00:00+08:00", "absent": False,
        }
    ]  # fmt: skip
    shown = staffed("duty", "show", "--from", "2024-03-10T00:00").out
    assert [row.split()[0] for row in shown.splitlines()[3:6]] == ["d10", "x", "d11"]
    assert "absent" in shown.splitlines()[3]
    assert staffed("duty", "show", "--unit", "east", *window, "--json").json == []
    none = put("none.csv", "id,person,from,to\n")
    assert staffed("duty", "import", none, *window).code == 0
    assert staffed("duty", "show", *window, "--json").json == []
    line = staffed("duty", "import", put("roster.csv", ROSTER), "--from", "2024-03-10T09:00").refused(2)
    assert "2: from: 2024-03-10T08:00:00+08:00 lies outside the period from 2024-03-10T09:00" in line
    assert "not after --from" in staffed(
        "duty", "show", "--from", "2024-03-10T00:00", "--to", "2024-03-09T00:00"
    ).refused(2)
    assert "--from = 'now'" in staffed("duty", "show", "--from", "now").refused(2)


def test_who_leaves_must_be_off_the_roster(staffed: Ask, put: Put) -> None:
    soon = (datetime.now(UTC) + timedelta(days=1)).isoformat(timespec="seconds")
    later = (datetime.now(UTC) + timedelta(days=2)).isoformat(timespec="seconds")
    roster = put("roster.csv", f"id,person,from,to\ns,agent-2,{soon},{later}\n")
    imported = staffed("duty", "import", roster)
    assert imported.code == 0
    assert "nobody waits for handovers; import it again then: no Temporal server answers" in imported.err
    fewer = STAFF.replace("agent-2,,agent,north,,en,,,\n", "").replace("agent-2;", "")
    assert "still on the duty roster, change that first: agent-2" in staffed(
        "staff", "import", put("f.csv", fewer)
    ).refused(1)
    # A bad line is not somebody who leaves.
    line = staffed("staff", "import", put("g.csv", fewer + "agent-2,agent\n")).refused(2)
    assert "4: row: has 2 cells" in line


def test_an_unknown_role_is_not_asked_for(staffed: Ask) -> None:
    assert "ROLE = 'boss': not a known role; allowed: accounting, agent" in staffed("staff", "who", "boss").refused(2)
    assert "--at = 'noon'" in staffed("staff", "who", "agent", "--at", "noon").refused(2)


def test_an_hour_that_is_there_twice_needs_an_offset() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    for text in ("2026-10-25T02:30", "2026-03-29 02:30"):
        with pytest.raises(ValueError, match="when the clocks change in Europe/Berlin, a time needs an offset"):
            staff_files.read_time(text, berlin)
    assert staff_files.read_time("2026-10-25T02:30:00.25+01:00", berlin).microsecond == 250000
    assert staff_files.read_time("2026-10-25T03:30", berlin).isoformat() == "2026-10-25T03:30:00+01:00"


# --- files ----------------------------------------------------------------------------------------

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1, max_size=12)
NAMES = st.one_of(
    st.sampled_from(
        ['=cmd|"/c calc"!A1', "+1", "-1", "@SUM(1)", "'", "''", "'=1", "'x", "a,b", 'say "hi"', "a\nb", "a\r\nb"]
    ),
    TEXT,
).filter(lambda name: name.strip(" \t\r\n") == name.strip() == name)
ADDRESSES = {
    "email": st.sampled_from(["a@example.com", "=a@example.com", "-a+b@example.com", "'a@example.com"]),
    "wecom": st.just("https://chat.example.com/send?key=K,1"),
    "webhook": st.just("https://hooks.example.com/a"),
    "apprise": st.just("tgram://1/2"),
}
CONTACTS = st.permutations(sorted(ADDRESSES)).flatmap(
    lambda order: st.integers(0, 4).flatmap(
        lambda some: st.fixed_dictionaries({channel: ADDRESSES[channel] for channel in order[:some]})
    )
)


@pytest.mark.long
@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.none() | NAMES, st.sampled_from(["zh", "en"]), CONTACTS), max_size=4))
def test_any_people_come_back_from_their_file(
    tmp_path_factory: pytest.TempPathFactory, given: list[tuple[str | None, str, dict[str, str]]]
) -> None:
    people = [
        Person.model_validate(
            {
                "id": f"p{n}", "name": name, "role": "agent", "unit": "north", "language": language,
                "deputies": [f"p{m}" for m in range(n)], "contacts": contacts,
            }
        )
        for n, (name, language, contacts) in enumerate(given)
    ]  # fmt: skip
    file = tmp_path_factory.getbasetemp() / "people.csv"
    text = staff_files.staff_csv(people)
    staff_files.write(file, text)
    sheet = staff_files.read_staff(file)
    assert sheet.faults == []
    assert sheet.entries == people
    assert [list(one.contacts) for one in sheet.entries] == [list(one.contacts) for one in people]
    for row in list(csv.reader(io.StringIO(text, newline="")))[1:]:
        assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r")) for cell in row)


def test_times_come_back_from_their_file(tmp_path: Path) -> None:
    start = datetime(2024, 3, 10, 1, 2, 3, 456, tzinfo=UTC)
    shifts = [Shift(id="s", person="p", starts_at=start, ends_at=start + timedelta(hours=12))]
    away = [Absence(person="p", starts_at=start, ends_at=start + timedelta(seconds=1))]
    staff_files.write(tmp_path / "r.csv", staff_files.roster_csv(shifts, ZONE))
    staff_files.write(tmp_path / "a.csv", staff_files.absences_csv(away, ZONE))
    staff_files.write(tmp_path / "u.csv", staff_files.units_csv([Unit(id="a"), Unit(id="b", parent="a")]))
    assert staff_files.read_roster(tmp_path / "r.csv", ZoneInfo("UTC")).entries == shifts
    assert staff_files.read_absences(tmp_path / "a.csv", ZoneInfo("UTC")).entries == away
    assert [one.parent for one in staff_files.read_units(tmp_path / "u.csv").entries] == [None, "a"]


def test_the_columns_are_the_channels() -> None:
    assert [column for column in staff_files.COLUMNS["staff"] if column in CHANNELS] == list(CHANNELS)


# --- the samples ----------------------------------------------------------------------------------


async def test_the_samples_are_imported_into_an_empty_directory_only(address: str, tmp_path: Path) -> None:
    async with Database.open(as_writer(address)) as store:
        assert not await import_sample(tmp_path, store)
        assert await import_sample(ROOT / "examples", store)
        assert not await import_sample(ROOT / "examples", store)
        found = await DirectoryBook(store).current()
    now = datetime.now(UTC)
    for unit in ("headquarters", "north", "east"):
        for rung in ("agent", "supervisor", "qa_manager", "general_manager", "project_manager", "finance"):
            answer = found.who(rung, unit, now)
            assert answer.why == (
                "on_duty" if rung in ("agent", "supervisor") or unit == "headquarters" else "parent_unit"
            )
    supervisor, other = found.person("supervisor-1"), found.person("supervisor-2")
    assert supervisor is not None
    assert other is not None
    assert (supervisor.unit, other.unit) == ("north", "east")
    assert all(address.endswith("@example.com") for one in found.people for address in one.contacts.values())
