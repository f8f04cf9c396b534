"""Checkpoints that were handed out, in files: their lines, wherever the files were kept."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

from activities.audit.checkpoint import BadCheckpoint, Signed, read_head_line
from activities.audit.keys import Keys

SUFFIX = ".checkpoint"


@dataclass(frozen=True, slots=True)
class HandedOut:
    """A checkpoint in a file, and where in it the events begin that it adds."""

    signed: Signed
    peaks: list[bytes]
    file: Path
    offset: int

    def lines(self) -> Iterator[str]:
        """Yield the lines of the events that it adds."""
        with self.file.open("rb") as lines:
            lines.seek(self.offset)
            for line in takewhile(lambda line: line.startswith(b"["), lines):
                # What is no text is no event either, and leads to no root.
                yield line.decode(errors="replace")

    def has_events(self) -> bool:
        """Whether it has events beside it: a mail has the signed head alone."""
        return next(self.lines(), None) is not None


def read_files(paths: Iterable[Path], keys: Keys) -> list[HandedOut]:
    """Find the checkpoints in files, and in the files ``*.checkpoint`` of folders, in the order of their numbers.

    Raises:
        BadCheckpoint: a file holds something else, or one that nobody who is trusted has signed.
        OSError: it cannot be read.
    """
    found: dict[tuple[int, str, bytes], HandedOut] = {}
    for path in paths:
        files = sorted(path.glob(f"*{SUFFIX}")) if path.is_dir() else [path]
        if not files:
            raise BadCheckpoint(f"{path} holds no file *{SUFFIX}")
        for file in files:
            for one in _read_file(file, keys):
                # A second copy counts for its timestamp, and for the events that a mail does not have.
                key = (one.signed.checkpoint.number, one.signed.hash, one.signed.timestamp or b"")
                if key not in found or not found[key].has_events():
                    found[key] = one
    return [found[key] for key in sorted(found)]


def _read_file(file: Path, keys: Keys) -> Iterator[HandedOut]:
    offset, none = 0, True
    with file.open("rb") as lines:
        for line in lines:
            offset += len(line)
            if line.startswith(b"[") and not none:
                continue
            try:
                signed, peaks = read_head_line(line.decode(), keys)
            except (BadCheckpoint, UnicodeDecodeError) as error:
                said = "this is no checkpoint" if isinstance(error, UnicodeDecodeError) else error
                raise BadCheckpoint(f"{file}: {said}") from None
            none = False
            yield HandedOut(signed, peaks, file, offset)
    if none:
        raise BadCheckpoint(f"{file}: this is no checkpoint")
