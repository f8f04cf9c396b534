"""kill -9 of the worker, of the Temporal server and of PostgreSQL while 100 forms and 50 quality complaints go round.

Quality complaints file cases of their own, which are brought to their ends too. What is given out once, whatever dies,
is counted: numbers, copies, absences, filed cases.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from activities.database.database import Database
from activities.notify.recipients import stable_id
from activities.people.directory_changes import DirectoryChanges
from cases.directory import Person, Unit
from starter.client import CaseClient
from tests.core.test_form import DOCUMENT, FILED
from tests.core.test_quality import KNOWN, WAY
from tests.durability.chaos import Run, Script, all_of, check, live_through, runs_of
from tests.durability.support import Act, Json, running
from tests.postgres import as_writer

pytestmark = [pytest.mark.long, pytest.mark.alone]

FORMS, COMPLAINTS = 100, 50
LATE = "late"
# Seconds for who is late: the superior of a leave, and the report of QA.
POLICIES = {
    LATE: """
name = "late"
extends = "default"
without = ["quality.clocks.qa_report"]
[form.leave.clocks.step]
elapsed = "PT2S"
escalates_to = "general_manager"
clause = "INVENTED"
[quality.clocks.qa_report]
elapsed = "PT2S"
escalates_to = "qa_manager"
clause = "INVENTED"
"""
}


def by(role: str) -> Json:
    """Somebody of a role."""
    return {"id": f"{role}-1", "role": role}


def sign(role: str, **fields: Any) -> Act:
    """A signature."""
    return Act("sign", by(role), fields)


def form(kind: str, *acts: Act) -> Script:
    """A form as those of `tests.core.test_form` are filed."""
    filed_by, fields = FILED[kind]
    return Script(kind, lambda _: {"filed_by": filed_by, "fields": fields}, acts)


def leave(*acts: Act, policy: str = "default") -> Script:
    """A leave of an agent, in an emergency, so that no holiday is in its way."""

    def facts(now: datetime) -> Json:
        begins = now.replace(microsecond=0) + timedelta(days=1)
        fields = {"from": begins.isoformat(), "to": (begins + timedelta(days=2)).isoformat()}
        return {"filed_by": by("agent"), "fields": {**fields, "emergency": True, "reason": "the family"}}

    return Script("leave", facts, acts, policy)


# From the manager to the customer's seal.
SEALED = (
    sign("business_manager"),
    Act("approve", by("deputy_gm"), {"subject": "general"}, signal=True),
    # What was approved by a signal is asked for whenever the signal arrives.
    Act("sign", by("customer"), {"fields": {"customer_document": DOCUMENT}}, until="approved"),
)

SCRIPTS = (
    leave(sign("supervisor")),
    # The superior is late, the ladder hears of it; then they sign all the same.
    leave(Act("sign", by("supervisor"), after=timedelta(seconds=4)), policy=LATE),
    form(
        "new_business",
        sign("marketing_manager"), sign("warehouse_manager"), sign("distribution_manager"), sign("general_manager"),
    ),
    form("allowance", *SEALED),
    form("penalty_notice", sign("gm_office"), sign("general_manager")),
    form(
        "new_business",
        sign("marketing_manager"), sign("distribution_manager"), sign("warehouse_manager"),
        Act("send_back", by("general_manager"), {"reason": "the space is missing"}),
        sign("warehouse_manager", text="it is there now"), sign("distribution_manager"), sign("general_manager"),
    ),
    form(
        "new_business",
        sign("marketing_manager"), Act("refuse", by("warehouse_manager"), {"reason": "no space"}),
    ),
)  # fmt: skip

FACTS = {"origin": "domestic", "loss": True, "demand": "return", "return_quantity": "40", **KNOWN}
EXECUTE = Act("execute", by("business"), until="numbered")
PRICED = Act("execute", by("business"), {"unit_price": "3.333"}, until="numbered")
ACCEPTED = Act("customer_answer", by("business"), {"accepted": True})


def quality(
    opinion: Json, *after: Act, files: Script, report: timedelta = timedelta(), policy: str = "default"
) -> Script:
    """A quality complaint that goes its whole route; ``after`` is what follows from the decision."""
    changed: dict[str, Json] = {
        "report": {"after": report},
        "opinion": {"fields": {"text": "as judged", **opinion}},
        "approve": {"signal": True},
        "explain": {"until": "decided"},
    }
    acts = [Act(**{"name": n, "by": by(role), "fields": fields, **changed.get(n, {})}) for n, role, fields in WAY]
    return Script("quality", lambda _: FACTS, (*acts, *after), policy, files)


def filed(kind: str, *acts: Act, policy: str = "default") -> Script:
    """What becomes of a case that another one has filed."""
    return Script(kind, lambda _: {}, acts, policy)


RETURN = filed(
    "return",
    sign("business_manager"),
    Act("receive", by("warehouse_keeper"), {"quantity": "40", "agrees": True}),
    Act("issue_voucher", by("accounting"), {"reference": "V-1"}),
    Act("prove", by("business"), {"way": "certificate", "stamped": True, "document": DOCUMENT}),
)
PETITION = filed("petition", sign("gm_office", text="looked at"), sign("general_manager"))
GROUND, NO_GROUND = {"established": True}, {"established": False, "disposal": "none"}
COMPENSATION = {**GROUND, "disposal": "compensation", "amount": "900.00"}

QUALITY = (
    quality(COMPENSATION, EXECUTE, ACCEPTED, files=filed("allowance", *SEALED)),
    quality({**GROUND, "disposal": "return", "quantity": "40"}, ACCEPTED, PRICED, files=RETURN),
    quality(NO_GROUND, Act("customer_answer", by("business"), {"accepted": False}, until="numbered"), files=PETITION),
    # QA is late, and says why when all is decided.
    quality(
        COMPENSATION, EXECUTE, ACCEPTED, Act("answer_slip", by("qa_manager"), {"step": "qa", "cause": "two were ill"}),
        files=filed("allowance", *SEALED, policy=LATE), report=timedelta(seconds=4), policy=LATE,
    ),
)  # fmt: skip


# Most of it is waiting for task timeouts of the dead; a busy machine takes its time over the rest.
@pytest.mark.timeout(400)
async def test_kills_change_no_paper(tmp_path: Path) -> None:
    runs = [*runs_of(SCRIPTS, FORMS), *runs_of(QUALITY, COMPLAINTS)]
    async with running(tmp_path, POLICIES) as (stack, worker, client, url):
        async with Database.open(as_writer(url), only_writes=True) as database:
            staff = Person(id="agent-1", role="agent", unit="headquarters")
            await DirectoryChanges(database).replace_people([staff], units=[Unit(id="headquarters")])
        await live_through(stack, worker, client, url, runs)
        await check(runs, CaseClient(client), url, tmp_path)
        everything = list(all_of(runs))
        check_numbers(runs)
        check_copies(everything, tmp_path / "data" / "mail")
        await check_absences(runs, url)
    assert {run.filed.case_id for run in runs if run.filed} == {
        f"{script.files.kind}:K-{number}-{END[script.files.kind]}"
        for number in range(COMPLAINTS)
        if (script := QUALITY[number % len(QUALITY)]).files
    }


END = {"allowance": "allowance", "return": "return", "petition": "objection"}


def check_numbers(runs: Sequence[Run]) -> None:
    """Each quality complaint has a number, each number of a month was given once, and none was left out."""
    given = sorted(run.view["number"] for run in runs if run.script.kind == "quality")
    months = Counter(number.rpartition("-")[0] for number in given)
    assert given == [f"{month}-{n:04}" for month, count in sorted(months.items()) for n in range(1, count + 1)]
    for run in runs:
        if run.script.kind == "quality":
            [numbered] = [event["data"] for event in run.recorded if event["type"] == "numbered"]
            assert numbered == {"number": run.view["number"]}, run


def check_copies(runs: Sequence[Run], mail: Path) -> None:
    """Each copy that was issued went out as one mail."""
    copies = 0
    for run in runs:
        issued = [(event["seq"], copy) for event in run.recorded if event["type"] == "copies_issued"
                  for copy in event["data"]["copies"]]  # fmt: skip
        told = [event["data"] for event in run.recorded if event["type"] == "notified"]
        told = [data for data in told if data["notice"] == "copy"]
        assert Counter((data["of"], data["no"], *data["roles"]) for data in told) == Counter(
            (seq, copy["no"], copy["to"]) for seq, copy in issued
        ), run
        for data in told:
            [role] = data["roles"]
            assert (mail / f"{stable_id(data['id'], 'email', f'{role}@example.com')}.eml").is_file(), (run, data)
        copies += len(told)
    assert copies > FORMS


async def check_absences(runs: Sequence[Run], url: str) -> None:
    """The directory of staff knows each leave once."""
    connection = await asyncpg.connect(url)
    try:
        rows = await connection.fetch("SELECT person, case_id, starts_at, ends_at FROM absence")
    finally:
        await connection.close()
    leaves = [(run.case_id, run.intake["facts"]["fields"]) for run in runs if run.script.kind == "leave"]
    assert Counter(tuple(row) for row in rows) == Counter(
        ("agent-1", case_id, *(datetime.fromisoformat(fields[name]).astimezone(UTC) for name in ("from", "to")))
        for case_id, fields in leaves
    )
