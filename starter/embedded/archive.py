"""The file of a backup: a compressed tar that begins with a manifest, with the SHA-256 of each part."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import os
import tarfile
from collections.abc import Callable, Collection, Mapping
from pathlib import Path, PurePosixPath
from typing import IO

from starter.embedded.server import StackError

FORMAT = 1
_MANIFEST = "manifest.json"
# Of 0 to 9: larger is smaller, but at most a tenth and several times as slow.
_LEVEL = 3
_CHUNK = 1 << 20


@dataclasses.dataclass(frozen=True)
class Part:
    """The size of a part in bytes, and its SHA-256."""

    bytes: int
    sha256: str


@dataclasses.dataclass(frozen=True)
class Manifest:
    """What a backup holds.

    Args:
        caseladder: the release that made it.
        at: the instant whose state it holds (RFC 3339).
        parts: by name, in the order of the file.
    """

    caseladder: str
    at: str
    parts: dict[str, Part]
    format: int = FORMAT


def write(file: Path, release: str, at: str, parts: Mapping[str, Path]) -> Manifest:
    """Write a backup, for its owner alone; the file must not exist."""
    manifest = Manifest(release, at, {name: _part(path) for name, path in parts.items()})
    raw = json.dumps(dataclasses.asdict(manifest), indent=2).encode()
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
        with tarfile.open(fileobj=out, mode="w:gz", compresslevel=_LEVEL) as tar:
            tar.addfile(_member(_MANIFEST, len(raw)), io.BytesIO(raw))
            for name, path in parts.items():
                with path.open("rb") as content:
                    tar.addfile(_member(name, manifest.parts[name].bytes), content)
        out.flush()
        os.fsync(out.fileno())
    return manifest


def read_manifest(file: Path) -> Manifest:
    """Return what a backup says that it holds.

    Raises:
        StackError: it is no backup, or one of a later release.
        OSError: it cannot be read.
    """
    try:
        with tarfile.open(file, "r|gz") as tar:
            return _read_manifest(file, tar)
    except (tarfile.TarError, EOFError) as error:
        raise StackError(f"{file} is not a backup of caseladder, or is damaged ({error})") from None


def unpack(file: Path, into: Path, wanted: Collection[str]) -> Manifest:
    """Check all parts of a backup, and write those that are wanted into a folder.

    Raises:
        StackError: it is no backup, or a part is missing, damaged, or none of the manifest's.
        OSError: it cannot be read, or the folder cannot take it.
    """
    try:
        with tarfile.open(file, "r|gz") as tar:
            manifest = _read_manifest(file, tar)
            left = dict(manifest.parts)
            while (member := tar.next()) is not None:
                part, content = left.pop(member.name, None), tar.extractfile(member)
                if part is None or content is None:
                    raise StackError(f"{file} is damaged: {member.name} is not in its manifest")
                copied = _copy(content, into / member.name if member.name in wanted else None)
                if copied != part:
                    raise StackError(f"{file} is damaged: {member.name} is not what was written")
    except (tarfile.TarError, EOFError) as error:
        raise StackError(f"{file} is damaged ({error})") from None
    missing = [*left, *(name for name in wanted if name not in manifest.parts)]
    if missing:
        raise StackError(f"{file} is damaged: {', '.join(missing)} is missing")
    return manifest


def pack_folder(folder: Path, names: Collection[str], file: Path) -> None:
    """Write entries of a folder, with all that is in them, to a tar: files and folders, nothing else."""
    with tarfile.open(file, "w") as tar:
        for top in sorted(folder / name for name in names):
            for path in (top, *(sorted(top.rglob("*")) if top.is_dir() else ())):
                if path.is_symlink() or not (path.is_file() or path.is_dir()):
                    continue
                try:
                    tar.add(path, str(path.relative_to(folder)), recursive=False)
                except FileNotFoundError:
                    continue  # whoever wrote it has renamed it meanwhile


def unpack_folder(file: Path, folder: Path, may: Callable[[str], bool]) -> None:
    """Write what `pack_folder` packed into a folder, for its owner alone.

    Args:
        may: whether an entry of the folder may come from there.

    Raises:
        StackError: a name leads elsewhere, or to what is there already, or stands for no file.
    """
    with tarfile.open(file, "r:") as tar:
        for member in tar:
            name = PurePosixPath(member.name)
            elsewhere = name.is_absolute() or ".." in name.parts or not may(name.parts[0] if name.parts else "")
            # Of a file with several names `pack_folder` writes a link to the first one.
            content = None if elsewhere or member.isdir() or member.issym() else _content(tar, member)
            if member.isdir() and not elsewhere:
                (folder / name).mkdir(mode=0o700, parents=True, exist_ok=True)
            elif content is not None and not (folder / name).exists():
                _copy(content, folder / name)
            else:
                raise StackError(f"{member.name} is no file that a backup holds")


def _read_manifest(file: Path, tar: tarfile.TarFile) -> Manifest:
    first = tar.next()
    content = tar.extractfile(first) if first is not None and first.name == _MANIFEST else None
    if content is None:
        raise StackError(f"{file} is not a backup of caseladder: it does not begin with {_MANIFEST}")
    try:
        raw = json.loads(content.read(_CHUNK))
        if raw["format"] != FORMAT:
            raise StackError(f"{file} was made by another release, in a form that this one does not know")
        return Manifest(raw["caseladder"], raw["at"], {name: Part(**part) for name, part in raw["parts"].items()})
    except (ValueError, TypeError, KeyError, AttributeError):
        raise StackError(f"{file} is damaged: its {_MANIFEST} cannot be read") from None


def _content(tar: tarfile.TarFile, member: tarfile.TarInfo) -> IO[bytes] | None:
    try:
        return tar.extractfile(member)
    except KeyError:
        return None  # a link to what the archive does not hold


def _member(name: str, size: int) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.size, member.mode = size, 0o600
    return member


def _part(path: Path) -> Part:
    with path.open("rb") as content:
        return _copy(content, None)


def _copy(content: IO[bytes], to: Path | None) -> Part:
    """Read a file to its end, and write it to another if one is named, for its owner alone."""
    digest, size = hashlib.sha256(), 0
    target = os.devnull if to is None else to
    with os.fdopen(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as out:
        while chunk := content.read(_CHUNK):
            digest.update(chunk)
            size += len(chunk)
            out.write(chunk)
    return Part(size, digest.hexdigest())
