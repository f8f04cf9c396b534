"""Shared code of the benches: the embedded stack with a casebook, concurrency, and formatting of numbers."""

from __future__ import annotations

import asyncio
import os
import re
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from statistics import median

from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter

from activities.database.migrate import migrate
from activities.policies.store import BUILT_IN
from starter.embedded import Ports, Stack
from starter.settings import Settings, load_settings
from workflows.attributes import TYPES

CONTACTS = """
[roles.agent]
email = ["agent@example.com"]
[roles.supervisor]
email = ["supervisor@example.com"]
[roles.qa_manager]
email = ["qa@example.com"]
[roles.general_manager]
email = ["gm@example.com"]
[roles.finance]
email = ["finance@example.com"]
"""


@asynccontextmanager
async def stack() -> AsyncIterator[tuple[Client, Settings]]:
    """Run an embedded stack in a temporary folder, with a migrated casebook and notices written to files."""
    with tempfile.TemporaryDirectory(prefix="caseladder-bench-") as name:
        folder = Path(name)
        contacts = folder / "contacts.toml"
        contacts.write_text(CONTACTS)
        data = folder / "data"
        async with Stack(data, TYPES, Ports(0, 0, 0)) as addresses:
            await migrate(addresses.owner_url)
            policies = folder / "policies"
            policies.mkdir()
            # Without the wait for more notices of a burst, which would be the time of every life.
            settings = load_settings(
                data=data,
                contacts=contacts,
                policies=policies,
                digest_hold=0,
                database_owner_url=addresses.owner_url,
            )
            settings = settings.on_embedded(addresses.database_url)
            client = await Client.connect(addresses.temporal, data_converter=pydantic_data_converter)
            yield client, settings


def owner(settings: Settings) -> str:
    """Return the address of the casebook's database with its owner, who may fill and tidy it."""
    assert settings.database_owner_url is not None
    return settings.database_owner_url.get_secret_value()


def environment(settings: Settings) -> dict[str, str]:
    """Return the environment of a process of `caseladder` that works as the settings say, on the embedded stack."""
    return {
        **os.environ,
        "CASELADDER_DATA": str(settings.data),
        "CASELADDER_CONTACTS": str(settings.contacts),
        "CASELADDER_POLICIES": str(settings.policies),
        "CASELADDER_DIGEST_HOLD": str(settings.digest_hold),
    }


def write_policy(folder: Path, name: str, rung: str) -> None:
    """Write the default policy with another name and another limit of a complaint's rung clock.

    Args:
        folder: the folder of policies.
        name: the policy's name.
        rung: the limit as an ISO 8601 duration.
    """
    text = (BUILT_IN / "default.toml").read_text("utf-8").replace('name = "default"', f'name = "{name}"', 1)
    text, changed = re.subn(r'(\[complaint\.clocks\.rung\]\nelapsed = )"\w+"', rf'\1"{rung}"', text)
    assert changed == 1, "the default policy has another form"
    (folder / f"{name}.toml").write_text(text, "utf-8")


async def at_once(count: int, limit: int, live: Callable[[int], Awaitable[object]]) -> float:
    """Run ``live(0)`` to ``live(count - 1)``, at most ``limit`` at the same time, and return the seconds it took."""
    slots = asyncio.Semaphore(limit)

    async def one(number: int) -> None:
        async with slots:
            await live(number)

    began = time.perf_counter()
    await asyncio.gather(*(one(number) for number in range(count)))
    return time.perf_counter() - began


def spread(values: Sequence[float], digits: int = 2) -> str:
    """Format the median, the lowest and the highest value."""
    return f"{median(values):.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def load() -> str:
    """Format the number of cores and the load of the machine over the last minute."""
    return f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"


def percentile(values: Sequence[float], percent: int) -> float:
    """Return the value that ``percent`` of the values do not exceed."""
    return sorted(values)[max(0, -(-len(values) * percent // 100) - 1)]


def run(main: Callable[[], Awaitable[None]]) -> None:
    """Run a bench, then wait until the threads of Temporal's client are idle (see `tests/conftest.py`)."""

    async def whole() -> None:
        await main()
        await asyncio.sleep(0.25)

    asyncio.run(whole())
