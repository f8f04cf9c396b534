"""The embedded stack with its real servers: what survives, what is refused, what is left behind."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path
from time import monotonic

import asyncpg
import psutil
import pytest
from google.protobuf.duration_pb2 import Duration
from temporalio.api.namespace.v1 import NamespaceConfig
from temporalio.api.workflowservice.v1 import UpdateNamespaceRequest
from temporalio.client import Client
from temporalio.common import SearchAttributePair, TypedSearchAttributes

from starter import retention
from starter.embedded import Addresses, Ports, Stack, StackError, running
from starter.embedded.postgres import Postgres
from starter.embedded.server import Server
from starter.embedded.temporal import Temporal
from starter.settings import SettingsError, load_settings
from tests.embedded.support import ANY, CASE_KIND, KINDS, remember, remembers

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    """A running stack on a folder of its own. Each test leaves it running."""
    stack = Stack(tmp_path_factory.mktemp("data"), KINDS, ANY)
    async with stack:
        yield stack


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """Somebody else's server, on a free port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener


def on(folder: Path) -> list[list[str]]:
    """The command lines of the processes that have a path of the folder among their arguments."""
    lines = (process.info["cmdline"] or [] for process in psutil.process_iter(["cmdline"]))
    return [line for line in lines if any(argument.startswith(f"{folder}/") for argument in line)]


async def two_run_on(folder: Path) -> bool:
    """Whether both servers run there, and nothing else. A child of PostgreSQL is called like it for a moment."""
    for _ in range(100):
        if len(on(folder)) == 2:
            return True
        await asyncio.sleep(0.02)
    return False


async def gone(folder: Path, limit: float = 10) -> bool:
    """Wait until no process uses the folder; False if one still does after ``limit`` seconds."""
    deadline = monotonic() + limit
    while on(folder):
        if monotonic() > deadline:
            return False
        await asyncio.sleep(0.05)
    return True


@pytest.mark.long
async def test_a_stopped_stack_leaves_its_data_and_nothing_else(tmp_path: Path) -> None:
    stack = Stack(tmp_path / "new" / "data", KINDS, ANY)
    async with stack as addresses:
        await remember(addresses, "kept")
        assert running(tmp_path / "new" / "data") == addresses
        assert addresses.pid == os.getpid()
        assert await two_run_on(tmp_path)
    assert on(tmp_path) == []
    assert running(tmp_path / "new" / "data") is None
    async with stack as addresses:
        assert await remembers(addresses, "kept")


async def test_case_data_is_for_the_owner_alone(stack: Stack) -> None:
    folder = stack.postgres.log.parents[1]
    for name in ("stack.json", "temporal.db", "postgres", "logs"):
        assert (folder / name).stat().st_mode & 0o077 == 0, name
    addresses = running(folder)
    assert addresses is not None
    password = addresses.database_url.split(":")[2].split("@")[0]
    assert password not in repr(addresses)
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(addresses.database_url.replace(password, "guess"))


async def test_no_stack_runs_where_none_was_started(tmp_path: Path) -> None:
    assert running(tmp_path / "nowhere") is None


async def test_a_second_owner_is_refused_and_told_who_has_the_folder(stack: Stack) -> None:
    folder = stack.postgres.log.parents[1]
    before = running(folder)
    with pytest.raises(StackError) as refused:
        await Stack(folder, KINDS, ANY).start()
    assert str(refused.value) == (
        f"caseladder is already running on {folder} (pid {os.getpid()}); stop it or use --data"
    )
    assert running(folder) == before
    assert stack.postgres.pid
    assert stack.temporal.pid


@pytest.mark.parametrize("part", ["postgres", "temporal"])
async def test_a_killed_server_comes_back_on_its_port_with_its_data(stack: Stack, part: str) -> None:
    addresses = running(stack.postgres.log.parents[1])
    assert addresses is not None
    await remember(addresses, part)
    server, other = (getattr(stack, name) for name in (part, "postgres temporal".replace(part, "").strip()))
    address, pid, bystander = server.address, server.pid, other.pid
    # Connections and running statements must not keep it from coming back.
    connections = [await asyncpg.connect(addresses.database_url) for _ in range(5)]
    statements = [asyncio.create_task(c.execute("SELECT pg_sleep(60)")) for c in connections]
    await asyncio.sleep(0.1)

    os.kill(pid, signal.SIGKILL)
    await server.start()

    assert server.address == address
    assert server.pid not in (pid, None)
    assert other.pid == bystander
    assert await remembers(addresses, part)
    for connection, statement in zip(connections, statements, strict=True):
        statement.cancel()
        connection.terminate()
    await asyncio.gather(*statements, return_exceptions=True)


@pytest.mark.long
async def test_stop_kill_and_start_of_one_part(stack: Stack) -> None:
    for server in (stack.postgres, stack.temporal):
        first = server.pid
        await server.start()  # it runs already
        assert server.pid == first
        await server.stop()
        assert server.pid is None
        await server.start()
        await server.kill()
        assert server.pid is None
        await server.kill()  # nothing to kill
        await server.start()
        assert server.pid not in (first, None)


@pytest.mark.long
async def test_taken_ports_are_replaced(tmp_path: Path, listener: socket.socket) -> None:
    taken = listener.getsockname()[1]
    async with Stack(tmp_path, KINDS, Ports(taken, taken, taken)) as addresses:
        ports = {
            addresses.temporal.split(":")[1],
            addresses.ui.split(":")[2],
            addresses.database_url.split(":")[3].split("/")[0],
        }
        assert len(ports) == 3
        assert str(taken) not in ports
        await remember(addresses, "elsewhere")
        assert await remembers(addresses, "elsewhere")


@pytest.mark.long
async def test_a_port_that_somebody_else_took_meanwhile_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    taken, choose = other.sockets[0].getsockname()[1], Server._choose_ports
    chosen: dict[str, list[int]] = {}

    def chose(server: Server) -> None:
        choose(server)
        ports = chosen.setdefault(server.name, [])
        if not ports:
            # As if it had been free a moment ago.
            server.port = taken
        ports.append(server.port or 0)

    monkeypatch.setattr(Server, "_choose_ports", chose)
    async with Stack(tmp_path, KINDS, ANY) as addresses:
        await remember(addresses, "elsewhere")
        assert await remembers(addresses, "elsewhere")
    other.close()
    assert [(ports[0] == taken, len(ports)) for ports in chosen.values()] == [(True, 2)] * 2


async def test_a_port_lost_while_a_server_was_down_is_reported(stack: Stack) -> None:
    for server in (stack.postgres, stack.temporal):
        await server.kill()
        with socket.create_server(("127.0.0.1", server.port or 0)):
            message = f"{server.name} did not start: port {server.address} is taken by another program"
            with pytest.raises(StackError, match=message):
                await server.start()
            assert server.pid is None
        await server.start()


OWNER = """
import asyncio, dataclasses, json, signal, sys
from pathlib import Path
from starter.embedded import Ports, Stack

async def main():
    async with Stack(Path(sys.argv[1]), {"CaseKind": "Keyword"}, Ports(0, 0, 0)) as addresses:
        print(json.dumps(dataclasses.asdict(addresses)), flush=True)
        await asyncio.sleep(60)

# A run of the tests in the background has it ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)
try:
    asyncio.run(main())
except KeyboardInterrupt:
    pass
"""


async def owner_of(folder: Path) -> asyncio.subprocess.Process:
    """Let another process own a stack on the folder, with data in it."""
    owner = await asyncio.create_subprocess_exec(
        sys.executable, "-c", OWNER, str(folder), stdout=subprocess.PIPE, cwd=ROOT, process_group=0
    )
    assert owner.stdout is not None
    addresses = Addresses(**json.loads(await owner.stdout.readline()))
    assert addresses.pid == owner.pid
    assert running(folder) == addresses
    assert await two_run_on(folder)
    await remember(addresses, "survives")
    return owner


async def killed_owner(folder: Path) -> None:
    """Let another process own a stack on the folder, and kill it."""
    owner = await owner_of(folder)
    owner.kill()
    await owner.wait()
    assert running(folder) is None


@pytest.mark.long
async def test_ctrl_c_is_for_the_owner_which_stops_its_servers(tmp_path: Path) -> None:
    owner = await owner_of(tmp_path)
    os.killpg(owner.pid, signal.SIGINT)
    await owner.wait()
    assert on(tmp_path) == []
    log = (tmp_path / "logs" / "postgres.log").read_text()
    assert log.count("received fast shutdown request") == 1
    assert "database system is shut down" in log.splitlines()[-1]


@pytest.mark.long
async def test_a_killed_owner_is_succeeded_at_once(tmp_path: Path) -> None:
    await killed_owner(tmp_path)
    # Whatever is still on its way out must not stand in the way.
    async with Stack(tmp_path, KINDS, ANY) as addresses:
        assert await remembers(addresses, "survives")
        assert await two_run_on(tmp_path)
    assert on(tmp_path) == []


if sys.platform == "linux":  # elsewhere no kernel tells of a parent's death: the next owner ends them

    async def test_the_servers_of_a_killed_owner_end_by_themselves(tmp_path: Path) -> None:
        await killed_owner(tmp_path)
        assert await gone(tmp_path)


async def test_a_server_left_by_a_dead_owner_is_ended_first(tmp_path: Path) -> None:
    first = Temporal(tmp_path / "temporal.db", tmp_path / "log", 0, 0, KINDS)
    await first.start()
    second = Temporal(tmp_path / "temporal.db", tmp_path / "log", 0, 0, KINDS)
    await second.start()
    assert first.pid is None
    assert second.pid is not None
    await second.kill()


@pytest.mark.long
async def test_a_start_that_is_cancelled_leaves_nothing_half_done(tmp_path: Path) -> None:
    for moment in (0.05, 0.4):
        stack = Stack(tmp_path, KINDS, ANY)
        start = asyncio.create_task(stack.start())
        await asyncio.sleep(moment)
        start.cancel()
        try:
            await start
            await stack.stop()  # a fast machine was ready by then
        except asyncio.CancelledError:
            pass
        assert await gone(tmp_path, 1)
        assert running(tmp_path) is None
    async with Stack(tmp_path, KINDS, ANY) as addresses:
        await remember(addresses, "whole")


async def test_what_has_ended_is_kept_for_a_week(stack: Stack) -> None:
    assert stack.temporal.port is not None
    client = await Client.connect(stack.temporal.address)
    assert await retention.read(client) == retention.LEAST
    assert await retention.advise(client) is None
    # A longer one, which somebody has set, stays.
    await _keep(client, timedelta(days=30))
    await retention.lengthen(client)
    assert await retention.read(client) == timedelta(days=30)
    await _keep(client, timedelta(hours=24))
    said = await retention.advise(client)
    assert said is not None
    assert "keeps what has ended for 24 hours, less than 168" in said
    assert "--namespace default --retention 168h" in said


async def _keep(client: Client, how_long: timedelta) -> None:
    config = NamespaceConfig(workflow_execution_retention_ttl=Duration(seconds=int(how_long.total_seconds())))
    await client.workflow_service.update_namespace(UpdateNamespaceRequest(namespace="default", config=config))


async def test_what_a_server_does_not_tell_is_not_warned_of() -> None:
    client = await Client.connect("127.0.0.1:1", lazy=True)
    assert await retention.advise(client) is None
    assert retention.warning("default", timedelta()) is None


@pytest.mark.long
async def test_a_search_attribute_that_is_new_reaches_an_old_folder(tmp_path: Path) -> None:
    def server(kinds: dict[str, str]) -> Temporal:
        return Temporal(tmp_path / "temporal.db", tmp_path / "log", 0, 0, kinds)

    old = server({"Breached": "KeywordList"})
    await old.start()
    await old.kill()
    new = server(KINDS)
    await new.start()
    client = await Client.connect(new.address)
    attributes = TypedSearchAttributes([SearchAttributePair(CASE_KIND, "claim")])
    await client.start_workflow("Waits", id="1", task_queue="nobody", search_attributes=attributes)
    await new.kill()
    for kind, message in [("Int", "another type than Int"), ("Word", "type Word is not one of Text, Keyword")]:
        wrong = server({"CaseKind": kind})
        with pytest.raises(StackError, match=f"search attribute CaseKind: .*{message}"):
            await wrong.start()
        await wrong.kill()


async def test_a_file_cannot_be_the_data_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StackError, match="file cannot be the data folder: File exists"):
        await Stack(tmp_path / "file", KINDS, ANY).start()


async def test_a_database_of_another_release_is_named(tmp_path: Path) -> None:
    server = Postgres(tmp_path / "postgres", tmp_path / "log", 0)
    await server.start()
    await server.stop()
    (tmp_path / "postgres" / "PG_VERSION").write_text("12\n")
    with pytest.raises(StackError, match=r"PostgreSQL did not start: .*incompatible with server; see .*log"):
        await server.start()
    assert server.pid is None


@pytest.fixture
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in os.environ:
        if name.startswith("CASELADDER_"):
            monkeypatch.delenv(name)
    return monkeypatch


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("DATABASE_URL", "mysql://u:hush@h/d", "an address with a host, beginning with postgresql://"),
        ("DATABASE_URL", "postgresql://u:hush@h:99999/d", "an address with a host"),
        ("DATABASE_URL", "postgresql:///hush", "an address with a host"),
        ("SMTP_URL", "ftp://u:hush@h", "smtp://, smtps://, smtp+starttls:// or maildir:FOLDER"),
        ("SMTP_URL", "maildir:", "needs a folder"),
        ("WEBHOOK_SECRET", "whsec_hush!", "base64"),
        ("WEBHOOK_SECRET", "whsec_", "base64"),
        ("MAIL_FROM", "nobody", "CASELADDER_MAIL_FROM = nobody: it must be a plain address"),
        ("CONTACTS", "/no/such/file", "CASELADDER_CONTACTS = /no/such/file: there is no such file"),
        ("POLICIES", "/no/such/folder", "CASELADDER_POLICIES = /no/such/folder: there is no such folder"),
        ("METRICS_PORT", "70000", "CASELADDER_METRICS_PORT = 70000: Input should be less than or equal to 65535"),
        ("METRICS_PORT", "soon", "CASELADDER_METRICS_PORT = soon: Input should be a valid integer"),
        ("LOG_FORMAT", "xml", "CASELADDER_LOG_FORMAT = xml: Input should be 'json' or 'console'"),
    ],
)
def test_a_wrong_setting_is_named_without_its_secret(
    plain_environment: pytest.MonkeyPatch, name: str, value: str, message: str
) -> None:
    plain_environment.setenv(f"CASELADDER_{name}", value)
    with pytest.raises(SettingsError) as error:
        load_settings()
    assert message in str(error.value)
    assert f"CASELADDER_{name}" in str(error.value)
    assert "\n" not in str(error.value)
    assert "hush" not in str(error.value)


def test_settings_of_a_stack_fill_in_only_what_is_not_set(plain_environment: pytest.MonkeyPatch) -> None:
    plain_environment.setenv("CASELADDER_SMTP_URL", "smtps://u:hush@mail.example:465")
    plain_environment.setenv("CASELADDER_METRICS_PORT", "")
    settings = load_settings(data=Path("d"))
    assert settings.metrics_port == 0
    assert "hush" not in repr(settings)
    filled = settings.on_embedded("postgresql://a:b@c/d")
    assert filled.database_url is not None
    assert filled.database_url.get_secret_value() == "postgresql://a:b@c/d"
    assert filled.smtp_url == settings.smtp_url
    plain_environment.delenv("CASELADDER_SMTP_URL")
    filled = load_settings(data=Path("d"), database_url="postgres://h/d").on_embedded("postgresql://a:b@c/d")
    assert filled.database_url is not None
    assert filled.database_url.get_secret_value() == "postgres://h/d"
    assert filled.smtp_url is not None
    assert filled.smtp_url.get_secret_value() == "maildir:d/mail"
