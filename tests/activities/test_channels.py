"""A channel is a small class; where it is told of beside that, a test says what lacks it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from pathlib import Path
from typing import ClassVar

import pytest

from activities.notify.build import build_notifier
from activities.notify.channels import Delayed, Deliver, Message, Undeliverable
from activities.notify.contacts import Contact
from cases.vocabulary.addresses import CHANNELS, FORMS
from tests.notifications import Attempts, batch, order

DOCS = Path(__file__).parents[2] / "docs"
SECRET = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
CONTACTS = '[roles.supervisor]\nemail = ["pager-1@example.com"]\n'


def _notifier(contacts: Path | None, folder: Path) -> Attempts:
    return Attempts(build_notifier(f"maildir:{folder}", SECRET, contacts, "a@example.com", apprise=True, hold=0))


@pytest.mark.parametrize("channel", CHANNELS)
def test_a_channel_is_there_wherever_addresses_are(channel: str, tmp_path: Path) -> None:
    there: dict[str, Collection[str]] = {
        "cases/vocabulary/addresses.py: FORMS": FORMS,
        "activities/notify/contacts.py: Contact": Contact.model_fields,
        "activities/notify/build.py": _notifier(None, tmp_path).channels,
        "docs/notices.md": (DOCS / "notices.md").read_text("utf-8").split("`"),
        "docs/people.md": (DOCS / "people.md").read_text("utf-8").split("`"),
    }
    assert [f"{where}: {channel} is missing" for where, names in there.items() if channel not in names] == []


class Pager:
    """A channel of one's own: what it does with each message is set beforehand."""

    capacity: ClassVar[int | None] = 160
    gathers: ClassVar[bool] = False

    def __init__(self, *answers: Exception | None) -> None:
        self.answers = list(answers)
        self.sent: list[Message] = []

    @asynccontextmanager
    async def session(self) -> AsyncIterator[Deliver]:
        """Hand messages over one by one."""

        async def deliver(message: Message) -> None:
            answer = self.answers.pop(0)
            if answer is not None:
                raise answer
            self.sent.append(message)

        yield deliver


async def test_a_channel_says_what_came_of_each_message(tmp_path: Path) -> None:
    contacts = tmp_path / "contacts.toml"
    contacts.write_text(CONTACTS)
    notices = batch(order("breach", "supervisor"))

    async def run(pager: Pager) -> tuple[str, str]:
        attempts = _notifier(contacts, tmp_path / "mail")
        attempts.channels["email"] = pager
        [result] = await attempts.run(notices)
        return result.outcome, result.channel

    pager = Pager(None)
    assert await run(pager) == ("sent", "email")
    [message] = pager.sent
    assert (message.to, len(message.id)) == ("pager-1@example.com", 40)
    assert "2026-03-0007" in message.subject
    assert await run(Pager(Undeliverable("no such pager"))) == ("failed", "")
    busy = Pager(Delayed("busy", wait=30), None)
    attempts = _notifier(contacts, tmp_path / "mail")
    attempts.channels["email"] = busy
    await attempts.delayed(notices)
    [result] = await attempts.run(notices, late=31)
    assert (result.outcome, len(busy.sent)) == ("sent", 1)
