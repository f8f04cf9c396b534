"""The engines: each test that takes ``engine`` runs on every engine that there is."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from starter.rehearsal.command import ENGINES
from starter.rehearsal.engine import Engine


@pytest.fixture(scope="session", params=list(ENGINES))
async def engine(request: pytest.FixtureRequest) -> AsyncIterator[Engine]:
    """One running engine for all tests: starting it may take seconds."""
    async with ENGINES[request.param]() as running:
        yield running
