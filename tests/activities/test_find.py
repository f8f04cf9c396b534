"""What people type finds cases, on a real PostgreSQL: displayed words, people, parts of numbers, what was written."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

import asyncpg
import pytest

from activities.casebook.filter import Filter
from activities.casebook.folding import FOLDED, folded, pairs, runs
from activities.casebook.meanings import SECTIONS, read_labels
from activities.casebook.search import NOBODY, OPERATOR, Reader
from activities.database.database import Database
from activities.database.migrate import migrate
from activities.messages import Batch
from activities.people.directory_changes import DirectoryChanges
from cases.directory import Person, Unit
from starter.console.vocabulary import enums
from tests.activities.test_search import ALL, DAY, opened, record
from tests.casebook import Book, open_book
from tests.core.support import AGENT, SUPERVISOR, do
from tests.postgres import Cluster

UNITS = (Unit(id="hq"), Unit(id="HZ-01", name="杭州一部", parent="hq"), Unit(id="HZ-02", parent="hq"))
PEOPLE = (
    Person(id="agent-7", name="李娜", role="agent", unit="HZ-01"),
    Person(id="super-2", name="Sue Miller", role="supervisor", unit="HZ-01"),
    Person(id="qa-1", name="陳偉", role="qa_manager", unit="hq"),
)
WAYBILL = {"waybill": "SF-1288-1234", "posted_on": "2026-03-01"}
CUSTOMER = {"name": "张三", "phone": "138-0000-8812", "email": "Zhang@example.org"}
PERSONAL = {"customer": CUSTOMER, "description": "杯子碎了兩個, please hurry"}
BROKEN, LATE, CLAIM = "complaint:BROKEN", "complaint:LATE", "claim:C-1"


@pytest.fixture(scope="module")
async def dsn(postgres: Cluster) -> str:
    made = await postgres.fresh_database()
    await migrate(made)
    return made


@pytest.fixture(scope="module")
async def book(dsn: str) -> AsyncIterator[Book]:
    """Three cases: one with notes and a customer, one that was escalated, and a claim."""
    async with open_book(dsn) as made, Database.open(dsn) as owner:
        await DirectoryChanges(owner).replace_people(PEOPLE, units=UNITS)
        broken = opened("complaint", "BROKEN", unit="HZ-01", category="damage", shipment=WAYBILL)
        do(broken, f"{DAY} 09:01:00", "acknowledge", AGENT)
        do(broken, f"{DAY} 09:02:00", "note", AGENT, text="外箱破了 Courier Ｗang called back, ref A-77")
        do(broken, f"{DAY} 09:03:00", "reply", AGENT, stage="interim", text="我們正在查找")
        await record(made, broken, personal=PERSONAL)
        late = opened("complaint", "LATE", f"{DAY} 09:05:00", unit="HZ-02", category="delay", severity="serious")
        do(late, f"{DAY} 09:06:00", "acknowledge", SUPERVISOR)
        do(late, f"{DAY} 09:07:00", "note", SUPERVISOR, text="站点说已派送")
        await record(made, late, personal={"customer": {"name": "张三"}})
        await record(made, opened("claim", "C-1", f"{DAY} 09:10:00"))
        yield made


async def found(book: Book, text: str, reader: Reader = OPERATOR, **more: Any) -> list[str]:
    page = await book.page(Filter(text=text, **more), **ALL, reader=reader)
    return sorted(view["id"] for view in page.cases)


# --- what everybody finds ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "cases"),
    [
        # As the pages call them, in both languages; a part of a Chinese word, the beginning of another.
        ("损毁", [BROKEN, CLAIM]), ("損毀", [BROKEN, CLAIM]), ("毁", [BROKEN, CLAIM]), ("Damage", [BROKEN, CLAIM]),
        ("ＤＡＭＡＧＥ", [BROKEN, CLAIM]), ("投诉", [BROKEN, LATE]), ("理赔", [CLAIM]), ("延误", [LATE]),
        ("严重", [LATE]), ("serious", [LATE]), ("处理中", [BROKEN, LATE, CLAIM]), ("open", [BROKEN, LATE, CLAIM]),
        ("已结案", []), ("closed", []), ("amage", []),
        # Units by their names.
        ("杭州", [BROKEN]), ("HZ-02", [LATE]),
        # Parts of numbers and waybills, from four characters.
        ("0002", [LATE]), ("8812", [BROKEN]), ("1288-12", [BROKEN]), ("SF 1234", [BROKEN]), ("881", []), ("8813", []),
        # All words, each wherever it is.
        ("损毁 8812 杭州", [BROKEN]), ("损毁 投诉", [BROKEN]), ("损毁　延误", []),
    ],
)  # fmt: skip
async def test_displayed_words_and_parts_of_numbers(book: Book, text: str, cases: list[str]) -> None:
    assert await found(book, text, NOBODY) == await found(book, text) == sorted(cases)


def test_every_term_that_a_fact_may_have_is_searched_by_its_word() -> None:
    labels = {token for _, token in read_labels()}
    sections = {section for section in SECTIONS if section in enums()}
    assert {"category", "factor", "source", "route", "severity"} <= sections
    assert [
        f"={SECTIONS[section]}:{term}"
        for section in sections
        for term in enums()[section]
        if f"={SECTIONS[section]}:{term}" not in labels
    ] == []


# --- people -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "cases"),
    [("李娜", [BROKEN]), ("娜", [BROKEN]), ("sue", [LATE]), ("Mil", [LATE]), ("ue", []), ("agent-7", [BROKEN]),
     ("李娜 损毁", [BROKEN]), ("李娜 延误", [])],
)  # fmt: skip
async def test_people_who_hold_a_case_or_did_something_in_it(book: Book, text: str, cases: list[str]) -> None:
    assert await found(book, text) == cases
    # Whoever may not read their names finds nothing by them.
    assert await found(book, text, Reader(texts=True)) == []


async def test_who_is_called_otherwise_is_found_by_the_new_name(book: Book, dsn: str) -> None:
    async with Database.open(dsn) as owner:
        renamed = PEOPLE[0].model_copy(update={"name": "王丽"})
        await DirectoryChanges(owner).replace_people((renamed, *PEOPLE[1:]), units=UNITS)
        assert (await found(book, "王丽"), await found(book, "李娜")) == ([BROKEN], [])
        await DirectoryChanges(owner).replace_people(PEOPLE, units=UNITS)
    assert (await found(book, "王丽"), await found(book, "李娜")) == ([], [BROKEN])


async def test_a_name_stands_for_the_holder(book: Book) -> None:
    async def held(holder: str, reader: Reader = OPERATOR) -> list[str]:
        page = await book.page(Filter(holder=holder), **ALL, reader=reader, counted=True)
        assert page.count is not None
        assert page.count["total"] == len(page.cases)
        return [view["id"] for view in page.cases]

    assert await held("李娜") == await held("agent-7") == await held("agent-7", NOBODY) == [BROKEN]
    assert await held("agent") == [CLAIM]
    assert await held("李娜", NOBODY) == await held("李四") == []


async def test_whoever_acted_is_found_after_another_took_it_over(book: Book) -> None:
    case = opened("complaint", "TAKEN", f"{DAY} 09:20:00", unit="HZ-02")
    do(case, f"{DAY} 09:21:00", "acknowledge", SUPERVISOR)
    await record(book, case)
    assert "complaint:TAKEN" in await found(book, "sue")
    assert "complaint:TAKEN" not in await found(book, "李娜")
    do(case, f"{DAY} 09:22:00", "assign", SUPERVISOR, to=AGENT)
    await record(book, case)
    assert "complaint:TAKEN" in await found(book, "sue")
    assert "complaint:TAKEN" in await found(book, "李娜")
    assert await found(book, "陈伟") == []


# --- what people wrote ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "cases"),
    [
        ("破", [BROKEN]), ("外箱", [BROKEN]), ("箱破了", [BROKEN]), ("破外", []), ("wang", [BROKEN]),
        ("COUR", [BROKEN]), ("ourier", []), ("我们", [BROKEN]), ("查找", [BROKEN]), ("a-77", [BROKEN]),
        ("站点 sue", [LATE]), ("站点 李娜", []),
        ("外箱 损毁", [BROKEN]), ("外箱 延误", []), ("正在查找 8812 外箱", [BROKEN]),
    ],
)  # fmt: skip
async def test_what_people_wrote_is_found_by_who_reads_it(book: Book, text: str, cases: list[str]) -> None:
    assert await found(book, text) == cases
    assert await found(book, text, Reader(names=True)) == []
    # Who reads the texts of some cases finds those.
    asked: list[tuple[str, bool]] = []

    def reads(view: Mapping[str, Any], personal: bool) -> bool:
        asked.append((view["id"], personal))
        return bool(view["id"] == BROKEN)

    reader = Reader(names=True, named=("agent-7", "supervisor"), reads=reads)
    assert await found(book, text, reader) == [one for one in cases if one == BROKEN]
    assert {personal for _, personal in asked} <= {False}


async def test_a_text_that_is_erased_is_found_no_more(book: Book, dsn: str) -> None:
    case = opened("complaint", "GONE", f"{DAY} 09:30:00")
    do(case, f"{DAY} 09:31:00", "note", AGENT, text="zq-mark 无影无踪")
    await record(book, case, personal={"description": "四海为家"})
    assert await found(book, "zq-mark 无踪") == ["complaint:GONE"]
    owner = await asyncpg.connect(dsn)
    assert "~无踪" in await owner.fetchval("SELECT words::text FROM case_search WHERE case_id = 'complaint:GONE'")
    assert "~四海" in await owner.fetchval("SELECT words::text FROM personal_search WHERE case_id = 'complaint:GONE'")
    # As an earlier release erases, which knows nothing of what is searched.
    await owner.execute("UPDATE case_text SET salt = NULL, text = NULL WHERE case_id = 'complaint:GONE'")
    assert await book.erase_personal("complaint:GONE")
    assert await found(book, "无踪") == []
    words = await owner.fetchval("SELECT words::text FROM case_search WHERE case_id = 'complaint:GONE'")
    assert ("~" in words, "@agent-7" in words, "=category:delay" in words) == (False, True, True)
    assert await owner.fetchval("SELECT count(*) FROM personal_search WHERE case_id = 'complaint:GONE'") == 0
    await owner.close()


# --- what customers said ----------------------------------------------------------------------------


def handles(*cases: str) -> Reader:
    """Somebody of a rung that reads all texts, and handles these cases."""
    return Reader(True, True, ("agent-7", "agent"), lambda view, personal: view["id"] in cases)


@pytest.mark.parametrize(
    "text",
    ["张三", "張", "杯子", "两个", "hurry", "zhang@example.org", "8812 张三", "0000", "13800008812", "外箱 杯子"],
)
async def test_the_customers_words_find_the_cases_of_who_handles_them(book: Book, text: str) -> None:
    page = await book.page(Filter(text=text), **ALL, reader=handles(BROKEN, LATE), counted=True)
    assert [view["id"] for view in page.cases] == [BROKEN]
    assert page.personal
    assert page.count is not None
    assert page.count["total"] == 1
    for reader in (NOBODY, OPERATOR, handles(), handles(LATE)):
        page = await book.page(Filter(text=text), **ALL, reader=reader)
        assert (page.cases, page.personal) == ([], False)


async def test_what_is_found_anyhow_is_no_look(book: Book) -> None:
    page = await book.page(Filter(text="8812 损毁"), **ALL, reader=handles(BROKEN))
    assert ([view["id"] for view in page.cases], page.personal) == ([BROKEN], False)
    # Nor does it reach beyond what somebody sees.
    page = await book.page(Filter(text="张三"), units={"HZ-02"}, kinds=None, reader=handles(BROKEN))
    assert page.cases == []


# --- folding and tokens -----------------------------------------------------------------------------


async def test_the_casebook_folds_and_cuts_as_the_program_does(dsn: str) -> None:
    owner = await asyncpg.connect(dsn)
    mixed = [
        "外箱破了, SF-8812 老李·张 of ÉMILIE's 〇〇々 カタカナ 한국어 İstanbul ＡＢＣ㍿ 𠀀𠀁 ẞ",
        "x" * 60,
        "",
        "…",
        "a\nb 破",
    ]
    everything = ["".join(chunk) for chunk in (list(FOLDED)[place : place + 500] for place in range(0, 6000, 500))]
    for text in (*mixed, *everything):
        assert await owner.fetchval("SELECT search_folded($1)", text) == folded(text)
        tokens = {
            f"~{part}"
            for run in runs(folded(text))
            for part in ({*run, *pairs(run)} if await _han(owner, run) else [run])
        }
        assert set(await owner.fetchval("SELECT search_said($1)", text)) == tokens
    await owner.close()


async def _han(owner: asyncpg.Connection, run: str) -> bool:
    return not await owner.fetchval("SELECT $1 ~ '^[0-9a-zß-öø-\\u1fff]'", run)


async def test_a_case_of_very_many_words_is_recorded_all_the_same(book: Book) -> None:
    texts = [" ".join(f"w{n:07}{place:031}" for place in range(95)) for n in range(300)]
    events = [
        {
            "seq": seq, "type": "noted", "at": "2026-03-10T09:00:00+08:00", "recorded_at": "2026-03-10T09:00:00+08:00",
            "actor": {"id": "agent-7", "role": "agent"}, "data": {"text": text[:4000]}, "clauses": [],
        }
        for seq, text in enumerate(texts, 1)
    ]  # fmt: skip
    view = {**opened("complaint", "LONG").view(), "id": "complaint:LONG"}
    recorded = await book.record(Batch("complaint:LONG", "complaint", events, view, "run-1"))
    assert recorded.head_seq == 300
    assert await found(book, "long") == ["complaint:LONG"]


# --- what was there before --------------------------------------------------------------------------


async def test_cases_from_before_are_found_once_they_were_gone_through(postgres: Cluster, book: Book, dsn: str) -> None:
    owner = await asyncpg.connect(dsn)
    before = dict(await owner.fetch("SELECT case_id, words::text FROM case_search"))
    persons = dict(await owner.fetch("SELECT case_id, words::text FROM personal_search"))
    await owner.execute(
        "UPDATE case_search SET complete = false, words = case_words(case_id) WHERE case_id <> 'complaint:LONG'"
    )
    await owner.execute("DELETE FROM personal_search")
    assert await found(book, "外箱") == []
    # What is written meanwhile by whatever release is not lost.
    case = opened("inquiry", "NEW", f"{DAY} 09:40:00")
    do(case, f"{DAY} 09:41:00", "note", AGENT, text="半路上")
    await record(book, case)
    assert await found(book, "半路") == ["inquiry:NEW"]

    told: list[int] = []
    await migrate(dsn, progress=told.append)
    assert told[-1] == 0
    assert await found(book, "外箱") == [BROKEN]
    assert await found(book, "半路") == ["inquiry:NEW"]
    after = dict(await owner.fetch("SELECT case_id, words::text FROM case_search WHERE case_id <> 'inquiry:NEW'"))
    assert after == before
    assert dict(await owner.fetch("SELECT case_id, words::text FROM personal_search")) == persons
    # Once more there is nothing to do.
    told.clear()
    await migrate(dsn, progress=told.append)
    assert told == []
    await owner.close()
