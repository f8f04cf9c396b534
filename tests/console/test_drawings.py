"""Texts of charts and drawings are as large as the page's, at every width."""

from __future__ import annotations

import pytest
from playwright.async_api import Browser, Page

from tests.console.page import open_page, overflow, variants
from tests.console.samples import fill
from tests.console.server import ConsoleServer
from tests.console.test_faults import SIZES

# Pixels; no text of a chart is smaller on the screen.
LEAST = 12
# What is written in a drawing, or beside its parts: how large it is on the screen, and what it says.
SAID = """(drawing) => {
    const shown = (one) => one.getClientRects().length > 0 && one.textContent.trim() !== '';
    const drawn = [...document.querySelectorAll(drawing)].filter(shown).map((one) => {
        const scale = one.getScreenCTM();
        return [Math.min(scale.a, scale.d) * parseFloat(getComputedStyle(one).fontSize), one.textContent.trim()];
    });
    if (drawing !== 'svg text') return drawn;
    const beside = document.querySelectorAll('.bars *, .key *, .clock *, .span *, .route *, .flat *, .next *');
    return drawn.concat([...beside].filter((one) => !one.closest('svg') && shown(one))
        .map((one) => [parseFloat(getComputedStyle(one).fontSize), one.textContent.trim()]));
}"""


@pytest.fixture(scope="module")
async def samples(console: ConsoleServer) -> dict[str, str]:
    """The sample cases, one of which has climbed."""
    ids = await fill(console)
    ids["climbed"] = await console.file("complaint", {"category": "other", "unit": "north"})
    await console.do(ids["climbed"], "escalate", "sue-1", reason="the customer wants the supervisor")
    return ids


@pytest.mark.long
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("language", variants("en", "zh"))
async def test_no_text_of_a_drawing_is_smaller_than_twelve_pixels(
    console: ConsoleServer, browser: Browser, samples: dict[str, str], language: str, size: str
) -> None:
    pages = {
        "numbers": "/console/numbers",
        "route": "/console/forms/new_business",
        **{name: f"/console/case?id={samples[name]}" for name in ("climbed", "complaint", "claim", "form")},
    }
    async with open_page(browser, console, "gus-1", language=language, viewport=SIZES[size]) as page:
        for name, path in pages.items():
            await page.goto(console.url + path)
            said = await _said(page)
            assert said, name
            assert [one for one in said if one[0] < LEAST] == [], name
            assert await overflow(page) <= 0, name
            if name == "climbed":
                # Drawn as large as the page's own text.
                root = float(await page.evaluate("parseFloat(getComputedStyle(document.documentElement).fontSize)"))
                drawn = min(size for size, _ in await _said(page, "svg.ladder text"))
                assert drawn == pytest.approx(root, abs=0.1)


async def _said(page: Page, drawing: str = "svg text") -> list[tuple[float, str]]:
    return [(float(size), str(text)[:40]) for size, text in await page.evaluate(SAID, drawing)]
