"""Sending of notices in tests: real mail and HTTP servers, sample notices, and the activity as a worker runs it."""

from __future__ import annotations

import asyncio
import dataclasses
import email
import email.policy
import json
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.message import EmailMessage
from typing import Any, cast

import pytest
from aiosmtpd.smtp import SMTP, Envelope, Session
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities.messages import Burst, NoticeBatch, NoticeOrder, NoticeResult
from activities.notify.notifier import Notifier
from activities.notify.results import DELAYED
from cases.policy.tables import NoticeRoute

AT = "2026-03-10T09:05:00+08:00"
NOW = datetime.fromisoformat(AT)


class MailServer:
    """An SMTP server that keeps the mails it accepts; ``answers`` has the answers to RCPT by address."""

    def __init__(self) -> None:
        self.port = free_port()
        self.connections = 0
        self.mails: list[tuple[str, EmailMessage]] = []
        self.answers: dict[str, str] = {}
        self.after_data: str | None = None

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        answer = self.answers.get(address)
        if answer == "hang":
            await asyncio.Event().wait()
        if answer == "drop":
            assert server.transport is not None
            server.transport.close()
        if answer is None:
            envelope.rcpt_tos.append(address)
        return answer or "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        if self.after_data is not None:
            return self.after_data
        mail = email.message_from_bytes(cast(bytes, envelope.content), policy=email.policy.SMTP)
        assert isinstance(mail, EmailMessage)
        self.mails.extend((address, mail) for address in envelope.rcpt_tos)
        return "250 OK"

    @asynccontextmanager
    async def up(self, *, tls: ssl.SSLContext | None = None, **options: Any) -> AsyncIterator[MailServer]:
        def connected() -> SMTP:
            self.connections += 1
            return SMTP(self, loop=asyncio.get_running_loop(), hostname="mail.test", **options)

        server = await asyncio.get_running_loop().create_server(connected, "127.0.0.1", self.port, ssl=tls)
        async with server:
            yield self

    @property
    def recipients(self) -> list[str]:
        return [address for address, _ in self.mails]


@dataclass(frozen=True)
class HttpAnswer:
    """An answer of an HTTP server."""

    status: int = 200
    body: bytes = b""
    headers: tuple[str, ...] = ()


class HookServer:
    """An HTTP server that keeps every request; ``statuses`` and ``answers`` have its next answers.

    With the status 0 it never answers.

    Args:
        otherwise: the answer when no other is left.
    """

    def __init__(self, otherwise: HttpAnswer = HttpAnswer()) -> None:
        self.requests: list[tuple[str, dict[str, str], bytes]] = []
        self.statuses: list[int] = []
        self.answers: list[HttpAnswer] = []
        self.otherwise = otherwise
        self.asked = asyncio.Event()
        self.url = ""

    @asynccontextmanager
    async def up(self) -> AsyncIterator[HookServer]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with server:
            yield self

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:])}
        body = await reader.readexactly(int(headers["content-length"]))
        self.requests.append((head[0].split()[1], headers, body))
        self.asked.set()
        answer = self.otherwise
        if self.statuses:
            answer = HttpAnswer(self.statuses.pop(0))
        elif self.answers:
            answer = self.answers.pop(0)
        if answer.status:
            lines = [
                f"HTTP/1.1 {answer.status} X",
                f"location: {self.url}/elsewhere",
                f"content-length: {len(answer.body)}",
                *answer.headers,
            ]
            writer.write("\r\n".join([*lines, "", ""]).encode() + answer.body)
        else:
            await reader.read()
        writer.close()
        await writer.wait_closed()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return cast(int, probe.getsockname()[1])


def order(name: str, *roles: str, id: str = "", type: str = "clock_breached", **data: Any) -> NoticeOrder:
    event = {
        "seq": 7,
        "type": type,
        "at": AT,
        "recorded_at": AT,
        "actor": {"id": "agent-7", "role": "agent"},
        "clauses": ["S4-2.4"],
        "data": data or {"clock": "answer", "due": AT},
    }
    return NoticeOrder(
        id=id or f"complaint:C-1/7/{name}",
        name=name,
        roles=list(roles),
        clause="S4-2.4",
        event=event,
        # What the case says of a notice of this name.
        meets=list(NoticeRoute.MET.get(name, ())),
        acknowledge=name in NoticeRoute.ACKNOWLEDGED and "subject" not in data,
    )


def batch(*orders: NoticeOrder, case: str = "complaint:C-1", burst: Burst | None = None, **view: Any) -> NoticeBatch:
    view = {"number": "2026-03-0007", "kind": "complaint", **view}
    return NoticeBatch(case_id=case, view=view, notices=list(orders), digest=burst)


class Attempts:
    """Runs the activity as a worker would: each attempt reads the heartbeat of the previous one.

    In its methods ``late`` is how many seconds after the first attempt one begins, by the server's clock.

    Args:
        notifier: the activity.
        timeout: the activity's schedule-to-close timeout.
    """

    def __init__(self, notifier: Notifier, timeout: timedelta = timedelta(hours=48)) -> None:
        self.timeout = timeout
        self.notifier = notifier
        self.heartbeats: list[Any] = []
        self.environment = ActivityEnvironment()

    @property
    def channels(self) -> dict[str, Any]:
        """The channels of the notifier, by name."""
        return self.notifier._sender._channels

    async def run(self, orders: NoticeBatch, late: float = 0) -> list[NoticeResult]:
        environment = self.environment = ActivityEnvironment()
        environment.info = dataclasses.replace(
            environment.info,
            heartbeat_details=self.heartbeats[-1:],
            scheduled_time=NOW,
            schedule_to_close_timeout=self.timeout,
            started_time=NOW + timedelta(seconds=late),
        )
        environment.on_heartbeat = lambda details: self.heartbeats.append(json.loads(json.dumps(details)))
        return await environment.run(self.notifier.notify, orders)

    async def delayed(self, orders: NoticeBatch, late: float = 0) -> ApplicationError:
        with pytest.raises(ApplicationError) as caught:
            await self.run(orders, late)
        assert caught.value.type == DELAYED
        assert not caught.value.non_retryable
        return caught.value
