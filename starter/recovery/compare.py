"""Whether the engine and the ledger tell the same: see ``caseladder audit compare`` and docs/operations.md."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from temporalio.client import Client

from activities.casebook.held import PAGE, Held
from activities.casebook.read import Casebook
from activities.casebook.texts import PERSONAL
from activities.database.database import Database
from cases.registry import numbered_later
from cases.vocabulary.contract import UnreadablePayload
from cases.vocabulary.events import texts_of
from cases.vocabulary.texts import is_reference, put
from starter import retention
from starter.recovery.history import Remembered, recall
from starter.recovery.recovery import LOOK_AGAIN, of_cases

Json = dict[str, Any]
# So many cases are read at a time, and so many more wait for their second look.
AT_A_TIME, WAITING = 12, 200
# A workflow ends when its case has closed or later, so the engine has it for the retention at least, but for what the
# clocks of the two servers differ.
MARGIN = timedelta(hours=1)
_ENVELOPE = ("type", "at", "recorded_at", "actor", "clauses")

# What can be wrong. `cut`: the ledger has told the engine that it has the event. `never_recorded`: it has not, and no
# run is there to record it.
What = Literal[
    "differs", "cut", "never_recorded", "not_in_engine", "unreadable", "encrypted", "no_case", "no_workflow",
    "workflow_ended",
]  # fmt: skip
_SAID: Mapping[What, str] = {
    "differs": "is not what the engine has: {}",
    "cut": "is not in the ledger, which had it",
    "never_recorded": "is in no ledger, and its run has ended",
    "not_in_engine": "is in the ledger, and the engine knows nothing of it",
    "unreadable": "what the ledger has of it cannot be read",
    "encrypted": "what the engine has of it is encrypted with a key that CASELADDER_PAYLOAD_KEYS does not have here",
    "no_case": "the engine has its workflow, and the ledger no case",
    "no_workflow": "the ledger has the case, and the engine no workflow",
    "workflow_ended": "the case is open in the ledger, and its workflow has ended",
}


@dataclass(frozen=True, order=True)
class Difference:
    """One thing in which the engine and the ledger differ. Names fields, and never what stands in them.

    Args:
        seq: of the event, 0 for the case as a whole.
        fields: of the event, or ``number``, where it differs.
        last: the last of several events in a row of which it is so.
    """

    seq: int
    what: What
    fields: tuple[str, ...] = ()
    last: int = 0

    def __str__(self) -> str:
        said = _SAID[self.what].format(", ".join(self.fields))
        if not self.seq:
            return said
        return f"events {self.seq} to {self.last}: each {said}" if self.last else f"event {self.seq} {said}"


@dataclass(frozen=True)
class Compared:
    """What became of one case.

    Args:
        events: how many events both have.
        waiting: how many the engine has that are still to be recorded.
        not_held: how many the ledger has that lie before what the engine still holds.
        differences: in the order of the events.
    """

    case_id: str
    events: int = 0
    waiting: int = 0
    not_held: int = 0
    differences: tuple[Difference, ...] = ()


class Comparison:
    """Compares every case that the engine still holds. Reads only, needs no worker, and holds few cases at a time."""

    def __init__(self, client: Client, database: Database) -> None:
        self._client, self._casebook, self._held = client, Casebook(database), Held(database)
        self._reading = asyncio.Semaphore(AT_A_TIME)
        # What has closed after this instant, the engine must still have.
        self._since = datetime.now(UTC)

    async def run(self, case_ids: Sequence[str] = ()) -> AsyncIterator[Compared]:
        """Compare several cases at a time, and yield what became of each, in no order.

        Args:
            case_ids: only these; without any, all that the engine holds or must hold.
        """
        # What has ended is kept for so long; 0 where it is for ever, or the server keeps it to itself.
        kept = await retention.read(self._client)
        self._since = datetime.now(UTC) - max(kept - MARGIN, timedelta())
        under_way: set[asyncio.Task[Compared]] = set()
        try:
            async for case_id in _named(case_ids) if case_ids else self._all():
                under_way.add(asyncio.create_task(self.compare(case_id)))
                if len(under_way) >= AT_A_TIME + WAITING:
                    done, under_way = await asyncio.wait(under_way, return_when=asyncio.FIRST_COMPLETED)
                    for task in done:
                        yield await task
            for finished in asyncio.as_completed(under_way):
                yield await finished
        finally:
            for task in under_way:
                task.cancel()

    async def _all(self) -> AsyncIterator[str]:
        """Yield the cases that the engine must have, then those that it has besides."""
        after = ""
        while page := await self._held.after(after, self._since):
            for case_id in page:
                yield case_id
            after = page[-1]
        # A case has several runs there, when it was continued as new.
        besides: set[str] = set()
        ids: list[str] = []
        async for found in self._client.list_workflows(of_cases()):
            ids.append(found.id)
            if len(ids) == PAGE:
                for case_id in await self._unknown(ids, besides):
                    yield case_id
                ids = []
        for case_id in await self._unknown(ids, besides):
            yield case_id

    async def _unknown(self, ids: Sequence[str], seen: set[str]) -> list[str]:
        known = await self._held.among(ids, self._since)
        fresh = [case_id for case_id in dict.fromkeys(ids) if case_id not in known and case_id not in seen]
        seen.update(fresh)
        return fresh

    async def compare(self, case_id: str) -> Compared:
        """Compare one case; twice, where the first look finds a difference, for it may have gone on meanwhile."""
        found = await self._look(case_id)
        if found.differences:
            await asyncio.sleep(LOOK_AGAIN)
            again = await self._look(case_id)
            lasting = [one for one in again.differences if one in found.differences]
            return replace(again, differences=tuple(_in_rows(lasting)))
        return found

    async def _look(self, case_id: str) -> Compared:
        async with self._reading:
            # The ledger first: whatever it has then, the engine had before.
            view = await self._casebook.case(case_id)
            try:
                _check_view(view)
                ledger = _by_seq(await self._casebook.events(case_id, erased=""))
            except (ValueError, TypeError, AttributeError, KeyError):
                # Who forges an event or a case file may write what they like there.
                return Compared(case_id, differences=(Difference(0, "unreadable"),))
            try:
                engine = await recall(self._client, case_id)
            except UnreadablePayload:
                return Compared(case_id, differences=(Difference(0, "encrypted"),))
            personal = None if engine is None else engine.personal
            same = not (personal and 1 in ledger) or await self._held.commits_to(case_id, personal)
        differences = [*self._of_the_case(case_id, view, bool(ledger), engine)]
        if not same:
            differences.append(Difference(1, "differs", (PERSONAL,)))
        if engine is None or not engine.events or (view is None and not ledger and engine.confirmed):
            return Compared(case_id, not_held=len(ledger), differences=tuple(differences))
        ends = max(engine.events)
        both, waiting, not_held = 0, 0, 0
        for seq in sorted({*ledger, *engine.events}):
            if seq in ledger and seq in engine.events:
                both += 1
                if fields := differing(engine.events[seq], ledger[seq]):
                    differences.append(Difference(seq, "differs", fields))
            elif seq in ledger and seq > ends:
                differences.append(Difference(seq, "not_in_engine"))
            elif seq in ledger:
                not_held += 1
            elif seq <= engine.confirmed or seq <= max(ledger, default=0):
                differences.append(Difference(seq, "cut"))
            elif engine.running:
                waiting += 1
            else:
                differences.append(Difference(seq, "never_recorded"))
        return Compared(case_id, both, waiting, not_held, tuple(sorted(differences)))

    def _of_the_case(
        self, case_id: str, view: Json | None, in_ledger: bool, engine: Remembered | None
    ) -> Iterator[Difference]:
        """Yield what differs of a case as a whole."""
        if view is None:
            # What was only filed, or refused, or rehearsed, has recorded nothing; nor has what waits for its number.
            if in_ledger or (engine is not None and engine.confirmed):
                yield Difference(0, "no_case")
            return
        is_open = view["status"] != "closed"
        if engine is None:
            if is_open or datetime.fromisoformat(view["closed_at"]) > self._since:
                yield Difference(0, "no_workflow")
        elif is_open and not engine.running:
            yield Difference(0, "workflow_ended")
        # Where events say the number, they are compared, and `caseladder verify` holds the case file against them.
        number = None if engine is None or numbered_later(case_id.partition(":")[0]) else engine.number
        if number is not None and number != view["number"]:
            yield Difference(0, "differs", ("number",))


async def _named(case_ids: Sequence[str]) -> AsyncIterator[str]:
    for case_id in case_ids:
        yield case_id


def _check_view(view: Json | None) -> None:
    """Check that a view has what a comparison looks at.

    Raises:
        ValueError, TypeError, KeyError: it has not.
    """
    if view is None:
        return
    if not isinstance(view["status"], str) or "number" not in view:
        raise TypeError("no view")
    if view["status"] == "closed" and datetime.fromisoformat(view["closed_at"]).tzinfo is None:
        raise ValueError("no time zone")


def _by_seq(events: Sequence[Json]) -> dict[int, Json]:
    """Return events by their seq.

    Raises:
        TypeError: one of them is none.
    """
    for event in events:
        if not (isinstance(event, dict) and isinstance(event.get("seq"), int) and isinstance(event.get("data"), dict)):
            raise TypeError("no event")
    return {event["seq"]: event for event in events}


def _in_rows(differences: Sequence[Difference]) -> Iterator[Difference]:
    """Put events in a row of which the same is so together."""
    row: Difference | None = None
    for one in differences:
        if row is not None and (row.what, row.fields, (row.last or row.seq) + 1) == (one.what, one.fields, one.seq):
            row = replace(row, last=one.seq)
            continue
        if row is not None:
            yield row
        row = one
    if row is not None:
        yield row


def differing(engine: Json, ledger: Json) -> tuple[str, ...]:
    """Return the names of the fields in which an event differs, from public event JSON.

    A text counts only where both know it: a run that was started from the ledger has an empty one in its place, or a
    reference to what was said before, and the ledger has an empty one where it was erased.
    """
    fields = [name for name in _ENVELOPE if engine.get(name) != ledger.get(name)]
    known, recorded = texts_of(engine), texts_of(ledger)
    unknown = {
        path: None
        for path in known.keys() & recorded.keys()
        if any(text == "" or is_reference(text) for text in (known[path], recorded[path]))
    }
    told, kept = put(engine["data"], unknown), put(ledger["data"], unknown)
    for name, value in told.items():
        if name not in kept or kept[name] != value:
            fields.append(f"data.{name}")
    # Names that only the ledger has may be anything, so they are not told.
    if {*kept} - {*told}:
        fields.append("data")
    return tuple(fields)
