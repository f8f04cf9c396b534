"""Notices against real mail and HTTP servers: who gets what, how often, and what is recorded."""

from __future__ import annotations

import asyncio
import base64
import email
import email.policy
import json
import logging
import os
import ssl
import sys
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, Session
from standardwebhooks import Webhook
from structlog.testing import capture_logs
from temporalio import workflow
from temporalio.client import WorkflowHandle
from temporalio.common import RetryPolicy
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from activities.messages import NoticeBatch, NoticeOrder, NoticeResult
from activities.notify.build import build_notifier
from activities.notify.channels import Delayed, Message, SettingError, Undeliverable
from activities.notify.channels.mail import read_sender
from activities.notify.channels.maildir import MaildirChannel
from activities.notify.channels.smtp import SmtpChannel
from activities.notify.contacts import ContactBook, read_contacts
from activities.notify.notifier import Notifier
from activities.notify.templates import Templates
from activities.notify.translations import LANGUAGES
from cases.vocabulary.addresses import CHANNELS
from tests.notifications import AT, Attempts, HookServer, MailServer, batch, free_port, order

SECRET = "whsec_" + base64.b64encode(b"k" * 32).decode()

# A key pair for localhost that serves these tests and nothing else.
TLS_KEY = """\
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQghfMrXOAGx3dbLim1
/ib7E6YYjSUvGrQ6YQRVZu2g0fmhRANCAATXVMJObJr2WlJ7rtKYh0rbWmF6X47L
aN2vPyC013zHH3a2OPpcS5jf/1TyXwHZtRIuynPHvRyqn42jKK9KHgq9
-----END PRIVATE KEY-----
"""
TLS_CERTIFICATE = """\
-----BEGIN CERTIFICATE-----
MIIBmzCCAUGgAwIBAgIUSL9i0Cz6smet8q0I1ShV/r+CuB8wCgYIKoZIzj0EAwIw
FDESMBAGA1UEAwwJbG9jYWxob3N0MCAXDTI2MTEyMzE1NTA1NloYDzIxMjYxMDMw
MTU1MDU2WjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjO
PQMBBwNCAATXVMJObJr2WlJ7rtKYh0rbWmF6X47LaN2vPyC013zHH3a2OPpcS5jf
/1TyXwHZtRIuynPHvRyqn42jKK9KHgq9o28wbTAdBgNVHQ4EFgQUZS4GDJHVNYVk
xCQiKmCUknDe9Q8wHwYDVR0jBBgwFoAUZS4GDJHVNYVkxCQiKmCUknDe9Q8wDwYD
VR0TAQH/BAUwAwEB/zAaBgNVHREEEzARgglsb2NhbGhvc3SHBH8AAAEwCgYIKoZI
zj0EAwIDSAAwRQIhAO1MRnMU009pccGT1gk8TMRjlpGZip8NuWOrw+93NqA0AiB/
VrsAZRvtpmygGaEok3FOOzpm3ZDOjB/2He7ET1UWUw==
-----END CERTIFICATE-----
"""


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
async def mail() -> AsyncIterator[MailServer]:
    async with MailServer().up() as server:
        yield server


@pytest.fixture
async def hooks() -> AsyncIterator[HookServer]:
    async with HookServer().up() as server:
        yield server


# --- notices ----------------------------------------------------------------------------------------


BREACH = ("breach", "supervisor", "qa_manager")
Make = Callable[..., Attempts]


@pytest.fixture
def make(tmp_path: Path, mail: MailServer) -> Make:
    def make(contacts: str, smtp_url: str | None = "", secret: str | None = SECRET) -> Attempts:
        path = tmp_path / "contacts.toml"
        path.write_text(contacts, encoding="utf-8")
        url = f"smtp://127.0.0.1:{mail.port}" if smtp_url == "" else smtp_url
        return Attempts(build_notifier(url, secret, path, "caseladder@example.com"))

    return make


TWO_ROLES = """
[roles.supervisor]
email = ["li@example.com", "wang@example.com"]
[roles.qa_manager]
email = ["zhao@example.com"]
language = "en"
"""


async def test_each_address_gets_its_own_mail_in_its_language_over_one_connection(mail: MailServer, make: Make) -> None:
    [result] = await make(TWO_ROLES).run(batch(order(*BREACH)))

    assert mail.recipients == ["li@example.com", "wang@example.com", "zhao@example.com"]
    assert mail.connections == 1
    assert [str(m["To"]) for _, m in mail.mails] == mail.recipients  # nobody sees the others
    assert len({m["Message-ID"] for _, m in mail.mails}) == 3
    assert len({m["References"] for _, m in mail.mails}) == 1
    chinese, english = mail.mails[0][1], mail.mails[2][1]
    assert chinese["Subject"] == "[2026-03-0007] 已超时：答复"
    assert "应于 2026年3月10日（周二）09:05 前完成" in chinese.get_content()
    assert english["Subject"] == "[2026-03-0007] Deadline missed: answer"
    assert "Was due:  Tue 10 Mar 2026, 09:05 (answer)" in english.get_content()
    assert english["From"] == "caseladder <caseladder@example.com>"
    assert english["Auto-Submitted"] == "auto-generated"
    assert (result.outcome, result.channel, result.reasons) == ("sent", "email", {})
    assert result.roles == ["supervisor", "qa_manager"]
    assert result.at.endswith("+00:00")


async def test_an_address_of_two_roles_is_told_once(mail: MailServer, make: Make) -> None:
    shared = '[roles.supervisor]\nemail = ["li@example.com"]\n[roles.qa_manager]\nemail = ["li@example.com"]'
    [result] = await make(shared).run(batch(order(*BREACH)))
    assert mail.recipients == ["li@example.com"]
    assert (result.outcome, result.reasons) == ("sent", {})


async def test_a_missing_address_is_recorded_and_stops_nobody(mail: MailServer, make: Make) -> None:
    partly, nobody = await make('[roles.supervisor]\nemail = ["li@example.com"]').run(
        batch(order(*BREACH), order("decided", "agent", type="approved", subject="refund", amount="80.00"))
    )
    assert mail.recipients == ["li@example.com"]
    assert (partly.outcome, partly.reasons) == ("partly", {"qa_manager": "no address"})
    assert (nobody.outcome, nobody.channel, nobody.reasons) == ("no_address", "", {"agent": "no address"})


async def test_a_channel_that_is_not_configured_is_recorded(make: Make) -> None:
    contacts = '[roles.supervisor]\nemail = ["li@example.com"]\nwebhook = ["https://hooks.test/x"]'
    [result] = await make(contacts, smtp_url=None, secret=None).run(batch(order("breach", "supervisor")))
    assert result.outcome == "failed"
    assert result.reasons == {"supervisor": "email: not configured; webhook: not configured"}


async def test_a_refused_address_is_recorded_and_the_others_are_told(mail: MailServer, make: Make) -> None:
    mail.answers = {"wang@example.com": "550 5.1.1 <wang@example.com> no such user"}
    attempts = make(TWO_ROLES)
    [result] = await attempts.run(batch(order(*BREACH)))
    assert mail.recipients == ["li@example.com", "zhao@example.com"]
    # Somebody of every role was reached; the refusal is on record, without the address.
    assert (result.outcome, result.reasons) == ("sent", {"supervisor": "email: SMTP 550 5.1.1"})

    mail.answers["zhao@example.com"] = "553 mailbox name not allowed"
    [result] = await make(TWO_ROLES).run(batch(order(*BREACH)))
    assert (result.outcome, result.reasons["qa_manager"]) == ("partly", "email: SMTP 553")

    mail.answers["li@example.com"] = "550 no"
    [result] = await make(TWO_ROLES).run(batch(order(*BREACH)))
    assert (result.outcome, result.channel) == ("failed", "")
    assert set(result.reasons) == {"supervisor", "qa_manager"}


async def test_a_temporary_refusal_delays_only_the_one_concerned(mail: MailServer, make: Make) -> None:
    mail.answers = {"wang@example.com": "451 4.7.1 try again later"}
    attempts = make(TWO_ROLES)
    error = await attempts.delayed(batch(order(*BREACH)))
    assert mail.recipients == ["li@example.com", "zhao@example.com"]
    assert error.message == "1 of 3 deliveries delayed: supervisor (email: SMTP 451 4.7.1)"
    # Whoever gives up now knows what was achieved.
    [so_far] = [NoticeResult(**result) for result in error.details[0]]
    assert (so_far.outcome, so_far.reasons) == ("sent", {"supervisor": "email: SMTP 451 4.7.1"})

    mail.answers = {}
    [result] = await attempts.run(batch(order(*BREACH)))
    assert mail.recipients == ["li@example.com", "zhao@example.com", "wang@example.com"]
    assert (result.outcome, result.reasons) == ("sent", {})


async def test_a_refusal_for_good_is_not_tried_again_with_the_rest(mail: MailServer, make: Make) -> None:
    mail.answers = {"li@example.com": "550 no", "zhao@example.com": "450 later"}
    attempts = make(TWO_ROLES)
    await attempts.delayed(batch(order(*BREACH)))
    mail.answers = {}
    [result] = await attempts.run(batch(order(*BREACH)))
    assert mail.recipients == ["wang@example.com", "zhao@example.com"]
    assert result.reasons == {"supervisor": "email: SMTP 550"}


async def test_a_repeat_has_the_same_message_id(mail: MailServer, make: Make) -> None:
    # The acceptance got lost, so the server has the mail and we do not know: it is sent again.
    for _ in range(2):
        await make(TWO_ROLES).run(batch(order(*BREACH)))
    ids = [m["Message-ID"] for _, m in mail.mails]
    assert ids[:3] == ids[3:]
    await make(TWO_ROLES).run(batch(order(*BREACH, id="complaint:C-1/8/breach")))
    assert not set(ids) & {m["Message-ID"] for _, m in mail.mails[6:]}


async def test_server_down_then_up(make: Make, hooks: HookServer) -> None:
    down = MailServer()
    contacts = f'[roles.supervisor]\nemail = ["li@example.com"]\nwebhook = ["{hooks.url}/a"]'
    attempts = make(contacts, smtp_url=f"smtp://127.0.0.1:{down.port}")
    error = await attempts.delayed(batch(order("breach", "supervisor"), order("rung", "supervisor")))
    assert "2 of 4 deliveries delayed: supervisor (email: no connection (SMTPConnectError))" in str(error)
    assert len(hooks.requests) == 2  # the mail server's absence held up nobody else

    async with down.up():
        results = await attempts.run(batch(order("breach", "supervisor"), order("rung", "supervisor")))
    assert down.recipients == ["li@example.com"] * 2
    assert len(hooks.requests) == 2
    assert [r.outcome for r in results] == ["sent", "sent"]
    assert results[0].channel == "email, webhook"


async def test_the_server_hangs_up_halfway(mail: MailServer, make: Make) -> None:
    mail.after_data = "421 4.3.2 shutting down"
    attempts = make(TWO_ROLES)
    error = await attempts.delayed(batch(order(*BREACH)))
    assert "3 of 3 deliveries delayed" in str(error)
    mail.after_data = None
    await attempts.run(batch(order(*BREACH)))
    assert mail.recipients == ["li@example.com", "wang@example.com", "zhao@example.com"]


async def test_a_message_refused_for_good_after_data(mail: MailServer, make: Make) -> None:
    mail.after_data = "554 5.6.0 content refused"
    [result] = await make(TWO_ROLES).run(batch(order(*BREACH)))
    assert (result.outcome, result.reasons["qa_manager"]) == ("failed", "email: SMTP 554 5.6.0")


async def test_a_silent_mail_server_costs_one_timeout_a_batch(make: Make) -> None:
    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    attempts = make(TWO_ROLES, smtp_url=f"smtp://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    attempts.channels["email"]._timeout = 0.3
    started = asyncio.get_running_loop().time()
    async with server:
        error = await attempts.delayed(batch(order(*BREACH)))
    assert "3 of 3" in str(error)
    assert asyncio.get_running_loop().time() - started < 0.8


@pytest.mark.parametrize(
    ("mischief", "reason", "later"),
    [
        # Silence ends the attempt; a lost connection is opened anew for the next mail.
        ("hang", "timed out", ["wang@example.com", "zhao@example.com"]),
        ("drop", "connection lost (SMTPServerDisconnected)", ["wang@example.com"]),
    ],
)
async def test_the_server_fails_in_the_middle_of_a_mail(
    mail: MailServer, make: Make, mischief: str, reason: str, later: list[str]
) -> None:
    mail.answers = {"wang@example.com": mischief}
    attempts = make(TWO_ROLES)
    attempts.channels["email"]._timeout = 0.3
    error = await attempts.delayed(batch(order(*BREACH)))
    assert f"supervisor (email: {reason})" in str(error)
    mail.answers = {}
    sent_before = len(mail.mails)
    await attempts.run(batch(order(*BREACH)))
    assert sorted(mail.recipients) == ["li@example.com", "wang@example.com", "zhao@example.com"]
    assert mail.recipients[sent_before:] == later


async def test_an_address_that_smtp_cannot_carry_is_refused_for_good(mail: MailServer) -> None:
    channel = SmtpChannel(f"smtp://127.0.0.1:{mail.port}", read_sender("caseladder@example.com"))
    async with channel.session() as deliver:
        for address in ("a@example.com\nBcc: eve@example.com", "l\u00ed@example.com"):
            with pytest.raises(Undeliverable, match="not an address that SMTP can carry"):
                await deliver(Message("1", "2", address, "subject", "text", {}))
        await deliver(Message("1", "2", "li@example.com", "subject", "text", {}))
    assert mail.recipients == ["li@example.com"]


async def test_the_contacts_may_change_between_attempts(tmp_path: Path, mail: MailServer, make: Make) -> None:
    mail.answers = {"zhao@example.com": "450 later"}
    attempts = make(TWO_ROLES)
    await attempts.delayed(batch(order(*BREACH)))
    changed = TWO_ROLES.replace('"li@example.com", ', "").replace("zhao@", "sun.new@")
    (tmp_path / "contacts.toml").write_text(changed, encoding="utf-8")
    [result] = await attempts.run(batch(order(*BREACH)))
    assert mail.recipients == ["li@example.com", "wang@example.com", "sun.new@example.com"]
    assert (result.outcome, result.reasons) == ("sent", {})


# --- TLS and authentication -------------------------------------------------------------------------


@pytest.fixture
def tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    (tmp_path / "cert.pem").write_text(TLS_CERTIFICATE, encoding="ascii")
    (tmp_path / "key.pem").write_text(TLS_KEY, encoding="ascii")
    # The system's trust store, for this test.
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "cert.pem"))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    return context


def only_the_right_password(
    server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any
) -> AuthResult:
    # handled=False: the server answers by itself.
    return AuthResult(success=(data.login, data.password) == (b"case@ladder", b"p:w/1"), handled=False)


async def test_starttls_with_a_password(make: Make, tls: ssl.SSLContext) -> None:
    async with MailServer().up(
        tls_context=tls, require_starttls=True, authenticator=only_the_right_password, auth_required=True
    ) as server:
        url = f"smtp+starttls://case%40ladder:p%3Aw%2F1@localhost:{server.port}"
        [result] = await make(TWO_ROLES, smtp_url=url).run(batch(order(*BREACH)))
        assert (result.outcome, len(server.mails)) == ("sent", 3)

        wrong = make(TWO_ROLES, smtp_url=url.replace("p%3Aw", "guess"))
        error = await wrong.delayed(batch(order(*BREACH)))
    # Ours to mend, so the notice waits; and the password stays unsaid.
    assert "no connection (SMTP 535" in str(error)
    assert "guess" not in str(error)


async def test_tls_from_the_start(make: Make, tls: ssl.SSLContext) -> None:
    async with MailServer().up(tls=tls) as server:
        url = f"smtps://localhost:{server.port}"
        [result] = await make(TWO_ROLES, smtp_url=url).run(batch(order(*BREACH)))
        assert result.outcome == "sent"


async def test_no_mail_without_the_encryption_that_was_asked_for(
    mail: MailServer, make: Make, tls: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = make(TWO_ROLES, smtp_url=f"smtp+starttls://127.0.0.1:{mail.port}")
    await plain.delayed(batch(order(*BREACH)))
    assert mail.mails == []
    monkeypatch.delenv("SSL_CERT_FILE")
    async with MailServer().up(tls=tls) as stranger:
        await make(TWO_ROLES, smtp_url=f"smtps://localhost:{stranger.port}").delayed(batch(order(*BREACH)))
        assert stranger.mails == []


# --- webhooks ---------------------------------------------------------------------------------------


def hook_contacts(*urls: str) -> str:
    return "[roles.supervisor]\nlanguage = 'en'\nwebhook = [" + ", ".join(f'"{url}"' for url in urls) + "]"


async def test_a_webhook_is_signed_as_the_standard_says(make: Make, hooks: HookServer) -> None:
    [result] = await make(hook_contacts(f"{hooks.url}/in?token=1")).run(batch(order("breach", "supervisor")))
    assert (result.outcome, result.channel) == ("sent", "webhook")
    [(path, headers, body)] = hooks.requests
    assert path == "/in?token=1"
    payload = Webhook(SECRET).verify(body, headers)
    assert payload["id"] == headers["webhook-id"]
    assert {k: payload[k] for k in ("type", "timestamp", "case_id", "number", "kind", "notice", "roles")} == {
        "type": "notice.breach",
        "timestamp": AT,
        "case_id": "complaint:C-1",
        "number": "2026-03-0007",
        "kind": "complaint",
        "notice": "breach",
        "roles": ["supervisor"],
    }
    assert payload["subject"] == "[2026-03-0007] Deadline missed: answer"
    assert payload["event"] == order("breach").event
    assert "Was due:" in payload["text"]


@pytest.mark.parametrize("status", [500, 503, 429, 408, 425])
async def test_a_webhook_that_is_busy_gets_it_later_with_the_same_id(
    make: Make, hooks: HookServer, status: int
) -> None:
    hooks.statuses = [status]
    attempts = make(hook_contacts(f"{hooks.url}/a", f"{hooks.url}/b"))
    error = await attempts.delayed(batch(order("breach", "supervisor")))
    assert str(error).endswith(f"1 of 2 deliveries delayed: supervisor (webhook: HTTP {status})")
    [result] = await attempts.run(batch(order("breach", "supervisor")))
    assert result.outcome == "sent"
    assert [path for path, _, _ in hooks.requests] == ["/a", "/b", "/a"]
    first, other, again = [headers["webhook-id"] for _, headers, _ in hooks.requests]
    assert first == again != other


@pytest.mark.parametrize("status", [400, 401, 404, 410, 302])
async def test_a_webhook_that_refuses_is_not_asked_again(make: Make, hooks: HookServer, status: int) -> None:
    hooks.statuses = [status]
    [result] = await make(hook_contacts(hooks.url)).run(batch(order("breach", "supervisor")))
    assert (result.outcome, result.reasons) == ("failed", {"supervisor": f"webhook: HTTP {status}"})
    assert len(hooks.requests) == 1  # nor is a redirect followed


async def test_a_webhook_that_never_answers(make: Make, hooks: HookServer) -> None:
    hooks.statuses = [0, 200, 200]
    attempts = make(hook_contacts(f"{hooks.url}/silent", f"{hooks.url}/good"))
    attempts.channels["webhook"]._timeout = 0.3
    error = await attempts.delayed(batch(order("breach", "supervisor"), order("rung", "supervisor")))
    # Not waited for twice in one batch; the other one has both.
    assert [path for path, _, _ in hooks.requests] == ["/silent", "/good", "/good"]
    assert "2 of 4 deliveries delayed: supervisor (webhook: no answer" in str(error)


async def test_a_webhook_that_is_not_there(make: Make) -> None:
    error = await make(hook_contacts(f"http://127.0.0.1:{free_port()}/")).delayed(batch(order("breach", "supervisor")))
    assert "no answer (ConnectError)" in str(error)


async def test_a_webhook_address_that_cannot_be_used(make: Make) -> None:
    [result] = await make(hook_contacts("http://1.2.3.999/")).run(batch(order("breach", "supervisor")))
    assert result.reasons == {"supervisor": "webhook: not a usable address"}


# --- privacy ----------------------------------------------------------------------------------------


async def test_no_address_in_logs_heartbeats_results_or_errors(
    mail: MailServer, make: Make, hooks: HookServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    mail.answers = {
        "li@example.com": "550 5.1.1 li@example.com unknown",
        "wang@example.com": "451 4.1.1 wang@example.com later",
    }
    contacts = TWO_ROLES.replace('language = "en"', f'webhook = ["{hooks.url}/token-1", "{hooks.url}/token-2"]')
    hooks.statuses = [404, 503]
    attempts = make(contacts)
    with capture_logs() as logs:
        error = await attempts.delayed(batch(order(*BREACH)))
    # The test's own mail server logs too.
    ours = [record.getMessage() for record in caplog.records if not record.name.startswith("mail.")]
    said = json.dumps([logs, ours, attempts.heartbeats, str(error), error.details], default=str)
    assert len(logs) == 4
    for secret in ("li@", "wang@", "zhao@", "example.com", "token-", "127.0.0.1"):
        assert secret not in said
    assert error.__cause__ is None
    assert error.__context__ is None


# --- templates --------------------------------------------------------------------------------------

EXAMPLES: dict[str, tuple[str, dict[str, Any]]] = {
    "report": (
        "case_opened",
        {"kind": "complaint", "holder_role": "agent", "facts": {"category": "delay", "severity": "serious"}},
    ),
    "rung": ("clock_started", {"clock": "rung", "due": AT}),
    "reminder": ("reminded", {"rung": "general_manager", "count": 3}),
    "warning": ("clock_warned", {"clock": "promise:2", "due": AT, "fraction": "0.75"}),
    "breach": ("clock_breached", {"clock": "resolution", "due": AT}),
    "approval": ("approval_requested", {"subject": "refund", "amount": "2500.00", "role": "qa_manager"}),
    "decided": ("rejected", {"subject": "refund", "amount": None, "reason": "Ms Li said so"}),
    "unsatisfied": ("followed_up", {"satisfied": False, "text": "Mr Wu is angry"}),
    "platform": ("clock_paused", {"clocks": ["answer", "resolution"], "reason": "Ms Li is away"}),
    "phone": ("phone_notice_due", {"roles": ["supervisor", "general_manager"]}),
    "late_goods": ("case_opened", {"kind": "exception", "facts": {"category": "late"}}),
    "large_damage": ("large_damage", {"amount": "48000.00"}),
    "moved": ("clock_moved", {"clock": "report_mail", "due": AT, "was": "2026-03-09T09:00:00+08:00", "year": 2026}),
    "payout": ("payout_requested", {"amount": "607.00"}),
}
SUBJECTS = {
    "report": ("New complaint", "新投诉上报"),
    "rung": ("The case is now with you (supervisor, QA manager)", "请受理（客服主管、质控经理）"),
    "reminder": ("Reminder 3: nobody has acknowledged this case", "第 3 次催办：尚未受理"),
    "warning": ("Deadline near: promised reply 2", "即将到期：承诺回复 2"),
    "breach": ("Deadline missed: resolution", "已超时：办结时限"),
    "approval": ("Your approval is needed: refund, 2500.00 yuan", "请审批：退款，2500.00 元"),
    "decided": ("Rejected: refund", "已驳回：退款"),
    "unsatisfied": ("The customer is not satisfied", "客户不满意"),
    "platform": ("waiting for the customer", "暂停计时"),
    "phone": ("Call now: supervisor, general manager", "请立即电话通知：客服主管、总经理"),
    "late_goods": ("Late goods: tell the client and the final customer now", "货物晚点：请立即通知委托客户和最终客户"),
    "large_damage": ("Very large damage: 48000.00 yuan", "货损金额巨大：48000.00 元"),
    "moved": ("Due date moved: report by e-mail", "时限调整：邮件上报"),
    "payout": ("To be paid: 607.00 yuan", "待赔付：607.00 元"),
}


def facts_of(notice: NoticeOrder) -> dict[str, Any]:
    return {
        "case_id": "complaint:C-1",
        "number": "N-1",
        "kind": "complaint",
        "roles": notice.roles,
        "clause": notice.clause,
        "event": notice.event,
        "view": {},
    }


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_notice_has_its_words_in_both_languages(name: str) -> None:
    type_, data = EXAMPLES[name]
    facts = facts_of(order(name, "supervisor", "qa_manager", type=type_, **data))
    with capture_logs() as logs:
        english, chinese = (Templates().render(name, language, facts) for language in ("en", "zh"))
    assert logs == []  # nothing fell back
    assert (english.subject, chinese.subject) == tuple(f"[N-1] {subject}" for subject in SUBJECTS[name])
    for text in (english, chinese):
        assert "S4-2.4" in text.body
        assert "\n\n\n" not in text.body
        # Free text may name people: it stays in the record.
        assert not any(word in text.body for word in ("Ms Li", "Mr Wu", "None", "caseladder", "{", "}"))
    assert "look for N-1 in the console" in english.body
    assert "“查找”中输入 N-1" in chinese.body


def test_the_words_follow_the_event() -> None:
    templates = Templates()

    def english(name: str, type: str, **data: Any) -> str:
        text = templates.render(name, "en", facts_of(order(name, "supervisor", type=type, **data)))
        return f"{text.subject}\n{text.body}"

    assert "Category: delay\nSeverity: serious\nHeld by:  agent" in english("report", "case_opened", **_data("report"))
    assert "Acknowledge it by Tue 10 Mar 2026, 09:05" in english("rung", "clock_started", due=AT, clock="rung")
    assert "You hold this case from now on: see to it." in english("rung", "escalated", to="supervisor")
    assert "refund waits for your decision" in english("reminder", "reminded", count=1, subject="refund", rung="x")
    assert "Amount:   2500.00 yuan" in english("approval", "approval_requested", **_data("approval"))
    assert "Approved: refund" in english("decided", "approved", subject="refund", amount="1.00")
    assert "Stage:    interim reply" in english("platform", "replied", stage="interim")
    assert "Clocks:   answer, resolution" in english("platform", "clock_paused", **_data("platform"))


# What a report filed after hours on New Year's Eve looks like.
REPORT_VIEW: dict[str, Any] = {
    "rung": "agent",
    "late": True,
    "facts": {
        "source": "self_found",
        "known_at": "2026-12-31T18:30:00+08:00",
        "category": "damage",
        "severity": "normal",
        "estimated_amount": "300.00",
    },
    "clocks": [
        {"clock": "phone_notice", "state": "running", "due": "2026-12-31T18:35:00+08:00", "provisional": []},
        {"clock": "report_mail", "state": "running", "due": "2027-01-01T09:00:00+08:00", "provisional": [2027]},
    ],
}
MAIL_DUE = {"clock": "report_mail", "due": "2027-01-01T09:00:00+08:00"}


def report_text(name: str, language: str, type: str, **data: Any) -> str:
    """A notice of that report in words."""
    facts = {**facts_of(order(name, "supervisor", type=type)), "view": REPORT_VIEW, "kind": "exception"}
    facts["event"] = {**facts["event"], "data": data}
    with capture_logs() as logs:
        text = Templates().render(name, language, facts)
    assert logs == []
    return f"{text.subject}\n{text.body}"


def test_the_words_of_an_exception_report() -> None:
    english = report_text("report", "en", "report_due")
    assert "New exception report" in english
    assert "Source:   found in own tracking\nKnown at: Thu 31 Dec 2026, 18:30 (filed late)\n" in english
    assert "Category: damage\nDamage:   300.00 yuan, estimated\nSeverity: normal\nHeld by:  agent" in english
    chinese = report_text("report", "zh", "report_due")
    assert "来源：自查发现\n获知时间：2026年12月31日（周四）18:30（迟报）\n类别：损毁\n预计损失：300.00 元" in chinese


def test_a_call_says_whom_by_when_and_how_it_is_confirmed() -> None:
    english = report_text("phone", "en", "phone_notice_due", roles=["supervisor", "qa_manager"])
    assert "call to those responsible by: Thu 31 Dec 2026, 18:35\n" in english
    assert (
        "report by e-mail by: Fri 1 Jan 2027, 09:00 "
        "(provisional: the working days of 2027 are not published yet)" in english
    )
    assert 'Confirm:  "Confirm the calls" in the console' in english
    chinese = report_text("phone", "zh", "phone_notice_due", roles=["supervisor"])
    assert "邮件上报时限：2027年1月1日（周五）09:00（暂定：2027 年工作日历尚未公布）" in chinese


@pytest.mark.parametrize(
    ("name", "type", "data"),
    [
        ("breach", "clock_breached", MAIL_DUE),
        ("warning", "clock_warned", {**MAIL_DUE, "fraction": "0.75"}),
        ("rung", "clock_started", {**MAIL_DUE, "provisional": [2027]}),
        ("moved", "clock_moved", {**MAIL_DUE, "was": AT, "year": 2026, "provisional": [2027]}),
    ],
)
def test_a_provisional_due_date_is_said_to_be_one(name: str, type: str, data: dict[str, Any]) -> None:
    said = {"en": "Provisional: the working days of 2027 are not published yet", "zh": "该时限为暂定：2027 年"}
    sure = {**data, "due": "2026-12-31T18:35:00+08:00", "clock": "phone_notice", "provisional": []}
    for language, words in said.items():
        assert words in report_text(name, language, type, **data)
        assert words not in report_text(name, language, type, **sure)


def test_a_moved_date_shows_the_old_one() -> None:
    text = report_text("moved", "en", "clock_moved", **MAIL_DUE | {"due": AT}, was=MAIL_DUE["due"], year=2027)
    assert "Was due:  Fri 1 Jan 2027, 09:00 (report by e-mail)\nNow due:  Tue 10 Mar 2026, 09:05\n" in text
    assert "The working days of 2027 are published" in text


def test_finance_hears_what_is_to_be_paid_and_what_failed() -> None:
    assert "Amount:   607.00 yuan" in report_text("payout", "en", "payout_requested", amount="607.00")
    failed = report_text("payout", "en", "payout_failed", reason="Ms Li has no account")
    assert "A payout failed" in failed
    assert "Ms Li" not in failed
    assert "赔付失败" in report_text("payout", "zh", "payout_failed", reason="x")


def _data(name: str) -> dict[str, Any]:
    return EXAMPLES[name][1]


@pytest.mark.parametrize(("language", "subject"), [("en", "[N-1] deadline extended"), ("zh", "[N-1] 延期")])
@pytest.mark.parametrize("name", ["company_special", "../../contacts", "a\nb", "rung\x00"])
def test_an_unknown_notice_gets_the_generic_text(name: str, language: str, subject: str) -> None:
    text = Templates().render(name, language, facts_of(order(name, "supervisor", type="extended", clock="answer")))
    assert text.subject == subject
    assert "N-1, complaint" in text.body or "N-1（投诉）" in text.body


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", ["warning", "reminder", "report"])
def test_a_template_that_does_not_fit_the_event_falls_back_and_says_so(name: str, language: str) -> None:
    unfit = order(name, "supervisor", type="note", text="Ms Li")
    with capture_logs() as logs:
        text = Templates().render(name, language, facts_of(unfit))
    assert text.subject == "[N-1] note"
    assert [(entry["event"], entry["template"]) for entry in logs] == [("template_failed", f"{language}/{name}")]
    assert "Ms Li" not in str(logs)


async def test_nobody_can_smuggle_in_a_header_or_a_line(mail: MailServer, make: Make) -> None:
    evil = "x\r\nBcc: eve@example.com\r\n\r\nforged\x00\x1b[2J"
    notice = order("approval", "supervisor", id=evil, type="approval_requested", subject=evil, amount=evil, role="x")
    [result] = await make(TWO_ROLES).run(
        NoticeBatch(case_id=f"complaint:{evil}", view={"number": evil, "kind": evil}, notices=[notice])
    )
    assert result.outcome == "sent"
    assert mail.recipients == ["li@example.com", "wang@example.com"]
    for _, message in mail.mails:
        assert message["Bcc"] is None
        assert "\n" not in message["Subject"]
        assert message["Message-ID"].strip("<>").removesuffix("@caseladder").isalnum()
        lines = message.get_content().splitlines()
        assert not any(line.startswith(("Bcc", "forged")) for line in lines)
        assert "\x1b" not in message.get_content()


async def test_a_case_without_a_number_goes_by_its_key(mail: MailServer, make: Make) -> None:
    await make(TWO_ROLES).run(batch(order(*BREACH), number=None))
    assert mail.mails[2][1]["Subject"] == "[C-1] Deadline missed: answer"


# --- maildir ----------------------------------------------------------------------------------------


async def test_maildir_keeps_one_file_per_message(tmp_path: Path, make: Make) -> None:
    folder = tmp_path / "deep" / "mail"
    for _ in range(2):
        [result] = await make(TWO_ROLES, smtp_url=f"maildir:{folder}").run(batch(order(*BREACH)))
        assert (result.outcome, result.channel) == ("sent", "email")
    files = sorted(folder.iterdir())
    assert len(files) == 3
    for file in files:
        mail = email.message_from_bytes(file.read_bytes(), policy=email.policy.SMTP)
        assert mail["Message-ID"] == f"<{file.stem}@caseladder>"
        assert file.suffix == ".eml"


async def test_maildir_leaves_no_half_written_file(tmp_path: Path) -> None:
    (tmp_path / "1.eml").mkdir()
    async with MaildirChannel(tmp_path, read_sender("caseladder@example.com")).session() as deliver:
        with pytest.raises(Delayed):
            await deliver(Message("1", "2", "li@example.com", "subject", "text", {}))
    assert os.listdir(tmp_path) == ["1.eml"]


async def test_maildir_that_cannot_be_written_delays(tmp_path: Path, make: Make) -> None:
    folder = tmp_path / "mail"
    attempts = make(TWO_ROLES, smtp_url=f"maildir:{folder}")
    folder.rmdir()
    error = await attempts.delayed(batch(order(*BREACH)))
    assert "email: not written (FileNotFoundError)" in str(error)
    folder.mkdir()
    await attempts.run(batch(order(*BREACH)))
    assert len(list(folder.iterdir())) == 3


# --- settings and contacts --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"smtp_url": "ftp://u:geheim@host"}, "smtp_url: unknown scheme 'ftp'; allowed: smtp://"),
        ({"smtp_url": "smtp://u:geheim@host:mail"}, "smtp_url: no usable host or port; allowed: "),
        ({"smtp_url": "smtp://u:geheim@host:70000"}, "smtp_url: no usable host or port; allowed: "),
        ({"smtp_url": "smtp://"}, "smtp_url: no usable host or port; allowed: "),
        ({"smtp_url": "smtps://u:geheim@host/path"}, "smtp_url: no usable host or port; allowed: "),
        ({"smtp_url": "smtps://u:geheim@[host"}, "smtp_url: no usable host or port; allowed: "),
        ({"smtp_url": "maildir:"}, "smtp_url = 'maildir:': no folder is named"),
        ({"smtp_url": "maildir:/dev/null/mail"}, "smtp_url = 'maildir:/dev/null/mail': the folder cannot be made"),
        ({"webhook_secret": "geheim"}, "webhook_secret: allowed: whsec_ followed by"),
        ({"webhook_secret": "whsec_Z2VoZWlt"}, "webhook_secret: allowed: whsec_ followed by"),
        ({"webhook_secret": "geheimé"}, "webhook_secret: allowed: whsec_ followed by"),
        ({"mail_from": "nobody"}, "mail_from = 'nobody': not an e-mail address; allowed: name@example.com"),
        ({"mail_from": ""}, "mail_from = '': not an e-mail address"),
        ({"mail_from": "a@b, c@d"}, "mail_from = 'a@b, c@d': not an e-mail address"),
        ({"mail_from": "a@b\nBcc: c@d"}, "mail_from = 'a@b\\nBcc: c@d': not an e-mail address"),
        ({"contacts_path": Path("/no/such.toml")}, "/no/such.toml: cannot be read: No such file"),
    ],
)
def test_a_bad_setting_is_named(given: dict[str, Any], message: str) -> None:
    settings = {"smtp_url": None, "webhook_secret": None, "contacts_path": None, "mail_from": "a@localhost"}
    with pytest.raises(SettingError) as caught:
        build_notifier(**{**settings, **given})
    assert str(caught.value).startswith(message)
    assert "geheim" not in str(caught.value)


ADDRESS = "not an e-mail address; allowed: name@example.com, in ASCII letters"
BOT = "not a secure web address; allowed: https://host/path"
WEB = "not a web address; allowed: https://host/path or http://host/path"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[roles", "not TOML: "),
        ("[role.agent]", "role is not a known key; allowed: roles"),
        ("[roles.agent]\nmail = []", f"roles.agent.mail is not a known key; allowed: {', '.join(CHANNELS)}, language"),
        ("[roles.agent]\nlanguage = 'fr'", "roles.agent.language = 'fr': Input should be 'zh' or 'en'"),
        ("[roles.agent]\nemail = 'a@b.c'", "roles.agent.email: Input should be a valid"),
        ("[roles.agent]\nemail = ['a@b.c', 'wrong']", f"roles.agent.email.1: {ADDRESS}"),
        ("[roles.agent]\nemail = ['wrong..x@b.c']", f"roles.agent.email.0: {ADDRESS}"),
        ('[roles.agent]\nemail = ["wrong@b.c\\nBcc: x@y.z"]', f"roles.agent.email.0: {ADDRESS}"),
        ("[roles.agent]\nemail = ['wrong@例子.中国']", f"roles.agent.email.0: {ADDRESS}"),
        ("[roles.agent]\nemail = [7]", "roles.agent.email.0: Input should be a valid string"),
        ("[roles.agent]\nwecom = ['http://wrong/x']", f"roles.agent.wecom.0: {BOT}"),
        ("[roles.agent]\ndingtalk = ['wrong']", f"roles.agent.dingtalk.0: {BOT}"),
        ("[roles.agent]\nfeishu = ['wrong']", f"roles.agent.feishu.0: {BOT}"),
        ("[roles.agent]\napprise = ['wrong']", "roles.agent.apprise.0: not an apprise address; allowed: service://..."),
        ("[roles.agent]\nwebhook = ['ftp://wrong']", f"roles.agent.webhook.0: {WEB}"),
        ("[roles.agent]\nwebhook = ['https://wrong:x/']", f"roles.agent.webhook.0: {WEB}"),
        ('[roles.agent]\nwebhook = ["https://wrong/\\n"]', f"roles.agent.webhook.0: {WEB}"),
        ("[roles.Agent]", "roles.Agent = 'Agent': String should match pattern"),
        ("roles = 7", "roles = 7: Input should be a valid dictionary"),
    ],
)
def test_a_bad_contacts_file_is_told_by_file_key_value_and_what_is_allowed(
    tmp_path: Path, text: str, message: str
) -> None:
    path = tmp_path / "contacts.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(SettingError) as caught:
        read_contacts(path)
    assert str(caught.value).startswith(f"{path}: {message}")
    assert "wrong" not in str(caught.value)  # an address, even a mistyped one, stays unsaid


def test_a_contacts_file_that_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "contacts.toml"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(SettingError, match="not UTF-8 text"):
        read_contacts(path)


@pytest.fixture
def contacts_file(tmp_path: Path) -> Callable[[str], Path]:
    ticks = iter(range(1, 100))

    def write(text: str) -> Path:
        path = tmp_path / "book.toml"
        path.write_text(text, encoding="utf-8")
        os.utime(path, ns=(next(ticks), next(ticks)))  # another mtime each time
        return path

    return write


def test_a_changed_contacts_file_is_read_again(contacts_file: Callable[[str], Path]) -> None:
    book = ContactBook(contacts_file('[roles.agent]\nemail = ["a@example.com"]'))
    first = book.current()
    assert book.current() is first
    contacts_file('[roles.agent]\nemail = ["b@example.com"]')
    assert book.current().roles["agent"].email == ("b@example.com",)


def test_a_broken_contacts_file_keeps_the_last_good_one(contacts_file: Callable[[str], Path]) -> None:
    path = contacts_file('[roles.agent]\nemail = ["a@example.com"]')
    book = ContactBook(path)
    with capture_logs() as logs:
        contacts_file('[roles.agent]\nemail = ["a@example"')
        assert book.current().roles["agent"].email == ("a@example.com",)
        book.current()
        path.unlink()
        assert book.current().roles["agent"].email == ("a@example.com",)
        book.current()
    assert [entry["event"] for entry in logs] == ["contacts_kept", "contacts_kept"]  # each once
    assert str(path) in logs[0]["reason"]
    assert "a@example" not in str(logs)
    contacts_file('[roles.agent]\nemail = ["b@example.com"]')
    assert book.current().roles["agent"].email == ("b@example.com",)


def test_the_sample_contacts_file_is_good() -> None:
    contacts = read_contacts(Path(__file__).parents[2] / "examples" / "contacts.toml")
    ladder = {"agent", "supervisor", "qa_manager", "general_manager"}
    assert set(contacts.roles) == {*ladder, "project_manager", "tracing_officer", "platform"}


# --- on a real server -------------------------------------------------------------------------------


@workflow.defn(sandboxed=False)
class Tell:
    """Tells, again and again until it works."""

    @workflow.run
    async def run(self, orders: NoticeBatch) -> list[NoticeResult]:
        results: list[NoticeResult] = await workflow.execute_activity_method(
            Notifier.notify,
            orders,
            schedule_to_close_timeout=timedelta(seconds=20),
            retry_policy=RetryPolicy(initial_interval=timedelta(milliseconds=200), backoff_coefficient=1),
        )
        return results


async def test_a_worker_retries_only_the_rest(make: Make, hooks: HookServer) -> None:
    contacts = f'[roles.supervisor]\nemail = ["li@example.com"]\nwebhook = ["{hooks.url}/a", "{hooks.url}/b"]'
    temporal = str(Path(sys.executable).with_name("temporal"))
    down = MailServer()
    one, other = (make(contacts, smtp_url=f"smtp://127.0.0.1:{down.port}").notifier for _ in range(2))
    async with await WorkflowEnvironment.start_local(dev_server_existing_path=temporal) as env:

        def worker(notifier: Notifier) -> Worker:
            return Worker(env.client, task_queue="t", workflows=[Tell], activities=[notifier.notify])

        async with worker(one):
            handle = await env.client.start_workflow(
                Tell.run, batch(order("breach", "supervisor")), id="tell", task_queue="t"
            )
            await asyncio.wait_for(hooks.asked.wait(), 10)
            async with asyncio.timeout(10):
                while not await failed_once(handle):  # noqa: ASYNC110  # the server sends no event
                    await asyncio.sleep(0.05)
        # Another process knows by the heartbeat what was sent.
        async with worker(other), down.up():
            [result] = await handle.result()
    assert (result.outcome, result.channel) == ("sent", "email, webhook")
    assert down.recipients == ["li@example.com"]
    assert sorted(path for path, _, _ in hooks.requests) == ["/a", "/b"]


async def failed_once(handle: WorkflowHandle[Any, Any]) -> bool:
    """Whether the server holds an activity of the workflow that has failed and will be retried."""
    pending = (await handle.describe()).raw_description.pending_activities
    return any(one.HasField("last_failure") for one in pending)
