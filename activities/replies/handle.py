"""What comes of a message of a customer: it goes to the case that it answers, makes a new one, or waits for a person.

A message is tied to a case by the ids of letters that it names, which only who has such a letter knows; or by the
number in its subject together with where the customer is reached, since a number alone anybody could write.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from activities.attachments.book import Attachments
from activities.attachments.stores import StoreAway
from activities.casebook.read import Casebook
from activities.database.database import Database, statement
from activities.notify.translations import LANGUAGES, Translations, word_files
from activities.replies.inbox import Inbox, Letter, digest_of
from cases.policy.model import Policy
from cases.vocabulary.commands import Attach, CustomerWrote, ReplyBounced
from cases.vocabulary.contract import PASSING
from cases.vocabulary.events import SYSTEM
from cases.vocabulary.refusals import Refused

Json = dict[str, Any]
# Sends a case a command, and files a case: both answer with a view, or raise `Refused`.
Command = Callable[[str, str, Mapping[str, Any]], Awaitable[Mapping[str, Any]]]
File = Callable[[str, Mapping[str, Any]], Awaitable[tuple[Mapping[str, Any], bool]]]
# Codes that say nothing of the message: a case that is being merged takes none, and the other one will in a moment.
LATER = PASSING | {"merging"}
# A merged case names the one that took it over, which may have been merged too.
MOST_MERGED = 5
# Seconds between looks whether what a case has taken is recorded.
LOOKS = (0.05, 0.1, 0.2, 0.4, 0.8)
# Until then the record may still be about to say that a reply went out.
SOON = timedelta(hours=1)


class Waits(Exception):
    """Raised when a message could not be dealt with now; it is taken again a minute later."""


@dataclass(frozen=True)
class _Found:
    """The case of a message, and of a letter that was not delivered the event that had it sent."""

    case_id: str
    seq: int | None = None


class Letters:
    """Deals with messages. Safe to share between tasks; raises what `Database.connection` and the two calls do.

    Args:
        command, file: of the cases.
        policy: the one in force, which says whether a message that answers nothing files a case.
        attachments: what keeps the files of messages.
    """

    _NAMED = statement(__package__, "letters_named")
    _NUMBERED = statement(__package__, "letters_numbered")
    _FROM_THERE = statement(__package__, "letter_known")
    _RECORDED = statement(__package__, "request_recorded")

    def __init__(
        self,
        database: Database,
        command: Command,
        file: File,
        policy: Callable[[], Awaitable[Policy]],
        attachments: Attachments,
    ) -> None:
        self._database, self._command, self._file, self._policy = database, command, file, policy
        self._attachments = attachments
        self._inbox, self._casebook = Inbox(database), Casebook(database)
        self._words = [Translations.read(language, word_files(language)) for language in LANGUAGES]

    async def next(self) -> str | None:
        """Deal with the message that has waited longest, and return what came of it; None if none waits.

        Raises:
            Waits: it has to wait.
        """
        letter = await self._inbox.take()
        if letter is None:
            return None
        return await (self._bounce(letter) if letter.sort == "bounce" else self._message(letter))

    async def _message(self, letter: Letter) -> str:
        if letter.told is not None and letter.case_id is not None:
            return await self._with_files(letter, letter.told, letter.case_id)
        found = _Found(letter.case_id) if letter.case_id is not None else await self._find(letter)
        why, closed = "unmatched", None
        if found is not None:
            why, closed = await self._tell(letter, found.case_id)
            if why == "taken" and closed is not None:
                return await self._with_files(letter, why, closed)
        # Where a person has put it no other case is made of it.
        filed = None if letter.case_id is not None else await self._new_case(letter, closed)
        if filed is not None:
            return await self._with_files(letter, "filed", filed)
        await self._inbox.leave(letter, why, closed)
        return why

    async def _with_files(self, letter: Letter, outcome: str, case_id: str) -> str:
        """Attach the files of a message to the case that has the rest of it, and return what came of it.

        Nothing of a message goes before they are there: while the store is away it is taken again, and where the case
        takes none any more it waits for a person. Until then it is noted that this case has the rest, so that no other
        one is told it should this one close, and so that its erasure finds it.
        """
        # Where no store is set any more none ever comes: the text names the files.
        files = await self._inbox.files(letter) if self._attachments.takes else []
        if files and letter.told is None:
            await self._inbox.told(letter, outcome, case_id)
        for place, file in enumerate(files):
            request_id = digest_of(f"{letter.message_id}/{place}").hex()
            try:
                kept = await self._attachments.keep(case_id, file.content, request_id)
            except StoreAway as error:
                raise Waits(f"attachments: {error}") from None
            body = {
                "by": SYSTEM.as_json(),
                "name": file.name,
                "sha256": kept.sha256,
                "where": kept.where,
                "size": kept.size,
                "request_id": request_id,
            }
            code = await self._send(case_id, Attach.NAME, body)
            if code is not None:
                with suppress(StoreAway):
                    await self._attachments.drop(case_id, [kept.id])
                await self._inbox.leave(letter, code, case_id)
                return code
            await self._until_recorded(case_id, request_id)
        await self._inbox.done(letter, outcome, case_id)
        return outcome

    async def _find(self, letter: Letter) -> _Found | None:
        async with self._database.connection() as connection:
            rows = await connection.fetch(self._NAMED, list(letter.named))
            named = {row["message_id"]: _Found(row["case_id"], row["seq"]) for row in rows}
            if named:
                return next(named[one] for one in letter.named if one in named)
            numbers = [number for _, number in letter.references]
            if not numbers or not letter.sender:
                return None
            [(way, address)] = letter.sender.items()
            rows = await connection.fetch(self._NUMBERED, numbers, way, address.lower())
        # Kinds count for themselves: where two have the number the word before it says which is meant.
        meant = [row for row in rows if len(rows) == 1 or self._is_meant(letter, row["kind"], row["number"])]
        return _Found(meant[0]["case_id"]) if len(meant) == 1 else None

    def _is_meant(self, letter: Letter, kind: str, number: str) -> bool:
        words = {one.word("kind", kind).casefold() for one in self._words}
        return any(word.casefold() in words and told == number for word, told in letter.references)

    async def _tell(self, letter: Letter, case_id: str) -> tuple[str, str | None]:
        """Give a case the message; return ``taken`` or why not, and the case that has taken it or is closed."""
        for _ in range(MOST_MERGED):
            body: Json = {
                "by": SYSTEM.as_json(),
                "text": letter.said,
                "via": letter.via,
                "request_id": letter.digest,
            }
            if (known := await self._is_known(letter, case_id)) is not None:
                body["known"] = known
            code = await self._send(case_id, CustomerWrote.NAME, body)
            if code is None:
                await self._until_recorded(case_id, letter.digest)
                return "taken", case_id
            view = await self._casebook.case(case_id) if code == "closed" else None
            if view is None or view.get("merged_into") is None:
                return code, case_id if code == "closed" else None
            case_id = view["merged_into"]
        return "closed", case_id

    async def _is_known(self, letter: Letter, case_id: str) -> bool | None:
        """Whether it came from where the customer is reached; None where that is not known."""
        if not letter.sender:
            return None
        [(way, address)] = letter.sender.items()
        async with self._database.connection() as connection:
            known: bool | None = await connection.fetchval(self._FROM_THERE, case_id, way, address.lower())
        return known

    async def _until_recorded(self, case_id: str, request_id: str) -> None:
        """Wait until no loss of the engine can lose it."""
        for pause in (*LOOKS, None):
            async with self._database.connection() as connection:
                if await connection.fetchval(self._RECORDED, case_id, request_id):
                    return
            if pause is not None:
                await asyncio.sleep(pause)
        raise Waits(f"{case_id} has not recorded it yet")

    async def _new_case(self, letter: Letter, closed: str | None) -> str | None:
        """File a case of the message, if the policy says so; None if not, or where that is refused."""
        policy = await self._policy()
        if policy.incoming is None:
            return None
        facts = {
            **policy.incoming.facts,
            "customer": dict(letter.sender),
            "description": letter.said,
        }
        intake = {
            # The same message files the same case.
            "key": f"{letter.via}-{letter.digest[:32]}",
            "received_at": letter.came_at.isoformat(),
            "policy": policy.name,
            **({} if closed is None else {"parent": closed}),
            "facts": facts,
        }
        try:
            view, _ = await self._file(policy.incoming.files, intake)
        except Refused as refusal:
            if refusal.code in LATER:
                raise Waits(refusal.code) from None
            return None
        return str(view["id"])

    async def _bounce(self, letter: Letter) -> str:
        """Tell the case that its reply came back. What names no reply, or one of a closed case, has been noted."""
        found = await self._find(letter)
        if found is None or found.seq is None:
            await self._inbox.done(letter, "bounce")
            return "bounce"
        body = {"by": SYSTEM.as_json(), "of": found.seq, "request_id": letter.digest}
        code = await self._send(found.case_id, ReplyBounced.NAME, body)
        # A server may give a mail back before its taking it is on record.
        if code == "not_sent" and datetime.now(UTC) - letter.came_at < SOON:
            raise Waits(f"{found.case_id}: it is not on record that it went out")
        outcome = "bounced" if code is None else "bounce"
        await self._inbox.done(letter, outcome, found.case_id)
        return outcome

    async def _send(self, case_id: str, name: str, body: Mapping[str, Any]) -> str | None:
        """Send a command; return None, or the code of the refusal."""
        try:
            await self._command(case_id, name, body)
        except Refused as refusal:
            if refusal.code in LATER:
                raise Waits(refusal.code) from None
            return refusal.code
        return None
