"""Somebody who works with the keyboard alone, whose clicks and field entries are counted."""

from __future__ import annotations

from playwright.async_api import Locator, Page

# More than any page has fields and links.
MOST_TABS = 250


class Hands:
    """Somebody at the keyboard.

    Args:
        page: the page that they work on.

    What does something is counted, as it is with a mouse: each field that is filled in, and each key that follows a
    link, presses a button or opens a menu. The way there by Tab is not.
    """

    def __init__(self, page: Page) -> None:
        self.page, self.count = page, 0

    async def to(self, place: Locator) -> None:
        """Tab to a field, button or link."""
        for _ in range(MOST_TABS):
            if await place.evaluate("element => element === document.activeElement"):
                return
            await self.page.keyboard.press("Tab")
        raise AssertionError(f"no way to {place}")

    async def at(self, name: str) -> None:
        """Tab to the field of a name."""
        for _ in range(MOST_TABS):
            if await self.page.evaluate("document.activeElement.name") == name:
                return
            await self.page.keyboard.press("Tab")
        raise AssertionError(f"no way to {name!r}")

    async def enter(self, name: str, text: str) -> None:
        """Type into the field of a name; counts as one."""
        await self.at(name)
        await self.type(text)

    async def type(self, text: str) -> None:
        """Type where the keyboard is; counts as one."""
        await self.page.keyboard.type(text)
        self.count += 1

    async def press(self, key: str) -> None:
        """Press what does something; counts as one."""
        await self.page.keyboard.press(key)
        self.count += 1

    async def click(self, place: Locator) -> None:
        """Tab to a button or link and press Enter; counts as one."""
        await self.to(place)
        await self.press("Enter")

    async def choose(self, name: str, label: str) -> None:
        """Choose in the list of a name by typing what its line shows; counts as one."""
        await self.at(name)
        await self.type(label)
