"""How facts, events and names are formatted for a reader; words of one's own."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest
from structlog.testing import capture_logs

from cases.directory import Directory, Person, Unit
from cases.vocabulary.refusals import Refused
from starter.access import Caller, may_read_names
from starter.console import now
from starter.console.formatting import Formatter
from starter.console.times import Times
from starter.console.translations import translations
from tests.console.server import ConsoleServer

NOW = datetime(2026, 3, 10, 1, 0, tzinfo=UTC)
STAFF = Directory.build(
    [Unit(id="hq"), Unit(id="north", name="北区分公司", parent="hq")],
    [Person(id="ann-7", name="安然", role="agent", unit="north"), Person(id="ben-2", role="agent", unit="hq")],
)


def formatter(language: str, directory: Directory = STAFF) -> Formatter:
    words = translations()[language]
    return Formatter(words, Times(ZoneInfo("Asia/Shanghai"), words, NOW), directory)


def event(type_: str, **data: Any) -> dict[str, Any]:
    return {"type": type_, "data": data}


def test_names_stand_with_their_ids_where_there_are_any() -> None:
    shown = formatter("zh")
    assert (shown.person("ann-7"), shown.person("ben-2"), shown.person("gone-1")) == ("安然 (ann-7)", "ben-2", "gone-1")
    assert (shown.unit("north"), shown.unit("hq"), shown.unit("gone")) == ("北区分公司 (north)", "hq", "gone")
    assert formatter("zh", Directory()).person("ann-7") == "ann-7"


@pytest.mark.parametrize(
    ("role", "kind", "may"),
    [
        ("agent", "person", True),
        ("auditor", "person", True),
        ("platform", "person", False),
        ("customer", "person", False),
        ("system", "system", False),
    ],
)
def test_names_of_the_staff_are_for_the_staff(role: str, kind: Any, may: bool) -> None:
    assert may_read_names(Caller(id="x", role=role, units=None, kind=kind)) is may


@pytest.mark.parametrize(
    ("told", "english", "chinese"),
    [
        (
            event("escalated", **{"from": "agent", "to": "supervisor", "cause": "unacknowledged"}),
            (["agent", "→ supervisor", "nobody took it up"], []),
            (["客服", "→ 客服主管", "无人受理"], []),
        ),
        (
            event("assigned", **{"from": {"role": "agent", "id": None}, "to": {"role": "agent", "id": "ann-7"}}),
            (["agent", "→ 安然 (ann-7) · agent"], []),
            (["客服", "→ 安然 (ann-7) · 客服"], []),
        ),
        (
            event("clock_paused", clocks=["answer", "promise:2"], reason="unreachable"),
            (["answer, promised reply 2"], ["the customer cannot be reached"]),
            (["答复、承诺回复 2"], ["联系不上客户"]),
        ),
        (event("clock_paused", clocks=[], reason="on holiday_"), ([], ["on holiday_"]), ([], ["on holiday_"])),
        (
            event("found", cause="a torn label", responsibility=None, report="false"),
            (["false"], ["a torn label"]),
            (["虚报"], ["a torn label"]),
        ),
        (
            event("notified", notice="handover", roles=["agent"], outcome="sent", of=3, channel="email, wecom"),
            (["handover", "agent", "sent", "e-mail, WeCom"], []),
            (["交接班", "客服", "已送达", "邮件、企业微信"], []),
        ),
        (
            event("closed", outcome="handed_over"),
            (["handed over"], []),
            (["已交接"], []),
        ),
        (
            event("handed_over", cases=["complaint:1"], left=[{"case": "complaint:2", "code": "not_held"}]),
            (["cases: 1", "complaint:2: Somebody else holds the case by now"], []),
            (["1 件", "complaint:2: 案件已由他人处理"], []),
        ),
        (
            event("reminded", rung="director", count=2, subject="signature:3"),
            (["director", "no. 2", "signature 3"], []),
            (["总监", "第 2 次", "签署 3"], []),
        ),
        (
            event("report_late", known_at="2026-03-10T08:00:00+08:00", minutes=37),
            (["known since 08:00", "37 min late"], []),
            (["知悉于 08:00", "迟 37 分钟"], []),
        ),
        (event("proposed", options=["one", "two"]), ([], ["one", "two"]), ([], ["one", "two"])),
        # What a later release may add is shown as it is.
        (event("noted", text="a", colour="red", sizes=[1]), (["red"], ["a"]), (["red"], ["a"])),
    ],
)
def test_an_event_in_words(told: dict[str, Any], english: Any, chinese: Any) -> None:
    assert formatter("en").details(told) == english
    assert formatter("zh").details(told) == chinese


def test_facts_in_words() -> None:
    facts = {
        "category": "delay",
        "unit": "north",
        "shipment": {"waybill": "SF-1", "base_freight": "18.00", "courier_present": False},
        "outgoing": {"id": "ann-7", "role": "agent"},
        "cases": [{"id": "complaint:1"}],
        "shift_ends_at": "2026-03-10T20:00:00+08:00",
    }
    assert formatter("zh").facts({"facts": facts}) == [
        ("category", "text", "延误"),
        ("waybill", "text", "SF-1"),
        ("base_freight", "money", "18.00"),
        ("courier_present", "text", "否"),
        ("outgoing", "text", "安然 (ann-7) · 客服"),
        ("cases", "cases", ["complaint:1"]),
        ("shift_ends_at", "text", "2026-03-10 20:00:00"),
    ]


def test_a_note_and_a_formula_are_the_rules_own_in_english() -> None:
    note = {"code": "cause_unknown", "text": "no cause was found, so none that exempts is proven"}
    assert formatter("en").note(note) == note["text"]
    assert formatter("zh").note(note) == "未查明原因，因此不能认定有免责事由"
    inputs = {"fee_multiple": "5", "base_freight": "18.00", "yuan_per_kg": "100.00", "weight_kg": "2"}
    line = {"name": "uninsured", "formula": "the lowest of ...", "inputs": inputs}
    assert formatter("en").formula(line) == "the lowest of ..."
    said = "取最低者：18.00 × 5；100.00 元/公斤 × 2 公斤"
    assert formatter("zh").formula(line) == said
    line["inputs"] = {**inputs, "total_value": "90.00", "measure": "value", "lost": "1", "of": "3"}
    assert formatter("zh").formula(line) == f"{said}；内件价值 90.00，× 1 / 3"


def test_a_refusal_begins_with_its_codes_word() -> None:
    refusal = Refused("not_theirs", "shift 'S-1' is not 'ann-7''s", "S1-1.7")
    assert translations()["zh"].refusal(refusal) == "该班次不属于此人 (shift 'S-1' is not 'ann-7''s) [S1-1.7]"
    assert translations()["en"].refusal(Refused("own_code", "no", "")) == "no"


def test_words_of_ones_own_are_the_consoles_too(tmp_path: Path) -> None:
    (tmp_path / "zh").mkdir()
    (tmp_path / "zh" / "words.toml").write_text('[role]\nagent = "坐席"\nhub = "分拨中心"\n', "utf-8")
    words = translations(tmp_path)["zh"]
    assert words.words("role", ["agent", "hub", "supervisor", "own_role"]) == "坐席、分拨中心、客服主管、own role"
    assert translations(tmp_path)["en"].word("role", "hub") == "hub"
    (tmp_path / "zh" / "words.toml").write_text("[role", "utf-8")
    with capture_logs() as logs:
        assert translations(tmp_path)["zh"].word("role", "agent") == "客服"
    assert [(entry["event"], entry["template"]) for entry in logs] == [("template_failed", "zh/words.toml")]


async def test_lists_show_names_with_their_ids(console: ConsoleServer, monkeypatch: pytest.MonkeyPatch) -> None:
    # A rung shows those first that are due first; here all of them, however many other tests left behind.
    monkeypatch.setattr(now, "EACH", 1000)
    case_id = await console.file("complaint", {"category": "other", "unit": "north"})
    await console.do(case_id, "acknowledge", "ann-7")
    async with httpx.AsyncClient(base_url=console.url, follow_redirects=True, timeout=20) as client:
        page = await client.get("/console/login")
        csrf = page.text.partition('name="csrf" value="')[2].partition('"')[0]
        await client.post("/console/login", data={"person": "sue-1", "csrf": csrf})
        for path in ("/console/", "/console/find", f"/console/case?id={case_id}"):
            text = (await client.get(path)).text
            assert "安然 (ann-7)" in text, path
            assert "北区分公司 (north)" in text, path


def test_the_clock_of_a_step_is_called_by_the_step() -> None:
    words = translations()["zh"]
    assert words.word("clock", "step:slip") == "签办 成品退货单"
    assert words.word("clock", "promise:2").endswith(" 2")
