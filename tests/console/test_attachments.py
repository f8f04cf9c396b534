"""Files on the page of a case: chosen, dropped, refused, shown, and what was typed beside them stays."""

from __future__ import annotations

import asyncio

import pytest
from playwright.async_api import Browser, FilePayload, expect

from tests.activities.test_attachments import document, picture
from tests.console.page import open_page
from tests.console.server import ConsoleServer

FACTS = {"category": "damage", "unit": "north"}
DROP = """([zone, name, text]) => {
    const transfer = new DataTransfer();
    transfer.items.add(new File([text], name, { type: "text/plain" }));
    for (const sort of ["dragover", "drop"]) {
        document.querySelector(zone).dispatchEvent(new DragEvent(sort, { dataTransfer: transfer, bubbles: true }));
    }
}"""


@pytest.mark.parametrize("width", [1440, 390])
async def test_files_are_uploaded_beside_what_is_typed(console: ConsoleServer, browser: Browser, width: int) -> None:
    case_id = await console.file("complaint", FACTS)
    await console.do(case_id, "acknowledge", "ann-7")
    async with open_page(browser, console, "ann-7", viewport={"width": width, "height": 900}) as page:
        await page.goto(f"{console.url}/console/case?id={case_id}&do=note")
        await page.get_by_label("Text").fill("the customer is on the phone")
        part = page.get_by_role("region", name="Attachments")
        photo = FilePayload(name="外箱 <1>.png", mimeType="image/png", buffer=picture())
        bomb = FilePayload(name="bomb.docx", mimeType="", buffer=document(("x.xml", b"\0" * 50_000_000)))
        await part.get_by_label("Choose, drop").set_input_files([photo, bomb])
        await part.get_by_role("button", name="Upload").click()
        outcomes = part.get_by_role("status").get_by_role("listitem")
        await expect(outcomes).to_contain_text(["外箱 <1>.png attached", "The file is not safe"])
        await expect(part.get_by_role("link", name="外箱 _1_.png")).to_be_visible()
        await expect(page.get_by_label("Text")).to_have_value("the customer is on the phone")
        # Dropped onto the form.
        await page.evaluate(DROP, ["[data-dropzone]", "dropped.txt", "said on the phone"])
        await part.get_by_role("button", name="Upload").click()
        await expect(part.get_by_role("link", name="dropped.txt")).to_be_visible()
        async with page.expect_download() as downloading:
            await part.get_by_role("link", name="dropped.txt").click()
        download = await downloading.value
        assert download.suggested_filename == "dropped.txt"
        kept = await download.path()
        assert await asyncio.to_thread(kept.read_text) == "said on the phone"
        # A picture is shown as one that was made anew.
        async with page.context.expect_page() as opening:
            await part.get_by_role("link", name="Show").click()
        shown = await opening.value
        await shown.wait_for_load_state()
        assert await shown.evaluate("document.contentType") == "image/jpeg"
        await shown.close()


async def test_without_script_a_form_uploads_too(console: ConsoleServer, browser: Browser) -> None:
    case_id = await console.file("complaint", FACTS)
    async with open_page(browser, console, "ann-7", language="zh", java_script_enabled=False) as page:
        await page.goto(f"{console.url}/console/case?id={case_id}")
        part = page.get_by_role("region", name="附件")
        await part.get_by_label("选择").set_input_files(FilePayload(name="a.exe", mimeType="", buffer=b"MZ"))
        await part.get_by_role("button", name="上传").click()
        await expect(page.get_by_role("status")).to_contain_text("不接受这种文件")
        await page.get_by_label("选择").set_input_files(FilePayload(name="a.txt", mimeType="", buffer=b"x"))
        await page.get_by_role("button", name="上传").click()
        await expect(page.get_by_role("link", name="a.txt")).to_be_visible()


async def test_who_may_not_attach_is_offered_nothing(console: ConsoleServer, browser: Browser) -> None:
    case_id = await console.file("complaint", FACTS)
    async with open_page(browser, console, "ada-1") as page:
        await page.goto(f"{console.url}/console/case?id={case_id}")
        part = page.get_by_role("region", name="Attachments")
        await expect(part).to_contain_text("Nothing is attached")
        await expect(part.get_by_role("button")).to_have_count(0)
