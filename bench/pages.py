"""Measure how long pages and searches take over HTTP with 100,000 closed and 5,000 open cases.

    python bench/pages.py [--closed 100000] [--open 5000] [--requests 60] [--readers 4]

The server is a separate process (`caseladder serve`) on the embedded stack, with the cases of
bench/fill_casebook.py. Each page is requested by one reader and by several at a time, who are logged in as
people of different roles and request other cases and words each time. The target for the Now page, a search
and a case page is a p95 of 150 ms. The processor time of a page, in the server and in PostgreSQL together, is
printed too: it is about the time that the page takes on an idle machine.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import os
import re
import socket
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from statistics import median
from typing import Any
from urllib.parse import quote

import httpx
import psutil

from activities.casebook.filter import Filter
from activities.casebook.search import Search
from activities.database.database import Database
from activities.people.directory_changes import DirectoryChanges
from bench import support
from bench.fill_casebook import CUSTOMERS, UNITS, fill
from cases.directory import Person, Unit
from starter.settings import Settings

TARGET = 150
PEOPLE = (
    Person(id="HZ-01.3-agent", name="李娜", role="agent", unit="HZ-01"),
    Person(id="super-hz", role="supervisor", unit="HZ"),
    Person(id="qa-1", role="qa_manager", unit="hq"),
    Person(id="gm-1", role="general_manager", unit="hq"),
    Person(id="auditor-1", role="auditor", unit="hq"),
    Person(id="finance-1", role="finance", unit="hq"),
)
ALL: dict[str, Any] = {"units": None, "kinds": None}
# Requests a page for the n-th time; which case or word it requests depends on n.
Ask = Callable[[int], Awaitable[httpx.Response]]


async def staff(dsn: str) -> None:
    """Store the branches that the cases belong to, and a reader of each role."""
    cities = sorted({unit.partition("-")[0] for unit in UNITS})
    units = [Unit(id="hq"), *(Unit(id=city, parent="hq") for city in cities)]
    units += [Unit(id=unit, parent=unit.partition("-")[0]) for unit in UNITS]
    async with Database.open(dsn) as database:
        await DirectoryChanges(database).replace_people(PEOPLE, units=units)


@asynccontextmanager
async def serving(settings: Settings, temporal: str) -> AsyncIterator[tuple[str, Callable[[], float]]]:
    """Run `caseladder serve` in a separate process.

    Yields:
        Its address, and a function that returns the processor time that it and PostgreSQL have used.
    """
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    assert settings.database_url is not None
    environment = {
        **os.environ,
        "CASELADDER_DATABASE_URL": settings.database_url.get_secret_value(),
        "CASELADDER_RATE_LIMIT": "100000/second",
        "TEMPORAL_ADDRESS": temporal,
    }
    command = ["-m", "caseladder", "serve", "--port", str(port), "--data", str(settings.data)]
    process = await asyncio.create_subprocess_exec(
        sys.executable, *command, env=environment, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        async with httpx.AsyncClient() as http:
            for _ in range(300):
                try:
                    await http.get(f"http://127.0.0.1:{port}/healthz")
                    break
                except httpx.TransportError:
                    assert process.returncode is None, "the server ended"
                    await asyncio.sleep(0.1)
        served = psutil.Process(process.pid)
        postmaster = psutil.Process(int((settings.data / "postgres" / "postmaster.pid").read_text().split()[0]))

        def used() -> float:
            """Return the processor time in seconds, including that of children that have ended."""
            own = (sum(one.cpu_times()[:2]) for one in (served, *postmaster.children()))
            return float(sum(own) + sum(postmaster.cpu_times()[:4]))

        yield f"http://127.0.0.1:{port}", used
    finally:
        process.terminate()
        await process.wait()


async def log_in(base: str, person: str) -> httpx.AsyncClient:
    """Log a person in to the console and return the client with the session."""
    http = httpx.AsyncClient(base_url=base, timeout=60, follow_redirects=False)
    page = await http.get("/console/login")
    guard = re.search(r'name="csrf" value="([^"]+)"', page.text)
    assert guard is not None, page.text
    answer = await http.post("/console/login", data={"person": person, "csrf": guard[1]})
    assert answer.status_code == 303, answer.text
    return http


async def pages(dsn: str, readers: Mapping[str, httpx.AsyncClient]) -> dict[str, Ask]:
    """Return the requests to measure, by the name that is printed."""
    async with Database.open(dsn) as database:
        search = Search(database)
        closed = (await search.page(Filter(status="closed"), **ALL, order="opened", limit=1000)).cases[::7]
        active = (await search.page(Filter(status="active"), **ALL, limit=1000)).cases[::7]
    waybills = [view["facts"]["shipment"]["waybill"] for view in closed if "shipment" in view["facts"]]
    refs = [f"C-{number}" for number in range(0, CUSTOMERS, 97)]
    words = ("complaint damage", "claim hz", "delay", "withdrawn inquiry", "sh-04 loss", "platform", "2026")
    shown = ("投诉 损毁", "延误", "已结案 理赔", "重大", "損毀 hz-03", "处理中", "inquiry 客户")
    said = ("外箱 hz", "站点", "looking parcel", "压坏 sh-02 延误", "客", "當天回電")
    customers = ("王芳", "杯子碎", "電話打不通", "1388", "要求赔偿")

    def page(person: str, *paths: str) -> Ask:
        return lambda number: readers[person].get(paths[number % len(paths)])

    def case(views: list[dict[str, Any]]) -> Ask:
        return page("gm-1", *(f"/console/case?id={quote(view['id'], safe='')}" for view in views))

    return {
        "Now, agent of a branch": page("HZ-01.3-agent", "/console/"),
        "Now, supervisor of ten branches": page("super-hz", "/console/"),
        "Now, general manager": page("gm-1", "/console/"),
        "Now, finance": page("finance-1", "/console/"),
        "Find, everything": page(
            "auditor-1", "/console/find", "/console/find?order=opened", "/console/find?status=open"
        ),
        "Parcel": page("auditor-1", *(f"/console/shipment?waybill={waybill}" for waybill in waybills)),
        "Customer, by reference": page("auditor-1", *(f"/console/customer?ref={ref}" for ref in refs)),
        "Find, by waybill": page("auditor-1", *(f"/console/find?text={waybill}" for waybill in waybills)),
        "Find, by words": page("auditor-1", *(f"/console/find?text={quote(text)}" for text in words)),
        "Find, by words that pages show": page("auditor-1", *(f"/console/find?text={quote(text)}" for text in shown)),
        "Find, by part of a number": page(
            "auditor-1",
            *(
                f"/console/find?text={waybill[place : place + size]}"
                for waybill, (place, size) in zip(waybills, itertools.cycle(((5, 4), (8, 6), (2, 8))))
            ),
        ),
        "Find, by what was written": page("auditor-1", *(f"/console/find?text={quote(text)}" for text in said)),
        "Find, by a name of the staff": page(
            "gm-1",
            f"/console/find?text={quote('李娜')}",
            f"/console/find?holder={quote('李娜')}",
            f"/console/find?text={quote('李娜 损毁')}",
        ),
        "Find, by customers' words": page(
            "HZ-01.3-agent", *(f"/console/find?text={quote(text)}" for text in customers)
        ),
        "Find, by filters": page(
            "auditor-1",
            "/console/find?breached=interim_reply&kind=complaint",
            "/console/find?holder=HZ-01.3-agent",
            "/console/find?unit=NJ-05&status=closed",
            "/console/find?rung=general_manager&severity=critical",
        ),
        "a closed case": case(closed),
        "an open case": case(active),
        "Approvals, supervisor": page("super-hz", "/console/approvals"),
        "Numbers, general manager": page("gm-1", "/console/numbers"),
    }


async def measure(asks: Mapping[str, Ask], requests: int, together: int, used: Callable[[], float]) -> None:
    """Request each page and print the median, the p95 and the processor time of a request in milliseconds.

    Args:
        asks: the requests by the name that is printed.
        requests: how many of each.
        together: how many at the same time.
        used: returns the processor time used so far, in seconds.
    """
    print(f"{together} at a time ({support.load()})")
    for name, ask in asks.items():
        taken: list[float] = []

        async def one(number: int, ask: Ask = ask, taken: list[float] = taken) -> None:
            began = time.perf_counter()
            answer = await ask(number)
            taken.append((time.perf_counter() - began) * 1000)
            assert answer.status_code == 200, (answer.status_code, answer.text[:200])

        # The first requests connect and warm up.
        await support.at_once(together, together, one)
        taken.clear()
        before = used()
        await support.at_once(requests, together, one)
        cost = (used() - before) * 1000 / requests
        p95 = support.percentile(taken, 95)
        missed = "" if p95 <= TARGET or name.startswith("Numbers") else f"  over the target of {TARGET} ms"
        print(
            f"  {name:32} median {median(taken):6.0f} ms   p95 {p95:6.0f} ms   processor {cost:5.0f} ms{missed}",
            flush=True,
        )


async def main() -> None:
    """Fill a casebook, serve it, and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--closed", type=int, default=100_000)
    parser.add_argument("--open", type=int, default=5_000)
    parser.add_argument("--requests", type=int, default=60, help="of each page")
    parser.add_argument("--readers", type=int, default=4, help="at a time, in the second part")
    given = parser.parse_args()
    async with support.stack() as (client, settings):
        assert settings.database_url is not None
        dsn = settings.database_url.get_secret_value()
        filled = await fill(support.owner(settings), closed=given.closed, opened=given.open)
        print(f"{filled.cases} cases with {filled.events} events, made in {filled.seconds:.0f} s")
        await staff(dsn)
        async with serving(settings, client.service_client.config.target_host) as (base, used):
            readers = {person.id: await log_in(base, person.id) for person in PEOPLE}
            asks = await pages(dsn, readers)
            for together in (1, given.readers):
                await measure(asks, given.requests, together, used)
            for http in readers.values():
                await http.aclose()


if __name__ == "__main__":
    support.run(main)
