"""The history tells steps in sentences; what the machinery does folds into them, and what goes wrong never does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, expect

from activities.policies.store import Policies
from cases.vocabulary.events import EVENTS
from starter.console.history import steps
from starter.rehearsal.core_engine import run_case
from starter.rehearsal.scenario import load_scenario
from tests.console.page import faults_on, open_page, variants
from tests.console.server import ConsoleServer
from tests.console.test_faults import SIZES

SCENARIOS = sorted((Path(__file__).parents[1] / "scenarios").glob("*.toml"))
ANN = {"id": "ann-7", "role": "agent"}
SYSTEM = {"id": "caseladder", "role": "system"}


def _event(seq: int, type_: str, at: str = "09:00", actor: dict[str, str] = SYSTEM, **data: Any) -> dict[str, Any]:
    return {"seq": seq, "type": type_, "at": f"2026-03-04T{at}:00+08:00", "actor": actor, "data": data}


def _shape(events: list[dict[str, Any]]) -> list[tuple[str, list[str]]]:
    return [(step.event["type"], [one["type"] for one in step.folded]) for step in steps(events)]


def test_what_follows_at_the_same_instant_folds_into_the_step_that_caused_it() -> None:
    told = _event(3, "notified", "09:02", of=2, outcome="sent")
    assert _shape(
        [
            _event(1, "case_opened", actor=ANN),
            _event(2, "clock_started"),
            # Told of the clock, and so of what started it, however much later.
            told,
            _event(4, "acknowledged", "09:03", ANN),
            _event(5, "clock_met", "09:03", ANN),
        ]
    ) == [("case_opened", ["clock_started", "notified"]), ("acknowledged", ["clock_met"])]


def test_what_comes_of_a_notice_belongs_to_what_it_told_of_whoever_acts_at_that_instant() -> None:
    events = [
        _event(1, "case_opened", actor=ANN),
        _event(2, "acknowledged", "09:02", ANN),
        _event(3, "notified", "09:02", of=1, outcome="sent"),
        _event(4, "report_sent", "09:02"),
        _event(5, "clock_met", "09:02"),
    ]
    assert _shape(events) == [("case_opened", ["notified", "report_sent", "clock_met"]), ("acknowledged", [])]


def test_what_has_no_step_or_went_wrong_is_a_step() -> None:
    opened = _event(1, "case_opened", actor=ANN)
    for alone in (
        _event(2, "clock_met", "09:05"),
        _event(2, "clock_started", actor={"id": "sue-1", "role": "supervisor"}),
        _event(2, "clock_breached"),
        _event(2, "command_refused", actor=ANN),
        _event(2, "payout_failed"),
        *(_event(2, "notified", of=1, outcome=outcome) for outcome in ("failed", "partly", "no_address")),
        _event(2, "opening_done", of=1, failed=True, outcome="conflict"),
        _event(2, "something_of_a_later_release"),
    ):
        assert _shape([opened, alone]) == [("case_opened", []), (alone["type"], [])]
    assert _shape([_event(1, "clock_started")]) == [("clock_started", [])]


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
def test_no_scenario_hides_a_breach_a_failure_or_a_refusal(path: Path) -> None:
    events = [one.as_json() for one in run_case(load_scenario(path, Policies()).case) if one.seq > 0]
    found = steps(events)
    assert sorted(one["seq"] for step in found for one in (step.event, *step.folded)) == [one["seq"] for one in events]
    for event in (one for step in found for one in step.folded):
        assert EVENTS[event["type"]].TECHNICAL
        assert not {"clock_breached", "command_refused", "payout_failed", "report_late"} & {event["type"]}
        assert event["data"].get("outcome") not in ("failed", "partly", "no_address")
    assert len(found) < len(events) or len(events) < 3


@pytest.mark.parametrize(("language", "size", "script"), variants(("en", "wide", True), ("zh", "narrow", False)))
async def test_the_page_leads_with_what_matters(
    console: ConsoleServer, browser: Browser, language: str, size: str, script: bool
) -> None:
    customer = {"name": "何雨", "phone": "010-5550-8721"}
    case_id = await console.file("complaint", {"category": "other", "unit": "north", "customer": customer})
    await console.do(case_id, "acknowledge", "ann-7")
    async with open_page(
        browser, console, "ann-7", language=language, viewport=SIZES[size], java_script_enabled=script
    ) as page:
        await page.goto(f"{console.url}/console/case?id={case_id}")
        said = {"en": ("Due first: interim reply", "It is with you."), "zh": ("最先到期：", "由您处理。")}[language]
        for text in said:
            await expect(page.locator("#next")).to_contain_text(text)
        # What the customer said stands before what the case records, and the look at it is still recorded.
        order = await page.evaluate(
            "['#next', '#personal', '#h-clocks', '#h-ladder', '#h-history'].map("
            "(one) => document.querySelector(one).getBoundingClientRect().y)"
        )
        assert order == sorted(order)
        # Nobody has climbed: no drawing.
        await expect(page.locator(".ladder")).to_have_count(0)
        await expect(page.locator(".flat")).to_be_visible()
        taken = page.locator(".history > li.acknowledged").first
        await expect(taken).to_contain_text({"en": "took the case up", "zh": "受理了案件"}[language])
        folded = taken.locator("li.clock_met").filter(has_text={"en": "acknowledgement", "zh": "受理"}[language])
        await expect(folded).to_be_hidden()
        await taken.locator("summary").focus()
        await page.keyboard.press("Enter")
        await expect(folded).to_be_visible()
        count = await page.locator(".machinery > li").count()
        await expect(page.locator("#steps-count")).to_contain_text(str(count))
        if script:
            assert await faults_on(page, language) == []


async def test_the_ladder_is_drawn_once_somebody_climbs(console: ConsoleServer, browser: Browser) -> None:
    case_id = await console.file("complaint", {"category": "other", "unit": "north"})
    await console.do(case_id, "escalate", "ann-7", reason="the customer wants the supervisor")
    async with open_page(browser, console, "sue-1") as page:
        await page.goto(f"{console.url}/console/case?id={case_id}")
        await expect(page.locator("svg.ladder")).to_be_visible()
        await expect(page.locator("#next")).to_contain_text("Nobody has taken it up yet: it waits for the supervisor.")
