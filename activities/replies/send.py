"""The activity ``send_reply``: what somebody wrote goes to the customer of the case (S0-2.3.5).

It goes out at least once, under one id over all attempts, so that a receiver can drop a repeat; and not a second time
once the answer of the server that took it was recorded, in the table of messages or in the heartbeat.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.casebook.errors import Recovering, Superseded
from activities.casebook.texts import join
from activities.database.database import Database, statement
from activities.messages import CallOrder
from activities.notify.attempt import ServerClock
from activities.notify.channels import Delayed, Letter, Message, Undeliverable
from activities.notify.channels.mail import HERE
from activities.notify.recipients import stable_id
from activities.replies.templates import ReplyTemplates
from activities.replies.ways import MAIL, Ways, address_of
from cases.directory import Language
from cases.mechanisms.replies import Unsent
from cases.vocabulary.effects import SEND_REPLY
from cases.vocabulary.events import fingerprint

# Seconds between two signs of life; several fit into the time after which an attempt counts as dead.
HEARTBEAT = 5
# The pause before the next attempt is a part of the time since the first, within these; so long an attempt may take.
PAUSE_GROWS, SHORTEST, LONGEST = 0.5, timedelta(seconds=2), timedelta(minutes=5)
ATTEMPT = timedelta(minutes=1)
# What customers read, unless something else is known of them.
LANGUAGE: Language = "zh"


@dataclass(frozen=True)
class _Asked:
    """What the casebook knows of a reply that is asked for."""

    id: str
    kind: str
    number: str
    text: str | None
    customer: Mapping[str, Any]
    earlier: tuple[str, ...]


class ReplySender:
    """The activity. Safe to share between tasks; raises what `Database.connection` does.

    Args:
        ways: what is set up.
        templates: what stands around the text in a mail.
    """

    _ASKED = statement(__package__, "reply_asked")
    _KNOWN = statement(__package__, "message_known")
    _SENT = statement(__package__, "message_sent")

    def __init__(self, database: Database, ways: Ways, templates: ReplyTemplates) -> None:
        self._database, self._ways, self._templates = database, ways, templates

    @activity.defn(name=SEND_REPLY)
    async def send_reply(self, order: CallOrder) -> dict[str, str]:
        """Send the reply that an event asks for, ``via`` mail or message.

        Returns:
            Nothing once it has gone out; else ``failed`` with the reason (`cases.mechanisms.replies.Unsent`). Neither
            this nor an error holds an address, or what a server said.

        Raises:
            ApplicationError: type ``ReplyDelayed``, retried: it could not be sent now; or ``NotRecorded``, retried:
                the ledger does not ask for it yet.
            Superseded: another run holds the case.
            Recovering: the casebook is being recovered.
        """
        via = str(order.what["via"])
        asked = await self._asked(order)
        message_id = f"{asked.id}{HERE}" if via == MAIL else asked.id
        # It went out in an attempt that could not say so, or whose word was lost.
        if message_id not in asked.earlier and not activity.info().heartbeat_details:
            failed = await self._send(asked, via, order.case_id)
            if failed is not None:
                return {"failed": failed}
        async with self._database.connection() as connection:
            await connection.execute(self._SENT, message_id, order.case_id, order.seq)
        return {}

    async def _asked(self, order: CallOrder) -> _Asked:
        async with self._database.connection() as connection:
            row = await connection.fetchrow(self._ASKED, order.case_id, order.seq)
            earlier = await connection.fetch(self._KNOWN, order.case_id)
        if row is None or row["body"] is None:
            raise ApplicationError(f"{order.case_id}: seq {order.seq} is not recorded yet", type="NotRecorded")
        if row["held_by"] not in (None, order.run):
            raise Superseded(order.case_id)
        if row["recovering"]:
            raise Recovering(f"{order.case_id}: a reply waits")
        event = join(row["body"], row["texts"])
        return _Asked(
            stable_id(order.case_id, str(order.seq), fingerprint(event)),
            row["kind"],
            row["number"] or "",
            event["data"].get("text"),
            row["customer"] or {},
            tuple(one["message_id"] for one in earlier),
        )

    async def _send(self, asked: _Asked, via: str, case_id: str) -> Unsent | None:
        """Send it, and return why not if it never will."""
        channel, address = self._ways.channels.get(via), address_of(via, asked.customer)
        if channel is None:
            return "not_set_up"
        if address is None:
            return "no_address"
        if asked.text is None:
            return "refused"  # it was erased
        message = self._message(asked, asked.text, via, address, case_id)
        clock = ServerClock()
        async with _alive():
            try:
                async with channel.session() as deliver:
                    await deliver(message)
            except Undeliverable:
                return "refused"
            except Delayed as delay:
                grown = (clock.now() - clock.since) * PAUSE_GROWS
                pause = max(timedelta(seconds=delay.wait), min(max(grown, SHORTEST), LONGEST))
                if clock.over(pause + ATTEMPT):
                    return "unavailable"
                # The text of the failure holds neither an address nor a server's words.
                raise ApplicationError(str(delay), type="ReplyDelayed", next_retry_delay=pause) from None
        # Before it is recorded: should the casebook be away now, the next attempt knows.
        activity.heartbeat(True)
        return None

    def _message(self, asked: _Asked, text: str, via: str, address: str, case_id: str) -> Message:
        language, thread = asked.customer.get("language") or LANGUAGE, stable_id(case_id)
        if via == MAIL:
            facts = {"kind": asked.kind, "number": asked.number, "answerable": self._ways.reply_to is not None}
            mail = self._templates.mail(language, text, facts)
            earlier = tuple(one for one in asked.earlier if "@" in one)
            letter = Letter(thread, self._ways.reply_to, earlier)
            return Message(asked.id, thread, address, mail.subject, mail.body, {}, letter=letter)
        to = {name: asked.customer[name] for name in ("phone", "ref") if asked.customer.get(name)}
        payload = {
            "type": "customer.reply",
            "id": asked.id,
            "case": case_id,
            "number": asked.number,
            "to": to,
            "text": text,
            "language": language,
        }
        return Message(asked.id, thread, self._ways.message_url, "", text, payload)


@asynccontextmanager
async def _alive() -> AsyncIterator[None]:
    """Tell the server for the block that this attempt lives: a mail server may take its time."""

    async def beat() -> None:
        while True:
            await asyncio.sleep(HEARTBEAT)
            activity.heartbeat()

    beating = asyncio.create_task(beat())
    try:
        yield
    finally:
        beating.cancel()
        with suppress(asyncio.CancelledError):
            await beating
