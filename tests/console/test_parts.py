"""The parts of the console by themselves: words, times, forms, sessions, the stream."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import httpx
import pytest

from activities.casebook.filter import fields
from cases.registry import KINDS
from starter.console import stream
from starter.console.forms import body_of, fields_of, tidy
from starter.console.session import Draft, Drafts, Sealer, Session
from starter.console.times import Times, relative
from starter.console.translations import translations
from starter.console.web import COOKIE, Site
from tests.console.server import ConsoleServer

SHANGHAI = ZoneInfo("Asia/Shanghai")
EN, ZH = translations()["en"], translations()["zh"]


@pytest.mark.parametrize(
    ("seconds", "english", "chinese"),
    [
        (0, "now", "现在"),
        (5, "in 5 s", "5 秒后"),
        (89, "in 89 s", "89 秒后"),
        (240, "in 4 min", "4 分钟后"),
        (-240, "4 min ago", "4 分钟前"),
        (5400, "in 1 h 30 min", "1 小时 30 分后"),
        (7200, "in 2 h", "2 小时后"),
        (-40 * 3600, "1 d 16 h ago", "1 天 16 小时前"),
        (172800, "in 2 d", "2 天后"),
    ],
)
def test_how_far_away_an_instant_is(seconds: int, english: str, chinese: str) -> None:
    assert relative(timedelta(seconds=seconds), EN) == english
    assert relative(timedelta(seconds=seconds), ZH) == chinese


def test_instants_are_shown_in_the_policys_zone() -> None:
    times = Times(SHANGHAI, EN, datetime(2026, 3, 4, 1, 0, tzinfo=UTC))
    moment = times.moment("2026-03-04T01:04:00+00:00")
    assert moment is not None
    assert (moment.full, moment.short, moment.relative) == ("2026-03-04 09:04:00", "09:04", "in 4 min")
    assert moment.soon
    late = times.moment("2026-03-03T15:59:00+00:00")
    assert late is not None
    assert late.short == "03-03 23:59"
    assert late.overdue
    assert times.moment(None) is None


def test_a_form_becomes_the_body_that_the_command_takes() -> None:
    commands = KINDS["claim"].COMMANDS
    sent = {
        "cause": ["company"],
        "loss.total_value": [" 120.50 "],
        "loss.name_differs": ["true"],
        "loss.lost_value": [""],
        "override.amount": [""],
        "override.reason": ["  "],
        "unknown": ["x"],
    }
    body = body_of(fields_of(commands["assess"], EN, {}), sent, SHANGHAI)
    assert body == {"cause": "company", "loss": {"total_value": "120.50", "name_differs": True}}
    promise = body_of(fields_of(commands["promise"], EN, {}), {"reply_by": ["2026-03-04T09:30"]}, SHANGHAI)
    assert promise == {"reply_by": "2026-03-04T09:30:00+08:00"}
    to = fields_of(commands["assign"], EN, {"to": [("sue-1|supervisor", "Sue")]})
    assert body_of(to, {"to": ["sue-1|supervisor"]}, SHANGHAI) == {"to": {"id": "sue-1", "role": "supervisor"}}
    options = fields_of(KINDS["complaint"].COMMANDS["propose"], EN, {})
    assert body_of(options, {"options": ["one\r\n\r\n two "]}, SHANGHAI) == {"options": ["one", "two"]}
    # What is no instant goes to the model as it is, which says so.
    assert body_of(fields_of(commands["promise"], EN, {}), {"reply_by": ["soon"]}, SHANGHAI) == {"reply_by": "soon"}


def test_full_width_and_blanks_are_made_plain_where_a_number_or_a_code_is_meant() -> None:
    commands = KINDS["claim"].COMMANDS
    sent = {"loss.lost_value": ["　１８．００ "], "loss.declared_quantity": ["１２"], "cause": ["company"]}
    body = body_of(fields_of(commands["assess"], ZH, {}), sent, SHANGHAI)
    assert body == {"loss": {"lost_value": "18.00", "declared_quantity": "12"}, "cause": "company"}
    typed = body_of(fields_of(commands["promise"], ZH, {}), {"reply_by": ["２０２６-０３-０４ ０９：３０"]}, SHANGHAI)
    assert typed == {"reply_by": "2026-03-04T09:30:00+08:00"}
    # A text stays as it was written.
    assert body_of(fields_of(commands["note"], ZH, {}), {"text": ["第１次，已通知！"]}, SHANGHAI) == {
        "text": "第１次，已通知！"
    }


@pytest.mark.parametrize(
    ("name", "typed", "meant"),
    [
        ("shipment.waybill", " ＳＦ 1234　5678", "SF12345678"),
        ("customer.phone", "１３８ 0000 0000", "13800000000"),
        ("customer.phone", "+86 138-0000-0000", "+86138-0000-0000"),
        ("customer.phone", "010-5550 1234 转 ８", "010-5550 1234 转 ８"),
        ("details.account", "6222 0000 1111 2222", "6222000011112222"),
        ("details.name", "林 小满", "林 小满"),
    ],
)
def test_what_people_write_in_groups_is_put_together(name: str, typed: str, meant: str) -> None:
    assert tidy(name, typed.strip()) == meant


def test_an_open_choice_offers_what_the_policy_lists_and_takes_other_words() -> None:
    offered = {"channel": ("phone", "门店"), "subject": ()}
    model = KINDS["complaint"].COMMANDS["log_contact"]
    [channel] = [one for one in fields_of(model, ZH, {}, offered=offered) if one.name == "channel"]
    # What has no word is shown as it stands in the policy.
    assert (channel.kind, list(channel.options)) == ("open", [("phone", "电话"), ("门店", "门店")])
    for sent, meant in (
        ({"channel": ["phone"], "channel.other": ["forgotten"]}, "phone"),
        ({"channel": ["*"], "channel.other": [" 微信 视频 "]}, "微信 视频"),
        ({"channel": [""], "channel.other": ["对讲机"]}, "对讲机"),
        ({"channel": ["*"], "channel.other": [" "]}, None),
        ({"channel": [""]}, None),
    ):
        assert body_of((channel,), sent, SHANGHAI).get("channel") == meant
    # Without a list any words are asked for, and what only a few may be is chosen.
    asking = KINDS["complaint"].COMMANDS
    assert [
        one.kind for one in fields_of(asking["request_approval"], ZH, {}, offered=offered) if one.name == "subject"
    ] == ["text"]
    waiting = {"subject": [("退款 申请", "退款 申请")]}
    decided = fields_of(asking["approve"], ZH, waiting, offered={"subject": ("refund",)})
    assert [one.kind for one in decided if one.name == "subject"] == ["choice"]


def test_what_is_sealed_is_read_by_nobody_else_and_for_nothing_else() -> None:
    sealer = Sealer("k" * 32)
    text = sealer.seal({"csrf": "x"}, "session")
    assert sealer.open(text, "session") == {"csrf": "x"}
    assert sealer.open(text, "login") is None
    assert Sealer("l" * 32).open(text, "session") is None
    assert Sealer("k" * 32).open(text, "session") == {"csrf": "x"}
    assert Sealer().open(Sealer().seal({}, "session"), "session") is None
    for other in ("", None, "é", "gAAAAA", text + "é", "=" * 8):
        assert sealer.open(other, "session") is None
    assert sealer.open(text, "session", timedelta(minutes=1)) == {"csrf": "x"}
    assert sealer.open(text, "session", timedelta(seconds=-1)) is None
    for place in range(0, len(text), 7):
        changed = text[:place] + ("A" if text[place] != "A" else "B") + text[place + 1 :]
        assert sealer.open(changed, "session") is None
    assert "secret-id" not in Session(claims={"sub": "secret-id"}).sealed(sealer)


def test_a_session_outlives_a_change_of_the_secret_for_as_long_as_the_old_one_is_listed() -> None:
    old, new, both = Sealer("o" * 32), Sealer("n" * 32), Sealer("n" * 32, "o" * 32)
    assert both.open(old.seal({"csrf": "x"}, "session"), "session") == {"csrf": "x"}
    assert both.open(old.seal({"csrf": "x"}, "session"), "login") is None
    # The newest seals.
    assert new.open(both.seal({"csrf": "x"}, "session"), "session") == {"csrf": "x"}
    assert old.open(both.seal({"csrf": "x"}, "session"), "session") is None


def test_drafts_are_kept_for_their_person_and_page_and_not_for_ever() -> None:
    drafts = Drafts(most=2)
    names = [drafts.keep(Draft("/a", {"text": [str(number)]}, "sue-1")) for number in range(3)]
    assert drafts.look(names[0], "sue-1", "/a") is None
    found = drafts.look(names[2], "sue-1", "/a")
    assert found is not None
    assert found.fields == {"text": ["2"]}
    assert drafts.look(names[2], "ben-2", "/a") is None
    assert drafts.look(names[2], "sue-1", "/b") is None
    drafts.drop(names[2])
    assert drafts.look(names[2], "sue-1", "/a") is None
    old = Drafts(lifetime=timedelta(0))
    assert old.look(old.keep(Draft("/a", {}, "sue-1")), "sue-1", "/a") is None


async def test_a_stream_tells_each_event_once_in_order_and_only_what_may_be_seen(console: ConsoleServer) -> None:
    async with httpx.AsyncClient(base_url=console.url, follow_redirects=True, timeout=20) as client:
        await _log_in(client, "ann-7")
        async with client.stream("GET", "/console/stream") as answer:
            lines = answer.aiter_lines()
            assert [await anext(lines) for _ in range(3)] == ["retry: 1000", "event: refresh", "data: begin"]
            hidden = await console.file("complaint", {"category": "other", "unit": "east"})
            case_id = await console.file("complaint", {"category": "other", "unit": "north"})
            await console.do(case_id, "note", "ann-7", text="the last one")
            seen, refreshed, position, positions = [], 0, "", []
            async for line in lines:
                if line.startswith("id: "):
                    position = line
                elif line == "data: news":
                    refreshed += 1
                elif line.startswith("data: {"):
                    told = json.loads(line[6:])
                    positions.append(position)
                    seen.append((told["case"], told["type"]))
                if (case_id, "noted") in seen and refreshed:
                    break
    recorded = [event["type"] for event in await console.backend.book.events(case_id)]
    own = [kind for case, kind in seen if case == case_id]
    assert own == recorded[: len(own)]
    assert hidden not in {case for case, _ in seen}
    assert len(set(positions)) == len(positions)
    # A burst costs a look or two, not one for each event.
    assert refreshed < len(seen)


async def test_a_stream_ends_with_its_session(console: ConsoleServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "ALIVE", 0.2)
    async with httpx.AsyncClient(base_url=console.url, follow_redirects=True, timeout=10) as client:
        await _log_in(client, "ann-7")
        session = Session.read(Site(console.services).sealer, client.cookies[COOKIE])
        assert session is not None
        soon = replace(session, expires=int(datetime.now(UTC).timestamp()) + 4)
        headers = {"Cookie": f"{COOKIE}={soon.sealed(Site(console.services).sealer)}"}
        client.cookies.clear()
        async with client.stream("GET", "/console/stream", headers=headers) as answer:
            assert "event: refresh" in [line async for line in answer.aiter_lines()]


async def test_the_form_has_an_input_for_every_filter(console: ConsoleServer) -> None:
    async with httpx.AsyncClient(base_url=console.url, follow_redirects=True, timeout=10) as client:
        await _log_in(client, "qin-1")
        page = (await client.get("/console/find", params={"unit": "nowhere-7", "is_breached": "no"})).text
    assert [field.name for field in fields() if f'name="{field.name}"' not in page] == []
    assert 'value="nowhere-7"' in page
    assert '<option value="no" selected>' in page
    # What is not closed is the first choice of a status; a rung is chosen from the ladder.
    assert re.search(r'name="status"><option value="">\w+</option><option value="active">', page)
    assert '<option value="general_manager">' in page


async def _log_in(client: httpx.AsyncClient, person: str) -> None:
    page = await client.get("/console/login")
    csrf = page.text.partition('name="csrf" value="')[2].partition('"')[0]
    assert (await client.post("/console/login", data={"person": person, "csrf": csrf})).status_code == 200
