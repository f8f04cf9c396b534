"""Approvals by passkey, in a browser with an authenticator: registered, confirmed, and whatever else is refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, CDPSession, Page, expect

from activities.audit.everything import Everything
from activities.audit.keys import new_key
from activities.database.migrate import migrate
from activities.senders.gate import GATE
from activities.senders.key_set import ANY, entry, read_key_set
from cases.vocabulary.refusals import Refused
from tests.authenticator import Authenticator
from tests.console.page import open_page
from tests.console.server import ConsoleServer, open_console
from tests.postgres import cluster
from tests.temporal import eventually, time_skipping

POLICY = Path(__file__).parents[1] / "scenarios" / "policies" / "passkeys.toml"
DEVICE = {
    "protocol": "ctap2", "transport": "internal", "hasResidentKey": True, "hasUserVerification": True,
    "isUserVerified": True, "automaticPresenceSimulation": True,
}  # fmt: skip


@dataclass(frozen=True)
class Place:
    """A console whose key set may grow, under a name as browsers want it."""

    console: ConsoleServer
    senders: Path

    async def trust(self, lines: str) -> None:
        """Put lines into the key set, and wait until the worker counts them."""
        self.senders.write_text(self.senders.read_text("utf-8") + lines, "utf-8")
        wanted = read_key_set(self.senders).passkeys
        await eventually(_passkeys, lambda known: known == wanted)

    async def asked(self, amount: str) -> str:
        """File a case in which an approval of so many yuan is asked, and return its id."""
        case_id = await self.console.file("complaint", {"category": "damage", "unit": "north"}, policy="passkeys")
        await self.console.do(case_id, "request_approval", "ann-7", subject="refund", amount=amount)
        return case_id

    async def approved(self, case_id: str) -> list[Any]:
        """Return who approved which amount."""
        events = await self.console.backend.book.events(case_id)
        return [(one["actor"]["id"], one["data"]["amount"]) for one in events if one["type"] == "approved"]

    async def faults(self) -> list[str]:
        """Verify everything by the key set."""
        audit = Everything(self.console.backend.book.database, senders=read_key_set(self.senders))
        done = await audit.verify()
        assert done.proofs
        return [str(one) for one in done.faults]


async def _passkeys() -> Any:
    return GATE.keys and GATE.keys.passkeys


@pytest.fixture(scope="module")
async def place(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Place]:
    """A console and a worker with a key set, and a policy that asks for passkeys."""
    folder = tmp_path_factory.mktemp("passkeys")
    senders, key = folder / "senders.toml", folder / "server.pem"
    senders.write_text(entry(new_key(key), ANY, [ANY]), "utf-8")
    with cluster() as postgres:
        database = await postgres.fresh_database()
        await migrate(database)
        # As on the embedded stack, which people may open by the name of this machine.
        more: dict[str, Any] = {"senders": senders, "sender_key": key, "public_url": "http://127.0.0.1:8080"}
        async with time_skipping() as env, open_console(env, database, folder, **more) as made:
            shutil.copy(POLICY, folder / "policies")
            yield Place(replace(made, url=made.url.replace("127.0.0.1", "localhost")), senders)


@asynccontextmanager
async def at_desk(
    browser: Browser, place: Place, person: str, **options: Any
) -> AsyncIterator[tuple[Page, CDPSession]]:
    """Open a page of a person who has an authenticator."""
    async with open_page(browser, place.console, person, **options) as page:
        devices = await page.context.new_cdp_session(page)
        await devices.send("WebAuthn.enable")
        yield page, devices


async def device(devices: CDPSession, **options: Any) -> str:
    """Plug an authenticator in, and return its id."""
    made = await devices.send("WebAuthn.addVirtualAuthenticator", {"options": {**DEVICE, **options}})
    return str(made["authenticatorId"])


async def register(page: Page, place: Place) -> str:
    """Register the authenticator, and return the entry for the key set."""
    await page.goto(f"{place.console.url}/console/approvals")
    await page.get_by_role("link", name="Passkeys").click()
    await page.get_by_role("button", name="Register").click()
    lines = page.locator("#entry")
    await expect(lines).to_contain_text("[[passkey]]")
    return await lines.inner_text() + "\n"


@pytest.mark.long
async def test_a_large_amount_is_approved_with_ones_own_passkey_and_no_other_way(
    place: Place, browser: Browser
) -> None:
    console = place.console
    first, second = await place.asked("6000.00"), await place.asked("7000.00")
    async with at_desk(browser, place, "qin-1", errors=None) as (page, devices):
        mine = await device(devices)
        # Without one a plain sentence says what to do.
        await page.goto(f"{console.url}/console/approvals?id={first}&subject=refund")
        await expect(page.locator(".consequence")).to_contain_text("with your passkey")
        await page.get_by_role("button", name="Approve").click()
        await expect(page.locator(".consequence")).to_contain_text("the key set has none of yours")
        lines = await register(page, place)
        assert 'id = "qin-1"' in lines
        assert f'origin = "{console.url}"' in lines
        await page.goto(f"{console.url}/console/passkeys")
        await expect(page.get_by_text("The key set has none of yours")).to_be_visible()
        await place.trust(lines)
        await page.reload()
        await expect(page.get_by_role("region", name="Those that the key set has of you")).to_contain_text(console.url)

        # An amount that is changed on the way is another than was confirmed.
        await page.goto(f"{console.url}/console/approvals?id={first}&subject=refund")
        await page.get_by_role("textbox", name="Reason").fill("as assessed")
        await page.get_by_role("button", name="Approve").click()
        await expect(page.locator(".big")).to_contain_text("6,000.00")
        await expect(page.get_by_text("This needs JavaScript")).to_be_hidden()
        await page.evaluate(
            "(() => { const one = document.querySelector('[name=prepared]');"
            " one.value = one.value.replace('6000.00', '60000.00'); })()"
        )
        await page.get_by_role("button", name="Confirm and approve").click()
        await expect(page.get_by_role("alert").filter(has_text="Nothing was changed")).to_contain_text(
            "Your passkey has not confirmed this"
        )
        await expect(page.get_by_role("textbox", name="Reason")).to_have_value("as assessed")
        # Nor is another amount approved than the one that is asked.
        await page.evaluate("document.querySelector('[name=amount]').value = '60000.00'")
        await page.get_by_role("button", name="Approve").click()
        await expect(page.get_by_role("alert").filter(has_text="Nothing was changed")).to_contain_text("Another amount")
        # Called off, nothing is sent.
        await page.goto(f"{console.url}/console/approvals?id={first}&subject=refund")
        await page.get_by_role("textbox", name="Reason").fill("as assessed")
        await page.get_by_role("button", name="Approve").click()
        await devices.send("WebAuthn.setUserVerified", {"authenticatorId": mine, "isUserVerified": False})
        await page.get_by_role("button", name="Confirm and approve").click()
        await expect(page.get_by_role("alert").filter(has_text="has not confirmed")).to_be_visible()
        assert await place.approved(first) == []

        await devices.send("WebAuthn.setUserVerified", {"authenticatorId": mine, "isUserVerified": True})
        await page.get_by_role("button", name="Confirm and approve").click()
        await expect(page.get_by_role("status").filter(has_text="Done")).to_contain_text("Approve")
        # The page of a case does the same.
        await page.goto(f"{console.url}/console/case?id={second}&do=approve")
        await page.get_by_role("button", name="Approve").click()
        await expect(page.locator(".big")).to_contain_text("7,000.00")
        await page.get_by_role("button", name="Confirm and approve").click()
        await expect(page.locator(".history li.approved")).to_contain_text("qin-1")
    assert await place.approved(first) == [("qin-1", "6000.00")]
    assert await place.approved(second) == [("qin-1", "7000.00")]
    recorded = await console.backend.book.events(first)
    assert next(one for one in recorded if one["type"] == "approved")["data"]["reason"] == "as assessed"
    assert await place.faults() == []


@pytest.mark.long
async def test_another_persons_passkey_approves_nothing(place: Place, browser: Browser) -> None:
    case_id = await place.asked("6000.00")
    async with at_desk(browser, place, "gus-1") as (page, devices):
        theirs = await device(devices)
        await place.trust(await register(page, place))
        found = await devices.send("WebAuthn.getCredentials", {"authenticatorId": theirs})
    [credential] = found["credentials"]
    await place.trust(Authenticator("qin-1", place.console.url).entry())
    async with at_desk(browser, place, "qin-1", errors=1) as (page, devices):
        await devices.send(
            "WebAuthn.addCredential", {"authenticatorId": await device(devices), "credential": credential}
        )
        await page.goto(f"{place.console.url}/console/approvals?id={case_id}&subject=refund")
        await page.get_by_role("button", name="Approve").click()
        # The page asks for one of theirs only; somebody makes it ask for the other's.
        wanted = credential["credentialId"].replace("+", "-").replace("/", "_").rstrip("=")
        await page.evaluate(
            "(id) => { const form = document.querySelector('[data-passkey]'), asked = JSON.parse(form.dataset.options);"
            " asked.allowCredentials = [{ type: 'public-key', id }]; form.dataset.options = JSON.stringify(asked); }",
            wanted,
        )
        await page.get_by_role("button", name="Confirm and approve").click()
        await expect(page.get_by_role("alert").filter(has_text="Nothing was changed")).to_contain_text("not of qin-1")
    assert await place.approved(case_id) == []


@pytest.mark.long
async def test_whoever_runs_the_server_approves_nothing(place: Place) -> None:
    case_id = await place.asked("6000.00")
    send = place.console.services.cases.command
    body = {"by": {"id": "qin-1", "role": "qa_manager"}, "subject": "refund", "amount": "6000.00"}
    stranger = Authenticator("qin-1", place.console.url)
    for forged, code in ((body, "passkey_required"), (stranger.command(case_id, "approve", body), "unsigned")):
        with pytest.raises(Refused) as refusal:
            await send(case_id, "approve", forged)
        assert refusal.value.code == code
    assert await place.approved(case_id) == []


@pytest.mark.long
async def test_a_small_amount_needs_no_passkey_and_a_no_needs_none(place: Place, browser: Browser) -> None:
    small, large = await place.asked("4999.99"), await place.asked("9000.00")
    async with open_page(browser, place.console, "qin-1") as page:
        await page.goto(f"{place.console.url}/console/approvals?id={small}&subject=refund")
        await page.get_by_role("button", name="Approve").click()
        await expect(page.get_by_role("status").filter(has_text="Done")).to_contain_text("Approve")
        await page.goto(f"{place.console.url}/console/approvals?id={large}&subject=refund")
        await page.get_by_role("textbox", name="Reason").fill("no photographs")
        await page.get_by_role("button", name="Reject").click()
        await expect(page.get_by_role("status").filter(has_text="Done")).to_contain_text("Reject")
    assert await place.approved(small) == [("qin-1", "4999.99")]


@pytest.mark.long
async def test_without_the_script_a_sentence_says_what_to_do(place: Place, browser: Browser) -> None:
    case_id = await place.asked("6000.00")
    await place.trust(Authenticator("qin-1", place.console.url).entry())
    async with open_page(browser, place.console, "qin-1", errors=None, java_script_enabled=False) as page:
        await page.goto(f"{place.console.url}/console/case?id={case_id}&do=approve")
        await page.get_by_role("button", name="Approve").click()
        await expect(page.get_by_text("This needs JavaScript")).to_be_visible()
        await page.get_by_role("button", name="Confirm and approve").click()
        await expect(page.get_by_role("alert")).to_contain_text("Your passkey has not confirmed this")
        # What the policy asks for stands on its page.
        await page.goto(f"{place.console.url}/console/policy?name=passkeys")
        await expect(page.get_by_text("from ¥ 5000.00 on confirmed with a passkey")).to_be_visible()
    assert await place.approved(case_id) == []


@pytest.mark.long
async def test_an_address_of_numbers_says_where_to_go(place: Place, browser: Browser) -> None:
    numbers = replace(place.console, url=place.console.url.replace("localhost", "127.0.0.1"))
    async with open_page(browser, numbers, "sue-1") as page:
        await page.goto(f"{numbers.url}/console/passkeys")
        await expect(page.get_by_text("http://localhost")).to_be_visible()
        await expect(page.get_by_role("button", name="Register")).to_have_count(0)
    async with open_page(browser, numbers, "sue-1", language="zh") as page:
        await page.goto(f"{numbers.url}/console/passkeys")
        await expect(page.get_by_text("http://localhost")).to_be_visible()


@pytest.mark.parametrize("answer", ["", "{}", json.dumps({"id": "AA", "rawId": "AA", "type": "public-key"})])
async def test_what_no_authenticator_made_is_not_registered(place: Place, browser: Browser, answer: str) -> None:
    async with open_page(browser, place.console, "sue-1", errors=1) as page:
        await page.goto(f"{place.console.url}/console/passkeys")
        await page.evaluate(
            "(said) => { const form = document.querySelector('[data-passkey]');"
            " form.elements.answer.value = said; form.submit(); }",
            answer,
        )
        await expect(page.get_by_role("alert").filter(has_text="No passkey was made")).to_be_visible()
        await expect(page.locator("#entry")).to_have_count(0)
