"""An auditor finds a case, reads its whole history, checks the chain, takes the list along, and changes nothing."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, expect

from starter.console import find
from tests.console.page import open_page
from tests.console.samples import shipment
from tests.console.server import ConsoleServer


@pytest.mark.long
async def test_finds_verifies_and_exports(console: ConsoleServer, browser: Browser, tmp_path: Path) -> None:
    facts = {"category": "delay", "unit": "north", "shipment": shipment("YD-AUDIT")}
    case_id = await console.file("complaint", facts, ago=400)
    other = await console.file("complaint", {**facts, "shipment": shipment("YD-OTHER")})
    async with open_page(browser, console, "ada-1") as page:
        await page.get_by_role("link", name="Find").click()
        await page.get_by_label("Waybill").fill("YD-AUDIT")
        await page.get_by_label("Kind", exact=True).select_option(label="complaint")
        await page.get_by_label("Any deadline missed").select_option(label="yes")
        await page.get_by_role("button", name="Search").click()
        await expect(page.get_by_role("heading", name="Cases: 1")).to_be_visible()
        await expect(page.get_by_role("row").filter(has_text="YD-AUDIT")).to_contain_text("Missed")
        await expect(page.get_by_role("main")).not_to_contain_text("YD-OTHER")

        rows = list(csv.DictReader(io.StringIO((await _download(page, "Export CSV", tmp_path)).decode("utf-8-sig"))))
        assert len(rows) == 1
        assert case_id in rows[0].values()
        with zipfile.ZipFile(io.BytesIO(await _download(page, "Export XLSX", tmp_path))) as book:
            sheet = b"".join(book.read(name) for name in book.namelist() if name.endswith(".xml"))
        assert case_id.encode() in sheet
        assert other.encode() not in sheet

        await page.get_by_role("row").filter(has_text="YD-AUDIT").get_by_role("link").click()
        await expect(page.get_by_role("heading", level=1)).to_contain_text("complaint")
        recorded = await console.backend.book.events(case_id)
        await expect(page.locator(".history li")).to_have_count(len(recorded))
        await expect(page.get_by_text("You may look, and change nothing.")).to_be_visible()
        await expect(page.locator("#act a")).to_have_count(0)
        await page.get_by_role("button", name="Verify the chain").click()
        said = page.get_by_role("status").filter(has_text="The chain holds")
        await expect(said).to_contain_text(f"{len(await console.backend.book.events(case_id))} events")
        taken = json.loads(await _download(page, "All events (JSON)", tmp_path))
        assert taken == await console.backend.book.events(case_id)

        await page.goto(f"{console.url}/console/find")
        await page.get_by_role("button", name="Verify the whole ledger").click()
        await expect(page.get_by_role("status").filter(has_text="The chain holds")).to_be_visible()


@pytest.mark.long
async def test_a_page_after_the_first(
    console: ConsoleServer, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(find, "PAGE", 3)
    for number in range(5):
        await console.file("inquiry", {"shipment": shipment(f"YD-PAGE-{number}"), "unit": "paged"})
    async with open_page(browser, console, "ada-1") as page:
        await page.goto(f"{console.url}/console/find?unit=paged&order=opened")
        await expect(page.locator("table.list tbody tr")).to_have_count(3)
        first = await page.locator("table.list tbody a").all_inner_texts()
        await page.get_by_role("link", name="Next page").click()
        await expect(page.locator("table.list tbody tr")).to_have_count(2)
        assert not set(first) & set(await page.locator("table.list tbody a").all_inner_texts())


async def _download(page: Page, name: str, folder: Path) -> bytes:
    async with page.expect_download() as waiting:
        await page.get_by_role("link", name=name).click()
    path = folder / name
    await (await waiting.value).save_as(path)
    return path.read_bytes()
