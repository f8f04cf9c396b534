"""What a worker asks of senders: a signature of everything, or nothing. One for the process.

Validators of updates ask it, which the engine never runs again, so what it answers may change from one moment to the
next; for signals an activity does, and for filings the activity that begins a case.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

import structlog
from temporalio import activity

from activities.messages import CHECK_SENDER, SenderOrder
from activities.senders.check import check
from activities.senders.key_set import NOBODY, BadKeySet, KeySet, read_key_set
from activities.senders.statement import UNSIGNED, Said
from cases.vocabulary.refusals import Refused

Mode = Literal["open", "signed"]
# Seconds between two looks at the file of the key set.
LOOK_AGAIN = 2.0

log = structlog.get_logger(__name__)


@dataclass
class Gate:
    """The demand of a worker.

    Args:
        mode: ``open``: who sends nothing that proves it is taken at their word.
        keys: by which proofs are checked; None where there is no key set, so that in the open nothing is checked.
    """

    mode: Mode = "open"
    keys: KeySet | None = None

    def check(self, said: Said | None, now: datetime) -> None:
        """Turn away what has no proof and needs one, and what has a wrong one.

        Raises:
            Refused: code ``unsigned``.
        """
        if said is None:
            if self.mode == "signed":
                raise Refused(UNSIGNED, "proof is missing: commands are signed here (docs/operations.md)")
            return
        # A passkey says that a person was there, which nobody may say without it being looked at.
        if self.keys is not None or self.mode == "signed" or said.proof.get("passkey") is not None:
            check(said, self.keys or NOBODY, now)
            if self.mode == "signed" and said.proof.get("key") is None:
                raise Refused(UNSIGNED, "proof: key and signature are missing")


GATE = Gate()


@activity.defn(name=CHECK_SENDER)
async def check_sender(order: SenderOrder) -> str:
    """Check who sent a signal: return why it is refused with the code ``unsigned``, or nothing."""
    try:
        GATE.check(order.said, datetime.fromisoformat(order.at))
    except Refused as refusal:
        return refusal.message
    return ""


@asynccontextmanager
async def guarding(mode: Mode, file: Path | None) -> AsyncIterator[None]:
    """Have this process ask for what the mode says during the block; a changed key set counts a moment later.

    Raises:
        BadKeySet: the file is no key set.
    """
    before = Gate(GATE.mode, GATE.keys)
    GATE.mode, GATE.keys = mode, None if file is None else read_key_set(file)
    looking = None if file is None else asyncio.create_task(_keep_reading(file))
    try:
        yield
    finally:
        if looking is not None:
            looking.cancel()
            with suppress(asyncio.CancelledError):
                await looking
        GATE.mode, GATE.keys = before.mode, before.keys


async def _keep_reading(file: Path) -> None:
    stamp = _stamp(file)
    while True:
        await asyncio.sleep(LOOK_AGAIN)
        now = _stamp(file)
        if now == stamp:
            continue
        stamp = now
        try:
            GATE.keys = read_key_set(file)
        except BadKeySet as error:
            # What was trusted a moment ago still is: half a file must not turn everybody away.
            log.error("key_set_unreadable", reason=str(error))
        else:
            log.info("key_set_read", keys=len(GATE.keys.senders), passkeys=len(GATE.keys.passkeys))


def _stamp(file: Path) -> tuple[int, int, int] | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
