"""One Temporal server and one backend for most tests; a test that breaks something has its own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
from temporalio.testing import WorkflowEnvironment

from activities.database.migrate import migrate
from tests.postgres import Cluster, cluster
from tests.temporal import time_skipping
from tests.workflows.backend import Backend, open_backend


@pytest.fixture(scope="package")
def postgres() -> Iterator[Cluster]:
    """A running PostgreSQL cluster, which no test stops."""
    with cluster() as made:
        yield made


@pytest.fixture(scope="package")
async def casebook_template(postgres: Cluster) -> str:
    """Migrate a database, and return its name for copying."""
    address = await postgres.fresh_database()
    await migrate(address)
    return address.rpartition("/")[2]


@pytest.fixture(scope="package")
async def env() -> AsyncIterator[WorkflowEnvironment]:
    """The Temporal server."""
    async with time_skipping() as env:
        yield env


@pytest.fixture(scope="package")
async def backend(
    env: WorkflowEnvironment, postgres: Cluster, casebook_template: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Backend]:
    """The backend on that server; each test files its own cases."""
    database = await postgres.fresh_database(f"TEMPLATE {casebook_template}")
    async with open_backend(env, database, tmp_path_factory.mktemp("backend")) as backend:
        yield backend
