"""Measure how late an escalation is recorded, with many open cases and many deadlines a second.

    python bench/punctuality.py [--open 2000] [--due 600] [--rate 10]

The delay is the time between the instant at which the rung's deadline fell due (``at``) and the instant at
which the case recorded it (``recorded_at``), both taken from the ledger.
"""

from __future__ import annotations

import argparse
import asyncio
from datetime import UTC, datetime, timedelta

import asyncpg

from bench import support
from starter.client import CaseClient
from worker import polling

FLIGHT = 40
LIMIT = timedelta(minutes=30)


async def main() -> None:
    """File the cases, wait until their deadlines have passed, and print the delays."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--open", type=int, default=2000, help="open cases")
    parser.add_argument("--due", type=int, default=600, help="how many of them fall due")
    parser.add_argument("--rate", type=int, default=10, help="how many fall due each second")
    given = parser.parse_args()
    async with support.stack() as (client, settings):
        assert settings.policies is not None
        assert settings.database_url is not None
        support.write_policy(settings.policies, "quiet", "P1D")
        support.write_policy(settings.policies, "due", "PT30M")
        cases = CaseClient(client)

        async def file(key: str, policy: str, received_at: datetime) -> None:
            intake = {"key": key, "policy": policy, "received_at": received_at.isoformat()}
            await cases.file("complaint", {**intake, "facts": {"category": "delay"}}, wait=False)

        async with polling(client, settings):
            connection = await asyncpg.connect(settings.database_url.get_secret_value())
            quiet = given.open - given.due
            took = await support.at_once(quiet, FLIGHT, lambda n: file(f"Q-{n}", "quiet", datetime.now(UTC)))
            took += await recorded(connection, quiet)
            print(f"{quiet} cases opened and recorded in {took:.0f} s ({support.load()})", flush=True)
            # The first falls due only when all of them are open.
            first = datetime.now(UTC) + timedelta(seconds=10 + 2 * took * given.due / quiet)
            step = timedelta(seconds=1) / given.rate
            await support.at_once(given.due, FLIGHT, lambda n: file(f"D-{n}", "due", first + n * step - LIMIT))
            await recorded(connection, given.open)
            spare = (first - datetime.now(UTC)).total_seconds()
            print(f"{given.due} more; the first falls due in {spare:.0f} s", flush=True)
            await asyncio.sleep(max(0.0, spare) + given.due / given.rate + 10)
            rows = await connection.fetch(
                "SELECT extract(epoch FROM recorded_at - at)::float8 AS late FROM case_event"
                " WHERE type = 'escalated' ORDER BY late"
            )
            await connection.close()
        late = [row["late"] for row in rows]
        print(f"{len(late)} of {given.due} escalations recorded ({support.load()})")
        for percent in (50, 90, 99, 100):
            print(f"p{percent}: {support.percentile(late, percent):.3f} s")


async def recorded(connection: asyncpg.Connection, count: int) -> float:
    """Wait until the casebook has ``count`` cases, and return how many seconds it took."""
    began = asyncio.get_running_loop().time()
    while True:
        if await connection.fetchval("SELECT count(*) FROM case_file") >= count:
            return asyncio.get_running_loop().time() - began
        await asyncio.sleep(0.2)


if __name__ == "__main__":
    support.run(main)
