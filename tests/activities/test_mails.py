"""What mails say, for every notice of every kind: from the events of the worked cases, in both languages."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from structlog.testing import capture_logs

from activities.database.errors import DatabaseAway
from activities.messages import NoticeBatch, NoticeOrder
from activities.notify.build import build_notifier
from activities.notify.compose import Composed, Composer, Links
from activities.notify.recipients import Delivery, Way
from activities.notify.templates import Templates
from activities.notify.translations import LANGUAGES
from activities.policies.store import Policies
from cases.directory import OUTSIDE, Directory, Person, Unit
from cases.registry import KINDS, kind_of
from cases.vocabulary.effects import Notice
from cases.vocabulary.refusals import Refused
from starter.rehearsal.core_engine import run_case
from starter.rehearsal.engine import Prepared
from starter.rehearsal.scenario import load_scenario
from tests.core.support import shown
from tests.notifications import Attempts, MailServer, order

POLICIES, TEMPLATES = Policies(), Templates()
SCENARIOS = sorted((Path(__file__).parents[1] / "scenarios").glob("*.toml"))
LINKS = Links(("s" * 32,), "https://cases.example.com/")
DIRECTORY = Directory.build(
    [Unit(id="hq", name="总部"), Unit(id="north", name="北区", parent="hq")],
    [Person(id="agent-1", name="安然", role="agent", unit="north"), Person(id="s-1", role="supervisor", unit="hq")],
)
FEW = 4
REFUSED = frozenset({"command_refused", "intake_refused"})
# Where the events and views hold ids and what people wrote, which nobody translates.
IDS = frozenset({"id", "number", "unit", "waybill", "subject", "shift", "month", "part_number", "text", "reason"})
IDS |= {"requested_by", "cause", "measure", "key"}
# Nobody reads these as words: a name of the rules, an instant for machines, nothing between brackets, no value.
RAW = re.compile(
    r"\b[a-z]+(?:_[a-z]+)+\b|\d{4}-\d\d-\d\d[T ]\d\d|[+-]\d\d:00\b"
    r"|\(\s*\)|（\s*）|\[\s*\]|“”|\"\"|\bNone\b|[{}]"
)


@cache
def told() -> tuple[NoticeBatch, ...]:
    """Each notice that a worked case sends, as the worker is handed it: for each kind, name and event the first few."""
    found: dict[tuple[str, str, str], list[NoticeBatch]] = {}
    for path in SCENARIOS:
        for batch in notices_of(load_scenario(path, POLICIES).case):
            [order] = batch.notices
            known = found.setdefault((batch.view["kind"], order.name, order.event["type"]), [])
            if len(known) < FEW:
                known.append(batch)
    return tuple(batch for batches in found.values() for batch in batches)


def notices_of(prepared: Prepared) -> Iterator[NoticeBatch]:
    """The notices of a worked case, in order, each with the case as it stood then."""
    with suppress(Refused):
        case = kind_of(prepared.kind, prepared.policy)(prepared.policy)
        for event in (one for one in run_case(prepared) if one.type not in REFUSED):
            case.evolve(event)
            for notice in [one for one in case.outbox if isinstance(one, Notice) and one.seq == event.seq]:
                order = NoticeOrder(
                    f"{case.id}/{notice.seq}/{notice.name}", notice.name, list(notice.roles), notice.clause,
                    event.as_json(), list(notice.meets), notice.acknowledge, notice.no, list(notice.people),
                )  # fmt: skip
                # As the notifier gives it: with the texts of a summary, which goes out with them.
                view = {**shown(case), "number": case.number or "2026-03-0001"}
                yield NoticeBatch(case.id, view, [order], zone=prepared.policy.zone)


def mail_of(batch: NoticeBatch, language: str, *, links: Links = LINKS, role: str = "") -> Composed:
    """A mail to one of the staff, by default of the first role that the notice is for."""
    [order] = batch.notices
    to = role or order.roles[0]
    person = None if to in OUTSIDE else Person(id="agent-1", role=to, unit="north")
    way = Way("w" * 40, "agent-1", "email", "a@example.com", language, person)
    with capture_logs() as logs:
        composed = Composer(TEMPLATES, links).compose(Delivery("k", order, (to,), (way,)), way, batch, DIRECTORY)
    assert logs == [], logs  # no template fell back
    return composed


def without_ids(text: str, batch: NoticeBatch) -> str:
    """A mail without addresses, and without what nobody translates: the ids of the case, and what people wrote."""
    text = re.sub(r"https?://\S+", "", text)
    ids = set(values((batch.view, batch.notices[0].event["data"], batch.notices[0].event["actor"])))
    for value in sorted(ids, key=len, reverse=True):
        text = re.sub(rf"(?<![\w-]){re.escape(value)}(?![\w-])", "x", text)
    return text


def values(value: Any, name: str = "") -> Iterator[str]:
    if isinstance(value, Mapping | list | tuple):
        for key, inner in value.items() if isinstance(value, Mapping) else enumerate(value):
            yield from values(inner, str(key) if isinstance(value, Mapping) else name)
    elif isinstance(value, str) and name in IDS:
        yield value


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_mail_of_any_kind_holds_what_people_cannot_read(language: str) -> None:
    faults: dict[str, str] = {}
    for batch in told():
        mail = mail_of(batch, language).message
        text = f"{mail.subject}\n{mail.text}"
        prose = without_ids(text, batch)
        raw = RAW.findall(prose) + (re.findall(r"(?<![A-Za-z-])[a-z]{3,}", prose) if language == "zh" else [])
        if raw:
            faults.setdefault(f"{batch.notices[0].name} ({batch.view['kind']})", f"{raw}\n{text}")
    assert not faults, "\n\n".join(f"{name}: {said}" for name, said in faults.items())


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_mail_to_the_staff_names_the_case_and_leads_to_its_page(language: str) -> None:
    for batch in told():
        [order] = batch.notices
        number, outside = batch.view["number"], order.roles[0] in OUTSIDE
        waybill = (batch.view["facts"].get("shipment") or {}).get("waybill", "")
        mail = mail_of(batch, language).message
        assert mail.subject.startswith(f"[{number}] ")
        assert not waybill or (waybill in mail.subject) is not outside, mail.subject
        assert (f"/console/case?id={quote(batch.case_id, safe='')}\n" in mail.text) is not outside
        # Nothing is to be typed, and nothing leads nowhere.
        nowhere = mail_of(batch, language, links=Links()).message.text
        assert "caseladder " not in mail.text + nowhere
        assert "http" not in nowhere
        if not outside:
            assert {"en": f"look for {number} in the console", "zh": f"“查找”中输入 {number}"}[language] in nowhere


def test_the_worked_cases_send_every_notice_but_one() -> None:
    names = {route.name for name in ("default", "cross_company") for route in POLICIES.load(name).notice}
    assert names - {batch.notices[0].name for batch in told()} == {"not_filed"}
    assert {batch.view["kind"] for batch in told()} >= set(KINDS)


def approval(**data: Any) -> NoticeBatch:
    """A notice that an offer above the formula waits for the supervisor."""
    view = {
        "number": "2026-03-0007", "kind": "claim", "rung": "agent", "holder": "agent-1", "unit": "north",
        "facts": {"factor": "loss", "shipment": {"waybill": "YT-9"}},
        "approvals": [{"subject": "offer", "role": "supervisor", "requested_by": "agent-1", "state": "open"}],
        "assessment": {"total": "1918.50", "overridden": None},
    }  # fmt: skip
    told = {"subject": "offer", "amount": "2000.00", "role": "supervisor", "reason": "a gesture", **data}
    one = order("approval", "supervisor", type="approval_requested", **told)
    return NoticeBatch("claim:C-7", view, [one], zone="Asia/Shanghai")


def test_an_approval_is_asked_with_the_reason_and_what_is_above_the_formula_and_leads_to_its_page() -> None:
    english, chinese = (mail_of(approval(), language).message for language in ("en", "zh"))
    assert english.subject == "[2026-03-0007] Your approval is needed: offer, 2000.00 yuan · loss · YT-9"
    for part in (
        "81.50 yuan above the formula",
        "Asked by: agent-7, agent",
        "Reason:   a gesture\n",
        "Unit:     北区 (north)",
    ):
        assert part in english.text
    for part in ("高出公式核定金额 81.50 元", "申请人：agent-7、客服", "理由：a gesture\n"):
        assert part in chinese.text
    assert "Decide:   https://cases.example.com/console/approvals?id=claim%3AC-7&subject=offer\n" in english.text
    assert "a gesture" not in json.dumps(english.payload["event"])
    assert "above" not in mail_of(approval(amount="1918.50"), "en").message.text
    assert "Reason" not in mail_of(approval(reason=None), "en").message.text


@pytest.mark.parametrize(
    ("role", "reads", "parcel"),
    [
        ("supervisor", True, True),
        ("agent", True, True),
        # Finance sees claims, and reads what people wrote only of those that it is asked of.
        ("finance", False, True),
        # Who sees no claim at all hears of it by its number.
        ("accounting", False, False),
        ("customer", False, False),
        ("platform", False, False),
    ],
)
def test_reasons_and_the_parcel_are_told_to_who_may_see_them(role: str, reads: bool, parcel: bool) -> None:
    mail = mail_of(approval(), "en", role=role).message
    assert ("a gesture" in mail.text) is reads
    assert ("YT-9" in mail.subject + mail.text) is parcel
    assert ("Reason:   stands in the case" in mail.text) is not reads
    # People of outside get neither names nor an address that is not for them.
    outside = role in OUTSIDE
    assert ("北区" in mail.text) is not outside
    assert ("/console/" in mail.text) is not outside


class Book:
    """A casebook that gives the number only when it is asked a second time."""

    def __init__(self, away: bool = False) -> None:
        self.asked, self.away = 0, away

    async def case(self, case_id: str) -> dict[str, Any] | None:
        self.asked += 1
        if self.away:
            raise DatabaseAway("no connection")
        return {"number": "2026-03-0042"} if self.asked > 1 else None

    async def texts(self, wanted: Collection[tuple[str, int, str]]) -> dict[tuple[str, int, str], str | None]:
        if self.away:
            raise DatabaseAway("no connection")
        return dict.fromkeys(wanted, "what was said")

    async def events(self, case_id: str) -> list[dict[str, Any]]:
        return []


@pytest.mark.parametrize(("away", "subject"), [(False, "[2026-03-0042] "), (True, "[C-7] ")])
async def test_a_first_mail_waits_a_moment_for_its_number_and_goes_out_without_it(
    tmp_path: Path, away: bool, subject: str
) -> None:
    contacts = tmp_path / "contacts.toml"
    contacts.write_text('[roles.supervisor]\nemail = ["s@example.com"]\nlanguage = "en"\n')
    # The run of a case that was continued knows its texts no more.
    batch = approval(reason="")
    batch.view["number"] = None
    async with MailServer().up() as server:
        url = f"smtp://127.0.0.1:{server.port}"
        notifier = build_notifier(url, None, contacts, "a@example.com", ledger=Book(away))
        [result] = await Attempts(notifier).run(batch)
    assert result.outcome == "sent"
    [(_, mail)] = server.mails
    assert mail["Subject"].startswith(subject)
    assert ("Reason:   what was said" in mail.get_content()) is not away
