"""Somebody who works with the keyboard alone, whose clicks and field entries are counted."""

from __future__ import annotations

from playwright.async_api import Locator, Page, expect

from tests.console.page import faults_on, overflow

# More than any page has fields and links.
MOST_TABS = 250
# Whether what has the keyboard is what a finger or a mouse would find in its middle: it lies under nothing, as a bar
# that stays while the page scrolls.
IN_SIGHT = """() => {
    const one = document.activeElement, box = one.getBoundingClientRect();
    const found = document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2);
    return one.contains(found) || (one.closest("label")?.contains(found) ?? false);
}"""

# How many lines down what is wanted is from where the keyboard is; one where it is nowhere.
FROM_HERE = """(all, one) => {
    const here = all.findIndex((other) => other.contains(document.activeElement));
    const there = all.indexOf(one);
    return there < 0 ? 1 : there - here;
}"""
# The lines of lists that `j` and `k` go through, see keys.js.
LINES = "[data-line], .list tbody tr, .todo-list li"


class Hands:
    """Somebody at the keyboard.

    Args:
        page: the page that they work on.

    What does something is counted, as it is with a mouse: each field that is filled in, and each key that follows a
    link, presses a button or opens a menu. The way there by Tab is not. What they come to has to be in sight.
    """

    def __init__(self, page: Page) -> None:
        self.page, self.count = page, 0

    async def to(self, place: Locator) -> None:
        """Tab to a field, button or link."""
        for _ in range(MOST_TABS):
            if await place.evaluate("element => element === document.activeElement"):
                return await self.in_sight()
            await self.page.keyboard.press("Tab")
        raise AssertionError(f"no way to {place}")

    async def at(self, name: str) -> None:
        """Tab to the field of a name."""
        for _ in range(MOST_TABS):
            if await self.page.evaluate("document.activeElement.name") == name:
                return await self.in_sight()
            await self.page.keyboard.press("Tab")
        raise AssertionError(f"no way to {name!r}")

    async def at_line(self, place: Locator, among: str = LINES) -> None:
        """Go to one of the lines, or of the links, of a list by `j`, and by `k` where it has moved meanwhile."""
        await expect(place).to_be_visible()
        for _ in range(MOST_TABS):
            steps = await self.page.locator(among).evaluate_all(FROM_HERE, await place.element_handle())
            if steps == 0:
                return await self.in_sight()
            await self.page.keyboard.press("j" if steps > 0 else "k")
        raise AssertionError(f"no way to {place}")

    async def in_sight(self) -> None:
        """Wait until what has the keyboard is in sight: the page moves it there, and may just be taking in a part."""
        await self.page.wait_for_function(IN_SIGHT)

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

    async def pick(self, name: str, value: str) -> None:
        """Choose in the list of a name by the arrows, which every language has; counts as one."""
        await self.at(name)
        here = self.page.locator("select:focus")
        options = await here.locator("option").evaluate_all("options => options.map((one) => one.value)")
        steps = options.index(value) - options.index(await here.input_value())
        for _ in range(abs(steps)):
            await self.page.keyboard.press("ArrowDown" if steps > 0 else "ArrowUp")
        await expect(here).to_have_value(value)
        self.count += 1

    async def go(self, path: str) -> None:
        """Follow a link of the head of the page; counts as one."""
        link = self.page.locator(f".top nav a[href='{path}']")
        await self.click(link)
        await expect(link).to_have_attribute("aria-current", "page")

    async def well(self, where: str = "") -> None:
        """Refuse a page that somebody has trouble with: faults that axe finds serious, or wider than its screen."""
        assert await faults_on(self.page, where or self.page.url) == []
        assert await overflow(self.page) <= 0, where or self.page.url
