"""What mails say, for every notice of every kind: from the events of the worked cases, in both languages."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from structlog.testing import capture_logs

from activities.messages import NoticeBatch, NoticeOrder
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
