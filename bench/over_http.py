"""Measure filing over HTTP as a ratio of filing through the client, and how long reads take.

    python bench/over_http.py [--rounds 5] [--filings 100] [--flight 20]

Both file the same complaints and wait until each is open, in turns on one stack. The API runs in a
separate process (`caseladder serve`), the client and the worker in this one. The reads are a case, its
timeline, its clocks and a page of a list, one after the other.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import os
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from statistics import median
from typing import Any

import httpx
from temporalio.client import Client

from activities.access.api_keys import ApiKeys
from activities.database.database import Database
from bench import support
from starter.client import CaseClient
from starter.settings import Settings
from worker import polling

FACTS = {"category": "delay"}
numbers = itertools.count()
File = Callable[[int], Awaitable[object]]


def intake() -> dict[str, Any]:
    """Return the intake of a complaint with a new key."""
    return {"key": f"H-{next(numbers)}", "facts": FACTS}


@asynccontextmanager
async def api(client: Client, settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    """Run `caseladder serve` on the stack, and yield a client with a system's key."""
    assert settings.database_url is not None
    url = settings.database_url.get_secret_value()
    async with Database.open(url) as database:
        _, key = await ApiKeys(database).create("bench", "system", ["file", "read", "command"])
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {
        **os.environ,
        "CASELADDER_DATABASE_URL": url,
        "CASELADDER_RATE_LIMIT": "1000000/second",
        "TEMPORAL_ADDRESS": client.service_client.config.target_host,
        "TEMPORAL_NAMESPACE": client.namespace,
    }
    command = [sys.executable, "-m", "caseladder", "serve", "--port", str(port), "--data", str(settings.data)]
    process = await asyncio.create_subprocess_exec(*command, env=environment, stderr=subprocess.DEVNULL)
    base, headers = f"http://127.0.0.1:{port}", {"Authorization": f"Bearer {key}"}
    try:
        async with httpx.AsyncClient(base_url=base, headers=headers, timeout=60, trust_env=False) as http:
            while not await answers(http):
                assert process.returncode is None, "the server has ended"
                await asyncio.sleep(0.1)
            yield http
    finally:
        process.terminate()
        await process.wait()


async def answers(http: httpx.AsyncClient) -> bool:
    """Return whether the server answers."""
    try:
        return (await http.get("/healthz")).status_code == 200
    except httpx.ConnectError:
        return False


async def timed(http: httpx.AsyncClient, path: str, count: int) -> list[float]:
    """Read a path ``count`` times and return how many milliseconds each read took."""
    spans = []
    for _ in range(count):
        began = time.perf_counter()
        answer = await http.get(path)
        spans.append(1000 * (time.perf_counter() - began))
        assert answer.status_code == 200, answer.text
    return spans


async def main() -> None:
    """File both ways in turns, then read, and print the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--filings", type=int, default=100, help="filings in one round")
    parser.add_argument("--flight", type=int, default=20, help="filings at the same time")
    given = parser.parse_args()
    async with support.stack() as (client, settings), polling(client, settings), api(client, settings) as http:
        cases = CaseClient(client)

        async def through_the_client(_: int) -> None:
            await cases.file("complaint", intake())

        async def over_http(_: int) -> None:
            answer = await http.post("/api/v1/cases/complaint", json=intake())
            assert answer.status_code == 200, answer.text

        ways: dict[str, File] = {"client": through_the_client, "HTTP": over_http}
        rates: dict[str, list[float]] = {name: [] for name in ways}
        for way in ways.values():
            await support.at_once(10, given.flight, way)
        for _ in range(given.rounds):
            for name, way in ways.items():
                rates[name].append(given.filings / await support.at_once(given.filings, given.flight, way))
        print(f"filings a second, {given.flight} at the same time ({support.load()})")
        for name, found in rates.items():
            print(f"  {name}: {support.spread(found, 1)}")
        ratios = [over / through for over, through in zip(rates["HTTP"], rates["client"], strict=True)]
        print(f"  HTTP / client: {support.spread(ratios)}; of the medians {ratio(rates):.2f}")
        print("milliseconds of a read, one after the other")
        await asyncio.sleep(1)
        for path in ("complaint:H-0", "complaint:H-0/timeline", "complaint:H-0/clocks", "?limit=50"):
            found = await timed(http, f"/api/v1/cases{'' if path[0] == '?' else '/'}{path}", 100)
            print(f"  {path}: p50 {median(found):.1f}, p95 {support.percentile(found, 95):.1f}")


def ratio(rates: dict[str, list[float]]) -> float:
    """Return the ratio of the median rates."""
    return median(rates["HTTP"]) / median(rates["client"])


if __name__ == "__main__":
    support.run(main)
