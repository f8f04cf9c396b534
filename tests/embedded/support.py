"""What the tests of the embedded stack leave in its servers and look for again."""

from __future__ import annotations

import asyncpg
from temporalio.client import Client
from temporalio.common import SearchAttributeKey, SearchAttributePair, TypedSearchAttributes
from temporalio.service import RPCError, RPCStatusCode

from starter.embedded import Addresses, Ports

ANY = Ports(0, 0, 0)
KINDS = {"CaseKind": "Keyword", "Breached": "KeywordList", "NextDue": "Datetime"}
CASE_KIND = SearchAttributeKey.for_keyword("CaseKind")


async def remember(addresses: Addresses, value: str) -> None:
    """Leave a row in the database and a workflow in the server."""
    connection = await asyncpg.connect(addresses.owner_url)
    await connection.execute("CREATE TABLE IF NOT EXISTS memory (value text)")
    await connection.execute("INSERT INTO memory VALUES ($1)", value)
    await connection.close()
    client = await Client.connect(addresses.temporal, namespace=addresses.namespace)
    attributes = TypedSearchAttributes([SearchAttributePair(CASE_KIND, "claim")])
    await client.start_workflow("Waits", id=value, task_queue="nobody", search_attributes=attributes)


async def remembers(addresses: Addresses, value: str) -> bool:
    """Whether both still have what `remember` left."""
    return await ledger_has(addresses, value) and await engine_has(addresses, value)


async def ledger_has(addresses: Addresses, value: str) -> bool:
    """Whether the database has the row, once."""
    connection = await asyncpg.connect(addresses.owner_url)
    rows = await connection.fetchval("SELECT count(*) FROM memory WHERE value = $1", value)
    await connection.close()
    return bool(rows == 1)


async def engine_has(addresses: Addresses, value: str) -> bool:
    """Whether the server has the workflow, with its attribute."""
    client = await Client.connect(addresses.temporal, namespace=addresses.namespace)
    try:
        found = await client.get_workflow_handle(value).describe()
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise
        return False
    return found.typed_search_attributes.get(CASE_KIND) == "claim"
