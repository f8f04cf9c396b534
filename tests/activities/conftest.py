"""One PostgreSQL for all tests of the activities."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.postgres import Cluster, cluster


@pytest.fixture(scope="session")
def postgres() -> Iterator[Cluster]:
    """A running cluster, in which each test creates its own database."""
    with cluster() as made:
        yield made
