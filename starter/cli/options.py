"""Options that several commands share, with the settings, connections and case ids derived from them."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter
from cyclopts.validators import Number

from cases.vocabulary.events import Actor
from cases.vocabulary.refusals import Refused
from starter.cli.errors import BadInput, Failed
from starter.embedded import running
from starter.settings import Settings, SettingsError, load_settings

if TYPE_CHECKING:  # half a second to import; needed only by commands that connect to something
    from activities.casebook.read import Casebook
    from activities.database.database import Database
    from starter.client import CaseClient
    from starter.forms import Forms

# Each kind counts by itself (S1-5.8), so a number alone may mean several cases.
_NUMBER = re.compile(r"(?:(?P<kind>[a-z][a-z0-9_]*)/)?(?P<number>\d{4}-\d{2}-\d{4,})")

_NO_DATABASE = (
    "no database: nothing runs on {} (start it with `caseladder up`, or name its folder with --data), and "
    "CASELADDER_DATABASE_URL is not set"
)


@Parameter(name="*")
@dataclass(frozen=True)
class OutputOptions:
    """How the answer is printed (tables or JSON)."""

    json: Annotated[bool, Parameter(negative="", show_default=False)] = False
    """Print one JSON value on stdout and nothing else; errors stay one line on stderr."""


@Parameter(name="*")
@dataclass(frozen=True)
class StackOptions(OutputOptions):
    """Which stack a command works on, configured or embedded."""

    data: Path | None = None
    """Folder of the embedded stack (default: CASELADDER_DATA, else .caseladder)."""

    def configured(self) -> Settings:
        """Load the settings from the environment and ``--data`` alone, whether or not a stack is running.

        Raises:
            SettingsError: a setting is invalid.
        """
        return load_settings() if self.data is None else load_settings(data=self.data)

    def forms(self) -> Forms:
        """Return the forms that the policies at hand declare, by name."""
        from activities.policies.store import Policies
        from starter.forms import declared_forms

        return declared_forms(Policies(self.configured().policies))

    def settings(self) -> Settings:
        """Load the settings and complete them with the addresses of the embedded stack, if it is running.

        Raises:
            SettingsError: a setting is invalid.
        """
        settings = self.configured()
        stack = running(settings.data)
        return settings if stack is None else settings.on_embedded(stack.database_url)

    def database_url(self) -> str:
        """Return the address of the casebook's database, which contains a password.

        Raises:
            Failed: no database is configured and no embedded stack is running.
        """
        settings = self.settings()
        if settings.database_url is None:
            raise Failed(_NO_DATABASE.format(settings.data))
        return settings.database_url.get_secret_value()

    def owner_url(self) -> str:
        """Return the address of the casebook's database with the role that owns the schema, for migrations alone.

        Raises:
            SettingsError: a database is configured, and its owner is not.
            Failed: no database is configured and no embedded stack is running.
        """
        settings = self.configured()
        if settings.database_owner_url is not None:
            return settings.database_owner_url.get_secret_value()
        if settings.database_url is not None:
            raise SettingsError(
                "CASELADDER_DATABASE_OWNER_URL is missing: the address of the role that owns the schema, where "
                "CASELADDER_DATABASE_URL has one that only writes (docs/operations.md, Two database roles)"
            )
        stack = running(settings.data)
        if stack is None:
            raise Failed(_NO_DATABASE.format(settings.data))
        return stack.owner_url

    @asynccontextmanager
    async def database(self) -> AsyncIterator[Database]:
        """Open the casebook's database.

        Raises:
            Failed: see `database_url`.
        """
        from activities.database.database import Database

        connections = self.configured().database_connections
        async with Database.open(self.database_url(), connections=connections) as database:
            yield database

    @asynccontextmanager
    async def casebook(self) -> AsyncIterator[Casebook]:
        """Open the casebook, for reading."""
        from activities.casebook.read import Casebook

        async with self.database() as database:
            yield Casebook(database)

    async def client(self) -> CaseClient:
        """Connect to the configured Temporal server, or else to the embedded one.

        Raises:
            Unreachable: no server answers.
        """
        from activities.policies.store import Policies
        from starter.client import CaseClient
        from starter.connection import connect
        from starter.senders import signer_of

        settings = self.settings()
        recorded = None if settings.database_url is None else _Recorded(self)
        policies = Policies(settings.policies).in_force
        return CaseClient(await connect(settings.data), recorded, signer_of(settings), policies)

    async def add_person(self, body: dict[str, Any]) -> None:
        """Add to who acts what their accounts have in common, where the directory says so and can be asked."""
        by = body.get("by")
        if not isinstance(by, dict) or self.settings().database_url is None:
            return
        from activities.people.directory import DirectoryBook

        async with self.database() as database:
            directory = await DirectoryBook(database).current()
        # However it is written: whoever is not found would be nobody else's second account.
        named = Actor(str(by.get("id")), "")
        for known in directory.people:
            if known.person is not None and named.is_same(Actor(known.id, known.role)):
                by.setdefault("person", known.person)

    async def case_id(self, case: str) -> str:
        """Return the id of a case that is given by its id or its number.

        Raises:
            BadInput: the text is neither an id nor a number.
            Refused: code ``not_found`` or ``ambiguous``; no case, or more than one, has the number.
        """
        if ":" in case:
            return case
        named = _NUMBER.fullmatch(case)
        if named is None:
            raise BadInput(
                f"CASE = {case!r}: give an id like complaint:KEY, or a number like 2026-03-0007 or inquiry/2026-03-0007"
            )
        async with self.casebook() as book:
            found: list[str] = [view["id"] for view in await book.by_number(named["number"], named["kind"])]
        if not found:
            raise Refused("not_found", f"there is no case with the number {case}")
        if len(found) > 1:
            raise Refused("ambiguous", f"several kinds have a case {case}; give the id: {', '.join(found)}")
        return found[0]


@dataclass(frozen=True)
class _Recorded:
    """The casebook, opened when it is asked: most commands are answered by the workflow."""

    options: StackOptions

    async def case(self, case_id: str) -> dict[str, Any] | None:
        """Return the view of a case; None when it has none."""
        async with self.options.casebook() as book:
            return await book.case(case_id)

    async def events(self, case_id: str) -> list[dict[str, Any]]:
        """Return the events of a case, in order."""
        async with self.options.casebook() as book:
            return await book.events(case_id)

    async def policy_document(self, policy_hash: str) -> str | None:
        """Return the policy that a case was pinned to."""
        async with self.options.casebook() as book:
            return await book.policy_document(policy_hash)


@Parameter(name="*")
@dataclass(frozen=True)
class RequestOptions(StackOptions):
    """Which stack a command works on, and how long it waits for a worker's answer."""

    timeout: Annotated[int, Parameter(validator=Number(gte=1))] = 10
    """Seconds to wait for a worker's answer."""

    @asynccontextmanager
    async def answer_within_timeout(self, otherwise: str = "") -> AsyncIterator[None]:
        """Limit the block to ``--timeout`` seconds.

        Args:
            otherwise: what to add to the error message about the state of the request.

        Raises:
            Failed: no worker answered in time.
        """
        try:
            async with asyncio.timeout(self.timeout):
                yield
        except Exception as error:
            # The SDK turns the cancelling of an update into an error of its own, compared by name to avoid the import.
            if type(error).__name__ not in ("TimeoutError", "WorkflowUpdateRPCTimeoutOrCancelledError"):
                raise
            raise Failed(
                f"no worker answered within {self.timeout} s; start one with `caseladder worker` or `caseladder up`"
                f"{otherwise and f' ({otherwise})'}"
            ) from None


@Parameter(name="*")
@dataclass(frozen=True)
class SenderOptions:
    """Who sends a command, and under which request id."""

    by: str | None = None
    """Id of who acts: a staff number or a system's name, no personal data."""
    role: str | None = None
    """Role in which they act: agent, supervisor, ..."""
    request_id: str | None = None
    """The same id with the same content is answered again, not done again."""

    def add_to(self, body: dict[str, Any]) -> dict[str, Any]:
        """Add the sender and the request id to a command's body.

        Raises:
            BadInput: only one of ``--by`` and ``--role`` is given.
        """
        if (self.by is None) != (self.role is None):
            raise BadInput("--by and --role go together: --by agent-7 --role agent")
        if self.by is not None:
            body["by"] = {"id": self.by, "role": self.role}
        if self.request_id is not None:
            body["request_id"] = self.request_id
        return body


OUTPUT, STACK, REQUEST, NO_SENDER = OutputOptions(), StackOptions(), RequestOptions(), SenderOptions()
