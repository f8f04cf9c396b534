"""What a case hands to those who tell people, and what comes back to it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from activities.notify.ack_tokens import expiry, issue, read
from cases.vocabulary.refusals import Refused
from tests.temporal import eventually
from tests.workflows.backend import Backend

SECRETS = ("s" * 32,)


async def test_a_notice_goes_out_with_what_the_policy_says_of_bursts(backend: Backend) -> None:
    case = await backend.file()
    history = await case.fetch_history()
    asked = [event.activity_task_scheduled_event_attributes for event in history.events]
    scheduled = [one for one in asked if one.activity_type.name == "notify"]
    batch = json.loads(scheduled[0].input.payloads[0].data)
    assert batch["digest"] == {"more_than": 5, "within": 60.0}
    # As long as it takes that a mail server is away for a day.
    assert scheduled[0].schedule_to_close_timeout.ToTimedelta() > timedelta(hours=24)


async def test_what_became_of_it_comes_back_as_an_event_and_a_row(backend: Backend) -> None:
    case = await backend.file()
    [rung] = [e for e in await backend.timeline(case, "notified") if e["data"]["notice"] == "rung"]
    assert rung["data"]["meant"] == [{"role": "agent", "recipient": "agent", "why": "contacts"}]
    [attempt] = rung["data"]["attempts"]
    assert {name: attempt[name] for name in ("recipient", "channel", "outcome")} == {
        "recipient": "agent",
        "channel": "email",
        "outcome": "sent",
    }
    assert abs(datetime.fromisoformat(attempt["first"]) - datetime.fromisoformat(rung["at"])) < timedelta(minutes=1)
    await backend.recorded(case)
    rows = {row["seq"]: row for row in await backend.book.notices(case.id)}
    assert rows[rung["seq"]]["attempts"] == [attempt]
    assert rows[rung["seq"]]["id"] == f"{case.id}/{rung['data']['of']}/rung"


async def test_a_notice_is_sent_again_and_a_closed_case_cannot(backend: Backend) -> None:
    case = await backend.file()
    [rung] = [e for e in await backend.timeline(case, "notified") if e["data"]["notice"] == "rung"]
    await backend.do(case, "resend", notice=rung["seq"])
    told = await eventually(lambda: backend.timeline(case, "notified"), lambda seen: len(seen) == 3)
    assert (told[-1]["data"]["notice"], told[-1]["data"]["of"]) == ("rung", rung["data"]["of"])
    assert len(await backend.timeline(case, "notice_resent")) == 1
    await backend.do(case, "withdraw", "customer")
    await case.result()
    with pytest.raises(Refused) as refused:
        await backend.do(case, "resend", notice=rung["seq"])
    assert refused.value.code == "closed"


async def test_a_token_takes_the_case_up_once_and_only_while_it_is_waited_for(backend: Backend) -> None:
    case, other = await backend.file(), await backend.file()
    for one in (case, other):
        [started] = [e for e in await backend.timeline(one, "clock_started") if e["data"]["clock"] == "rung"]
        token = issue(SECRETS, one.id, started["seq"], "agent-1", "agent", expiry(started["at"]))
        ack = read(SECRETS, token, datetime.now(UTC))
        if one is other:
            # Too late: it has climbed on.
            await backend.wait(one, timedelta(minutes=5))
        else:
            view = await backend.client.command(one.id, "acknowledge", ack.command())
            assert (view["acknowledged"], view["holder"]) == (True, "agent-1")
        with pytest.raises(Refused) as refused:
            await backend.client.command(one.id, "acknowledge", ack.command())
        assert refused.value.code == "token_used"
    assert not (await other.query("case"))["acknowledged"]
