"""What a case hands to those who tell people, and what comes back to it."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from typing import Any

import pytest

from activities.notify.ack_tokens import expiry, issue, read
from cases.vocabulary.refusals import Refused
from tests.temporal import eventually
from tests.workflows.backend import Backend, Handle, is_about
from tests.workflows.test_claims import FACTS as CLAIM

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


def subjects(backend: Backend, case: Handle) -> list[str]:
    """The subjects of the mails about a case."""
    return [str(mail["Subject"]) for mail in backend.mails() if is_about(mail, case.id)]


def lines(mail: EmailMessage) -> str:
    """The text of a mail, its lines as they were written."""
    return str(mail.get_content()).replace("\r\n", "\n")


async def test_the_number_the_matter_and_the_parcel_stand_in_the_subject_from_the_first_mail_on(
    backend: Backend,
) -> None:
    shipment = {"waybill": "YD-FIRST", "posted_on": "2026-03-01"}
    case = await backend.file("complaint", {"category": "delay", "shipment": shipment})
    await backend.recorded(case)
    number = (await backend.book.case(case.id) or {})["number"]
    # All that a complaint tells when it is opened: who holds it, and those above.
    said = await eventually(lambda: _now(subjects, backend, case), lambda found: len(found) >= 4)
    assert all(re.fullmatch(rf"\[{number}\] .+ · 延误 · YD-FIRST", one) for one in said), said
    [mail] = [mail for mail in backend.mails() if is_about(mail, case.id) and mail["To"] == "agents@example.com"]
    text = mail.get_content()
    assert re.search(r"请在 \d{4}年\d+月\d+日（周.）\d\d:\d\d 前受理", text), text
    assert not re.search(r"\d\d:\d\d:\d\d|\+0\d:00", text), text


async def test_who_is_asked_and_who_asked_read_why_in_their_mails(backend: Backend) -> None:
    case = await backend.file("claim", CLAIM)
    await backend.do(case, "acknowledge")
    for subject, said, decision, why in (
        ("refund", "退款", "approve", "paid twice, indeed"),
        ("voucher", "voucher", "reject", "not this one"),
    ):
        asking = f"the {subject} was promised on the phone"
        await backend.do(case, "request_approval", subject=subject, amount="5000.00", reason=asking)
        await backend.do(case, decision, "general_manager", subject=subject, reason=why)
        for words, wanted in (("请审批", asking), ("已批准" if decision == "approve" else "已驳回", why)):

            def found(words: str = f"{words}：{said}") -> list[str]:
                mails = [mail for mail in backend.mails() if is_about(mail, case.id)]
                return [lines(mail) for mail in mails if words in mail["Subject"]]

            [text] = await eventually(lambda: _now(found), lambda seen: len(seen) == 1)
            assert f"理由：{wanted}\n" in text
            assert "金额：5000.00 元" in text


async def test_an_approval_that_climbs_says_why_it_was_asked_for(backend: Backend) -> None:
    case = await backend.file("claim", CLAIM)
    await backend.do(case, "acknowledge")
    await backend.do(case, "request_approval", subject="refund", amount="900.00", reason="it was paid twice")
    await backend.recorded(case)
    policy = (await case.query("case"))["clocks"]
    [due] = [one["due"] for one in policy if one["clock"] == "approval:1"]
    await backend.wait(case, datetime.fromisoformat(due) - datetime.now(UTC))

    def found() -> list[str]:
        mails = [mail for mail in backend.mails() if is_about(mail, case.id) and mail["To"] == "quality@example.com"]
        return [lines(mail) for mail in mails if "请审批：退款" in mail["Subject"]]

    [text] = await eventually(lambda: _now(found), bool)
    assert "理由：it was paid twice\n" in text
    assert "申请人：agent-1\n" in text


async def _now(look: Any, *about: Any) -> Any:
    return look(*about)


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
