"""A console for each day, where nothing else of its kind is given."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.console.conftest import console_alone
from tests.console.server import ConsoleServer


@pytest.fixture
async def console(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ConsoleServer]:
    """A console of the day's own: what is counted does not depend on other days."""
    async with console_alone(tmp_path_factory) as made:
        yield made
