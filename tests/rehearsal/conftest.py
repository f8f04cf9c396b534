"""The engine for tests of single scenarios: the pure core, which is fast.

`test_engines` shows that real workflows return the same events.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from starter.rehearsal.command import ENGINES
from starter.rehearsal.engine import Engine


@pytest.fixture(scope="session")
async def engine() -> AsyncIterator[Engine]:
    """The running core engine."""
    async with ENGINES["core"]() as running:
        yield running
