"""One server and one office for most tests; what breaks things brings its own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
from temporalio.testing import WorkflowEnvironment

from activities.database.pool import migrate
from tests.postgres import Cluster, cluster
from tests.temporal import time_skipping
from tests.workflows.office import Office, open_office


@pytest.fixture(scope="package")
def postgres() -> Iterator[Cluster]:
    """A running cluster, which no test stops."""
    with cluster() as made:
        yield made


@pytest.fixture(scope="package")
async def casebook_template(postgres: Cluster) -> str:
    """The name of a migrated database to copy."""
    address = await postgres.fresh_database()
    await migrate(address)
    return address.rpartition("/")[2]


@pytest.fixture(scope="package")
async def env() -> AsyncIterator[WorkflowEnvironment]:
    """The server."""
    async with time_skipping() as env:
        yield env


@pytest.fixture(scope="package")
async def office(
    env: WorkflowEnvironment, postgres: Cluster, casebook_template: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Office]:
    """The office on that server; tests file cases under keys of their own."""
    database = await postgres.fresh_database(f"TEMPLATE {casebook_template}")
    async with open_office(env, database, tmp_path_factory.mktemp("office")) as office:
        yield office
