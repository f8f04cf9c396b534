"""Measure how fast a casebook is audited: the chain alone, everything folded again, checkpoints, what they cover.

    python bench/audit.py [--closed 12000] [--open 600] [--rounds 3]

The cases are those of bench/fill_casebook.py. The targets are 100,000 events a second for the chain alone and 30,000
with folding, on one core: that of the audit, while PostgreSQL uses another one. Where other programs use both, the
processor time tells more than the clock, so the rate by either is printed.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from activities.audit.compare import compare
from activities.audit.everything import Everything
from activities.audit.keys import new_key
from activities.audit.make import Checkpoints
from activities.casebook.audit import Audit
from activities.database.database import Database
from activities.database.migrate import migrate
from bench import support
from bench.fill_casebook import fill
from tests.postgres import cluster


async def timed(name: str, events: int, rounds: int, work: Callable[[], Awaitable[None]]) -> None:
    """Do something several times, and print the events a second by the clock and by this process's core."""
    walls, cores = [], []
    for _ in range(rounds):
        began, used = time.perf_counter(), time.process_time()
        await work()
        walls.append(events / (time.perf_counter() - began))
        cores.append(events / (time.process_time() - used))
    print(f"{name:36} {support.spread(walls, 0)} events/s, on its core {support.spread(cores, 0)} ({support.load()})")


async def measure(closed: int, opened: int, rounds: int) -> None:
    """Fill a casebook and audit it in every way."""
    with cluster() as postgres, tempfile.TemporaryDirectory() as folder:
        dsn = await postgres.fresh_database()
        await migrate(dsn)
        filled = await fill(dsn, closed=closed, opened=opened)
        print(f"{filled.cases} cases, {filled.events} events")
        keys = new_key(Path(folder) / "key.pem")
        async with Database.open(dsn) as database:
            audit, everything, maker = Audit(database), Everything(database, keys), Checkpoints(database, keys)

            async def chain() -> None:
                report = await audit.verify()
                assert report.ok, report.fault

            async def full() -> None:
                done = await everything.verify(full=True)
                assert not done.faults, done.faults[0]
                assert done.events == filled.events

            async def make() -> None:
                await maker.make()

            async def leaves() -> None:
                async with database.audit() as connection:
                    compared = await compare(connection, keys)
                assert not compared.faults, compared.faults[0]

            async def covered() -> None:
                done = await everything.verify()
                assert (done.events, done.faults) == (0, [])

            await timed("the chain alone", filled.events, rounds, chain)
            await timed("everything, with folding", filled.events, rounds, full)
            await timed("checkpoints of all of it", filled.events, 1, make)
            await timed("compared with checkpoints", filled.events, rounds, leaves)
            began = time.perf_counter()
            await covered()
            print(f"with all of it covered by a checkpoint: {time.perf_counter() - began:.2f} s")


def main() -> None:
    """Print what was measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--closed", type=int, default=12_000)
    parser.add_argument("--open", type=int, default=600)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    asyncio.run(measure(given.closed, given.open, given.rounds))


if __name__ == "__main__":
    main()
