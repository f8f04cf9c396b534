"""The Python client: file cases, send them commands, read them.

A case is its ledger and its workflow is the engine of it. So what the engine does not know, or knows only as
ended, is asked of the ledger where there is one at hand.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from typing import Any, Protocol, Self, TypeVar
from uuid import uuid4

from temporalio.client import (
    Client,
    WithStartWorkflowOperation,
    WorkflowExecutionStatus,
    WorkflowFailureError,
    WorkflowHandle,
    WorkflowQueryRejectedError,
    WorkflowUpdateFailedError,
    WorkflowUpdateRPCTimeoutOrCancelledError,
)
from temporalio.common import QueryRejectCondition, WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import ApplicationError, WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from cases.case import Case, closed
from cases.policy.model import Policy
from cases.registry import KINDS, kind_named, kind_of
from cases.vocabulary.commands import Sign
from cases.vocabulary.contract import OPENED, PASSING, TASK_QUEUE, missing, refusal_of
from cases.vocabulary.events import Event, canonical, lacks_text, text_at
from cases.vocabulary.facts import Intake, read_intake
from cases.vocabulary.refusals import Refused, shown
from cases.vocabulary.texts import references, resolved
from starter.connection import Unreachable as Unreachable
from starter.connection import connect
from starter.embedded import DATA

# The policy of an intake that names none.
DEFAULT_POLICY: str = Intake.model_fields["policy"].default
# Statuses of an update that was not performed and can be retried under the same id.
RETRYABLE = frozenset({RPCStatusCode.ABORTED, RPCStatusCode.FAILED_PRECONDITION, RPCStatusCode.UNAVAILABLE})
# Seconds before each new try.
PAUSES = (0.1, 0.2, 0.4, 0.8, 1.6)
# Updates of one case that are under way at the same time. The engine takes 10, from all processes together:
# beyond them it spends its time on turning updates away, and none gets through.
IN_FLIGHT = 8
# Seconds that an update waits for its turn before its sender is told to come again.
TURN = 5
# The type of the error of an update whose workflow ended before the update was done.
_CUT_SHORT = "AcceptedUpdateCompletedWorkflow"

Json = dict[str, Any]
Handle = WorkflowHandle[Any, Any]
T = TypeVar("T")


class Ledger(Protocol):
    """What the record knows of a case without its workflow; `activities.casebook.read.Casebook` is one."""

    async def case(self, case_id: str) -> Json | None:
        """Return the view of a case; None when it has none."""

    async def events(self, case_id: str) -> list[Json]:
        """Return the events of a case, in order."""

    async def policy_document(self, policy_hash: str) -> str | None:
        """Return the policy that a case was pinned to."""


class Signer(Protocol):
    """Who proves who sends what; `activities.senders.sign.Signer` is one."""

    def command(self, case_id: str, name: str, body: Mapping[str, Any], kind: type[Case] | None = None) -> Json:
        """Return a command with its proof."""

    def intake(self, kind: str, raw: Mapping[str, Any], case: type[Case] | None = None) -> Json:
        """Return an intake with its proof."""


class CaseClient:
    """A client for backend systems and tools, which can be shared between tasks.

    Args:
        client: a connection that uses Temporal's pydantic data converter; `connect` makes one.
        ledger: the casebook, where it can be read. Without it a case is known for as long as the engine keeps it.
        signer: proves who sends what is not signed yet; without it that is sent as it is.
        policies: finds a policy by name, which says what of a form is signed as a text; without it no form is signed.
    """

    def __init__(
        self,
        client: Client,
        ledger: Ledger | None = None,
        signer: Signer | None = None,
        policies: Callable[[str], Awaitable[Policy]] | None = None,
    ) -> None:
        self._client = client
        self._ledger = ledger
        self._signer = signer
        self._policies = policies
        self._turns = Turns()

    @classmethod
    async def connect(cls, data: Path = DATA) -> Self:
        """Connect to the server of the SDK's configuration (``TEMPORAL_ADDRESS``, profiles, TLS).

        Args:
            data: the data folder of ``caseladder up`` on this machine, used when no address is configured.

        Raises:
            Unreachable: the configuration cannot be used, or nobody answers.
        """
        return cls(await connect(data))

    @property
    def temporal(self) -> Client:
        """The connection to the engine."""
        return self._client

    # --- filing -----------------------------------------------------------------------------------

    async def file(self, kind: str, intake: Mapping[str, Any], *, wait: bool = True) -> Json:
        """File a case. The same key with the same content always gives the same case, open or closed.

        Args:
            kind: ``complaint``, ``inquiry``, ...
            intake: the input as plain JSON (design contract "Input").
            wait: wait until the case is open, which means that it was not refused.

        Returns:
            The case view; only ``id`` and ``status`` if ``wait`` is false.

        Raises:
            Refused: code ``unknown_kind``, ``invalid``, ``conflict`` (same key, other content), ``busy``, or a code
                of the rules. Without waiting only what is known at once.
        """
        if wait:
            view, _ = await self.open(kind, intake)
            return view
        case, case_id = _read(kind, intake)
        intake = await self._signed_intake(kind, intake)

        async def start() -> None:
            try:
                await self._client.start_workflow(case.WORKFLOW, dict(intake), **_options(case_id))
            except WorkflowAlreadyStartedError:
                with suppress(TimeoutError, WorkflowUpdateRPCTimeoutOrCancelledError):
                    async with asyncio.timeout(TURN):
                        await self._handle(case_id).execute_update(OPENED, dict(intake))

        await self._insist(case_id, start, RETRYABLE | {RPCStatusCode.NOT_FOUND})
        return {"id": case_id, "status": "opening"}

    async def open(self, kind: str, intake: Mapping[str, Any]) -> tuple[Json, bool]:
        """File a case and wait until it is open.

        A run that starts for a key which the ledger knows asks the ledger itself, so a case that has closed is
        answered as one that is open: with its view, or with ``conflict``.

        Returns:
            The case view, and whether this call has filed the case.

        Raises:
            Refused: see `file`.
        """
        case, case_id = _read(kind, intake)
        intake = await self._signed_intake(kind, intake)

        async def opened() -> tuple[Json, bool]:
            start = WithStartWorkflowOperation[Any, Any](case.WORKFLOW, dict(intake), **_options(case_id))
            try:
                answer = await self._start_and_wait(start, intake)
            except WorkflowAlreadyStartedError:
                answer = await self._handle(case_id).execute_update(OPENED, dict(intake))
                return answer["view"], False
            return answer["view"], answer["new"]

        # A run that was met may end before it is asked: then there is none, and the next try starts one.
        try:
            return await self._insist(case_id, opened, RETRYABLE | {RPCStatusCode.NOT_FOUND})
        except Refused as refusal:
            # A closed case is no obstacle to filing it again: there were only too many who did at the same time.
            raise (busy(case_id) if refusal.code == closed().code else refusal) from None

    async def _signed_intake(self, kind: str, intake: Mapping[str, Any]) -> Mapping[str, Any]:
        if self._signer is None:
            return intake
        return self._signer.intake(kind, intake, await self._form(kind, intake.get("policy", DEFAULT_POLICY)))

    async def _form(self, kind: str, policy: str) -> type[Case] | None:
        """Return a form as a policy declares it; None for what needs no policy to be known, or has none at hand."""
        if kind in KINDS or self._policies is None:
            return None
        return kind_of(kind, await self._policies(policy))

    async def _start_and_wait(self, start: WithStartWorkflowOperation[Any, Any], intake: Mapping[str, Any]) -> Json:
        try:
            answer: Json = await self._client.execute_update_with_start_workflow(
                OPENED, dict(intake), start_workflow_operation=start
            )
        except BaseException:
            # The operation stores the failure for whoever awaits its handle, and warns if nobody does.
            with suppress(BaseException):
                await start.workflow_handle()
            raise
        return answer

    # --- commands ---------------------------------------------------------------------------------

    async def command(self, case_id: str, name: str, body: Mapping[str, Any]) -> Json:
        """Send a command and wait for the decision.

        Args:
            case_id: the workflow id, ``{kind}:{key}``.
            name: the command, for example ``acknowledge``.
            body: its JSON object with ``by`` and, to make it idempotent, ``request_id``.

        Returns:
            The case view after the command.

        Raises:
            Refused: the case refused the command (code of the rules), is closed (``closed``), does not exist
                (``not_found``), has lost its workflow (``workflow_missing``), or has too much to do (``busy``).
        """
        body = await self._signed(case_id, name, body)
        handle, update_id = self._handle(case_id), _update_id(name, body)

        async def send() -> Json:
            nonlocal update_id
            try:
                view: Json = await handle.execute_update(name, dict(body), id=update_id)
            except WorkflowUpdateFailedError as error:
                if _is_passing(error):
                    # The engine would repeat this answer under the same id; the case itself knows the request id.
                    update_id = uuid4().hex
                raise
            return view

        # The server rejects an update that arrives while the case continues as new.
        return await self._insist(case_id, send, RETRYABLE)

    async def signal(self, case_id: str, name: str, body: Mapping[str, Any]) -> None:
        """Send ``approve``, ``reject``, ``escalate`` or ``acknowledge`` without waiting for the decision.

        If the case refuses the command, it records the event ``command_refused``.

        Raises:
            Refused: code ``closed``, ``not_found`` or ``workflow_missing``.
        """
        body = await self._signed(case_id, name, body)
        try:
            await self._handle(case_id).signal(name, dict(body))
        except RPCError as error:
            raise await self._explained(error, case_id) from None

    async def _signed(self, case_id: str, name: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        kind = case_id.partition(":")[0]
        if self._signer is None or kind_named(kind) is None:
            return body
        # Of all commands only this one has fields that the policy of the case declares.
        case = await self._pinned(kind, case_id) if name == Sign.NAME and kind not in KINDS else None
        return self._signer.command(case_id, name, body, case)

    async def _pinned(self, kind: str, case_id: str) -> type[Case] | None:
        """Return a form as the policy declares it that a case is pinned to."""
        view = await self.case(case_id)
        document = None if self._ledger is None else await self._ledger.policy_document(view["policy_hash"])
        if document is not None:
            return kind_of(kind, Policy.from_document(document))
        return await self._form(kind, view["policy"])

    async def _insist(self, case_id: str, send: Callable[[], Awaitable[T]], retryable: frozenset[RPCStatusCode]) -> T:
        """Send something to a case when it is its turn, and again while that is harmless and may help.

        Raises:
            Refused: what the case says; ``busy``, or why it takes nothing.
        """
        async with self._turns.of(case_id):
            began = monotonic()
            for pause in (*PAUSES, None):
                try:
                    return await send()
                except WorkflowUpdateFailedError as error:
                    if pause is None or not (_is_passing(error) or _was_cut_short(error)):
                        raise refusal_of(error.cause) or error from None
                except RPCError as error:
                    if error.status is RPCStatusCode.RESOURCE_EXHAUSTED:
                        # Other processes send to it too.
                        if pause is None or monotonic() - began > TURN:
                            raise busy(case_id) from None
                    elif pause is None or error.status not in retryable:
                        told = await self._explained(error, case_id)
                        # A case that an operator brings back has no run for a moment.
                        if pause is None or not (isinstance(told, Refused) and told.code == missing(case_id).code):
                            raise told from None
                await asyncio.sleep(pause)
        raise AssertionError("the last try answers or raises")

    async def _explained(self, error: RPCError, case_id: str) -> Exception:
        """Return what to tell a sender: for a case without a running workflow, what is the matter with it."""
        if error.status is not RPCStatusCode.NOT_FOUND:
            return error
        view = await (self._ended(case_id) if self._ledger is None else self._ledger.case(case_id))
        if view is None:
            return not_found(case_id)
        return closed() if view["status"] == "closed" else missing(case_id)

    async def _ended(self, case_id: str) -> Json | None:
        """Return at least the status with which the workflow of a case has ended; None when the engine knows none."""
        try:
            found = await self._handle(case_id).describe()
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise
            return None
        if found.status is WorkflowExecutionStatus.COMPLETED:
            # Filed again after it was cut off, it ends with the view that is recorded.
            ended = self._client.get_workflow_handle(case_id, run_id=found.run_id)
            view: Json = await ended.result(follow_runs=False)
            return view
        cut_off = found.status in (WorkflowExecutionStatus.TERMINATED, WorkflowExecutionStatus.TIMED_OUT)
        return {"status": "open" if cut_off else "closed"}

    # --- reading ----------------------------------------------------------------------------------

    async def case(self, case_id: str) -> Json:
        """Return the case view: from its workflow while that runs, else from the ledger.

        Raises:
            Refused: code ``not_found``.
        """
        view: Json | None = await self._ask(case_id, "case", lambda ledger: ledger.case(case_id))
        view = view or await self._turned_away(case_id)
        if view is None:
            raise not_found(case_id)
        return view

    async def timeline(self, case_id: str) -> list[Json]:
        """Return all events of a case, oldest first: those that are recorded, and then what its workflow has beyond.

        The ledger comes first, since it has the texts for as long as there is a case, and room for a long one.

        Raises:
            Refused: code ``not_found``.
        """
        events = await self._recorded(case_id)

        async def rest(ledger: Ledger) -> list[Json]:
            # The workflow may have ended since.
            return (await ledger.events(case_id))[len(events) :]

        while later := await self._ask(case_id, "timeline", rest, len(events)):
            if any(map(lacks_text, later)):
                # Recorded since they were read here: the run was started from the ledger, and knows no texts of before.
                recorded = await self._recorded(case_id)
                if len(recorded) > len(events):
                    events = recorded
                    continue
            events += later
        if not events and self._ledger is not None:
            await self.case(case_id)
        return events

    async def _recorded(self, case_id: str) -> list[Json]:
        """Return what the ledger has; nothing where it is away, which must not hide what the workflow knows."""
        try:
            return [] if self._ledger is None else await self._ledger.events(case_id)
        except ApplicationError as error:
            if error.type != "DatabaseAway":
                raise
            return []

    async def with_texts(self, view: Json) -> Json:
        """Return a view with the texts that it refers to, null where one was erased.

        Raises:
            Refused: code ``not_found``.
        """
        if not any(references(view)):
            return view
        events = {event["seq"]: event for event in await self.timeline(view["id"])}

        def text(seq: int, field: str) -> str | None:
            return text_at(events[seq], field) if seq in events else None

        told: Json = resolved(view, text)
        return told

    async def explain(self, case_id: str) -> list[Json]:
        """Return why each clock of a case is due when it is; see `case`.

        Raises:
            Refused: code ``not_found``.
        """

        async def recorded(ledger: Ledger) -> list[Json] | None:
            view = await ledger.case(case_id)
            document = None if view is None else await ledger.policy_document(view["policy_hash"])
            if view is None or document is None:
                return None
            events = map(Event.from_json, await ledger.events(case_id))
            policy = Policy.from_document(document)
            case = kind_of(view["kind"], policy).replay(policy, events)
            return case.explain(max(datetime.now(UTC), case.events[-1].at))

        clocks: list[Json] | None = await self._ask(case_id, "explain", recorded)
        if clocks is None:
            await self.case(case_id)
        return clocks or []

    async def _ask(
        self, case_id: str, query: str, recorded: Callable[[Ledger], Awaitable[T | None]], *args: Any
    ) -> T | None:
        """Query the workflow of a case while it runs, else ask the ledger.

        What has ended is queried only where there is no ledger: its code may be gone, and the ledger knows more.
        """
        condition = None if self._ledger is None else QueryRejectCondition.NOT_OPEN
        try:
            answer: T = await self._handle(case_id).query(query, args=args, reject_condition=condition)
        except WorkflowQueryRejectedError:
            pass
        except RPCError as error:
            if error.status is RPCStatusCode.RESOURCE_EXHAUSTED:
                raise busy(case_id) from None
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise
            if self._ledger is None:
                raise not_found(case_id) from None
        else:
            return answer
        return None if self._ledger is None else await recorded(self._ledger)

    async def _turned_away(self, case_id: str) -> Json | None:
        """Return the view of a case whose intake was refused: no ledger has it, but the engine still may."""
        try:
            found = await self._handle(case_id).describe()
            if found.status is WorkflowExecutionStatus.FAILED:
                await self._client.get_workflow_handle(case_id, run_id=found.run_id).result(follow_runs=False)
        except WorkflowFailureError as error:
            refusal = refusal_of(error.cause)
            if refusal is not None:
                return {"id": case_id, "status": "refused", "refusal": refusal.as_json()}
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise
        return None

    def _handle(self, case_id: str) -> Handle:
        return self._client.get_workflow_handle(case_id)


# --- turns ----------------------------------------------------------------------------------------


@dataclass
class _Queue:
    free: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(IN_FLIGHT))
    users: int = 0


class Turns:
    """Lets so many updates of a case through at a time as the engine takes, in the order in which they came."""

    def __init__(self) -> None:
        self._queues: dict[str, _Queue] = {}

    @asynccontextmanager
    async def of(self, case_id: str) -> AsyncIterator[None]:
        """Wait for a turn, and have it for the block.

        Raises:
            Refused: code ``busy``: it did not come in time.
        """
        queue = self._queues.setdefault(case_id, _Queue())
        queue.users += 1
        try:
            try:
                async with asyncio.timeout(TURN):
                    await queue.free.acquire()
            except TimeoutError:
                raise busy(case_id) from None
            try:
                yield
            finally:
                queue.free.release()
        finally:
            queue.users -= 1
            if not queue.users:
                del self._queues[case_id]


# --- what a sender is told ------------------------------------------------------------------------


def not_found(case_id: str) -> Refused:
    """Return what is said of a case that nobody knows."""
    return Refused("not_found", f"there is no case {case_id}")


def busy(case_id: str) -> Refused:
    """Return what is said where too much is sent to one case at a time. Nothing was changed."""
    return Refused("busy", f"{case_id} is busy: too much is sent to it at the same time; retry")


def _is_passing(error: WorkflowUpdateFailedError) -> bool:
    refusal = refusal_of(error.cause)
    return refusal is not None and refusal.code in PASSING


def _was_cut_short(error: WorkflowUpdateFailedError) -> bool:
    return isinstance(error.cause, ApplicationError) and error.cause.type == _CUT_SHORT


def _read(kind: str, intake: Mapping[str, Any]) -> tuple[type[Case], str]:
    """Return the kind and the id of a case that is to be filed.

    Raises:
        Refused: code ``unknown_kind`` or ``invalid``.
    """
    case = kind_named(kind)
    if case is None:
        raise Refused("unknown_kind", f"kind = {shown(kind)}: allowed: {', '.join(KINDS)}, and the forms of a policy")
    return case, f"{kind}:{read_intake(case.INTAKE, intake).key}"


def _options(case_id: str) -> dict[str, Any]:
    """Return how the workflow of a case is started.

    A run that ended is no obstacle, since the new one asks the ledger, which remembers for longer than the engine.
    """
    return {
        "id": case_id,
        "task_queue": TASK_QUEUE,
        "id_conflict_policy": WorkflowIDConflictPolicy.FAIL,
        "id_reuse_policy": WorkflowIDReusePolicy.ALLOW_DUPLICATE,
    }


def _update_id(name: str, body: Mapping[str, Any]) -> str:
    """Return the update id of a command, by which Temporal recognizes a repeat even after the case has ended.

    It depends on the content too: other content under the same request id must reach the case, which refuses it.
    """
    request_id = body.get("request_id")
    if request_id is None:
        return uuid4().hex
    # The proof is another at each sending.
    content = canonical({field: value for field, value in body.items() if field != "proof"})
    return hashlib.sha256(f"{name}{content}".encode()).hexdigest()
