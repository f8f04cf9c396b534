"""200 cases of all kinds in random states live through a ledger that is set back, a lost engine, new rules and the old.

What must hold is read in what was recorded before: nothing of it may be missing afterwards, no clock may be due at
another instant, and no number, payment or notice may come twice.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import pytest
from temporalio.client import WorkflowExecutionStatus

from activities.database.migrate import migrate
from activities.notify.recipients import stable_id
from cases.case import Case
from cases.kinds.complaint import Complaint
from cases.policy.model import Policy
from cases.registry import KINDS
from cases.rules import RULES
from cases.vocabulary.events import Event
from cases.vocabulary.refusals import Refused
from starter.client import CaseClient
from tests.postgres import cluster
from tests.seed import SEED
from tests.temporal import eventually, time_skipping
from tests.workflows.backend import Backend, Json
from tests.workflows.disasters import (
    Installation,
    ask,
    clocks,
    go_on,
    investigates,
    message_id,
    program,
    recover,
    says_more,
    sent,
    stop_at,
    wanted,
)
from tests.workflows.make_histories import claim, inquiry

pytestmark = [pytest.mark.long, pytest.mark.alone]

T = TypeVar("T")
# How many of each kind; 200 together.
HOW_MANY = {"complaint": 80, "claim": 60, "exception": 30, "inquiry": 14, "handover": 6, "swap": 6, "summary": 4}
# What only says how something outside came out.
OUTCOMES = (
    "notified", "report_sent", "opening_done", "paid", "payout_failed", "payout_waiting", "waybill_looked_up",
)  # fmt: skip
PEOPLE = {role: {"id": f"{role}-1", "role": role} for role in
          ("agent", "supervisor", "qa_manager", "general_manager", "customer", "project_manager")}  # fmt: skip
HOUR = timedelta(hours=1)

# A command, who sends it, and its fields; an instant is so long after it is sent.
Step = tuple[str, str, Mapping[str, Any]]
ANY: Sequence[Step] = (
    ("note", "agent", {"text": "the customer called 两次"}),
    ("promise", "agent", {"reply_by": 3 * HOUR}),
    ("escalate", "supervisor", {"reason": "angry"}),
    ("log_contact", "agent", {"reached": False, "reason": "phone off"}),
    ("log_contact", "agent", {"reached": True}),
    ("request_approval", "agent", {"subject": "refund", "amount": "150.00"}),
    ("approve", "supervisor", {"subject": "refund"}),
    ("assign", "supervisor", {"to": {"id": "agent-2", "role": "agent"}}),
    ("attach", "agent", {"name": "photo.jpg", "sha256": "0" * 64, "where": "archive"}),
    ("reply", "agent", {"stage": "interim", "text": "soon"}),
)
# What a life of a kind may come to, in this order; each step may be left out.
LIVES: Mapping[str, Sequence[Step]] = {
    "complaint": (
        ("acknowledge", "agent", {}),
        ("investigate", "agent", {"finding": "sorted wrongly", "justified": True}),
        ("open_claim", "agent", {}),
        ("propose", "agent", {"options": ["resend", "refund"]}),
        ("answer_option", "customer", {"accepted": True}),
        ("reply", "agent", {"stage": "answer", "text": "on its way"}),
        ("resolve", "general_manager", {"summary": "delivered"}),
        ("follow_up", "agent", {"satisfied": True}),
        ("close", "general_manager", {}),
    ),
    "claim": (
        ("acknowledge", "agent", {}),
        ("answer_claim", "agent", {"text": "within 30 days"}),
        ("assess", "agent", {"cause": "company"}),
        ("offer", "agent", {}),
        ("approve", "general_manager", {"subject": "offer"}),
        ("accept_offer", "customer", {}),
        ("close", "agent", {}),
    ),
    "exception": (
        ("acknowledge", "agent", {}),
        ("confirm_phone_notice", "agent", {"roles": ["supervisor", "qa_manager", "general_manager"]}),
        ("inform_customer", "agent", {"text": "we look into it"}),
        ("find", "qa_manager", {"cause": "a pallet fell"}),
        ("settle", "agent", {"amount": "100.00"}),
        ("correct", "agent", {"action": "straps are used"}),
        ("resolve", "general_manager", {}),
        ("close", "general_manager", {}),
    ),
    "inquiry": (("reply", "agent", {"stage": "answer", "text": "it arrives tomorrow"}),),
    "handover": (("note", "agent", {"text": "the scanner is broken"}), ("sign", "agent", {})),
    "swap": (("agree", "agent", {}),),
    "summary": (("sign", "project_manager", {"text": "the trucks are serviced weekly"}),),
}


def filed(kind: str, number: int, chance: random.Random) -> tuple[str, Json]:
    """Return the key and the content of a case that was received some time ago."""
    now = datetime.now(UTC)
    received = now - chance.choice([timedelta(0), chance.random() * HOUR, chance.random() * 40 * HOUR])
    parcel = {"waybill": f"W-{number}", "posted_on": (now - timedelta(days=3)).date().isoformat()}
    facts: Json
    match kind:
        case "complaint":
            facts = {
                "category": chance.choice(["delay", "damage", "attitude"]),
                "severity": chance.choice(["normal", "serious"]),
                "source": chance.choice(["customer", "network"]),
                "customer": {"name": "Zhang San", "phone": "13800000000"},
                "shipment": parcel,
            }
        case "claim":
            insured = {"insured_amount": "500.00"} if chance.random() < 0.4 else {}
            facts = claim(waybill=f"W-claim-{number}", **insured)
        case "exception":
            facts = {"source": chance.choice(["customer_complaint", "self_found"]), "category": "damage"}
            facts |= {"known_at": received.isoformat(), "estimated_amount": "900.00"}
        case "inquiry":
            facts = inquiry(parcel["posted_on"])
        case "handover":
            facts = {"shift": f"K-{number}", "outgoing": PEOPLE["agent"], "unit": "north"}
            facts |= {"relief": {"id": "agent-2", "role": "agent"}, "shift_ends_at": (now + 2 * HOUR).isoformat()}
        case "swap":
            begins = now + timedelta(days=2)
            shift = {"id": f"S-{number}", "starts_at": begins.isoformat(), "ends_at": (begins + 8 * HOUR).isoformat()}
            facts = {"initiator": {"id": "agent-2", "role": "agent"}, "counterparty": PEOPLE["agent"], "given": shift}
        case _:
            month = f"2025-{number % 12 + 1:02}"
            return month, {"key": month, "facts": {"month": month, "total": 0, "counts": {}, "exceptions": []}}
    when = {} if kind in ("handover", "swap") else {"received_at": received.isoformat()}
    return f"K-{number}", {"key": f"K-{number}", "facts": facts, **when}


@dataclass
class Life:
    """A case of the test and what is done to it: its own steps in order, and others between."""

    kind: str
    key: str
    intake: Json
    chance: random.Random
    ahead: list[Step] = field(default_factory=list)
    asked: int = 0
    # What was answered last: sent again, it must change nothing.
    last: tuple[str, Json] | None = None

    @property
    def id(self) -> str:
        return f"{self.kind}:{self.key}"

    async def move(self, backend: Backend, steps: int) -> None:
        """Do some of what is ahead; what the case refuses, it refuses."""
        for _ in range(steps):
            ahead = self.kind in ("inquiry", "handover", "swap", "summary") or self.chance.random() < 0.7
            name, role, raw = (self.ahead.pop(0) if self.ahead else ANY[0]) if ahead else self.chance.choice(ANY)
            self.asked += 1
            body = {"by": PEOPLE[role], "request_id": f"r-{self.asked}"} | {
                field: (datetime.now(UTC) + value).isoformat() if isinstance(value, timedelta) else value
                for field, value in raw.items()
            }
            try:
                if name == "escalate" and self.chance.random() < 0.5:
                    await backend.client.signal(self.id, name, body)
                else:
                    await backend.client.command(self.id, name, body)
                    self.last = name, body
            except Refused:
                pass


class Town:
    """All cases, on whatever backend runs at the moment, and what the ledger had of them before a disaster."""

    def __init__(self, lives: Sequence[Life]) -> None:
        self.lives = [*lives]
        self.backends: list[Backend] = []
        self.sent: set[str] = set()
        # What the ledger had, by id.
        self.events: dict[str, list[Json]] = {}
        self.numbers: dict[str, str] = {}
        # When cases were due next as an engine was lost; and those of which it alone knew something.
        self.due: dict[str, datetime | None] = {}
        self.forgotten: set[str] = set()

    @property
    def backend(self) -> Backend:
        """The one that runs."""
        return self.backends[-1]

    async def each(self, do: Callable[[Life], Awaitable[T]], lives: Sequence[Life] | None = None) -> list[T]:
        """Do something with each case, several at a time."""
        return await each(self.lives if lives is None else lives, do)

    async def file(self, lives: Sequence[Life]) -> None:
        """File cases."""
        await self.each(lambda life: self.backend.client.file(life.kind, life.intake), lives)

    async def move(self, most: int, lives: Sequence[Life] | None = None) -> None:
        """Let things happen to cases."""
        await self.each(lambda life: life.move(self.backend, life.chance.randint(0, most)), lives)

    async def settled(self) -> None:
        """Wait until the ledger has all that the cases know and nothing is owed; keep it in mind."""
        # Sent by now; what is recorded when all is settled must account for it.
        self.sent = sent(self.backends)
        seen: set[str] = set()
        # A complaint may have opened a claim meanwhile.
        while fresh := sorted(({life.id for life in self.lives} | await self._known()) - seen):
            for id, (number, events) in zip(fresh, await each(fresh, self._settled), strict=True):
                self.numbers[id], self.events[id] = number, events
            seen |= {*fresh}

    async def _known(self) -> set[str]:
        """The ids of all cases that the ledger has, and of the claims that they have opened."""
        opened = "SELECT body::jsonb -> 'data' ->> 'case' FROM case_event WHERE type = 'opening_done'"
        query = f"SELECT case_id FROM case_file UNION {opened}"
        return {id for (id,) in await ask(self.backend.database, query)}

    async def _settled(self, id: str) -> tuple[str, list[Json]]:
        async def look() -> tuple[Json | None, list[Json], int, int]:
            # Looking costs the worker its time.
            await asyncio.sleep(0.2)
            view, events = await self.backend.book.case(id), await self.backend.book.events(id)
            if view is None:
                return None, events, 0, 0
            known = events if view["status"] == "closed" else await self.backend.timeline(self.backend.handle(id))
            return view, events, len(known), len((await self.replayed(view, events)).owed())

        view, events, _, _ = await eventually(
            look, lambda seen: seen[0] is not None and len(seen[1]) == seen[2] and not seen[3], seconds=90
        )
        assert view is not None
        return view["number"], events

    async def replayed(self, view: Json, events: Sequence[Json]) -> Case:
        """The case that these events made."""
        document = await self.backend.book.policy_document(view["policy_hash"])
        assert document is not None
        return KINDS[view["kind"]].replay(Policy.from_document(document), map(Event.from_json, events))

    async def remember(self) -> None:
        """Keep in mind what the ledger has, and what an engine that is lost now knows beyond it."""
        for (id,) in await ask(self.backend.database, "SELECT case_id FROM case_file"):
            self.events[id] = await self.backend.book.events(id)
            view = await self.backend.book.case(id)
            assert view is not None
            self.numbers[id] = view["number"]
            if view["status"] != "closed":
                known = await self.backend.timeline(self.backend.handle(id))
                self.due[id] = (await self.replayed(view, known)).due()
                beyond = known[len(self.events[id]) :]
                if any(event["type"] not in OUTCOMES and not _by_outcome(event) for event in beyond):
                    self.forgotten.add(id)

    def lose(self) -> None:
        """Take note of the cases that moved after the ledger had gone away: nobody can know what the engine told."""
        now = datetime.now(UTC)
        self.forgotten |= {id for id, due in self.due.items() if due is not None and due <= now}
        # Else the mails would prove nothing.
        assert len(self.forgotten) < len(self.events) / 4

    # --- what must hold ---------------------------------------------------------------------------

    async def check(self) -> None:
        """Nothing of what was recorded is missing, nothing was done twice, every clock is due when it was."""
        rows = await ask(self.backend.database, "SELECT case_id FROM case_file")
        assert {id for (id,) in rows} >= self.events.keys()
        await each(sorted(self.events), self._check_case)
        given = await ask(self.backend.database, "SELECT kind, number, case_id FROM case_number_given")
        assert len({(kind, number) for kind, number, _ in given}) == len({id for *_, id in given}) == len(given)
        answer = await program(self.backend, "audit", "verify", "--json")
        assert answer.json["ok"]

    async def _check_case(self, id: str) -> None:
        book, before = self.backend.book, self.events[id]

        async def look() -> tuple[Json, list[Json]]:
            return await book.case(id) or {}, await book.events(id)

        # Time goes on between the two.
        view, events = await eventually(look, lambda seen: seen[0]["events"] == len(seen[1]))
        assert events[: len(before)] == before
        assert view["number"] == self.numbers[id]
        assert Counter(event["type"] for event in events)["paid"] <= 1
        then, now = (await self.replayed(view, before)).view(), (await self.replayed(view, events)).view()
        assert clocks(now) == clocks(view)
        touched = {name for event in events[len(before) :] for name in _touched(event)}
        # What ends a case ends its clocks.
        for name, clock in clocks(then).items() if now["status"] != "closed" else ():
            assert name in touched or clocks(now)[name] == clock, (id, name)
        for event in events[len(before) :]:
            due = clocks(then).get(event["data"].get("clock"))
            if event["type"] == "clock_breached" and due is not None and event["data"]["clock"] != "rung":
                assert event["at"] == due[1]
        if view["status"] != "closed":
            # The run has the same.
            handle = self.backend.handle(id)
            assert (await handle.describe()).status is WorkflowExecutionStatus.RUNNING

    async def check_requests(self) -> None:
        """What was answered last is answered again, and not applied again."""

        async def again(life: Life) -> None:
            if life.last is None:
                return
            body = life.last[1]
            rows = await ask(
                self.backend.database,
                f"SELECT seq FROM case_request WHERE case_id = '{life.id}' AND request_id = '{body['request_id']}'",
            )
            view = await self.backend.book.case(life.id)
            if not rows or view is None or view["status"] == "closed":
                # It led to nothing, or was lost.
                return
            await self.backend.client.command(life.id, life.last[0], body)
            events = await self.backend.timeline(self.backend.handle(life.id))
            late = [event for event in events[rows[0][0] :] if event["actor"]["role"] != "system"]
            assert not [event for event in late if event["at"] > view["opened_at"] and event["type"] == life.last[0]]

        await self.each(again)

    async def check_outside(self) -> None:
        """Each claim was paid once, each notice sent, and none under two ids; all is settled."""
        paid = await ask(self.backend.database, "SELECT case_id, reference FROM payout WHERE state = 'paid'")
        assert len({id for id, _ in paid}) == len({reference for _, reference in paid}) == len(paid)
        booked = await ask(self.backend.database, "SELECT case_id, 'LEDGER-' || number FROM payout_booking")
        told = {
            id: event["data"]["reference"] for id, e in self.events.items() for event in e if event["type"] == "paid"
        }
        assert sorted(booked) == sorted(paid) == sorted(told.items())
        contacts = self.backend.folder / "contacts.toml"
        mails = {mail for id, events in self.events.items() for mail in wanted(id, events, contacts)}
        assert not mails - sent(self.backends)
        cases = {stable_id(id): id for id in self.events}
        more = [
            (cases[mail["References"].strip("<>").partition("@")[0]], mail["To"], mail["Subject"])
            for backend in self.backends
            for mail in backend.mails()
            if message_id(mail) in self.sent - mails
        ]
        assert not [one for one in more if one[0] not in self.forgotten]


def _by_outcome(event: Json) -> bool:
    return event["type"] == "clock_met" and event["data"]["clock"] in ("report", "payout")


def _touched(event: Json) -> Iterable[str]:
    """Name the clocks that an event may have changed."""
    data = event["data"]
    named = [data["clock"]] if "clock" in data else data.get("clocks", [])
    return [*named, *(["rung"] if event["type"] in ("escalated", "assigned", "acknowledged", "reminded") else [])]


async def each(items: Sequence[Any], do: Callable[[Any], Awaitable[T]]) -> list[T]:
    """Do something with each, several at a time."""
    # The worker shares this process: more at a time would keep its workflows waiting for longer than the SDK allows.
    slots = asyncio.Semaphore(12)

    async def one(item: Any) -> T:
        async with slots:
            return await do(item)

    return await asyncio.gather(*map(one, items))


@pytest.fixture(scope="module")
async def installation(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Installation]:
    """An installation with a PostgreSQL of its own."""
    with cluster() as postgres:
        template = await postgres.fresh_database()
        await migrate(template)
        yield Installation(postgres, template.rpartition("/")[2], tmp_path_factory.mktemp("town"))


# It takes 4 minutes, on a busy machine more.
@pytest.mark.timeout(600)
async def test_a_town_of_cases_outlives_every_disaster(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    chance = random.Random(SEED)
    lives = []
    for kind, many in HOW_MANY.items():
        for number in range(many):
            key, intake = filed(kind, number, chance)
            ahead = [step for step in LIVES[kind] if chance.random() < 0.9]
            lives.append(Life(kind, key, intake, random.Random(chance.random()), ahead))
    chance.shuffle(lives)
    town = Town(lives[:-10])
    began = time.monotonic()

    def tell(what: str) -> None:
        print(f"{time.monotonic() - began:.0f} s: {what}")

    database = await installation.casebook()
    async with time_skipping() as env:
        async with installation.running(env, database) as backend:
            town.backends.append(backend)
            await town.file(town.lives)
            await town.move(5)
            await town.settled()
        backup = await installation.copy(database)
        tell("the backup is taken")
        async with installation.running(env, database) as backend:
            town.backends.append(backend)
            await town.move(4)
            new, town.lives = lives[-10:-5], lives[:-5]
            await town.file(new)
            await town.move(3, new)
            await town.settled()
        tell("the ledger is set back")

        database = backup
        async with installation.running(env, database) as backend:
            town.backends.append(backend)
            # Some move before anybody looks; and cases are filed as soon as it is known.
            town_now = [life for life in town.lives if life not in new]
            await town.move(1, town_now[::3])
            await eventually(lambda: ask(database, "SELECT FROM casebook_recovery"), bool)
            latest, town.lives = lives[-5:], lives
            await town.file(latest)
            code, done = await recover(backend, "--from-engine")
            assert code == 0, [one for one in done["cases"] if one["why_not"]]
            assert done["clashes"] == []
            assert not [one for one in done["cases"] if one["lost"]]
            tell(f"the ledger has taken over {sum(one['recorded'] for one in done['cases'])} events")
            await town.check()
            await town.check_requests()
            await town.settled()
            await town.check_outside()
            tell("and all is there")

            # --- the engine is lost, and what came out last with it
            await stop_at(database, *OUTCOMES)
            await town.move(1)
            await asyncio.sleep(3)
            await town.remember()
    town.lose()
    await go_on(database)
    tell("the engine is lost")
    async with time_skipping() as env:
        async with installation.running(env, database) as backend:
            town.backends.append(backend)
            doors = CaseClient(env.client, backend.book)
            [still_open, *_] = [life for life in town.lives if (await doors.case(life.id))["status"] != "closed"]
            with pytest.raises(Refused, match="caseladder recover"):
                await doors.command(still_open.id, "note", {"by": PEOPLE["agent"], "text": "t"})
            code, done = await recover(backend, "--engine-lost")
            assert code == 0, [one for one in done["cases"] if one["why_not"]]
            tell(f"started from the ledger: {sum(one['restarted'] for one in done['cases'])}")
            await town.check()
            await town.check_requests()
            await town.settled()
            await town.check_outside()
            tell("and all is there")

        # --- new rules, and the old ones again
        for rules, rule in ((RULES + 1, says_more), (RULES, investigates)):
            monkeypatch.setattr("cases.rules.RULES", rules)
            monkeypatch.setattr(Complaint, "_do_investigate", rule)
            async with installation.running(env, database) as backend:
                town.backends.append(backend)
                answer = await program(backend, "migrate", "--json")
                assert answer.code == 0, answer.err
                tell(f"under rules {rules}: {len(answer.json['restarted'])}")
                await town.check()
                await town.check_requests()
                await town.move(2)
                await town.settled()
                await town.check()
                await town.check_outside()
                tell("and all is there")

    # It was about something: these happened, some before a disaster and some after.
    happened = Counter(event["type"] for events in town.events.values() for event in events)
    print(happened)
    for type_ in ("paid", "opening_done", "approved", "promised", "clock_breached", "escalated", "resolved", "closed"):
        assert happened[type_] >= 5, (type_, happened[type_])
