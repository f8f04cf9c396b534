"""Where attachments are kept: a folder, or a bucket of any server that speaks S3.

Names in a store are random, so that they say nothing of a case or a person.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import Protocol, TypeVar

from activities.buckets import Bucket, NotStored, bucket_at
from activities.notify.channels import SettingError

Done = TypeVar("Done")
FORM = "allowed: folder:PATH or s3://BUCKET/PREFIX"


class StoreAway(Exception):
    """Raised where a store does not do now what it is asked; the text says why, without its address."""


class Store(Protocol):
    """Keeps contents by name. Every method raises `StoreAway`, and is safe to repeat."""

    async def put(self, name: str, content: bytes) -> None:
        """Keep a content; one that is there already stays as it is."""
        ...

    async def get(self, name: str) -> bytes | None:
        """Return a content; None where there is none."""
        ...

    async def remove(self, name: str) -> None:
        """Remove a content, if it is there."""
        ...


class FolderStore:
    """Keeps a file for each attachment, readable by this program alone."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def put(self, name: str, content: bytes) -> None:
        """See `Store`."""
        await _in_thread(self._write, name, content)

    async def get(self, name: str) -> bytes | None:
        """See `Store`."""
        return await _in_thread(self._read, name)

    async def remove(self, name: str) -> None:
        """See `Store`."""
        await _in_thread(self._unlink, name)

    def _write(self, name: str, content: bytes) -> None:
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        file = self._folder / name
        if file.exists():
            return
        new = file.with_suffix(".new")
        with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as out:
            out.write(content)
            out.flush()
            os.fsync(out.fileno())
        new.rename(file)

    def _read(self, name: str) -> bytes | None:
        try:
            return (self._folder / name).read_bytes()
        except FileNotFoundError:
            return None

    def _unlink(self, name: str) -> None:
        (self._folder / name).unlink(missing_ok=True)


async def _in_thread(work: Callable[..., Done], *args: object) -> Done:
    try:
        return await asyncio.to_thread(work, *args)
    except OSError as error:
        raise StoreAway(error.strerror or type(error).__name__) from None


class BucketStore:
    """Keeps an object for each attachment."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket

    async def put(self, name: str, content: bytes) -> None:
        """See `Store`."""
        try:
            await self._bucket.put(name, content)
        except NotStored as error:
            raise StoreAway(str(error)) from None

    async def get(self, name: str) -> bytes | None:
        """See `Store`."""
        try:
            return await self._bucket.get(name)
        except NotStored as error:
            raise StoreAway(str(error)) from None

    async def remove(self, name: str) -> None:
        """See `Store`."""
        try:
            await self._bucket.remove(name)
        except NotStored as error:
            raise StoreAway(str(error)) from None


def build_store(address: str) -> Store:
    """Return the store that a setting names, see `FORM`.

    Raises:
        SettingError: it cannot be used; the address is not repeated.
    """
    scheme, _, rest = address.partition(":")
    if scheme == "folder" and rest:
        return FolderStore(Path(rest))
    try:
        bucket = bucket_at(address)
    except KeyError as error:
        raise SettingError(f"attachments: s3: needs {error.args[0]}") from None
    if bucket is None:
        raise SettingError(f"attachments: {FORM}")
    return BucketStore(bucket)
