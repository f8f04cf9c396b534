"""How long the engine keeps the workflow of a case after its end, as set for the namespace.

No case depends on it, since every door asks the ledger. It is how long the engine's own history of a case can be
looked at, how long a repeated command is answered as the first time, and from where `caseladder recover` takes
answered commands that a restored ledger lacks.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # half a second to import; needed only by what is connected
    from temporalio.client import Client

# What is shorter is warned of: a restored backup should not be older than what the engine still knows [INVENTED].
LEAST = timedelta(days=7)


async def read(client: Client) -> timedelta:
    """Return the retention of the client's namespace.

    Raises:
        RPCError: the server does not tell.
    """
    from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest

    found = await client.workflow_service.describe_namespace(DescribeNamespaceRequest(namespace=client.namespace))
    return found.config.workflow_execution_retention_ttl.ToTimedelta()


async def lengthen(client: Client) -> None:
    """Give the client's namespace `LEAST`, if it has less.

    Raises:
        RPCError: the server does not do it.
    """
    from google.protobuf.duration_pb2 import Duration
    from temporalio.api.namespace.v1 import NamespaceConfig
    from temporalio.api.workflowservice.v1 import UpdateNamespaceRequest

    if await read(client) < LEAST:
        config = NamespaceConfig(workflow_execution_retention_ttl=Duration(seconds=int(LEAST.total_seconds())))
        await client.workflow_service.update_namespace(
            UpdateNamespaceRequest(namespace=client.namespace, config=config)
        )


def warning(namespace: str, retention: timedelta) -> str | None:
    """Return what to say of a retention that is shorter than `LEAST`, and what to do; None for any other."""
    # A namespace that is kept for ever, or a server that keeps it to itself.
    if not timedelta() < retention < LEAST:
        return None
    hours, least = retention / timedelta(hours=1), LEAST / timedelta(hours=1)
    return (
        f"the namespace {namespace} keeps what has ended for {hours:g} hours, less than {least:g}: no case is lost"
        " by it, but their histories are; an operator runs"
        f" `temporal operator namespace update --namespace {namespace} --retention {least:g}h`"
    )


async def advise(client: Client) -> str | None:
    """Return the warning for the client's namespace; None where there is none, or where the server does not tell."""
    from temporalio.service import RPCError

    try:
        return warning(client.namespace, await read(client))
    except (RPCError, RuntimeError):  # RuntimeError: no connection
        return None
