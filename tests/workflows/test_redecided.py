"""A worker may die when a step is recorded but not decided for good: what stands recorded is the truth."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from temporalio import activity

from activities import casebook
from activities.casebook import Casebook
from activities.database import migrate
from activities.messages import RECORD, Batch, Recorded
from tests.postgres import Cluster
from tests.temporal import time_skipping
from tests.workflows.office import open_office

A_LITTLE = timedelta(milliseconds=1)


def a_little_earlier(event: dict[str, Any]) -> dict[str, Any]:
    moved = {name: (datetime.fromisoformat(event[name]) - A_LITTLE).isoformat() for name in ("at", "recorded_at")}
    return {**event, **moved}


class AfterAnAttemptThatDied(Casebook):
    """Each taking up was recorded once before, a little earlier, by an attempt that did not live to tell."""

    @activity.defn(name=RECORD)
    async def record(self, batch: Batch) -> Recorded:
        """Record for the attempt before, then for this one."""
        if batch.events[0]["type"] == "acknowledged":
            await super().record(replace(batch, events=[a_little_earlier(event) for event in batch.events]))
        return await super().record(batch)


async def test_the_case_goes_on_from_what_the_attempt_before_has_recorded(
    postgres: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = await postgres.fresh_database()
    await migrate(database)
    monkeypatch.setattr(casebook, "Casebook", AfterAnAttemptThatDied)
    async with time_skipping() as env, open_office(env, database, tmp_path) as office:
        case = await office.file()
        await office.do(case, "acknowledge")
        acknowledged = next(event for event in await office.timeline(case) if event["type"] == "acknowledged")
        view = await office.do(case, "reply", stage="interim")
        assert view.get("trouble") is None
        await office.do(case, "resolve")
        await office.do(case, "close")
        await case.result()
        ledger = await office.recorded(case)
        assert next(event for event in ledger if event["type"] == "acknowledged") == acknowledged
        assert ledger == await office.timeline(case)
        assert (await office.book.verify(case.id)).ok
