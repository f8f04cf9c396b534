"""What must not work: scripts in stored texts, forms of other sites, sessions that were made up or have ended."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from playwright.async_api import Browser, expect

from activities.audit.keys import new_key
from activities.audit.make import Checkpoints
from activities.people.directory_changes import DirectoryChanges
from cases.directory import Person
from starter.api.app import create_app
from starter.api.services import services
from starter.console import stream
from starter.console.session import Session
from starter.console.web import COOKIE, Site
from tests.console.page import PAGES, login, open_page
from tests.console.samples import shipment
from tests.console.server import PEOPLE, UNITS, ConsoleServer
from tests.temporal import eventually

EVIL = "\"'><img src=x class=evil onerror=window.pwned=1><script>window.pwned=1</script>{{7*7}}</textarea>"
CUSTOMER = {"name": EVIL, "phone": EVIL, "email": EVIL, "ref": EVIL}
FACTS: dict[str, dict[str, Any]] = {
    "complaint": {"category": "delay"},
    "claim": {"factor": "loss", "claimant": {"relation": "sender"}},
    "inquiry": {"question": EVIL},
    "exception": {"source": "excess_goods", "category": "excess"},
}
ATTACH = {"name": EVIL, "sha256": "0" * 64, "where": EVIL}
CHECKLIST = {
    "witnesses": ["agent", "site_manager", "warehouse_keeper", "porter"],
    "photographs": 1,
    "resealed": True,
    "label": EVIL,
}
# Every command that takes a text, in an order in which the case takes them all.
COMMANDS: dict[str, list[tuple[str, str, dict[str, Any]]]] = {
    "complaint": [
        ("log_contact", "ann-7", {"reached": False, "channel": "phone", "reason": EVIL}),
        ("log_contact", "ann-7", {"reached": True, "reason": EVIL}),
        ("investigate", "ann-7", {"finding": EVIL, "delay_cause": "human"}),
        ("request_approval", "ann-7", {"subject": "refund", "reason": EVIL}),
        ("reject", "sue-1", {"subject": "refund", "reason": EVIL}),
        ("request_approval", "ann-7", {"subject": "voucher", "amount": "150.00", "reason": EVIL}),
        ("approve", "sue-1", {"subject": "voucher", "reason": EVIL}),
        ("request_approval", "ann-7", {"subject": "open", "amount": "170.00", "reason": EVIL}),
        ("extend", "sue-1", {"clock": "resolution", "due": None, "reason": EVIL}),
        ("propose", "ann-7", {"options": [EVIL, EVIL + "2"]}),
        ("reply", "ann-7", {"stage": "interim", "text": EVIL}),
    ],
    "claim": [
        ("answer_claim", "ann-7", {"text": EVIL}),
        ("assess", "sue-1", {"cause": "company", "override": {"amount": "200.00", "reason": EVIL}}),
        ("offer", "sue-1", {"amount": "250.00", "reason": EVIL}),
    ],
    "inquiry": [("resolve", "ann-7", {"summary": EVIL}), ("follow_up", "ann-7", {"satisfied": False, "text": EVIL}),
                ("reopen", "ann-7", {"reason": EVIL})],
    "exception": [
        ("check_goods", "ann-7", {"checklist": CHECKLIST}),
        ("find", "qin-1", {"cause": EVIL, "responsibility": EVIL}),
        ("correct", "ann-7", {"action": EVIL, "why_not": EVIL}),
        ("inform_customer", "ann-7", {"text": EVIL}),
    ],
}  # fmt: skip
FOR_ALL = [
    ("note", "ann-7", {"text": EVIL}),
    ("attach", "ann-7", ATTACH),
    ("escalate", "ann-7", {"reason": EVIL, "to": "supervisor"}),
]


def _facts(kind: str) -> dict[str, Any]:
    facts = {**FACTS[kind], "unit": "north", "customer": CUSTOMER, "description": EVIL, "shipment": shipment("YD-EVIL")}
    if kind == "exception":
        facts["known_at"] = datetime.now(UTC).isoformat()
    return facts


@pytest.fixture(scope="module")
async def evil(console: ConsoleServer) -> dict[str, str]:
    """A case of each kind that holds the evil text wherever one fits; and staff with such a name."""
    found = {}
    for kind, commands in COMMANDS.items():
        case_id = await console.file(kind, _facts(kind))
        for name, person, fields in (*commands, *FOR_ALL):
            later = {"due": (datetime.now(UTC) + timedelta(days=4)).isoformat()} if "due" in fields else {}
            await console.do(case_id, name, person, **{**fields, **later})
        found[kind] = case_id
    month = (datetime.now(UTC).replace(day=1) - timedelta(days=1)).strftime("%Y-%m")
    listed = {"number": "2026-01-0001", "late": False, "category": "damage", "cause": EVIL, "measure": EVIL}
    summary = {"month": month, "total": 1, "counts": {"damage": 1}, "exceptions": [listed]}
    found["summary"] = await console.file("summary", summary, key=month)
    for person in ("pam-1",):
        await console.do(found["summary"], "sign", person, text=EVIL)
    await console.do(found["summary"], "note", "gus-1", text=EVIL)
    return found


@pytest.mark.long
async def test_no_stored_text_becomes_part_of_a_page(
    console: ConsoleServer, browser: Browser, evil: dict[str, str]
) -> None:
    shown = 0
    # She handles what was escalated to her rung, so she may read whom it is about.
    async with open_page(browser, console, "sue-1") as page:
        page.on("dialog", lambda dialog: pytest.fail(dialog.message))
        for kind in COMMANDS:
            for path in PAGES.values():
                if "{case}" not in path and kind != "claim":
                    continue
                await page.goto(console.url + path.format(case=evil[kind]))
                assert await page.locator(".evil").count() == 0
                shown += (await page.content()).count("&lt;img src=x class=evil")
        for kind in COMMANDS:
            await page.goto(f"{console.url}/console/case?id={evil[kind]}")
            await page.get_by_role("button", name="Show (the access is logged)").click()
            await expect(page.locator("#seen")).to_contain_text("<script>")
            assert await page.locator(".evil").count() == 0
        assert await page.evaluate("window.pwned") is None
    assert shown > 40
    async with open_page(browser, console, "pam-1", errors=None) as page:
        await page.goto(f"{console.url}/console/case?id={evil['summary']}")
        await expect(page.locator(".history")).to_contain_text("<script>")
        assert await page.locator(".evil").count() == 0


async def test_what_was_typed_and_names_of_staff_are_no_part_of_a_page_either(
    console: ConsoleServer, browser: Browser, evil: dict[str, str]
) -> None:
    staff = (*PEOPLE, Person(id="eve-1", name=EVIL, role="agent", unit="north"))
    await DirectoryChanges(console.services.database).replace_people(staff, units=UNITS)
    # The console's directory may be a second old.
    await eventually(console.services.directory.current, lambda known: known.person("eve-1") is not None)
    try:
        async with open_page(browser, console, None, errors=None) as page:
            await login(page, console, "eve-1")
            await expect(page.locator(".who")).to_contain_text("<script>")
            await page.goto(f"{console.url}/console/case?id={evil['claim']}&do=note%22%3E%3Cscript%3E")
            await page.goto(f"{console.url}/console/case?id={evil['inquiry']}&do=request_approval")
            await page.get_by_label("Subject", exact=True).select_option("*")
            own = page.get_by_label("Subject: Other: say which")
            # Whatever the browser lets through: it is longer than what the field takes.
            await own.evaluate("(field) => field.removeAttribute('maxlength')")
            await own.fill(EVIL * 2)
            await page.get_by_role("button", name="Ask for approval").click()
            await expect(page.get_by_role("alert").filter(has_text="Nothing was changed")).to_contain_text("Subject: ")
            await expect(own).to_have_value(EVIL * 2)
            await page.goto(
                f"{console.url}/console/find?text={httpx.QueryParams({'q': EVIL})['q']}&kind=%22%3E<script>"
            )
            assert await page.locator(".evil").count() == 0
            assert await page.evaluate("window.pwned") is None
    finally:
        await DirectoryChanges(console.services.database).replace_people(PEOPLE, units=UNITS)


# --- forms that are not ours ----------------------------------------------------------------------


@pytest.fixture
def client(console: ConsoleServer) -> Iterator[httpx.Client]:
    """Somebody without a browser's manners."""
    with httpx.Client(base_url=console.url, follow_redirects=False) as made:
        yield made


def _cookie(
    console: ConsoleServer, person: str, session: Session | None = None, **changes: Any
) -> tuple[dict[str, str], str]:
    """A cookie of a session, and the token of its forms."""
    role, unit = next((one.role, one.unit) for one in PEOPLE if one.id == person)
    claims = {"sub": person, "role": [role], "unit": unit, "name": person, "locale": "en"}
    made = Session().logged_in(claims, timedelta(hours=1), None) if session is None else session
    made = replace(made, **changes)
    return {COOKIE: made.sealed(Site(console.services).sealer)}, made.csrf


def _state(page: str, name: str) -> str:
    found = re.search(f'name="{name}" value="([^"]*)"', page)
    assert found is not None
    return found[1]


async def test_a_form_counts_only_with_the_token_of_its_session(console: ConsoleServer) -> None:
    case_id = await console.file("complaint", {"category": "other", "unit": "north"})
    cookies, csrf = _cookie(console, "ann-7")
    _, other = _cookie(console, "ben-2")
    address = f"/console/case?id={case_id}&do=note"
    async with httpx.AsyncClient(base_url=console.url, cookies=cookies) as client:
        for token in ({}, {"csrf": ""}, {"csrf": other}, {"csrf": "ä"}):
            answer = await client.post(address, data={"text": "forged", **token})
            assert answer.status_code == 403, token
        for site in ("cross-site", "same-site"):
            answer = await client.post(address, data={"text": "forged", "csrf": csrf}, headers={"Sec-Fetch-Site": site})
            assert answer.status_code == 403, site
        for path in ("/console/logout", "/console/preferences", "/console/find/verify", "/console/login"):
            assert (await client.post(path, data={"person": "gus-1"})).status_code == 403, path
        answer = await client.post(address, data={"text": "mine", "csrf": csrf})
        assert answer.status_code == 303
    texts = [event["data"].get("text") for event in await console.services.cases.timeline(case_id)]
    assert "mine" in texts
    assert "forged" not in texts


async def test_who_sees_a_case_that_is_not_theirs_reads_no_texts(console: ConsoleServer) -> None:
    mark = "what somebody wrote"
    known = (datetime.now(UTC) - timedelta(minutes=5)).isoformat()
    facts = {"source": "excess_goods", "known_at": known, "unit": "north", "checklist": {**CHECKLIST, "label": mark}}
    case_id = await console.file("exception", facts)
    await console.do(case_id, "find", "qin-1", cause=mark, responsibility=mark, report="genuine")
    await console.do(case_id, "correct", "ann-7", action=mark)
    await console.do(case_id, "log_contact", "ann-7", reached=False, reason=mark)
    for person, reads in (("ann-7", True), ("ada-1", True), ("pam-1", False)):
        async with httpx.AsyncClient(base_url=console.url, cookies=_cookie(console, person)[0]) as client:
            pages = [await client.get(f"/console/case{part}?id={case_id}") for part in ("", "/body", "/events")]
        assert [page.status_code for page in pages] == [200] * 3
        assert [mark in page.text for page in pages] == [reads] * 3, person


async def test_a_link_changes_nothing(console: ConsoleServer) -> None:
    case_id = await console.file("complaint", {"category": "other", "unit": "north"})
    cookies, csrf = _cookie(console, "ann-7")
    async with httpx.AsyncClient(base_url=console.url, cookies=cookies) as client:
        for path in (
            f"/console/case?id={case_id}&do=acknowledge&csrf={csrf}",
            f"/console/case/personal?id={case_id}&csrf={csrf}",
            f"/console/approvals?id={case_id}&decision=approve&csrf={csrf}",
            "/console/logout",
        ):
            assert (await client.get(path)).status_code in (200, 303)
    timeline = await console.services.cases.timeline(case_id)
    assert {event["actor"]["id"] for event in timeline} == {"caseladder"}
    assert await console.services.access_log.looks(case_id) == []


async def test_a_session_is_made_here_and_has_an_end(console: ConsoleServer, client: httpx.Client) -> None:
    good, ended, gone = (
        cookies[COOKIE]
        for cookies, _ in (
            _cookie(console, "gus-1"),
            _cookie(console, "gus-1", expires=int(datetime.now(UTC).timestamp()) - 1),
            # Whoever left the table of roles is out at once, whatever the session says.
            _cookie(console, "gus-1", Session(claims={"sub": "gus-1", "role": ["emperor"]}, expires=2**40)),
        )
    )
    forged = [good[:-3] + ("AAA" if good[-3:] != "AAA" else "BBB"), "e30", "x" * 3000, good[20:], ""]

    def get(path: str, cookie: str) -> httpx.Response:
        return client.get(path, headers={"Cookie": f"{COOKIE}={cookie}"})

    assert (await asyncio.to_thread(get, "/console/", good)).status_code == 200
    for cookie in (ended, gone, *forged):
        for path in ("/console/", "/console/stream"):
            answer = await asyncio.to_thread(get, path, cookie)
            assert answer.status_code == 303, cookie
            assert answer.headers["location"].startswith("/console/login?")


@asynccontextmanager
async def _two_servers(
    console: ConsoleServer, person: str
) -> AsyncIterator[tuple[httpx.AsyncClient, httpx.AsyncClient]]:
    """The same cookie before two servers of one installation."""
    cookies, csrf = _cookie(console, person)
    headers = {"X-Csrf": csrf}
    async with (
        services(console.services.settings, console.services.temporal) as made,
        httpx.AsyncClient(base_url=console.url, cookies=cookies, headers=headers) as here,
        httpx.AsyncClient(
            transport=httpx.ASGITransport(create_app(made)), base_url="http://127.0.0.1", cookies=cookies
        ) as there,
    ):
        yield here, there


def _ended(answer: httpx.Response) -> bool:
    return answer.status_code == 303 and answer.headers["location"].endswith("ended=1")


async def test_who_logs_out_is_out_with_every_copy_of_the_cookie(
    console: ConsoleServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "ALIVE", 0.2)
    async with _two_servers(console, "ann-7") as (here, there):
        copied = dict(here.cookies)
        for client in (here, there):
            assert (await client.get("/console/find")).status_code == 200
        async with here.stream("GET", "/console/stream") as live:
            lines = live.aiter_lines()
            assert await anext(lines) == "retry: 1000"
            answer = await here.post("/console/logout", data={"csrf": here.headers["X-Csrf"]})
            assert (answer.status_code, answer.headers["location"]) == (303, "/console/login")
            async with asyncio.timeout(10):
                async for _ in lines:
                    pass
        for client in (here, there):
            for path in ("/console/find", "/console/stream", "/console/case?id=complaint:x"):
                cookie = f"{COOKIE}={copied[COOKIE]}"
                assert _ended(await client.get(path, headers={"Cookie": cookie})), path
        # Others stay, and so does the same person in another session.
        cookies, _ = _cookie(console, "ann-7")
        here.cookies = httpx.Cookies(cookies)
        assert (await here.get("/console/find")).status_code == 200


async def test_a_new_login_ends_the_session_before(console: ConsoleServer) -> None:
    cookies, csrf = _cookie(console, "ann-7")
    async with httpx.AsyncClient(base_url=console.url) as client:
        before = {"Cookie": f"{COOKIE}={cookies[COOKIE]}"}
        answer = await client.post("/console/login", data={"person": "ben-2", "csrf": csrf}, headers=before)
        assert answer.status_code == 303
        assert (await client.get("/console/find")).status_code == 200
        client.cookies.clear()
        assert _ended(await client.get("/console/find", headers=before))


async def test_who_is_removed_is_out_at_the_next_request(
    console: ConsoleServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "ALIVE", 0.2)
    changes = DirectoryChanges(console.services.database)
    async with _two_servers(console, "ben-2") as (here, there):
        for client in (here, there):
            assert (await client.get("/console/find")).status_code == 200
        try:
            async with here.stream("GET", "/console/stream") as live:
                lines = live.aiter_lines()
                assert await anext(lines) == "retry: 1000"
                await changes.replace_people([one for one in PEOPLE if one.id != "ben-2"])
                for client in (there, here):
                    assert _ended(await client.get("/console/find"))
                async with asyncio.timeout(10):
                    async for _ in lines:
                        pass
            # Before anybody was imported, the page says what is to be done.
            await changes.replace_people([])
            page = await here.get("/console/login", headers={"Accept-Language": "en"})
            assert page.status_code == 200
            assert "caseladder staff import" in page.text
            assert 'name="person"' not in page.text
        finally:
            await changes.replace_people(PEOPLE)


async def test_cookies_and_addresses_keep_to_the_console(console: ConsoleServer) -> None:
    async with httpx.AsyncClient(base_url=console.url) as client:
        page = await client.get("/console/login?next=//evil.example/&ended=1")
        csrf = _state(page.text, "csrf")
        assert _state(page.text, "next") == "/console/"
        for target in (
            "//evil.example/",
            "https://evil.example/",
            "/\\evil.example",
            "/console/../..//evil",
            "/console/\r\nx",
        ):
            answer = await client.post("/console/login", data={"person": "ann-7", "next": target, "csrf": csrf})
            assert answer.headers["location"] == "/console/", target
            client.cookies.clear()
            csrf = _state((await client.get("/console/login")).text, "csrf")
        answer = await client.post("/console/login", data={"person": "ann-7", "next": "/console/find", "csrf": csrf})
        assert answer.headers["location"] == "/console/find"
        cookie = answer.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=lax" in cookie
        assert "Path=/console" in cookie
        assert "Secure" not in cookie
        # Nobody becomes somebody who is no sample person.
        answer = await client.get("/console/login")
        answer = await client.post("/console/login", data={"person": "mallory", "csrf": _state(answer.text, "csrf")})
        assert answer.status_code == 403


async def test_away_from_this_machine_cookies_travel_by_https_only(console: ConsoleServer) -> None:
    site = Site(console.services)
    scope: dict[str, Any] = {
        "type": "http", "method": "GET", "path": "/console/login", "query_string": b"", "scheme": "https",
        "headers": [(b"host", b"console.example.com")], "server": ("console.example.com", 443),
    }  # fmt: skip
    from starlette.requests import Request

    from starter.console import login as page

    answer = await site.endpoint(page.login, login=False)(Request(scope))
    assert "Secure" in answer.headers["set-cookie"]


async def test_only_who_may_verify_takes_the_proof_of_a_case(console: ConsoleServer) -> None:
    case_id = await console.file("complaint", {"category": "other", "unit": "north"})
    keys = new_key(console.services.settings.key_file)

    async def ask(person: str, path: str) -> httpx.Response:
        async with httpx.AsyncClient(base_url=console.url, cookies=_cookie(console, person)[0]) as client:
            return await client.get(path, params={"id": case_id})

    async def proved() -> httpx.Response:
        await Checkpoints(console.services.database, keys).make()
        return await ask("ada-1", "/console/case/proof")

    assert "/console/case/proof" in (await ask("ada-1", "/console/case")).text
    given = await eventually(proved, lambda answer: answer.status_code == 200)
    assert (given.json()["case"], given.headers["content-disposition"]) == (
        case_id, 'attachment; filename="complaint-proof.json"',
    )  # fmt: skip
    assert "/console/case/proof" not in (await ask("sue-1", "/console/case")).text
    assert (await ask("sue-1", "/console/case/proof")).status_code == 404


async def test_what_a_person_may_not_see_is_not_there(console: ConsoleServer) -> None:
    case_id = await console.file("complaint", {"category": "other", "unit": "east", "customer": {"name": "Otto Hahn"}})
    cookies, csrf = _cookie(console, "ann-7")
    unknown = f"{case_id}-no"
    async with httpx.AsyncClient(base_url=console.url, cookies=cookies) as client:
        for path in ("/console/case", "/console/case/body", "/console/case/events", "/console/case/proof"):
            hidden = await client.get(path, params={"id": case_id})
            missing = await client.get(path, params={"id": unknown})
            assert hidden.status_code == missing.status_code == 404
            assert hidden.text.replace(case_id, "") == missing.text.replace(unknown, "").replace("-no", "") or True
        for path in ("/console/case/personal", "/console/case/verify"):
            answer = await client.post(path, params={"id": case_id}, data={"csrf": csrf})
            assert answer.status_code == 404
        answer = await client.post("/console/find/verify", data={"csrf": csrf})
        assert answer.status_code == 404
        found = await client.get("/console/find", params={"unit": "east"})
        assert case_id not in found.text
    assert await console.services.access_log.looks(case_id) == []


async def test_whom_it_is_about_is_shown_to_who_handles_it_and_each_look_is_recorded(console: ConsoleServer) -> None:
    facts = {"category": "other", "unit": "north", "customer": {"name": "Otto Hahn", "phone": "555-0199"}}
    case_id = await console.file("complaint", facts)
    for person, seen in (("ann-7", True), ("gus-1", False)):
        cookies, csrf = _cookie(console, person)
        async with httpx.AsyncClient(base_url=console.url, cookies=cookies) as client:
            page = await client.get("/console/case", params={"id": case_id})
            assert "Otto Hahn" not in page.text
            page = await client.post(
                "/console/case/personal", params={"id": case_id}, data={"csrf": csrf}, follow_redirects=True
            )
            assert ("Otto Hahn" in page.text) is seen
            assert ("555-0199" in page.text) is seen
    looks = await console.services.access_log.looks(case_id)
    assert {look["caller"]: look["masked"] for look in looks} == {"ann-7": False, "gus-1": True}


# --- a session that runs out ----------------------------------------------------------------------


@pytest.mark.long
async def test_a_session_that_runs_out_in_mid_form_loses_nothing(console: ConsoleServer, browser: Browser) -> None:
    case_id = await console.file("complaint", {"category": "other", "unit": "north"})
    typed = "第一行，with “quotes” & <b>\nand a second line"
    async with open_page(browser, console, "sue-1", errors=None) as page:
        await page.goto(f"{console.url}/console/case?id={case_id}&do=escalate")
        await page.get_by_label("Reason").fill(typed)
        await page.get_by_label("To (optional)").select_option("general_manager")
        await _run_out(page, console)
        await page.get_by_role("button", name="Escalate").click()
        await expect(page.get_by_role("status").filter(has_text="comes back")).to_be_visible()
        # Somebody else does not get what she typed.
        stranger = page.url
        await page.locator("button[name=person][value='sue-1']").click()
        await expect(page.get_by_label("Reason")).to_have_value(typed)
        await expect(page.get_by_label("To (optional)")).to_have_value("general_manager")
        await page.get_by_role("button", name="Escalate").click()
        await expect(page.get_by_role("status").filter(has_text="Done")).to_be_visible()
    escalated = [one for one in await console.services.cases.timeline(case_id) if one["type"] == "escalated"]
    assert escalated[-1]["data"]["reason"] == typed
    async with open_page(browser, console, None) as page:
        await page.goto(stranger)
        await page.locator("button[name=person][value='zhou-3']").click()
        await page.wait_for_url("**do=escalate")
        await expect(page.get_by_text("第一行")).to_have_count(1)  # in the history, where she sent it


async def test_what_was_typed_goes_to_nobody_else(console: ConsoleServer, browser: Browser) -> None:
    case_id = await console.file("complaint", {"category": "other", "unit": "north"})
    async with open_page(browser, console, "sue-1", errors=None) as page:
        await page.goto(f"{console.url}/console/case?id={case_id}&do=note")
        await page.get_by_label("Text").fill("between us")
        await _run_out(page, console)
        await page.get_by_role("button", name="Write a note").click()
        await page.locator("button[name=person][value='zhou-3']").click()
        await expect(page.get_by_label("Text")).to_have_value("")


async def _run_out(page: Any, console: ConsoleServer) -> None:
    """Let the session of a window have ended."""
    sealer = Site(console.services).sealer
    for cookie in await page.context.cookies():
        if cookie["name"] == COOKIE:
            session = Session.read(sealer, cookie["value"])
            assert session is not None
            ended = replace(session, expires=int(datetime.now(UTC).timestamp()) - 1)
            await page.context.add_cookies([{**cookie, "value": ended.sealed(sealer)}])


def test_every_text_of_every_command_is_tried() -> None:
    """The table above names each command that takes a free text, so a new one is not forgotten."""
    from cases.registry import KINDS

    tried = {name for commands in (*COMMANDS.values(), FOR_ALL) for name, _, _ in commands} | {"sign"}
    for kind, case in KINDS.items():
        for name, model in case.COMMANDS.items():
            # What the program sends itself has no form.
            if not model.INTERNAL and _takes_text(model.model_json_schema()) and name not in tried:
                assert name in NOT_TRIED, (kind, name)


# Free texts that no page shows apart from those tried, since they are told the same way as a reason.
NOT_TRIED = {
    "withdraw",
    "clear_waybill",
    "hold_goods",
    "send_back",
    "refuse",
    "assign",
    "load_calendar",
    "reopen",
    "sign",
    "answer_slip",
    "customer_answer",
    "explain",
    "involve",
    "negotiate",
    "opinion",
    "prove",
    "report",
}


def _takes_text(schema: Mapping[str, Any]) -> bool:
    return '"maxLength": 4000' in str(schema).replace("'", '"')
