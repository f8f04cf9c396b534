"""What the days at a desk have in common: a practised person at the keyboard, who sees all that they press."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.async_api import Locator, Page, expect

from tests.console.hands import Hands
from tests.console.server import ConsoleServer

# Each language and each size once: a day takes a minute.
DAYS = pytest.mark.parametrize(("language", "size"), [("zh", "phone"), ("en", "wide")])


class Desk(Hands):
    """Somebody at their desk, who knows the console's keys."""

    def __init__(self, page: Page) -> None:
        super().__init__(page)
        self._before = 0

    def took(self) -> int:
        """Return how much was pressed and typed since this was asked last."""
        taken, self._before = self.count - self._before, self.count
        return taken

    async def tick(self, place: Locator) -> None:
        """Tab to a box and tick it, or untick it; counts as one."""
        await self.to(place)
        await self.press(" ")

    async def type_into(self, place: Locator, text: str) -> None:
        """Tab to a field and type into it; counts as one."""
        await self.to(place)
        await self.type(text)

    async def choose_line(self, line: Locator) -> None:
        """Go to a line and choose it, or choose it no more; counts as one."""
        box = line.get_by_role("checkbox")
        chosen = await box.is_checked()
        await self.at_line(line)
        await self.press("x")
        await expect(box).to_be_checked(checked=not chosen)

    async def act(self, place: Locator) -> None:
        """Press one of the buttons that do something with what is shown; counts as one."""
        await self.page.keyboard.press("m")
        await self.click(place)

    async def open_line(self, line: Locator) -> None:
        """Go to a line and open its case; counts as one."""
        await self.at_line(line)
        await self.press("o")
        await self.page.wait_for_url("**/console/case?id=*")
        await self.well("case")

    async def find(self, text: str) -> None:
        """Search from wherever somebody is; counts as three."""
        await self.press("/")
        await expect(self.page.locator("#text")).to_be_focused()
        await self.type(text)
        await self.press("Enter")
        await self.page.wait_for_url("**/console/find?*text=*")
        await self.well("find")

    async def do(self, name: str, *, in_menu: bool) -> None:
        """Open the form of what may be done with a case; counts as one, or two where it stands in the menu."""
        if in_menu:
            await self.act(self.page.locator("#more-actions > summary"))
            await self.well(f"the menu with {name}")
        place = "#more-actions" if in_menu else "#doing .actions >"
        await (self.click if in_menu else self.act)(self.page.locator(f"{place} a[href*='do={name}']"))
        await self.page.wait_for_url(f"**do={name}*")
        await self.well(f"the form of {name}")

    async def send(self, name: str) -> None:
        """Send the form of a case that is open; counts as one."""
        await self.click(self.page.locator("section[aria-labelledby=form] button[type=submit]"))
        await self.page.wait_for_url(f"**done={name}*")
        await expect(self.page.get_by_role("status").filter(has=self.page.locator("p")).first).to_be_visible()


async def done(console: ConsoleServer, case_id: str, type_: str) -> list[tuple[str, dict[str, Any]]]:
    """Return who did something in a case, by its events of a type, and what they said, with what they wrote."""
    events = await console.services.casebook.events(case_id)
    return [(event["actor"]["id"], event["data"]) for event in events if event["type"] == type_]


async def types_of(console: ConsoleServer, case_id: str) -> list[str]:
    """Return what is recorded of a case."""
    return [event["type"] for event in await console.backend.book.events(case_id)]
