"""One running stack for all tests of the command line."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from tests.cli.program import Up


@pytest.fixture(scope="package")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """The stack with the sample cases; each test files its own cases and leaves the stack running."""
    stack = Up(tmp_path_factory.mktemp("cli") / "data", "--examples")
    try:
        yield stack
        assert stack.stop(signal.SIGTERM) == 0
    finally:
        stack.end()
