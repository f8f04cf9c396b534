"""What may be done with a case: the likely first, the rest in a menu, and what is grave says so and wants a reason."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from playwright.async_api import Browser, Page, expect

from activities.policies.store import Policies
from cases.case import Case
from cases.policy.model import Policy
from cases.registry import KINDS
from cases.vocabulary.commands import read_command
from cases.vocabulary.events import Actor
from cases.vocabulary.facts import read_intake
from starter.console import vocabulary
from starter.console.likely import FIRST, offered
from tests.console.page import faults_on, open_page, variants
from tests.console.server import ConsoleServer
from tests.console.test_faults import SIZES

BEGINS = datetime(2026, 3, 4, 9, tzinfo=UTC)
PHONE = SIZES["narrow"]


def _case(kind: str, facts: dict[str, Any]) -> Case:
    policy: Policy = Policies().load("default")
    intake = {"key": "K-1", "received_at": BEGINS.isoformat(), "facts": facts}
    return KINDS[kind].open(read_intake(KINDS[kind].INTAKE, intake), policy, BEGINS)


def _do(case: Case, name: str, role: str, minutes: int, **fields: Any) -> datetime:
    by = {"id": f"{role}-1", "role": role}
    now = BEGINS + timedelta(minutes=minutes)
    case.decide(read_command(case.COMMANDS, name, {"by": by, **fields}), now)
    return now


def _likely(case: Case, role: str, now: datetime) -> tuple[str, ...]:
    by = Actor(f"{role}-1", role)
    allowed = [name for name, refusal in case.allowed(by, now).items() if refusal is None]
    found = offered(case, allowed, by, now)
    assert sorted((*found.likely, *found.others, *found.grave)) == sorted(allowed)
    assert len(found.likely) <= FIRST
    assert all(case.COMMANDS[name].GRAVE for name in found.grave)
    return found.likely


def test_first_stands_what_ends_the_next_deadline() -> None:
    case = _case("complaint", {"category": "other"})
    assert _likely(case, "agent", BEGINS) == ("acknowledge", "reply", "resolve")
    now = _do(case, "acknowledge", "agent", 1)
    assert _likely(case, "agent", now)[:2] == ("reply", "resolve")
    # What has become possible stands before what always was.
    now = _do(case, "propose", "agent", 2, options=["a voucher", "an apology"])
    assert "answer_option" in _likely(case, "agent", now)
    _do(case, "answer_option", "agent", 3, accepted=True)
    now = _do(case, "resolve", "agent", 4)
    assert _likely(case, "agent", now)[0] == "follow_up"


def test_a_decision_stands_before_everything_and_nobody_is_offered_an_end_as_likely() -> None:
    case = _case("complaint", {"category": "other"})
    now = _do(case, "request_approval", "agent", 1, subject="refund", amount="150.00")
    assert _likely(case, "supervisor", now)[:2] == ("approve", "reject")
    # Nor what is possible only because notices have gone out, before what is this kind's own.
    assert not {"withdraw", "close", "resend"} & set(_likely(case, "agent", now) + _likely(case, "supervisor", now))


def test_every_deadline_that_people_end_is_served_by_a_command_of_its_kind() -> None:
    # What the machine itself does in time: mails, and forms whose whole time is that of their steps.
    by_itself = {"report", "report_mail"}
    for kind in KINDS.values():
        served = {clock for model in kind.COMMANDS.values() for clock in model.SERVES}
        named = set(kind.TABLE.CLOCKS)
        assert named - by_itself <= served, (kind.KIND, named - served)
    known = set(vocabulary.clocks())
    for name, model in vocabulary.commands().items():
        assert known >= model.SERVES, (name, model.SERVES - known)


def test_what_ends_a_case_or_says_no_is_grave() -> None:
    grave = {name for name, model in vocabulary.commands().items() if model.GRAVE}
    assert grave == {"withdraw", "close", "reject", "refuse", "hold_goods"}


# --- in the browser -------------------------------------------------------------------------------


@pytest.mark.long
@pytest.mark.parametrize(("language", "size"), variants(("en", "wide"), ("zh", "narrow")))
async def test_the_menu_by_keyboard_alone(console: ConsoleServer, browser: Browser, language: str, size: str) -> None:
    case_id = await console.file("complaint", {"category": "other", "unit": "north"})
    async with open_page(browser, console, "ann-7", language=language, viewport=SIZES[size]) as page:
        await page.goto(f"{console.url}/console/case?id={case_id}")
        big = page.locator("#doing a.big")
        await expect(big).to_have_count(FIRST)
        menu = page.locator("#more-actions")
        await expect(menu.get_by_role("link").first).to_be_hidden()
        await big.last.focus()
        await page.keyboard.press("Tab")
        await expect(menu.locator("summary")).to_be_focused()
        await page.keyboard.press("Enter")
        grave = menu.locator("a.danger")
        await expect(grave.first).to_be_visible()
        # Colour, an icon and words.
        await expect(grave.first).to_contain_text({"en": "for good", "zh": "不可撤销"}[language])
        await expect(grave.first.locator("svg")).to_be_visible()
        await page.keyboard.press("Tab")
        await page.keyboard.press("Escape")
        await expect(grave.first).to_be_hidden()
        await expect(menu.locator("summary")).to_be_focused()


async def test_what_is_grave_wants_a_reason(console: ConsoleServer, browser: Browser) -> None:
    case_id = await console.file("complaint", {"category": "other", "unit": "north"})
    async with open_page(browser, console, "sue-1", errors=1) as page:
        await page.goto(f"{console.url}/console/case?id={case_id}")
        await page.locator("#more-actions summary").click()
        await page.get_by_role("link", name="Withdraw").click()
        await expect(page.locator(".consequence")).to_contain_text("This cannot be taken back.")
        await page.get_by_role("button", name="Withdraw").click()
        await expect(page.locator("#f-reason-fault")).to_have_text("This is needed.")
        await expect(page.locator("#f-reason")).to_be_focused()
        assert [event["type"] for event in await console.services.casebook.events(case_id)].count("closed") == 0


@pytest.mark.long
@pytest.mark.parametrize(("language", "light"), [("en", "light"), ("zh", "dark"), ("en", "dark"), ("zh", "light")])
async def test_no_serious_fault_with_the_menu_open(
    console: ConsoleServer, browser: Browser, language: str, light: str
) -> None:
    case_id = await console.file("complaint", {"category": "other", "unit": "north"})
    faults = []
    scheme = "dark" if light == "dark" else "light"
    for size in SIZES.values():
        async with open_page(
            browser,
            console,
            "sue-1",
            language=language,
            viewport=size,
            color_scheme=scheme,
        ) as page:
            await page.goto(f"{console.url}/console/case?id={case_id}")
            await page.locator("#more-actions summary").click()
            faults += await faults_on(page, f"menu {language} {light} {size}")
            await page.goto(f"{console.url}/console/case?id={case_id}&do=withdraw")
            faults += await faults_on(page, f"grave {language} {light} {size}")
    assert faults == []


@pytest.mark.long
async def test_a_phone_has_the_actions_at_hand_wherever_the_page_stands(
    console: ConsoleServer, browser: Browser
) -> None:
    case_id = await console.file("complaint", {"category": "other", "unit": "north"})
    for language in ("en", "zh"):
        async with open_page(
            browser, console, "ann-7", language=language, viewport=PHONE, has_touch=True, is_mobile=True
        ) as page:
            await page.goto(f"{console.url}/console/case?id={case_id}")
            for place in ("0", "document.body.scrollHeight / 2", "document.body.scrollHeight"):
                await page.evaluate(f"scrollTo(0, {place})")
                assert await _reachable(page, "#doing a.big"), (language, place)
            # Nothing is hidden for good behind the bar.
            foot, bar = await page.locator(".foot").bounding_box(), await page.locator("#act").bounding_box()
            assert foot is not None
            assert bar is not None
            assert foot["y"] + foot["height"] <= bar["y"] + 24
            await page.locator("#more-actions summary").tap()
            assert await _reachable(page, "#more-actions li:first-child a")
            await page.locator("#doing a.big").first.tap()
            await page.wait_for_url("**do=acknowledge")
            # The form itself is what is at hand now.
            assert await _reachable(page, "main form button[type=submit]")


async def _reachable(page: Page, selector: str) -> bool:
    """Whether every such element is in sight and lies under nothing."""
    return bool(
        await page.evaluate(
            """(selector) => [...document.querySelectorAll(selector)].every((one) => {
                const box = one.getBoundingClientRect();
                const at = document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2);
                return box.width > 0 && (one === at || one.contains(at));
            })""",
            selector,
        )
    )
