"""Measure what it costs that payloads are encrypted: the codec, the size, and whole commands.

    python bench/encryption.py [--commands 400] [--rounds 3]

Commands are notes to cases on two embedded stacks, in turns in the open and encrypted: their ratio tells, the rest
depends on the machine.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import time

from temporalio.api.common.v1 import Payload
from temporalio.client import Client

from bench import support
from bench.senders import notes
from starter.client import CaseClient
from starter.encryption import Codec, data_converter, new_key, read_keyring
from worker import polling

KEYS = read_keyring(new_key("bench"))
# A command, what is recorded of one, and a long case that is carried along, in bytes.
SIZES = (200, 2_000, 100_000)


async def pure(rounds: int, times: int = 5000) -> None:
    """Measure the codec by itself."""
    codec = Codec(KEYS)
    for size in SIZES:
        payload = Payload(metadata={"encoding": b"json/plain"}, data=os.urandom(size))
        spent = []
        for _ in range(rounds):
            began = time.process_time()
            for _ in range(times):
                await codec.decode(await codec.encode([payload]))
            spent.append((time.process_time() - began) / times * 1e6)
        more = (await codec.encode([payload]))[0].ByteSize() - payload.ByteSize()
        print(
            f"a payload of {size:,} bytes: {support.spread(spent, 0)} µs to encrypt and decrypt it, {more} bytes more"
        )


async def whole(count: int, rounds: int) -> None:
    """Compare whole commands, in turns, each on a stack of its own: what is encrypted stays out of the open one."""
    ratios = []
    async with support.stack() as (client, settings), support.stack() as (other, of_other):
        encrypting = Client(other.service_client, data_converter=data_converter(KEYS))
        async with polling(client, settings), polling(encrypting, of_other):
            for _ in range(rounds):
                opened = await notes(CaseClient(client), count)
                encrypted = await notes(CaseClient(encrypting), count)
                ratios.append(encrypted / opened)
                print(f"notes     {opened:.0f}/s in the open, {encrypted:.0f}/s encrypted ({support.load()})")
    print(f"encrypted of open: {support.spread(ratios)}")


async def measure(count: int, rounds: int) -> None:
    """Run all of it."""
    await pure(rounds)
    await whole(count, rounds)


def main() -> None:
    """Read the arguments and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--commands", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    asyncio.run(measure(arguments.commands, arguments.rounds))


if __name__ == "__main__":
    main()
