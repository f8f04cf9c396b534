"""Telling people: the activity ``notify``.

Every recipient hears each notice at least once, under one id over all retries and channels. What has
become of each is kept in the heartbeat, so that a retry, here or on another worker, does only the rest.

The ways to a recipient are taken in order: the preferred channel, the next ones, then whoever is next
in line. What is refused for good is not tried again, and the next way has its turn at once. What
fails for now is tried again with growing pauses; each further way joins in when its share of the time
that the rule leaves has passed. How long it is tried, decides whoever asks (the activity's
schedule-to-close time).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import monotonic
from typing import Any, Self

import structlog
from temporalio import activity
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory

from activities.messages import NOTIFY, NoticeBatch, NoticeOrder, NoticeResult
from activities.notify import ack_tokens
from activities.notify.channels import Channel, Delayed, Deliver, Message, SettingError, Undeliverable
from activities.notify.channels.apprise import AppriseChannel
from activities.notify.channels.dingtalk import DingtalkChannel
from activities.notify.channels.feishu import FeishuChannel
from activities.notify.channels.mail import read_sender
from activities.notify.channels.maildir import MaildirChannel
from activities.notify.channels.smtp import FORM, SmtpChannel
from activities.notify.channels.webhook import WebhookChannel
from activities.notify.channels.wecom import WecomChannel
from activities.notify.contacts import ContactBook
from activities.notify.digest import Digests
from activities.notify.recipients import Aim, Step, aims, digest
from activities.notify.templates import Templates, Text
from activities.signatures import read_secret
from cases.directory import Directory

# The type of the retryable failure. Its first detail is a list of `NoticeResult` as JSON objects:
# what came of each notice so far, for whoever gives up.
DELAYED = "NoticeDelayed"
# Seconds; several of them fit into the time after which an attempt counts as dead.
HEARTBEAT, SELDOM = 3, 0.2
# In which the ways to somebody are all in use where no deadline says anything.
PATIENCE = timedelta(minutes=10)
# Of the time until a deadline: the ways are all in use after half of it, so that whoever hears last
# can still act; and a quarter of it is the most that a notice is held for a digest.
REACHED_AFTER, HELD_FOR = 0.5, 0.25
# The pause before the next try is a part of the time that it has taken so far, seconds at least and at most.
PAUSE_GROWS, SHORTEST, LONGEST = 0.5, 1.0, 900.0
# Seconds that a notice is held at most, whatever the policy says.
HOLD = 60
# Of so many notices at once the steps that led to each person go on record.
MOST_EXPLAINED = 50
# The server keeps no longer details of a failure than this, in bytes, and then none at all.
MOST_DETAILS = 3000
# So many different attempts of a notice go on record one by one.
MOST_ATTEMPTS = 40

log = structlog.get_logger(__name__)

Staff = Callable[[], Awaitable[Directory]]


@dataclass(frozen=True)
class Links:
    """What notices are acknowledged with: the secrets behind codes and links, newest first, and where links lead."""

    secrets: tuple[str, ...]
    public_url: str | None = None


@dataclass
class Progress:
    """What was achieved so far. Plain JSON, because it travels in the heartbeat.

    Args:
        aims: of each aim ``{"at", "reason" ("" if it arrived), "final", "channel"}``.
        told: by message id, when a person was told.
        refused: by way, why it is no use.
        waits: by address, until when the receiver wants to be left alone.
        tried, meant, remarks: by notice, as in `NoticeResult`.
    """

    aims: dict[str, dict[str, Any]] = field(default_factory=dict)
    told: dict[str, str] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    waits: dict[str, str] = field(default_factory=dict)
    tried: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    meant: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    remarks: dict[str, list[str]] = field(default_factory=dict)

    @classmethod
    def recall(cls) -> Self:
        """What earlier attempts achieved, by their last heartbeat."""
        details = activity.info().heartbeat_details
        return cls(**details[0]) if details and isinstance(details[0], dict) and "aims" in details[0] else cls()

    def beat(self) -> None:
        """Let the server keep it."""
        activity.heartbeat(vars(self))

    def attempt(self, order: str, recipient: str, channel: str, outcome: str, reason: str, at: str) -> int:
        """Note an attempt. Answers how many of its kind there are now."""
        entries = self.tried.setdefault(order, [])
        marks = {"recipient": recipient, "channel": channel, "outcome": outcome, "reason": reason}
        for entry in entries:
            if marks.items() <= entry.items():
                entry.update(last=at, count=entry["count"] + 1)
                return int(entry["count"])
        if len(entries) < MOST_ATTEMPTS:
            entries.append({**marks, "first": at, "last": at, "count": 1})
        return 1


class Moment:
    """The time as the server sees it, which in a test is not that of this machine."""

    def __init__(self) -> None:
        info = activity.info()
        self.since, self._patience = info.scheduled_time, info.schedule_to_close_timeout
        self._started, self._begun = info.started_time.astimezone(UTC), monotonic()

    def now(self) -> datetime:
        """Now, in UTC."""
        return self._started + timedelta(seconds=monotonic() - self._begun)

    def over(self, pause: timedelta) -> bool:
        """Whether nobody waits any more after a pause."""
        return self._patience is not None and self.now() + pause >= self.since + self._patience

    def stamp(self) -> str:
        """Now, as it goes on record."""
        return self.now().isoformat(timespec="milliseconds")


@dataclass
class Handed:
    """A notice that may go out in a digest, and what is to be remarked on it afterwards."""

    message: Message
    line: dict[str, Any]
    remarks: list[str] = field(default_factory=list)


# Channel, address and language: what goes there together.
Target = tuple[str, str, str]


class Notifier:
    """Sends notices.

    Args:
        contacts: shared addresses of roles.
        channels: by the names that addresses go under: ``email``, ``wecom``, ... An address whose
            channel is not among them is recorded as failed.
        templates: what the notices say.
        staff: the directory of staff as it is now.
        links: how notices are acknowledged; without it they say nothing of it.
        hold: seconds that a notice is held for a digest at most; 0 for no digests.
    """

    def __init__(
        self,
        contacts: ContactBook,
        channels: Mapping[str, Channel],
        templates: Templates,
        *,
        staff: Staff | None = None,
        links: Links | None = None,
        hold: float = HOLD,
    ) -> None:
        self._contacts = contacts
        self._channels = dict(channels)
        self._templates = templates
        self._staff = staff
        self._links = links
        self._digests: Digests[Target, Handed] | None = Digests(self._split, self._hand_on, hold) if hold else None

    @activity.defn(name=NOTIFY)
    async def notify(self, batch: NoticeBatch) -> list[NoticeResult]:
        """Tell everybody whom the notices of one step of a case concern.

        Returns:
            One result per notice, in order; refusals for good are in the results.

        Raises:
            ApplicationError: type ``NoticeDelayed``, retryable: something could not be delivered
                now; everything else was. The last time that there is, the results say so instead.
        """
        run = _Run(batch, Progress.recall(), Moment())
        contacts = self._contacts.current()
        directory = await self._staff() if self._staff else Directory()
        plan: list[Aim] = []
        for order in batch.notices:
            # A case's own clock runs ahead of ours in a test, and behind it when it is told late.
            at = max(run.moment.now(), datetime.fromisoformat(order.event["recorded_at"]))
            wanted, meant = aims(order, batch.view, contacts, directory, at)
            if len(batch.notices) > MOST_EXPLAINED:
                # A case that is filed years late has a thousand reminders at once.
                meant = [{name: said for name, said in one.items() if name != "because"} for one in meant]
            run.progress.meant.setdefault(order.id, meant)
            plan += wanted
        waiting = [aim for aim in plan if not run.progress.aims.get(aim.key, {}).get("final", False)]
        helpers = [asyncio.create_task(_beat(run.progress))]
        if self._digests is not None:
            helpers.append(asyncio.create_task(self._let_go(self._digests)))
        try:
            async with AsyncExitStack() as stack:
                for name in dict.fromkeys(step.channel for aim in waiting for step in aim.steps):
                    if name in self._channels:
                        run.open[name] = await stack.enter_async_context(self._channels[name].session())
                # Beside each other: a mail server that hangs must not hold up the webhooks.
                async with asyncio.TaskGroup() as group:
                    for aim in waiting:
                        group.create_task(self._pursue(aim, run))
        finally:
            for helper in helpers:
                helper.cancel()
            # The server keeps no more than one in some seconds, and always the last one.
            run.progress.beat()
        results = [_result(order, [aim for aim in plan if aim.order is order], run) for order in batch.notices]
        late = [aim for aim in plan if not run.progress.aims[aim.key]["final"]]
        if late:
            why = sorted({f"{role} ({run.progress.aims[aim.key]['reason']})" for aim in late for role in aim.roles})
            message = f"{len(late)} of {len(plan)} deliveries delayed: {', '.join(why)}"
            if run.moment.over(run.pause()):
                # The last attempt there is; what it returns is kept, of a failure only the first bytes.
                log.warning("notice_given_up", reason=message)
                return results
            details = [asdict(result) for result in results]
            if len(str(details)) > MOST_DETAILS:
                details = [asdict(replace(result, meant=[], attempts=[])) for result in results]
            # Expected and logged already: the SDK need not tell it with a stack trace each time.
            raise ApplicationError(
                message,
                details,
                type=DELAYED,
                next_retry_delay=run.pause(),
                category=ApplicationErrorCategory.BENIGN,
            )
        return results

    async def _pursue(self, aim: Aim, run: _Run) -> None:
        """Take the ways to an aim whose turn has come, until one works."""
        progress = run.progress
        share = _patience(aim.order, run) / len(aim.steps)
        reasons: list[str] = []
        turn = 0
        for step in aim.steps:
            refused = progress.refused.get(step.key)
            if refused is not None:
                reasons.append(refused)
                continue
            begins = run.moment.since + turn * share
            if run.moment.now() < begins:
                run.later(begins)
                break
            left_alone = progress.waits.get(step.place)
            if left_alone is not None and run.moment.now() < datetime.fromisoformat(left_alone):
                until = datetime.fromisoformat(left_alone)
                run.later(until)
                reasons.append(run.failed.get(step.key, f"{_name(step)}: wants to be left alone"))
                # If it is for longer than its share, the next way has its turn at once.
                if until < begins + share:
                    turn += 1
                continue
            turn += 1
            # One at a time for each person: two roles may lead to the same one.
            async with run.lock(step.id):
                reason = await self._try(aim, step, run)
            if not reason:
                arrived = {"at": run.moment.stamp(), "channel": step.channel, "reason": "", "final": True}
                progress.aims[aim.key] = arrived
                run.beat()
                return
            reasons.append(reason)
            if step.key in progress.refused:
                turn -= 1
        final = all(step.key in progress.refused for step in aim.steps)
        said = "; ".join(dict.fromkeys(reasons))
        progress.aims[aim.key] = {"at": run.moment.stamp(), "channel": "", "reason": said, "final": final}
        run.beat()

    async def _try(self, aim: Aim, step: Step, run: _Run) -> str:
        """Send one message, unless this person has it already. Returns why it did not arrive, or nothing."""
        progress, order = run.progress, aim.order
        if step.id in progress.told:
            return ""
        if step.key in run.failed:
            return run.failed[step.key]
        outcome, why, remark = "sent", "", ""
        try:
            if step.channel not in self._channels:
                raise Undeliverable("not configured")
            handed = self._compose(aim, step, run)
            remark = "in a digest" if await self._send(handed, order, step, run) > 1 else ""
            for one in handed.remarks:
                if one not in progress.remarks.setdefault(order.id, []):
                    progress.remarks[order.id].append(one)
        except Undeliverable as error:
            outcome, why = "failed", str(error)
            progress.refused[step.key] = f"{_name(step)}: {error}"
        except Delayed as error:
            outcome, why = "delayed", str(error)
            if error.wait > 0:
                until = run.moment.now() + timedelta(seconds=error.wait)
                progress.waits[step.place] = until.isoformat()
                run.later(until)
        at = run.moment.stamp()
        times = progress.attempt(order.id, step.recipient, step.channel, outcome, why or remark, at)
        if outcome == "sent":
            if step.person is not None:
                progress.told[step.id] = at
        else:
            run.failed[step.key] = f"{_name(step)}: {why}"
            # The record counts; a log line for each try of a day says nothing more.
            if times == 1:
                log.warning(
                    "notice_failed" if outcome == "failed" else "notice_delayed",
                    notice=order.name,
                    roles=aim.roles,
                    recipient=step.recipient,
                    reason=f"{step.channel}: {why}",
                )
        return "" if outcome == "sent" else run.failed[step.key]

    async def _send(self, handed: Handed, order: NoticeOrder, step: Step, run: _Run) -> int:
        """Hand a message over, by itself or in a digest. Answers how many went out as one."""
        burst, due = run.batch.digest, _due(order, run.batch.view)
        if self._digests is not None and burst is not None and self._channels[step.channel].gathers:
            left = float("inf") if due is None else (due - run.moment.now()).total_seconds() * HELD_FOR
            took = await self._digests.took((step.channel, step.address, step.language), handed, burst, left)
            if took:
                return took
        async with run.lock(step.channel):
            await run.open[step.channel](handed.message)
        return 1

    # --- what is said -----------------------------------------------------------------------------

    def _compose(self, aim: Aim, step: Step, run: _Run) -> Handed:
        order, view, case_id = aim.order, run.batch.view, run.batch.case_id
        facts = {
            "case_id": case_id,
            "number": view.get("number") or case_id,
            "kind": view.get("kind") or case_id.partition(":")[0],
            "roles": order.roles,
            "clause": order.clause,
            "event": order.event,
        }
        ack = self._ack(aim, step, case_id)
        text = self._templates.render(order.name, step.language, {**facts, "view": view, "ack": ack})
        payload = {
            "type": f"notice.{order.name}",
            "id": step.id,
            "timestamp": order.event.get("at"),
            "notice": order.name,
            **facts,
            "subject": text.subject,
            "text": text.body,
            **({"acknowledge": ack} if ack else {}),
        }
        message = Message(step.id, digest(case_id), step.address, text.subject, text.body, payload)
        line = {
            "id": step.id[:10],
            "number": facts["number"],
            "case_id": case_id,
            "title": text.subject.removeprefix(f"[{facts['number']}] "),
            "due": order.event.get("data", {}).get("due"),
            "ack": ack,
        }
        return Handed(message, line, [text.remark] if text.remark else [])

    def _ack(self, aim: Aim, step: Step, case_id: str) -> dict[str, str] | None:
        """What a person takes the case up with; shared addresses are nobody's, so they get nothing."""
        event = aim.order.event
        if self._links is None or step.person is None or not aim.order.acknowledge:
            return None
        expires = ack_tokens.expiry(event["at"])
        secrets, who = self._links.secrets, (case_id, event["seq"], step.person.id)
        ack = {"code": ack_tokens.short_code(secrets[0], *who, expires), "link": ""}
        if self._links.public_url is not None:
            token = ack_tokens.issue(secrets, *who, aim.roles[0], expires)
            ack["link"] = f"{self._links.public_url.rstrip('/')}/a/{token}"
        return ack

    # --- digests ----------------------------------------------------------------------------------

    def _digest(self, target: Target, items: Sequence[Handed]) -> Text:
        return self._templates.digest(target[2], [item.line for item in items])

    def _split(self, target: Target, items: Sequence[Handed]) -> list[Sequence[Handed]]:
        """The parts of a digest that fit into a message of the channel."""
        capacity = self._channels[target[0]].capacity
        # Some room for what the channel itself adds.
        if len(items) < 2 or capacity is None or len(self._digest(target, items).body.encode()) < capacity - 100:
            return [items]
        half = len(items) // 2
        return [*self._split(target, items[:half]), *self._split(target, items[half:])]

    async def _hand_on(self, target: Target, items: Sequence[Handed]) -> None:
        channel, address, _ = target
        message = items[0].message
        if len(items) > 1:
            text = self._digest(target, items)
            ids = sorted(item.message.id for item in items)
            payload = {"type": "notice.digest", "ids": ids}
            message = Message(digest(*ids), digest(channel, address), address, text.subject, text.body, payload)
            for item in items if text.remark else ():
                item.remarks.append(text.remark)
        async with self._channels[channel].session() as deliver:
            await deliver(message)

    async def _let_go(self, digests: Digests[Target, Handed]) -> None:
        """Hold nothing back any more when the worker is asked to stop."""
        await activity.wait_for_worker_shutdown()
        digests.let_go()


class _Run:
    """What one attempt of the activity knows."""

    def __init__(self, batch: NoticeBatch, progress: Progress, moment: Moment) -> None:
        self.batch, self.progress, self.moment = batch, progress, moment
        self.open: dict[str, Deliver] = {}
        # Ways that did not work in this attempt.
        self.failed: dict[str, str] = {}
        self._locks: dict[str, asyncio.Lock] = {}
        self._next: datetime | None = None
        self._beaten = monotonic()

    def beat(self) -> None:
        """Let the server keep what was achieved; not each of a thousand notices by itself."""
        if monotonic() - self._beaten > SELDOM:
            self._beaten = monotonic()
            self.progress.beat()

    def lock(self, name: str) -> asyncio.Lock:
        """The lock of a person or a channel."""
        return self._locks.setdefault(name, asyncio.Lock())

    def later(self, moment: datetime) -> None:
        """Something may be done then."""
        self._next = moment if self._next is None else min(self._next, moment)

    def pause(self) -> timedelta:
        """How long to wait before the next attempt."""
        now = self.moment.now()
        seconds = (now - self.moment.since).total_seconds() * PAUSE_GROWS
        if self._next is not None:
            seconds = min(seconds, (self._next - now).total_seconds())
        return timedelta(seconds=min(max(seconds, SHORTEST), LONGEST))


def _due(order: NoticeOrder, view: Mapping[str, Any]) -> datetime | None:
    """Until when a notice must have arrived, as far as a rule says so."""
    if order.event["type"] == "clock_breached":
        return None
    due = order.event.get("data", {}).get("due")
    if due is None and order.meets:
        # The broadcast itself is what the clock waits for.
        clocks = view.get("clocks", ())
        due = next((c["due"] for c in clocks if c["clock"] in order.meets and c["state"] == "running"), None)
    return None if due is None else datetime.fromisoformat(due)


def _patience(order: NoticeOrder, run: _Run) -> timedelta:
    """Within which the ways to somebody are all in use."""
    due = _due(order, run.batch.view)
    return PATIENCE if due is None else min(max((due - run.moment.since) * REACHED_AFTER, timedelta()), PATIENCE)


def _name(step: Step) -> str:
    return f"{step.recipient} {step.channel}" if step.person else step.channel


def _result(order: NoticeOrder, plan: Sequence[Aim], run: _Run) -> NoticeResult:
    progress = run.progress
    arrived = [aim for aim in plan if progress.aims[aim.key]["reason"] == ""]
    reached = {role for aim in arrived for role in aim.roles}
    addressed = {role for aim in plan for role in aim.roles}
    reasons: dict[str, str] = {}
    for role in order.roles:
        failed = [progress.aims[aim.key]["reason"] for aim in plan if role in aim.roles]
        if role not in addressed:
            reasons[role] = "no address"
        elif any(failed):
            reasons[role] = "; ".join(dict.fromkeys(filter(None, failed)))
    if not addressed:
        outcome = "no_address"
    elif not reached:
        outcome = "failed"
    else:
        outcome = "sent" if reached.issuperset(order.roles) else "partly"
    return NoticeResult(
        id=order.id,
        name=order.name,
        roles=order.roles,
        outcome=outcome,
        channel=", ".join(dict.fromkeys(progress.aims[aim.key]["channel"] for aim in arrived)),
        at=max((progress.aims[aim.key]["at"] for aim in arrived or plan), default=run.moment.stamp()),
        reasons=reasons,
        meant=progress.meant.get(order.id, []),
        attempts=[_compact(attempt) for attempt in progress.tried.get(order.id, [])],
        remarks=progress.remarks.get(order.id, []),
    )


def _compact(attempt: dict[str, Any]) -> dict[str, Any]:
    """An attempt as it goes on record: most are one success, and say no more than that."""
    left_out = {"last", "count"} if attempt["count"] == 1 else set()
    return {name: value for name, value in attempt.items() if name not in left_out and value != ""}


async def _beat(progress: Progress) -> None:
    """Say every few seconds that this attempt lives, so that a dead worker is soon replaced."""
    while True:
        await asyncio.sleep(HEARTBEAT)
        progress.beat()


def build_notifier(
    smtp_url: str | None,
    webhook_secret: str | None,
    contacts_path: Path | None,
    mail_from: str,
    *,
    apprise: bool = False,
    templates: Path | None = None,
    staff: Staff | None = None,
    links: Links | None = None,
    hold: float = HOLD,
) -> Notifier:
    """A notifier from the settings.

    Args:
        smtp_url: see `SmtpChannel`, or ``maildir:PATH``; without it mails are not sent, which is
            recorded with each notice.
        webhook_secret: see `read_secret`; without it nothing goes to webhooks, since a receiver
            could not tell it from a forgery.
        contacts_path: the contacts file; without it no role has a shared address.
        mail_from: the sender, ``name@example.com``.
        apprise: whether apprise's addresses are served.
        templates: a folder of templates that go before the built-in ones.
        staff, links, hold: see `Notifier`.

    Raises:
        SettingError: naming the setting and what is allowed; secrets are not repeated.
    """
    sender = read_sender(mail_from)
    channels: dict[str, Channel] = {
        "wecom": WecomChannel(),
        "dingtalk": DingtalkChannel(),
        "feishu": FeishuChannel(),
    }
    if smtp_url is not None:
        scheme, _, folder = smtp_url.partition(":")
        if scheme != "maildir":
            channels["email"] = SmtpChannel(smtp_url, sender)
        elif folder:
            channels["email"] = MaildirChannel(Path(folder), sender)
        else:
            raise SettingError(f"smtp_url = 'maildir:': no folder is named; {FORM}")
    if webhook_secret is not None:
        try:
            channels["webhook"] = WebhookChannel(read_secret(webhook_secret))
        except ValueError as error:
            raise SettingError(f"webhook_secret: {error}") from None
    if apprise:
        channels["apprise"] = AppriseChannel()
    return Notifier(ContactBook(contacts_path), channels, Templates(templates), staff=staff, links=links, hold=hold)
