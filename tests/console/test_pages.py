"""Every page: in both languages, without a serious fault for those who cannot see it, and on a phone."""

from __future__ import annotations

import pytest
from playwright.async_api import Browser, expect

from tests.console.page import ALL_PAGES, faults_on, open_menu, open_page, overflow
from tests.console.samples import fill
from tests.console.server import ConsoleServer


@pytest.fixture(scope="module")
async def samples(console: ConsoleServer) -> dict[str, str]:
    """The sample cases."""
    return await fill(console)


@pytest.mark.long
# Two dozen pages, each looked at for seconds where the machine is busy.
@pytest.mark.timeout(300)
@pytest.mark.parametrize(("language", "light"), [("en", "light"), ("zh", "dark")])
async def test_no_serious_fault_for_those_who_cannot_see(
    console: ConsoleServer, browser: Browser, samples: dict[str, str], language: str, light: str
) -> None:
    faults = []
    scheme = "dark" if light == "dark" else "light"
    async with open_page(browser, console, None, language=language, color_scheme=scheme) as page:
        await page.goto(f"{console.url}/console/login")
        faults += await faults_on(page, "login")
    async with open_page(browser, console, "gus-1", language=language, color_scheme=scheme) as page:
        for name, path in ALL_PAGES.items():
            await page.goto(console.url + path.format(case=samples["claim"], message=samples["message"]))
            await page.locator("details").evaluate_all("(all) => all.forEach((one) => { one.open = true; })")
            faults += await faults_on(page, name)
        for name in ("complaint", "handover", "swap", "form"):
            await page.goto(f"{console.url}/console/case?id={samples[name]}")
            await expect(page.locator(".history li").first).to_be_visible()
            faults += await faults_on(page, name)
    # A table to fill in, which the general manager does not file.
    async with open_page(browser, console, "sue-1", language=language, color_scheme=scheme) as page:
        await page.goto(f"{console.url}/console/forms/penalty_notice/file")
        faults += await faults_on(page, "rows")
    assert faults == []


@pytest.mark.long
async def test_a_phone_shows_every_page_in_its_width(
    console: ConsoleServer, browser: Browser, samples: dict[str, str]
) -> None:
    for language in ("en", "zh"):
        async with open_page(
            browser, console, "gus-1", language=language, viewport={"width": 360, "height": 740}, has_touch=True
        ) as page:
            for name, path in ALL_PAGES.items():
                await page.goto(console.url + path.format(case=samples["claim"], message=samples["message"]))
                assert await overflow(page) <= 0, (name, language)


async def test_a_person_reads_their_language_and_may_change_it(
    console: ConsoleServer, browser: Browser, samples: dict[str, str]
) -> None:
    async with open_page(browser, console, "zhou-3") as page:
        await page.context.clear_cookies(name="caseladder_language")
        await page.goto(f"{console.url}/console/case?id={samples['claim']}")
        await expect(page.locator("html")).to_have_attribute("lang", "zh-CN")
        await expect(page.get_by_role("heading", level=1)).to_contain_text("理赔")
        await expect(page.get_by_role("region", name="金额")).to_contain_text("保价金额")
        await page.get_by_role("button", name="Switch to English").click()
        await expect(page.get_by_role("heading", level=1)).to_contain_text("claim")
        assert "id=claim" in page.url
        await page.get_by_role("link", name="Now").click()
        await expect(page.get_by_role("heading", name="What needs you")).to_be_visible()


async def test_light_and_dark_can_be_chosen(console: ConsoleServer, browser: Browser) -> None:
    async with open_page(browser, console, "sue-1", color_scheme="light") as page:
        shade = "getComputedStyle(document.body).backgroundColor"
        light = await page.evaluate(shade)
        await page.get_by_role("button", name="Light or dark").click()
        await expect(page.locator("html")).to_have_attribute("data-theme", "dark")
        assert await page.evaluate(shade) != light


@pytest.mark.long
async def test_instants_count_down_and_survive_without_a_script(
    console: ConsoleServer, browser: Browser, samples: dict[str, str]
) -> None:
    address = f"{console.url}/console/case?id={samples['claim']}"
    async with open_page(browser, console, "sue-1") as page:
        await page.goto(f"{console.url}/console/find")
        shown = page.locator("td .rel[data-due]").last
        assert (await shown.inner_text()).startswith("in ")
        # A minute must not be waited for, so the instant is moved.
        await shown.evaluate("(one) => { one.dataset.at = new Date(Date.now() + 3000).toISOString(); }")
        await expect(shown).to_have_text("in 2 s")
        await expect(shown).to_have_text("in 1 s")
        await expect(shown).to_have_class("rel late")
    async with open_page(browser, console, "sue-1", java_script_enabled=False) as page:
        await page.goto(address)
        await expect(page.locator("#head .rel[data-due]")).to_contain_text("min")
        await open_menu(page)
        await page.get_by_role("link", name="Write a note").click()
        await page.get_by_label("Text").fill("without a script")
        await page.get_by_role("button", name="Write a note").click()
        await expect(page.locator(".history li.noted")).to_contain_text("without a script")


@pytest.mark.long
async def test_no_page_takes_anything_from_elsewhere(
    console: ConsoleServer, browser: Browser, samples: dict[str, str]
) -> None:
    async with open_page(browser, console, "gus-1") as page:
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        for path in ALL_PAGES.values():
            answer = await page.goto(console.url + path.format(case=samples["claim"], message=samples["message"]))
            assert answer is not None
            policy = answer.headers["content-security-policy"]
            assert "default-src 'none'" in policy
            assert "unsafe" not in policy
        assert [url for url in asked if not url.startswith(f"{console.url}/console/")] == []
