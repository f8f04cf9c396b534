"""What the engine still knows of a case: read out of the histories of its runs, by any build, without a worker."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from temporalio.api.common.v1 import Payload, WorkflowExecution
from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent, WorkflowExecutionStartedEventAttributes
from temporalio.api.workflowservice.v1 import GetWorkflowExecutionHistoryReverseRequest
from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.common import RawValue
from temporalio.service import RPCError, RPCStatusCode

from activities.messages import LOAD, RECORD, Request, Sent
from cases import rules
from cases.policy.model import Policy
from cases.registry import kind_named, kind_of
from cases.vocabulary.contract import OPENED, RECORD_AGAIN, UnreadablePayload
from cases.vocabulary.events import fingerprint, lacks_text
from cases.vocabulary.facts import read_again, read_intake
from cases.vocabulary.refusals import Refused
from workflows import state

Json = dict[str, Any]


@dataclass(frozen=True)
class Answered:
    """A command that was answered with success: until then the case had so many events."""

    command: str
    by: str
    at: datetime
    events: int

    def __str__(self) -> str:
        return f"{self.command} by {self.by}, answered {self.at.isoformat(timespec='seconds')} as event {self.events}"


@dataclass
class Remembered:
    """What the histories of a case tell.

    Args:
        run: the id of the first run of those that had the case last, by which it is held.
        last_run: the id of the last run.
        running: whether that goes on.
        events: public event JSON by seq, as far as histories reach back; free texts may be missing.
        sent: what senders proved, by the last seq of it.
        confirmed: up to which seq the ledger has told that it has them, as far as histories reach back.
        answered: commands, in the order of their answers.
        signals: names of signals, with the instants at which they came.
        unrecorded: those that the last run that had the case heard after it last recorded anything.
        from_ledger: whether the last run that had it was told to go on from the ledger.
        begun: whether the last run has done anything yet.
        rules: by which it was started (`cases.rules.marker`).
        filed: the intake that the last run was to open the case with, as long as it runs and has not done so.
    """

    run: str
    last_run: str
    running: bool
    number: str | None = None
    policy_document: str | None = None
    personal: Json | None = None
    intake: str | None = None
    events: dict[int, Json] = field(default_factory=dict)
    confirmed: int = 0
    requests: dict[str, Request] = field(default_factory=dict)
    sent: dict[int, Sent] = field(default_factory=dict)
    answered: list[Answered] = field(default_factory=list)
    signals: list[tuple[str, datetime]] = field(default_factory=list)
    unrecorded: list[tuple[str, datetime]] = field(default_factory=list)
    from_ledger: bool = False
    begun: bool = False
    rules: set[str] = field(default_factory=set)
    filed: Json | None = None

    @property
    def alive(self) -> bool:
        """Whether a run has the case, or is about to take it over; one that only asks whose case it is has none."""
        return self.running and (self.from_ledger or bool(self.events))

    @property
    def is_of_other_rules(self) -> bool:
        """Whether the last run goes by other rules than this build; one that has not begun goes by any."""
        return self.begun and rules.marker() not in self.rules


async def recall(client: Client, case_id: str, beyond: int = 0) -> Remembered | None:
    """Read what the engine knows of a case, from its last run back to where the ledger ends.

    Args:
        beyond: how many events the ledger has, so that no run is read that tells of nothing later.

    Returns:
        None when the engine does not know the case.

    Raises:
        UnreadablePayload: what it has is encrypted with a key that this process does not have.
    """
    try:
        description = await client.get_workflow_handle(case_id).describe()
    except RPCError as error:
        # It takes no id that is too long, so it knows none.
        if error.status not in (RPCStatusCode.NOT_FOUND, RPCStatusCode.INVALID_ARGUMENT):
            raise
        return None
    found = Remembered("", description.run_id, description.status is WorkflowExecutionStatus.RUNNING)
    run: str | None = description.run_id
    # All runs, once the chain of the last one has not told enough: a case that was started again, or filed a second
    # time, has others.
    all_runs: list[str] | None = None
    read: set[str] = set()
    while run:
        read.add(run)
        try:
            run = await _read(client, case_id, run, found)
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise
            run = None
        if _is_enough(found, beyond):
            break
        if run is None:
            all_runs = await _runs(client, case_id) if all_runs is None else all_runs
            run = next((other for other in all_runs if other not in read), None)
    return found


async def unheard(client: Client, case_id: str, run: str) -> list[tuple[str, list[RawValue]]]:
    """Return the signals that came to a run after the last thing that it did, in their order: it never heard them."""
    found: list[tuple[str, list[RawValue]]] = []
    execution = WorkflowExecution(workflow_id=case_id, run_id=run)
    request = GetWorkflowExecutionHistoryReverseRequest(namespace=client.namespace, execution=execution)
    while True:
        page = await client.workflow_service.get_workflow_execution_history_reverse(request)
        for event in page.history.events:
            if event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED:
                return found[::-1]
            if event.event_type == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED:
                came = event.workflow_execution_signaled_event_attributes
                # One that nobody here can decrypt is refused by the case, and so recorded.
                found.append((came.signal_name, [*map(RawValue, await _decoded(client, came.input.payloads))]))
        request.next_page_token = page.next_page_token
        if not page.next_page_token:
            return found[::-1]


async def _runs(client: Client, case_id: str) -> list[str]:
    """Return the ids of all runs of a case, the last one first."""
    runs = [found async for found in client.list_workflows(f"WorkflowId = '{case_id}'")]
    return [found.run_id for found in sorted(runs, key=lambda found: found.start_time, reverse=True)]


def _is_enough(found: Remembered, beyond: int) -> bool:
    events = found.events
    if not events or min(events) > beyond + 1 or not (beyond or (found.policy_document and found.intake)):
        return False
    return not any(lacks_text(event) for seq, event in events.items() if seq > beyond)


async def _read(client: Client, case_id: str, run: str, found: Remembered) -> str | None:
    """Read one run; return the id of the run before it."""
    events: list[HistoryEvent] = [
        event async for event in client.get_workflow_handle(case_id, run_id=run).fetch_history_events()
    ]
    started = events[0].workflow_execution_started_event_attributes
    start = await _json(client, started.input.payloads)
    # What this run was handed stands below what it recorded itself, and below what a later run tells.
    told: dict[int, Json] = {}
    # Only what a run has handed to the next one is believed: whoever starts a workflow can write what they like there.
    if _goes_on(started) and state.REHEARSAL not in start:
        _carried(case_id, start, told, found)
    scheduled: dict[int, str] = {}
    # Up to which event each call was to record.
    ends: dict[int, int] = {}
    asked: dict[int, tuple[str, Json]] = {}
    answered: list[Answered] = []
    # Signals since anything was recorded: those that came, and of them those that were heard.
    came: list[tuple[str, datetime]] = []
    heard: list[tuple[str, datetime]] = []
    for event in events:
        match event.event_type:
            case EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED:
                ordered = event.activity_task_scheduled_event_attributes
                scheduled[event.event_id] = ordered.activity_type.name
                if ordered.activity_type.name == RECORD:
                    ends[event.event_id] = _recorded(await _json(client, ordered.input.payloads), told, found)
                    came, heard = [], []
            case EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED:
                done = event.activity_task_completed_event_attributes
                result = await _json(client, done.result.payloads)
                if scheduled.get(done.scheduled_event_id) == LOAD:
                    _loaded(result, told, found)
                elif scheduled.get(done.scheduled_event_id) == RECORD:
                    found.number = found.number or result.get("number")
                    found.confirmed = max(found.confirmed, ends[done.scheduled_event_id])
            case EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED:
                found.begun, heard = found.begun or run == found.last_run, [*came]
            case EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW:
                # The next run has it all.
                heard = []
            case EventType.EVENT_TYPE_MARKER_RECORDED if run == found.last_run:
                # `workflow.patched` is one such marker.
                for details in event.marker_recorded_event_attributes.details.values():
                    found.rules.add(str((await _json(client, details.payloads)).get("id")))
            case EventType.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED:
                accepted = event.workflow_execution_update_accepted_event_attributes.accepted_request.input
                asked[event.event_id] = (accepted.name, await _json(client, accepted.args.payloads))
            case EventType.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_COMPLETED:
                completed = event.workflow_execution_update_completed_event_attributes
                name, body = asked.get(completed.accepted_event_id, ("", {}))
                view = await _json(client, completed.outcome.success.payloads)
                if name and name not in (OPENED, RECORD_AGAIN) and "events" in view:
                    at = event.event_time.ToDatetime(UTC)
                    answered.append(Answered(name, str((body.get("by") or {}).get("id")), at, view["events"]))
            case EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED:
                name = event.workflow_execution_signaled_event_attributes.signal_name
                came.append((name, event.event_time.ToDatetime(UTC)))
                found.signals.append(came[-1])
    found.answered = answered + found.answered
    if found.running and run == found.last_run and not told and "facts" in start:
        found.filed = start
    if not found.run and (told or state.FROM_LEDGER in start):
        found.run, found.from_ledger = started.first_execution_run_id, state.FROM_LEDGER in start
        found.unrecorded = heard
    # A run that had the case before knows of nothing after what the later one went on from: that was cut off.
    end = max(found.events, default=max(told, default=0))
    for seq, one in told.items():
        later = found.events.get(seq)
        if seq <= end if later is None else lacks_text(later) and fingerprint(later) == fingerprint(one):
            found.events[seq] = one
    return started.continued_execution_run_id or None


def _goes_on(started: WorkflowExecutionStartedEventAttributes) -> bool:
    """Whether a run goes on from another, as `workflows.state.read_start` has it."""
    return bool(started.continued_execution_run_id) and not started.cron_schedule and started.attempt <= 1


def _carried(case_id: str, raw: Json, told: dict[int, Json], found: Remembered) -> None:
    carried = raw.get(state.CARRIED)
    if carried is None:
        return
    told.update((event["seq"], event) for event in state.unpack_json(carried["events"]))
    filed = {name: value for name, value in raw.items() if name not in (state.CARRIED, "rehearsal")}
    # A later build may have filed what this one does not read.
    with suppress(Refused):
        kind, policy = case_id.partition(":")[0], Policy.from_document(carried["policy_document"])
        case = kind_of(kind, policy)
        # As its run read it, which did not know the policy of a form yet.
        intake = read_again(read_intake((kind_named(kind) or case).INTAKE, filed), case.INTAKE)
        found.personal, found.intake = intake.personal(), intake.digest()
    found.confirmed = max(found.confirmed, carried["recorded"])
    found.policy_document = found.policy_document or carried["policy_document"]
    found.number = found.number or carried["number"]
    found.sent.update((one.seq, one) for one in state.unpack_sent(carried.get("sent", "")))
    for id, seen in carried["seen"].items():
        # Under a salt it comes from the ledger.
        if seen["seq"] is not None and not seen["salt"]:
            found.requests.setdefault(id, Request(seen["seq"], id, seen["digest"]))


def _recorded(batch: Json, told: dict[int, Json], found: Remembered) -> int:
    for event in batch["events"]:
        told[event["seq"]] = event
    found.policy_document = batch.get("policy_document") or found.policy_document
    found.personal = batch.get("personal") or found.personal
    found.intake = batch.get("intake") or found.intake
    found.number = found.number or batch.get("number")
    found.sent.update((one["seq"], Sent(**one)) for one in batch.get("sent") or ())
    for request in batch.get("requests") or ():
        found.requests.setdefault(request["id"], Request(**request))
    return max((event["seq"] for event in batch["events"]), default=0)


def _loaded(part: Json, told: dict[int, Json], found: Remembered) -> None:
    for event in state.unpack_json(part["events"]):
        told.setdefault(event["seq"], event)
        found.confirmed = max(found.confirmed, event["seq"])
    found.policy_document = found.policy_document or part.get("policy_document")
    found.number = found.number or part.get("number")


async def _json(client: Client, payloads: Iterable[Payload]) -> Json:
    """Return the one JSON object among payloads, or an empty one.

    Raises:
        UnreadablePayload: one is encrypted, and not with a key that is known here.
    """
    converter = client.data_converter.payload_converter
    for payload in await _decoded(client, payloads):
        try:
            value = converter.from_payload(payload)
        except UnreadablePayload:
            raise
        except Exception:
            # Whoever started or asked a case wrote it, and the case has refused it: it tells nothing.
            continue
        if isinstance(value, Mapping):
            return dict(value)
    return {}


async def _decoded(client: Client, payloads: Iterable[Payload]) -> list[Payload]:
    codec = client.data_converter.payload_codec
    return [*payloads] if codec is None else await codec.decode([*payloads])
