"""The places outside that checkpoints are handed out to: folders, mailboxes, webhooks, buckets with object lock.

What is handed out to a place it keeps: nothing here takes it back or writes over it.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Protocol

from activities.audit.checkpoint import Signed, head_line
from activities.audit.handed_out import SUFFIX
from activities.audit.make import Checkpoints
from activities.buckets import Bucket, NotStored, bucket_at
from activities.database.database import Database, statement
from activities.notify.channels import Channel, Delayed, Message, SettingError, Undeliverable

FORM = "allowed: folder:PATH, mailto:NAME@HOST, s3://BUCKET/PREFIX and http(s):// addresses, with blanks between them"


# For how long a bucket keeps a checkpoint, unless a setting says otherwise.
RETAIN = timedelta(days=3650)


class NotHandedOut(Exception):
    """Raised where a place does not take a checkpoint now; the text says why, without its address."""


class Place(Protocol):
    """Somewhere that keeps checkpoints.

    ``name`` recognizes it and does not hold its address. ``every``: whether it gets each checkpoint, with the events
    that it adds, or the signed head of the last one alone.
    """

    name: str
    every: bool

    async def hand_out(self, signed: Signed, text: str) -> None:
        """Hand a checkpoint out; a second time changes nothing.

        Args:
            text: in which it is handed out.

        Raises:
            NotHandedOut: it was not taken.
        """
        ...


def file_name(signed: Signed) -> str:
    """Return the name of a checkpoint as a file: two of one number do not have the same."""
    return f"{signed.checkpoint.number:08}-{signed.hash[:16]}{SUFFIX}"


class FolderPlace:
    """Writes a file for each checkpoint, which should be on another machine, and be kept there."""

    every = True

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.name = _name("folder", str(folder))

    async def hand_out(self, signed: Signed, text: str) -> None:
        """See `Place`; a file that is there already is left as it is."""
        try:
            await asyncio.to_thread(self._write, self._folder / file_name(signed), text)
        except OSError as error:
            raise NotHandedOut(error.strerror or type(error).__name__) from None

    def _write(self, file: Path, text: str) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        if file.exists():
            return
        new = file.with_suffix(".new")
        with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644), "w", encoding="utf-8") as out:
            out.write(text)
            out.flush()
            os.fsync(out.fileno())
        new.rename(file)


class ChannelPlace:
    """Sends checkpoints over a channel of the notices: by mail the signed head, to a webhook all of it."""

    def __init__(self, channel: Channel, address: str, *, every: bool) -> None:
        self._channel, self._address, self.every = channel, address, every
        self.name = _name("webhook" if every else "mail", address)

    async def hand_out(self, signed: Signed, text: str) -> None:
        """See `Place`; receivers know a repeat by its id."""
        own = signed.checkpoint
        head = text.partition("\n")[0] + "\n"
        subject = f"检查点 Checkpoint {own.number}, {own.at}"
        said = (
            f"请妥善保存本邮件。Keep this mail: it proves what the record was.\n\n"
            f"ledger {own.ledger}\nevents {own.events}\ncases {own.cases}\nSHA-256 {signed.hash}\n\n"
            f"{file_name(signed)}:\n{head}"
        )
        payload = {"type": "checkpoint", "file": file_name(signed), "hash": signed.hash, "content": text}
        message = Message(signed.hash[:40], own.ledger, self._address, subject, said, payload)
        try:
            async with self._channel.session() as deliver:
                await deliver(message)
        except (Delayed, Undeliverable) as error:
            raise NotHandedOut(str(error)) from None


class BucketPlace:
    """Puts an object for each checkpoint into a bucket, and locks it (mode COMPLIANCE).

    The server itself keeps a locked object until its date, whoever asks for it to be removed.
    """

    every = True

    def __init__(self, address: str, bucket: Bucket, retain: timedelta) -> None:
        self._bucket, self._retain = bucket, retain
        self.name = _name("s3", address)

    async def hand_out(self, signed: Signed, text: str) -> None:
        """See `Place`; an object that is there already is left as it is."""
        until = (datetime.now(UTC) + self._retain).strftime("%Y-%m-%dT%H:%M:%SZ")
        lock = {"x-amz-object-lock-mode": "COMPLIANCE", "x-amz-object-lock-retain-until-date": until}
        try:
            await self._bucket.put(file_name(signed), text.encode(), lock)
        except NotStored as error:
            raise NotHandedOut(str(error)) from None


def build_places(
    addresses: str, mail: Channel | None, webhook: Channel | None, retain: timedelta = RETAIN
) -> list[Place]:
    """Return the places that a setting names.

    Args:
        addresses: with blanks between them, see `FORM`.
        mail, webhook: the channels of the notices, if they are configured.
        retain: for how long a bucket keeps a checkpoint.

    Raises:
        SettingError: one of them cannot be used; it is not repeated.
    """
    return [_place(address, mail, webhook, retain) for address in addresses.split()]


def _place(address: str, mail: Channel | None, webhook: Channel | None, retain: timedelta) -> Place:
    scheme, _, rest = address.partition(":")
    if scheme == "folder" and rest:
        return FolderPlace(Path(rest))
    if scheme == "mailto" and "@" in rest:
        if mail is None:
            raise SettingError("checkpoint_places: mailto: needs CASELADDER_SMTP_URL")
        return ChannelPlace(mail, rest, every=False)
    try:
        bucket = bucket_at(address)
    except KeyError as error:
        raise SettingError(f"checkpoint_places: s3: needs {error.args[0]}") from None
    if bucket is not None:
        return BucketPlace(address, bucket, retain)
    if scheme in ("http", "https") and rest.strip("/"):
        if webhook is None:
            raise SettingError(f"checkpoint_places: {scheme}: needs CASELADDER_WEBHOOK_SECRET")
        return ChannelPlace(webhook, address, every=True)
    raise SettingError(f"checkpoint_places: no place begins with {scheme + ':'!r}; {FORM}")


def _name(kind: str, address: str) -> str:
    return f"{kind}-{sha256(address.encode()).hexdigest()[:12]}"


class HandingOut:
    """Hands checkpoints out to every place that lacks them. Safe to repeat; raises what `Database.connection` does."""

    _KNOWN = statement(__package__, "place_known")
    _MOVE = statement(__package__, "place_move")

    def __init__(self, database: Database, maker: Checkpoints, places: Sequence[Place]) -> None:
        self._database, self._maker, self._places = database, maker, places

    async def hand_out(self) -> dict[str, str]:
        """Hand out what each place lacks; return why not, by the name of a place that did not take it."""
        failed: dict[str, str] = {}
        stored = await self._maker.stored()
        async with self._database.connection() as connection:
            known = {row["place"]: row["number"] for row in await connection.fetch(self._KNOWN)}
        for place in self._places:
            lacks = [one for one in stored if one[0].checkpoint.number > known.get(place.name, 0)]
            try:
                for signed, peaks in lacks if place.every else lacks[-1:]:
                    number = signed.checkpoint.number
                    await place.hand_out(signed, head_line(signed, peaks) + await self._maker.leaves(number))
                    async with self._database.connection() as connection:
                        await connection.execute(self._MOVE, place.name, number)
            except NotHandedOut as error:
                failed[place.name] = str(error)
        return failed
