"""The Python client: file cases, send them commands, read them."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Self
from uuid import uuid4

from temporalio.client import Client, WithStartWorkflowOperation, WorkflowHandle, WorkflowUpdateFailedError
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from cases.case import closed
from cases.registry import KINDS
from cases.vocabulary.contract import OPENED, TASK_QUEUE, refusal_of
from cases.vocabulary.events import canonical
from cases.vocabulary.facts import read_intake
from cases.vocabulary.refusals import Refused
from starter.connection import Unreachable as Unreachable
from starter.connection import connect
from starter.embedded import DATA

# Statuses of an update that was not performed and can be retried under the same id.
RETRYABLE = frozenset({RPCStatusCode.ABORTED, RPCStatusCode.FAILED_PRECONDITION, RPCStatusCode.UNAVAILABLE})
RETRIES = 5

Handle = WorkflowHandle[Any, Any]


class CaseClient:
    """A client for backend systems and tools, which can be shared between tasks.

    Args:
        client: a connection that uses Temporal's pydantic data converter; `connect` makes one.
    """

    def __init__(self, client: Client) -> None:
        self._client = client

    @classmethod
    async def connect(cls, data: Path = DATA) -> Self:
        """Connect to the server of the SDK's configuration (``TEMPORAL_ADDRESS``, profiles, TLS).

        Args:
            data: the data folder of ``caseladder up`` on this machine, used when no address is configured.

        Raises:
            Unreachable: the configuration cannot be used, or nobody answers.
        """
        return cls(await connect(data))

    # --- filing -----------------------------------------------------------------------------------

    async def file(self, kind: str, intake: Mapping[str, Any], *, wait: bool = True) -> dict[str, Any]:
        """File a case. The same key with the same content always gives the same case.

        Args:
            kind: ``complaint``, ``inquiry``, ...
            intake: the input as plain JSON (design contract "Input").
            wait: wait until the case is open, which means that it was not refused.

        Returns:
            The case view; only ``id`` and ``status`` if ``wait`` is false.

        Raises:
            Refused: code ``unknown_kind``, ``invalid``, ``conflict`` (same key, other content), or a code of the rules.
        """
        case = KINDS.get(kind)
        if case is None:
            raise Refused("unknown_kind", f"kind = {kind!r}: allowed: {', '.join(KINDS)}")
        read = read_intake(case.INTAKE, intake)
        case_id, digest = f"{kind}:{read.key}", read.digest()
        options: dict[str, Any] = {
            "id": case_id,
            "task_queue": TASK_QUEUE,
            "id_conflict_policy": WorkflowIDConflictPolicy.FAIL,
            "id_reuse_policy": WorkflowIDReusePolicy.ALLOW_DUPLICATE_FAILED_ONLY,
            "memo": {"digest": digest},
        }
        unopened = {"id": case_id, "status": "opening"}
        try:
            if not wait:
                await self._client.start_workflow(case.WORKFLOW, dict(intake), **options)
                return unopened
            start = WithStartWorkflowOperation[Any, Any](case.WORKFLOW, dict(intake), **options)
            return await self._start_and_wait(start)
        except WorkflowAlreadyStartedError:
            handle: Handle = self._client.get_workflow_handle(case_id)
            if await self._digest(handle) != digest:
                raise Refused("conflict", f"key = {read.key!r} was filed with other content") from None
            return await self._open(handle) if wait else unopened
        except WorkflowUpdateFailedError as error:
            raise _refused(error) from None

    async def _start_and_wait(self, start: WithStartWorkflowOperation[Any, Any]) -> dict[str, Any]:
        try:
            view: dict[str, Any] = await self._client.execute_update_with_start_workflow(
                OPENED, start_workflow_operation=start
            )
        except BaseException:
            # The operation stores the failure for whoever awaits its handle, and warns if nobody does.
            with suppress(BaseException):
                await start.workflow_handle()
            raise
        return view

    async def _digest(self, handle: Handle) -> str:
        """Return the digest of the intake that a case was filed with."""
        memo = await (await handle.describe()).memo()
        if "digest" in memo:
            return str(memo["digest"])
        # Started by another client, which set no memo.
        view = await self._query(handle, "case")
        return str(view.get("intake_digest", ""))

    async def _open(self, handle: Handle) -> dict[str, Any]:
        """Wait until a case that was filed before is open, and return its view."""
        try:
            view: dict[str, Any] = await handle.execute_update(OPENED)
        except WorkflowUpdateFailedError as error:
            raise _refused(error) from None
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise
            view = await self._query(handle, "case")
        return view

    # --- commands ---------------------------------------------------------------------------------

    async def command(self, case_id: str, name: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Send a command and wait for the decision.

        Args:
            case_id: the workflow id, ``{kind}:{key}``.
            name: the command, for example ``acknowledge``.
            body: its JSON object with ``by`` and, to make it idempotent, ``request_id``.

        Returns:
            The case view after the command.

        Raises:
            Refused: the case refused the command (code of the rules), is closed (``closed``), or does not
                exist (``not_found``).
        """
        handle = self._client.get_workflow_handle(case_id)
        update_id = _update_id(name, body)
        for last in (False,) * RETRIES + (True,):
            try:
                view: dict[str, Any] = await handle.execute_update(name, dict(body), id=update_id)
                return view
            except WorkflowUpdateFailedError as error:
                raise _refused(error) from None
            except RPCError as error:
                # The server rejects an update that arrives while the case continues as new.
                if last or error.status not in RETRYABLE:
                    raise await self._explained(error, case_id) from None
            await asyncio.sleep(0.1)
        raise AssertionError("the last try answers or raises")

    async def signal(self, case_id: str, name: str, body: Mapping[str, Any]) -> None:
        """Send ``approve``, ``reject``, ``escalate`` or ``acknowledge`` without waiting for the decision.

        If the case refuses the command, it records the event ``command_refused``.

        Raises:
            Refused: code ``closed`` or ``not_found``.
        """
        try:
            await self._client.get_workflow_handle(case_id).signal(name, dict(body))
        except RPCError as error:
            raise await self._explained(error, case_id) from None

    async def _explained(self, error: RPCError, case_id: str) -> Exception:
        if error.status is not RPCStatusCode.NOT_FOUND:
            return error
        try:
            await self._client.get_workflow_handle(case_id).describe()
        except RPCError:
            return Refused("not_found", f"there is no case {case_id}")
        return closed()

    # --- reading ----------------------------------------------------------------------------------

    async def case(self, case_id: str) -> dict[str, Any]:
        """Return the case view.

        Raises:
            Refused: code ``not_found``.
        """
        view: dict[str, Any] = await self._query(self._client.get_workflow_handle(case_id), "case")
        return view

    async def timeline(self, case_id: str) -> list[dict[str, Any]]:
        """Return all events of a case, oldest first.

        Raises:
            Refused: code ``not_found``.
        """
        events: list[dict[str, Any]] = await self._query(self._client.get_workflow_handle(case_id), "timeline")
        return events

    async def explain(self, case_id: str) -> list[dict[str, Any]]:
        """Return why each clock of a case is due when it is.

        Raises:
            Refused: code ``not_found``.
        """
        clocks: list[dict[str, Any]] = await self._query(self._client.get_workflow_handle(case_id), "explain")
        return clocks

    async def _query(self, handle: Handle, name: str) -> Any:
        try:
            return await handle.query(name)
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                raise Refused("not_found", f"there is no case {handle.id}") from None
            raise


def _refused(error: WorkflowUpdateFailedError) -> Exception:
    """Return the refusal that an update failed with, or the error itself if it is not a refusal."""
    return refusal_of(error.cause) or error


def _update_id(name: str, body: Mapping[str, Any]) -> str:
    """Return the update id of a command, by which Temporal recognizes a repeat even after the case has ended.

    It depends on the content too: other content under the same request id must reach the case, which refuses it.
    """
    request_id = body.get("request_id")
    if request_id is None:
        return uuid4().hex
    return hashlib.sha256(f"{name}{canonical(dict(body))}".encode()).hexdigest()
