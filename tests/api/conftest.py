"""One Temporal server, one backend and one API server for all tests of the API."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
from temporalio.testing import WorkflowEnvironment

from activities.database.migrate import migrate
from tests.api.server import ApiServer, import_staff, open_api
from tests.postgres import Cluster, cluster
from tests.temporal import time_skipping
from tests.workflows.backend import Backend, open_backend


@pytest.fixture(scope="package")
def postgres() -> Iterator[Cluster]:
    """A running PostgreSQL cluster."""
    with cluster() as made:
        yield made


@pytest.fixture(scope="package")
async def env() -> AsyncIterator[WorkflowEnvironment]:
    """The Temporal server."""
    async with time_skipping() as made:
        yield made


@pytest.fixture(scope="package")
async def backend(
    env: WorkflowEnvironment, postgres: Cluster, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Backend]:
    """A backend whose directory has the staff."""
    database = await postgres.fresh_database()
    await migrate(database)
    await import_staff(database)
    async with open_backend(env, database, tmp_path_factory.mktemp("api")) as made:
        yield made


@pytest.fixture(scope="package")
async def api(backend: Backend) -> AsyncIterator[ApiServer]:
    """The API; each test files its own cases."""
    async with open_api(backend) as made:
        yield made
