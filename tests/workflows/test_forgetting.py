"""What the workers do of erasures in the engine and in the folder of mails, with one that cannot be done."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import UTC, datetime
from os import listdir
from pathlib import Path

import pytest
import structlog
from temporalio.service import RPCError

from activities.attachments.book import Attachments
from activities.attachments.stores import FolderStore, StoreAway
from activities.database.errors import StatementFailed
from activities.policies.store import Policies
from cases.vocabulary.events import Actor
from starter import erasure as operation
from starter.erasure import Erasure, keep_erasing
from starter.settings import Settings
from tests.temporal import eventually
from tests.workflows.backend import Backend

QA, GM = Actor("qa-1", "qa_manager"), Actor("gm-1", "general_manager")


async def _erased(erasure: Erasure, *case_ids: str) -> int:
    """An erasure of which only the casebook is done, as far as its book says."""
    now = datetime.now(UTC)
    number = await erasure.book.decided("customer", GM, QA, case_ids, now)
    for case_id in case_ids:
        await erasure.book.done(number, case_id, now, None)
    return number


async def test_one_that_fails_holds_up_no_other(backend: Backend, tmp_path: Path) -> None:
    erasure, attachments = Erasure(backend.book.database), Attachments(backend.book.database, None)
    # The engine cannot be asked for the first one.
    number = await _erased(erasure, "complaint:'", "complaint:nowhere")
    with pytest.raises(RPCError, match=r"(?i)query"):
        await erasure.go_on(backend.env.client, None, attachments, datetime.now(UTC))
    assert [one.case_id async for one in erasure.book.left(number)] == ["complaint:'"]
    await erasure.book.gone("complaint:'")
    # A store of attachments that is away neither; they are gone once it is back.
    kept = Attachments(backend.book.database, FolderStore(tmp_path / "attachments"))
    one = await kept.keep("complaint:nowhere", b"photo", "request")
    number = await _erased(erasure, "complaint:nowhere")
    with pytest.raises(StoreAway):
        await erasure.go_on(backend.env.client, None, attachments, datetime.now(UTC))
    assert [left.case_id async for left in erasure.book.left(number)] == ["complaint:nowhere"]
    assert await kept.content("complaint:nowhere", one.id) == b"photo"
    assert await erasure.go_on(backend.env.client, None, kept, datetime.now(UTC)) == []
    assert await kept.content("complaint:nowhere", one.id) is None
    assert listdir(tmp_path / "attachments") == []
    (tmp_path / "attachments").rmdir()
    # What is no mail in the folder of mails keeps the engine from nothing.
    (tmp_path / "folder.eml").mkdir()
    number = await _erased(erasure, "complaint:nowhere")
    with pytest.raises(IsADirectoryError):
        await erasure.go_on(backend.env.client, tmp_path, attachments, datetime.now(UTC))
    (tmp_path / "folder.eml").rmdir()
    assert await erasure.go_on(backend.env.client, tmp_path, attachments, datetime.now(UTC)) == []


async def test_what_people_decided_does_not_wait_for_the_policies(
    backend: Backend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails(*_: object) -> list[str]:
        raise StatementFailed("it took too long")

    monkeypatch.setattr(Erasure, "purge", fails)
    monkeypatch.setattr(operation, "LOOK_AGAIN", 0.1)
    erasure = Erasure(backend.book.database)
    number = await _erased(erasure, "complaint:elsewhere")
    policies = Policies(tmp_path)
    log = structlog.get_logger(__name__)
    erasing = asyncio.create_task(keep_erasing(backend.book.database, backend.env.client, Settings(), policies, log))

    async def left() -> list[str]:
        return [one.case_id async for one in erasure.book.left(number)]

    await eventually(left, lambda some: not some, seconds=20)
    erasing.cancel()
    with suppress(asyncio.CancelledError):
        await erasing
