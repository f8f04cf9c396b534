"""Measure what it costs that everything is signed: signing, checking, and whole commands.

    python bench/senders.py [--commands 400] [--rounds 3]

Commands are notes to cases on the embedded stack, in turns unsigned in the open and signed where everything has to be:
their ratio tells, the rest depends on the machine. Signing reads the key's file each time, as servers do.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

from temporalio.client import Client

from activities.audit.keys import new_key
from activities.senders.check import check
from activities.senders.gate import guarding
from activities.senders.key_set import ANY, entry, read_key_set
from activities.senders.sign import Signer
from activities.senders.statement import Said, of_command
from bench import support
from cases.kinds.complaint import Complaint
from cases.vocabulary.commands import read_command
from starter.client import CaseClient
from starter.settings import Settings
from worker import polling

BY = {"id": "agent-7", "role": "agent"}
NOTE = {"by": BY, "text": "Called the depot; the parcel is there."}


def per_second(work: Callable[[], object], times: int = 500) -> float:
    """Return how often a second something can be done on one core."""
    began = time.process_time()
    for _ in range(times):
        work()
    return times / (time.process_time() - began)


def pure(signer: Signer, senders: Path, rounds: int) -> None:
    """Measure signing and checking by themselves."""
    keys = read_key_set(senders)
    command = read_command(Complaint.COMMANDS, "note", signer.command("complaint:1", "note", NOTE))
    assert command.proof is not None
    proof = command.proof.model_dump(mode="json", exclude_none=True)

    def checked() -> None:
        check(Said(of_command("complaint:1", command), proof), keys, datetime.now(UTC))

    signed = [per_second(lambda: signer.command("complaint:1", "note", NOTE)) for _ in range(rounds)]
    seen = [per_second(checked) for _ in range(rounds)]
    print(f"signing   {support.spread(signed, 0)} commands/s on one core")
    print(f"checking  {support.spread(seen, 0)} commands/s on one core")


async def notes(cases: CaseClient, count: int) -> float:
    """Send so many notes to ten cases, and return how many a second were answered."""
    views = [await cases.file("complaint", {"key": uuid4().hex, "facts": {"category": "delay"}}) for _ in range(10)]
    return count / await support.at_once(
        count, 20, lambda number: cases.command(views[number % len(views)]["id"], "note", NOTE)
    )


async def whole(client: Client, settings: Settings, signer: Signer, senders: Path, count: int, rounds: int) -> None:
    """Compare whole commands, in turns."""
    ratios = []
    async with polling(client, settings):
        for _ in range(rounds):
            opened = await notes(CaseClient(client), count)
            async with guarding("signed", senders):
                signed = await notes(CaseClient(client, signer=signer), count)
            ratios.append(signed / opened)
            print(f"notes     {opened:.0f}/s unsigned, {signed:.0f}/s signed ({support.load()})")
    print(f"signed of unsigned: {support.spread(ratios)}")


async def measure(count: int, rounds: int) -> None:
    """Run all of it."""
    with tempfile.TemporaryDirectory() as folder:
        signer, senders = Signer(Path(folder) / "key.pem"), Path(folder) / "senders.toml"
        since = "signed_since = 2020-01-01T00:00:00Z\n"
        senders.write_text(since + entry(new_key(signer.file), ANY, [ANY]), "utf-8")
        pure(signer, senders, rounds)
        async with support.stack() as (client, settings):
            await whole(client, settings, signer, senders, count, rounds)


def main() -> None:
    """Read the arguments and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--commands", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    asyncio.run(measure(arguments.commands, arguments.rounds))


if __name__ == "__main__":
    main()
