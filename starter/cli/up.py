"""The command ``up``: PostgreSQL, Temporal, a worker and the API as children of one process."""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import sys
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from starter.cli import output
from starter.cli.errors import OK
from starter.cli.keys import known_people
from starter.cli.options import STACK, StackOptions
from starter.cli.staff import import_sample
from starter.cli.welcome import Sample, next_steps, welcome
from starter.embedded import Addresses, Stack, StackError
from starter.embedded.server import Server
from starter.settings import SENDER_KEY, SENDERS, link_secret_file

if TYPE_CHECKING:  # half a second to import, which other commands do not need
    from temporalio.client import Client

    from activities.casebook.read import Casebook
    from starter.client import CaseClient
    from starter.examples import Sample as Given
    from starter.settings import Settings

# Seconds before each restart of a server that has ended. A server that ran for longer than _RECOVERED begins anew.
_RESTART_PAUSES = (1, 2, 4, 8, 16, 30)
_RECOVERED = 60
# The preferred port of the API; a free one is used if it is taken.
API_PORT = 8080
# How often the casebook is read, 20 times a second, before the start continues without the samples.
_RECORD_TRIES = 200


class WorkerProcess(Server):
    """The worker as a child process, which ends at the latest with this one.

    Args:
        log: the file that its log is appended to.
        client: a connection to the Temporal server that it polls.
    """

    name = "the worker"
    stop_signal = signal.SIGTERM

    def __init__(self, log: Path, client: Client) -> None:
        super().__init__(log, 0)
        self._client = client

    def _choose_ports(self) -> None:
        self.port = 0  # it listens on none

    async def _prepare(self) -> None:
        return None

    def _command(self) -> list[str]:
        return [sys.executable, "-m", "caseladder", "worker"]

    async def _not_ready_reason(self) -> str | None:
        from temporalio.api.enums.v1 import TaskQueueType
        from temporalio.api.taskqueue.v1 import TaskQueue
        from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest
        from temporalio.service import RPCError

        from cases.vocabulary.contract import TASK_QUEUE

        queue = DescribeTaskQueueRequest(
            namespace=self._client.namespace,
            task_queue=TaskQueue(name=TASK_QUEUE),
            task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW,
        )
        try:
            found = await self._client.workflow_service.describe_task_queue(queue)
        except RPCError as error:
            return error.message
        # The server lists the pollers of dead workers for some minutes, so the process id is compared.
        if any(poller.identity.startswith(f"{self.pid}@") for poller in found.pollers):
            return None
        return "it does not poll"


class ApiProcess(Server):
    """The HTTP API with the console as a child process, which ends at the latest with this one.

    Args:
        log: the file that its log is appended to.
        port: the preferred port.
    """

    name = "the API"
    stop_signal = signal.SIGTERM

    def prepare_port(self) -> str:
        """Choose the port before the start, since notices link to it, and return the API's address."""
        if self.port is None:
            self._choose_ports()
        return f"http://{self.address}"

    async def _prepare(self) -> None:
        return None

    def _command(self) -> list[str]:
        return [sys.executable, "-m", "caseladder", "serve", "--port", str(self.port)]

    async def _not_ready_reason(self) -> str | None:
        import httpx

        try:
            async with httpx.AsyncClient(trust_env=False, timeout=5) as client:
                answer = await client.get(f"http://{self.address}/healthz")
        except httpx.HTTPError as error:
            return type(error).__name__
        return None if answer.status_code == 200 else f"it answers {answer.status_code}"


async def up(
    *, examples: Annotated[bool, Parameter(negative="", show_default=False)] = False, options: StackOptions = STACK
) -> int:
    """Start PostgreSQL, Temporal, a worker and the API with its console, and keep them running until Ctrl-C.

    Their data stays in the data folder, so that the next start finds every case where it was. With
    --json the addresses come as one JSON object on stdout once everything runs, the rest on stderr.

    Args:
        examples: file the sample cases of examples/, use its contacts, and import its staff if there is none.
    """
    tell: Callable[[str], None] = _tell_stderr if options.json else output.line
    # Only the first Ctrl-C counts: a second one must not interrupt the orderly stop.
    running = asyncio.create_task(_up(examples, options, tell))
    loop = asyncio.get_running_loop()
    stopping = False

    def stop() -> None:
        nonlocal stopping
        if not stopping:
            stopping = True
            tell("stopping the API, the worker, Temporal and PostgreSQL")
            running.cancel()

    for name in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(name, stop)
    try:
        await running
    except asyncio.CancelledError:
        tell("stopped")
    return OK


def _tell_stderr(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


async def _up(examples: bool, options: StackOptions, tell: Callable[[str], None]) -> None:
    from starter.examples import POLICIES, find_examples, samples

    folder = find_examples() if examples else None
    settings = options.configured()
    if folder is not None and settings.contacts is None and (folder / "contacts.toml").is_file():
        os.environ["CASELADDER_CONTACTS"] = str((folder / "contacts.toml").resolve())
    if folder is not None and settings.policies is None and (folder / POLICIES).is_dir():
        os.environ["CASELADDER_POLICIES"] = str((folder / POLICIES).resolve())

    from workflows.attributes import TYPES

    tell(f"starting PostgreSQL and Temporal on {settings.data}")
    stack = Stack(settings.data, TYPES)
    async with stack as addresses:
        from activities.casebook.read import Casebook
        from activities.casebook.search import Search
        from activities.database.migrate import migrate
        from activities.policies.store import Policies
        from starter.client import CaseClient
        from starter.connection import connect
        from starter.senders import signer_of

        settings = options.settings()
        _point_environment_at(settings, addresses)
        _make_link_secret(settings)
        _make_checkpoint_key(settings)
        _make_sender_key(settings)
        tell("bringing the database schema up to date")
        await migrate(options.owner_url())
        if folder is not None:
            async with options.database() as database:
                if await import_sample(folder, database):
                    tell(f"imported the sample staff of {folder}")
        client = await connect(settings.data)
        await _bring_over(client, options, tell)
        worker = WorkerProcess(stack.postgres.log.with_name("worker.log"), client)
        api = ApiProcess(stack.postgres.log.with_name("api.log"), API_PORT)
        for server in (worker, api):
            if server.log.exists():
                server.log.replace(server.log.with_suffix(".log.1"))
        os.environ.setdefault("CASELADDER_PUBLIC_URL", api.prepare_port())
        supervisors: list[asyncio.Task[None]] = []
        try:
            tell("starting the worker")
            await worker.start()
            tell("starting the API and the console")
            await api.start()
            servers = (stack.postgres, stack.temporal, worker, api)
            supervisors = [asyncio.create_task(_restart_when_ended(server, tell)) for server in servers]
            async with options.database() as database:
                policies = Policies(settings.policies)
                cases = CaseClient(client, signer=signer_of(options.settings()), policies=policies.in_force)
                given = [] if folder is None else list(samples(folder, policies))
                filed = await _file_samples(given, cases, Casebook(database))
                steps = await next_steps(cases, Search(database), options)
            people = await known_people(options) if settings.access is None else []
            welcome(options, settings, addresses, worker.log, filed, steps, f"http://{api.address}", people)
            await asyncio.gather(*supervisors)
        finally:
            for supervisor in supervisors:
                supervisor.cancel()
            await asyncio.gather(*supervisors, return_exceptions=True)
            await api.stop()
            await worker.stop()


async def _bring_over(client: Client, options: StackOptions, tell: Callable[[str], None]) -> None:
    """Start cases again that a build of other rules has left running, from their ledgers."""
    from starter.recovery.recovery import Recovery

    async with options.database() as database:
        async for outcome in Recovery(client, database).run("other-rules"):
            if outcome.restarted:
                tell(f"{outcome.case_id} goes on by the rules of this build")
            elif outcome.why_not:
                tell(f"{outcome.case_id} stays as it is: {outcome.why_not} (see `caseladder migrate`)")


def _point_environment_at(settings: Settings, addresses: Addresses) -> None:
    """Set the environment, which the worker and the API inherit, to the stack and to nothing else."""
    # And there is but one build here.
    for name in [name for name in os.environ if name.startswith("TEMPORAL_") or name == "CASELADDER_DEPLOYMENT"]:
        del os.environ[name]
    os.environ.update(
        # Otherwise a profile in the user's configuration file would take effect.
        TEMPORAL_CONFIG_FILE=os.devnull,
        TEMPORAL_ADDRESS=addresses.temporal,
        TEMPORAL_NAMESPACE=addresses.namespace,
        CASELADDER_DATA=str(settings.data.expanduser().resolve()),
    )
    os.environ.setdefault("CASELADDER_UI_ORIGIN", addresses.ui)


def _make_link_secret(settings: Settings) -> None:
    """Create the secret that signs acknowledgement codes, unless the data folder has one.

    It is kept, so that the codes of notices stay valid after a restart.
    """
    file = link_secret_file(settings.data)
    if not file.exists():
        with open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as new:
            new.write(secrets.token_urlsafe(32))


def _make_checkpoint_key(settings: Settings) -> None:
    """Create the key that signs checkpoints of the ledger, unless the data folder has one or another is configured."""
    from activities.audit.keys import new_key

    if settings.checkpoint_key is None and not settings.key_file.exists():
        new_key(settings.key_file)


def _make_sender_key(settings: Settings) -> None:
    """Create the key by which the servers of this folder sign for everybody, where commands are to be signed.

    Nothing is made where a key set is configured, or the folder has one.
    """
    if settings.commands != "signed" or settings.senders is not None or (settings.data / SENDERS).exists():
        return
    from activities.audit.keys import new_key
    from activities.senders.key_set import ANY, entry

    keys = new_key(settings.data / SENDER_KEY)
    since = f"signed_since = {datetime.now(UTC).isoformat(timespec='seconds')}\n"
    (settings.data / SENDERS).write_text(since + entry(keys, ANY, [ANY]), encoding="ascii")


async def _restart_when_ended(server: Server, tell: Callable[[str], None]) -> None:
    """Start a server again whenever it has ended, after a longer pause each time it soon ends again."""
    tries, began = 0, monotonic()
    while True:
        await asyncio.sleep(0.5)
        if server.pid is not None:
            continue
        if monotonic() - began > _RECOVERED:
            tries = 0
        pause = _RESTART_PAUSES[min(tries, len(_RESTART_PAUSES) - 1)]
        tell(f"{server.name} has ended; starting it again in {pause} s (see {server.log})")
        await asyncio.sleep(pause)
        tries, began = tries + 1, monotonic()
        try:
            await server.start()
        except StackError as error:
            tell(str(error))
        else:
            tell(f"{server.name} runs again")


async def _file_samples(given: Iterable[Given], cases: CaseClient, book: Casebook) -> list[Sample]:
    """File the samples that the casebook does not have, and wait until it has them."""
    filed = []
    for sample in given:
        # The casebook is asked because it keeps cases for longer than Temporal does.
        if await book.case(sample.id) is None:
            await cases.file(sample.kind, sample.intake)
            for number, step in enumerate(sample.steps):
                await cases.command(sample.id, step.command, step.body(number))
            filed.append(Sample(sample.id, "filed"))
        else:
            filed.append(Sample(sample.id, "already there"))
    for _ in range(_RECORD_TRIES):
        if None not in [await book.case(sample.id) for sample in filed]:
            break
        await asyncio.sleep(0.05)
    return filed
