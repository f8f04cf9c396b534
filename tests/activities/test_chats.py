"""The enterprise chats, against real HTTP servers that fail in each of their documented ways."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from structlog.testing import capture_logs

from activities.events.outbound import Guard, resolve
from activities.notify.build import build_notifier
from activities.notify.channels import Delayed, Message, SettingError, Undeliverable, cut
from activities.notify.channels.apprise import AppriseChannel
from activities.notify.channels.bots import BotChannel
from activities.notify.channels.dingtalk import DingtalkChannel
from activities.notify.channels.feishu import FeishuChannel
from activities.notify.channels.webhook import WebhookChannel
from activities.notify.channels.wecom import WecomChannel
from activities.notify.notifier import Notifier
from activities.signatures import read_secret
from cases.directory import Directory, Person, Unit
from tests.notifications import Attempts, HookServer, HttpAnswer, batch, free_port, order

NOW = 1_773_104_700
OK = {"wecom": b'{"errcode":0,"errmsg":"ok"}', "feishu": b'{"code":0,"msg":"success"}'}
OK["dingtalk"] = OK["wecom"]
BOTS: dict[str, Callable[..., BotChannel]] = {
    "wecom": WecomChannel,
    "dingtalk": DingtalkChannel,
    "feishu": FeishuChannel,
}


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
async def server() -> AsyncIterator[HookServer]:
    async with HookServer().up() as server:
        yield server


def message(to: str, text: str = "应于 09:05 前完成\n") -> Message:
    return Message("1f" * 20, "2e" * 20, to, "[N-1] 已超时", text, {})


async def post(channel: BotChannel | WebhookChannel | AppriseChannel, sent: Message) -> None:
    async with channel.session() as deliver:
        await deliver(sent)


# --- what is sent -----------------------------------------------------------------------------------


async def test_wecom_gets_a_text_and_a_long_one_as_markdown(server: HookServer) -> None:
    server.otherwise = HttpAnswer(body=OK["wecom"])
    await post(WecomChannel(), message(f"{server.url}/send?key=K"))
    await post(WecomChannel(), message(f"{server.url}/send?key=K", "长" * 1000))
    await post(WecomChannel(), message(f"{server.url}/send?key=K", "长" * 3000))
    (path, _, first), (_, _, second), (_, _, third) = server.requests
    assert path == "/send?key=K"
    content = "[N-1] 已超时\n应于 09:05 前完成\n#1f1f1f1f1f"
    assert json.loads(first) == {"msgtype": "text", "text": {"content": content}}
    assert json.loads(second)["msgtype"] == "markdown"
    longest = json.loads(third)["markdown"]["content"]
    # Cut to what it takes, and it says so; what tells a repeat stays.
    assert 4000 < len(longest.encode()) <= 4096
    assert longest.endswith("…\n#1f1f1f1f1f")


async def test_dingtalk_is_signed_in_the_address(server: HookServer) -> None:
    server.otherwise = HttpAnswer(body=OK["dingtalk"])
    channel = DingtalkChannel(clock=lambda: NOW)
    await post(channel, message(f"{server.url}/robot/send?access_token=T#SECret/+="))
    await post(channel, message(f"{server.url}/robot/send?access_token=T"))
    (signed, _, body), (unsigned, _, _) = server.requests
    asked = parse_qs(urlsplit(signed).query)
    expected = hmac.new(b"SECret/+=", f"{NOW}000\nSECret/+=".encode(), hashlib.sha256).digest()
    assert asked == {
        "access_token": ["T"],
        "timestamp": [f"{NOW}000"],
        "sign": [base64.b64encode(expected).decode()],
    }
    assert unsigned == "/robot/send?access_token=T"
    assert json.loads(body)["text"]["content"].startswith("[N-1] 已超时\n")


async def test_feishu_is_signed_in_the_body(server: HookServer) -> None:
    server.otherwise = HttpAnswer(body=OK["feishu"])
    channel = FeishuChannel(clock=lambda: NOW)
    await post(channel, message(f"{server.url}/hook/K#geheim"))
    await post(channel, message(f"{server.url}/hook/K"))
    (path, _, signed), (_, _, unsigned) = server.requests
    assert path == "/hook/K"
    expected = hmac.new(f"{NOW}\ngeheim".encode(), digestmod=hashlib.sha256).digest()
    body = json.loads(signed)
    assert (body["timestamp"], body["sign"]) == (str(NOW), base64.b64encode(expected).decode())
    assert body["msg_type"] == "text"
    assert json.loads(unsigned).keys() == {"msg_type", "content"}


# --- what the answers mean --------------------------------------------------------------------------

TEMPORARY = [
    ("wecom", HttpAnswer(body=b'{"errcode":-1,"errmsg":"system busy"}'), "errcode -1"),
    ("wecom", HttpAnswer(body=b'{"errcode":45009,"errmsg":"api freq out of limit"}'), "errcode 45009"),
    ("wecom", HttpAnswer(body=b'{"errcode":45033}'), "errcode 45033"),
    ("dingtalk", HttpAnswer(body=b'{"errcode":-1}'), "errcode -1"),
    ("dingtalk", HttpAnswer(body=b'{"errcode":130101,"errmsg":"send too fast"}'), "errcode 130101"),
    ("dingtalk", HttpAnswer(body=b'{"errcode":410100}'), "errcode 410100"),
    ("feishu", HttpAnswer(body=b'{"code":9499,"msg":"too many request"}'), "code 9499"),
    ("feishu", HttpAnswer(400, b'{"code":11232,"msg":"frequency limited"}'), "code 11232"),
    *((bot, HttpAnswer(429, b"slow down"), "HTTP 429") for bot in BOTS),
    *((bot, HttpAnswer(503), "HTTP 503") for bot in BOTS),
    *((bot, HttpAnswer(body=b"<html>gateway</html>"), "an answer that is not understood") for bot in BOTS),
    *((bot, HttpAnswer(body=b'{"errcode":'), "an answer that is not understood") for bot in BOTS),
    *((bot, HttpAnswer(body=b"{}"), "an answer that is not understood") for bot in BOTS),
    *((bot, HttpAnswer(0), "no answer (TimeoutError)") for bot in BOTS),
]
REFUSED = [
    ("wecom", HttpAnswer(body=b'{"errcode":93000,"errmsg":"invalid webhook url, key K"}'), "errcode 93000"),
    ("wecom", HttpAnswer(body=b'{"errcode":40058}'), "errcode 40058"),
    ("dingtalk", HttpAnswer(body=b'{"errcode":310000,"errmsg":"sign not match"}'), "errcode 310000"),
    ("dingtalk", HttpAnswer(body=b'{"errcode":300001,"errmsg":"token is not exist"}'), "errcode 300001"),
    ("dingtalk", HttpAnswer(body=b'{"errcode":400102}'), "errcode 400102"),
    ("feishu", HttpAnswer(body=b'{"code":19021,"msg":"sign match fail"}'), "code 19021"),
    ("feishu", HttpAnswer(body=b'{"code":19001,"msg":"param invalid"}'), "code 19001"),
    ("feishu", HttpAnswer(body=b'{"StatusCode":19024}'), "StatusCode 19024"),
    *((bot, HttpAnswer(404), "HTTP 404") for bot in BOTS),
    *((bot, HttpAnswer(302), "HTTP 302") for bot in BOTS),
]


@pytest.mark.parametrize(("bot", "said", "why"), TEMPORARY)
async def test_what_passes_is_tried_again(server: HookServer, bot: str, said: HttpAnswer, why: str) -> None:
    server.otherwise = said
    with pytest.raises(Delayed) as caught:
        await post(BOTS[bot](timeout=0.1 if said.status == 0 else 5), message(f"{server.url}/x?key=K#S"))
    assert str(caught.value) == why


@pytest.mark.parametrize(("bot", "said", "why"), REFUSED)
async def test_what_is_wrong_for_good_is_not(server: HookServer, bot: str, said: HttpAnswer, why: str) -> None:
    server.otherwise = said
    with pytest.raises(Undeliverable) as caught:
        await post(BOTS[bot](), message(f"{server.url}/x?key=K#S"))
    assert str(caught.value) == why
    assert len(server.requests) == 1


@pytest.mark.parametrize("bot", BOTS)
@pytest.mark.parametrize(
    "said", [b"[" * 60_000, b'{"errcode":[],"code":{}}', b'{"errcode":"0","code":null}', b"1", b"\xff"]
)
async def test_an_answer_that_no_bot_gives_fails_by_itself(server: HookServer, bot: str, said: bytes) -> None:
    server.otherwise = HttpAnswer(200, said)
    with pytest.raises(Delayed, match="an answer that is not understood"):
        await post(BOTS[bot](), message(f"{server.url}/x?key=K#S"))


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("Retry-After: 90", 90),
        ("Retry-After: 999999", 3600),
        ("Retry-After: Wed, 01 Jan 2020 00:00:00 GMT", 0),
        ("Retry-After: Wed, 01 Jan 2098 00:00:00 GMT", 3600),
        ("Retry-After: soon", 0),
        ("X: y", 0),
    ],
)
async def test_who_asks_to_be_left_alone_is_heard(server: HookServer, header: str, seconds: float) -> None:
    server.otherwise = HttpAnswer(429, OK["wecom"].replace(b"0", b"45009"), (header,))
    with pytest.raises(Delayed) as caught:
        await post(WecomChannel(), message(server.url))
    assert caught.value.wait == seconds


async def test_a_bot_that_is_silent_is_not_waited_for_again_in_a_batch(server: HookServer) -> None:
    server.answers = [HttpAnswer(0)]
    async with WecomChannel(timeout=0.1).session() as deliver:
        for _ in range(3):
            with pytest.raises(Delayed):
                await deliver(message(server.url))
    assert len(server.requests) == 1


@pytest.mark.parametrize("bot", BOTS)
async def test_addresses_that_lead_nowhere(bot: str) -> None:
    with pytest.raises(Undeliverable, match="not a usable address"):
        await post(BOTS[bot](), message("http://1.2.3.999/#S"))
    with pytest.raises(Delayed, match="no answer"):
        await post(BOTS[bot](), message(f"http://127.0.0.1:{free_port()}/#S"))


def test_a_text_is_cut_between_characters() -> None:
    assert cut("短", 10) == "短"
    assert cut("一二三四五六", 12) == "一二\n…"


# --- apprise ----------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:'imghdr' is deprecated")  # by apprise, for one of its services
async def test_apprise_reaches_what_it_knows(server: HookServer) -> None:
    channel = AppriseChannel()
    await post(channel, message(server.url.replace("http://", "json://") + "/in"))
    [(_, _, body)] = server.requests
    assert json.loads(body)["title"] == "[N-1] 已超时"

    server.otherwise = HttpAnswer(500)
    with pytest.raises(Delayed, match="not taken"):
        await post(channel, message(server.url.replace("http://", "json://")))
    with pytest.raises(Undeliverable, match="not an address that apprise knows"):
        await post(channel, message("nothing://x"))


# --- where addresses of people lead --------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:'imghdr' is deprecated")  # by apprise, for one of its services
async def test_an_address_of_somebody_leads_only_where_calls_may_go(server: HookServer) -> None:
    secret = read_secret("whsec_" + "a" * 40)
    makes: list[Callable[[Guard], Any]] = [
        lambda guard: WecomChannel(guard=guard),
        lambda guard: DingtalkChannel(guard=guard),
        lambda guard: FeishuChannel(guard=guard),
        lambda guard: WebhookChannel(secret, guard=guard),
        lambda guard: AppriseChannel(guard),
    ]
    for make in makes:
        server.requests.clear()
        server.otherwise = HttpAnswer(body=b'{"errcode":0,"code":0}')
        to = f"{server.url}/k".replace("http://", "json://" if make is makes[-1] else "http://")
        theirs = replace(message(to), personal=True)
        with pytest.raises(Undeliverable, match="not public") as error:
            await post(make(Guard("forbid")), theirs)
        assert "127.0.0.1" not in str(error.value)
        assert server.requests == []
        await post(make(Guard("loopback")), theirs)
        # What stands in the file of whoever runs the system is their business.
        await post(make(Guard("forbid")), message(to))
        assert len(server.requests) == 2


@pytest.mark.filterwarnings("ignore:'imghdr' is deprecated")
@pytest.mark.parametrize(
    "to",
    [
        "json://2130706433:{port}/k", "json://0x7f000001:{port}/k", "json://inside:{port}/k",
        "json://[::ffff:127.0.0.1]/k", "json://u:p@hook.example.com@127.0.0.1:{port}/k",
        "mailto://u:p@mail.example.com?smtp=127.0.0.1&port={port}",
    ],
)  # fmt: skip
async def test_no_way_of_writing_a_host_leads_inside(server: HookServer, to: str) -> None:
    async def found(host: str, port: int) -> list[str]:
        if host.endswith("example.com"):
            return ["203.0.114.7"]
        return ["127.0.0.1"] if host == "inside" else await resolve(host, port)

    port = server.url.rpartition(":")[2]
    theirs = replace(message(to.format(port=port)), personal=True)
    with pytest.raises(Undeliverable, match="not public"):
        await post(AppriseChannel(Guard("forbid", found)), theirs)
    assert server.requests == []


@pytest.mark.filterwarnings("ignore:'imghdr' is deprecated")
async def test_no_answer_leads_on_to_another_address(server: HookServer) -> None:
    server.otherwise = HttpAnswer(302, b"", (f"Location: {server.url}/inside",))
    to = f"{server.url}/k?redirect=yes"
    for channel, address in ((WebhookChannel(read_secret("whsec_" + "a" * 40), guard=Guard("loopback")), to),
                             (AppriseChannel(Guard("loopback")), to.replace("http://", "json://"))):  # fmt: skip
        server.requests.clear()
        with pytest.raises((Undeliverable, Delayed)):
            await post(channel, replace(message(address), personal=True))
        assert len(server.requests) == 1


async def test_a_name_that_leads_inside_is_no_way_to_somebody(server: HookServer) -> None:
    async def inside(host: str, port: int) -> list[str]:
        return ["10.0.0.7"]

    contacts = {"wecom": "https://chat.example.com/k", "webhook": "https://hook.example.com/k"}
    directory = Directory.build([Unit(id="hq")], [Person(id="s-1", role="supervisor", unit="hq", contacts=contacts)])

    async def staff() -> Directory:
        return directory

    built = build_notifier(None, "whsec_" + "a" * 40, None, "a@localhost", staff=staff, guard=Guard("forbid", inside))
    [result] = await Attempts(built).run(batch(order("breach", "supervisor")))
    assert result.outcome == "failed"
    assert [(one["channel"], one["outcome"]) for one in result.attempts] == [("wecom", "failed"), ("webhook", "failed")]
    assert "CASELADDER_PRIVATE_SUBSCRIBERS" in str(result.attempts)


def test_apprise_is_an_extra_and_a_missing_one_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "apprise", None)
    build_notifier(None, None, None, "a@localhost")
    with pytest.raises(SettingError, match=r"CASELADDER_APPRISE: .* install caseladder\[notify-more\]"):
        build_notifier(None, None, None, "a@localhost", apprise=True)


# --- through the activity ---------------------------------------------------------------------------


@pytest.fixture
def notifier(tmp_path: Path) -> Callable[[str], Notifier]:
    def make(contacts: str) -> Notifier:
        (tmp_path / "contacts.toml").write_text(contacts, encoding="utf-8")
        return build_notifier(None, None, tmp_path / "contacts.toml", "a@localhost")

    return make


async def test_http_200_with_an_error_code_is_no_success(
    server: HookServer, notifier: Callable[[str], Notifier]
) -> None:
    server.answers = [HttpAnswer(body=b'{"errcode":45009}'), HttpAnswer(body=OK["wecom"])]
    attempts = Attempts(notifier(f'[roles.agent]\nwecom = ["{server.url}/send?key=K"]'))
    error = await attempts.delayed(batch(order("breach", "agent")))
    assert "agent (wecom: errcode 45009)" in str(error)
    [result] = await attempts.run(batch(order("breach", "agent")), late=5)
    assert (result.outcome, result.channel) == ("sent", "wecom")
    texts = [json.loads(body)["text"]["content"] for _, _, body in server.requests]
    assert texts[0] == texts[1]
    assert texts[0].splitlines()[-1].startswith("#")


async def test_neither_key_nor_secret_is_ever_said(
    server: HookServer, notifier: Callable[[str], Notifier], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    url = f"{server.url}/key-1#geheim"
    server.otherwise = HttpAnswer(body=b'{"errcode":93000,"code":19001,"errmsg":"key-1 geheim"}')
    contacts = f'[roles.agent]\nwecom = ["{url}"]\ndingtalk = ["{url}"]\nfeishu = ["{url}"]\napprise = ["{url}"]'
    attempts = Attempts(notifier(contacts))
    with capture_logs() as logs:
        [result] = await attempts.run(batch(order("breach", "agent")))
    assert result.outcome == "failed"
    ours = [record.getMessage() for record in caplog.records if not record.name.startswith(("httpcore", "asyncio"))]
    said: list[Any] = [logs, ours, attempts.heartbeats, repr(result)]
    assert "key-1" not in str(said)
    assert "geheim" not in str(said)
