"""One PostgreSQL for all tests of the activities, and an empty casebook in it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import asyncpg
import pytest

from activities.database.migrate import migrate
from tests.activities.ledger import behind_the_back
from tests.casebook import Book, open_book
from tests.postgres import Cluster, cluster


@pytest.fixture(scope="session")
def postgres() -> Iterator[Cluster]:
    """A running cluster, in which each test creates its own database."""
    with cluster() as made:
        yield made


@pytest.fixture(scope="session")
async def dsn(postgres: Cluster) -> str:
    address = await postgres.fresh_database()
    await migrate(address)
    return address


@pytest.fixture
async def superuser(dsn: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection for looking at the tables, and for what nobody should do to them."""
    connection = await asyncpg.connect(dsn)
    yield connection
    await connection.close()


@pytest.fixture
async def book(dsn: str, superuser: asyncpg.Connection) -> AsyncIterator[Book]:
    """An empty casebook."""
    await behind_the_back(
        superuser,
        "TRUNCATE case_event, case_file, case_number, personal, policy, notification, "
        "case_text, case_proof, case_request, case_number_given, casebook_recovery, "
        "case_search, personal_search, payout, payout_booking, payee, "
        "checkpoint, checkpoint_head, checkpoint_place, checkpoint_timestamp, ledger_epoch, personal_look, draft, "
        "customer_message, incoming_message",
    )
    async with open_book(dsn) as made:
        yield made
