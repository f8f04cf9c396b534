"""What whoever works with records takes along from a page."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any

import openpyxl
from playwright.async_api import Locator

from tests.console.hands import Hands

# A byte order mark, without which spreadsheets misread Chinese.
MARK = b"\xef\xbb\xbf"


async def taken(hands: Hands, link: Locator, folder: Path) -> bytes:
    """Follow a link to a file, and return what is in it."""
    async with hands.page.expect_download() as waiting:
        await hands.click(link)
    path = folder / "taken"
    await (await waiting.value).save_as(path)
    return path.read_bytes()


def read_csv(content: bytes) -> tuple[list[str], list[dict[str, str]]]:
    """Return the heads and the rows of a CSV that spreadsheets read as it is."""
    assert content.startswith(MARK)
    rows = csv.DictReader(StringIO(content.decode("utf-8-sig")))
    return list(rows.fieldnames or ()), list(rows)


def read_xlsx(content: bytes) -> tuple[list[str], list[dict[str, Any]]]:
    """Return the heads and the rows of a workbook, each cell with its type and format."""
    sheet = openpyxl.load_workbook(BytesIO(content)).active
    assert sheet is not None
    head: Sequence[Any]
    head, *rows = sheet.iter_rows()
    heads = [str(cell.value) for cell in head]
    return heads, [dict(zip(heads, row, strict=True)) for row in rows]
