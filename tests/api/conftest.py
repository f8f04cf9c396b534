"""One server, one office and one house for all tests of the API."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

import pytest
from temporalio.testing import WorkflowEnvironment

from activities.database.pool import migrate
from tests.api.house import House, employ, open_house
from tests.postgres import Cluster, cluster
from tests.temporal import time_skipping
from tests.workflows.office import Office, open_office


@pytest.fixture(scope="package")
def postgres() -> Iterator[Cluster]:
    """A running cluster."""
    with cluster() as made:
        yield made


@pytest.fixture(scope="package")
async def env() -> AsyncIterator[WorkflowEnvironment]:
    """The Temporal server."""
    async with time_skipping() as made:
        yield made


@dataclass(frozen=True)
class Ground:
    """What a house stands on."""

    office: Office
    database: str


@pytest.fixture(scope="package")
async def ground(
    env: WorkflowEnvironment, postgres: Cluster, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Ground]:
    """A database with staff, and a worker that polls."""
    database = await postgres.fresh_database()
    await migrate(database)
    await employ(database)
    async with open_office(env, database, tmp_path_factory.mktemp("house")) as office:
        yield Ground(office, database)


@pytest.fixture(scope="package")
async def house(ground: Ground) -> AsyncIterator[House]:
    """The API, which every test may call; tests file cases of their own."""
    async with open_house(ground.office, ground.database) as made:
        yield made
