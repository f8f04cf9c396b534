"""What is taken as an attachment: by the end of its name, by what it begins with, and by what may hide in it.

Nothing here is unpacked or executed. A file is kept as it was sent, so that its digest is that of the original.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection
from dataclasses import dataclass
from io import BytesIO
from zipfile import BadZipFile, ZipFile, is_zipfile

from cases.vocabulary.refusals import Refused

# A name keeps so many characters.
LONGEST_NAME = 150
# What an office document may be when it is unpacked: bytes in all, times its own size, files.
UNPACKED, RATIO, PARTS = 200_000_000, 200, 5000
# No character of these in a name is one of a name.
_FORBIDDEN = re.compile(r'[<>:"|?*%]')
# What makes an image, or a document, a page or a program at the same time.
_ACTIVE = re.compile(rb"<script|<html|<\?php|<iframe", re.IGNORECASE)


@dataclass(frozen=True)
class FileType:
    """One type of file.

    Args:
        media: its media type.
        begins: what one of these begins with, at ``at`` bytes; nothing for plain text.
        image: whether it is shown as a picture, made anew.
        packed: whether it is an archive of parts, as office documents are.
    """

    media: str
    begins: tuple[bytes, ...] = ()
    at: int = 0
    image: bool = False
    packed: bool = False


_JPEG = FileType("image/jpeg", (b"\xff\xd8\xff",), image=True)
_OFFICE = "application/vnd.openxmlformats-officedocument"
# By the end of the name. None of these runs by itself when it is opened.
TYPES: dict[str, FileType] = {
    "jpg": _JPEG,
    "jpeg": _JPEG,
    "png": FileType("image/png", (b"\x89PNG\r\n\x1a\n",), image=True),
    "webp": FileType("image/webp", (b"WEBP",), at=8, image=True),
    "heic": FileType("image/heic", (b"ftypheic", b"ftypheix", b"ftypmif1", b"ftypmsf1"), at=4),
    "pdf": FileType("application/pdf", (b"%PDF-",)),
    "txt": FileType("text/plain"),
    "csv": FileType("text/csv"),
    "docx": FileType(f"{_OFFICE}.wordprocessingml.document", (b"PK\x03\x04",), packed=True),
    "xlsx": FileType(f"{_OFFICE}.spreadsheetml.sheet", (b"PK\x03\x04",), packed=True),
    "wav": FileType("audio/wav", (b"WAVE",), at=8),
    "mp3": FileType("audio/mpeg", (b"ID3", b"\xff\xfb", b"\xff\xf3", b"\xff\xf2")),
    "m4a": FileType("audio/mp4", (b"ftyp",), at=4),
    "amr": FileType("audio/amr", (b"#!AMR",)),
    "mp4": FileType("video/mp4", (b"ftyp",), at=4),
}


def check(name: str, content: bytes, most: int, types: Collection[str]) -> tuple[str, FileType]:
    """Return the name under which a file is attached, and its type.

    Args:
        most: bytes that a file may have.
        types: the ends of names that are taken, out of `TYPES`.

    Raises:
        Refused: ``file_empty``, ``file_too_large``, ``file_type`` (the end of the name is none of the allowed, or the
            content is of another type), ``file_unsafe`` (two kinds of file at once, one that grows when it is
            unpacked, or one that cannot be looked into). No message repeats the name, which may hold anything.
    """
    name = clean_name(name)
    if not content:
        raise Refused("file_empty", "the file is empty")
    if len(content) > most:
        raise Refused("file_too_large", f"the file has {len(content)} bytes; at most {most} are taken")
    end = name.rpartition(".")[2].lower()
    if end not in types or end not in TYPES:
        raise Refused("file_type", f"the end of its name is none of those that are taken: {', '.join(sorted(types))}")
    found = TYPES[end]
    if not _is(found, content):
        raise Refused("file_type", f"the name ends in .{end}, and the content is something else")
    try:
        _check_inside(found, content)
    except Refused:
        raise
    except Exception:
        # The library lets more through than it says of what was made to mislead it.
        raise Refused("file_unsafe", "what is in the file cannot be looked at") from None
    return name, found


def clean_name(name: str) -> str:
    """Return a name without folders, control characters, and what browsers or systems take for something else."""
    last = re.split(r"[/\\]", unicodedata.normalize("NFC", name))[-1]
    # Marks that turn the direction of writing make a program look like a picture.
    kept = "".join(one for one in last if unicodedata.category(one) not in ("Cc", "Cf", "Cs", "Co", "Cn"))
    kept = _FORBIDDEN.sub("_", kept).strip(" .")
    stem, dot, end = kept.rpartition(".")
    return f"{stem[: LONGEST_NAME - len(end) - 1]}{dot}{end}" if dot and len(end) < 10 else kept[:LONGEST_NAME]


def _is(found: FileType, content: bytes) -> bool:
    if found.begins:
        return any(content.startswith(one, found.at) for one in found.begins)
    # Plain text: of any of the usual encodings, but no binary content.
    return b"\0" not in content or content.startswith((b"\xff\xfe", b"\xfe\xff"))


def _check_inside(found: FileType, content: bytes) -> None:
    if found.packed:
        _check_packed(content)
    elif is_zipfile(BytesIO(content)) or (found.begins and _ACTIVE.search(content)):
        raise Refused("file_unsafe", "the file is two kinds of file at once")


def _check_packed(content: bytes) -> None:
    """Hold the table of an archive against what a document may be; its parts are not unpacked."""
    try:
        with ZipFile(BytesIO(content)) as archive:
            parts = archive.infolist()
    # The library says NotImplementedError of an archive in a way that it does not read.
    except (BadZipFile, ValueError, NotImplementedError, OSError):
        raise Refused("file_type", "the document cannot be read: it is damaged, or something else") from None
    names = {part.filename for part in parts}
    if "[Content_Types].xml" not in names:
        raise Refused("file_type", "the content is an archive, and no document")
    if any(name.lower().endswith(("vbaproject.bin", ".exe", ".js", ".zip")) for name in names):
        raise Refused("file_unsafe", "the document holds a program or an archive; save it without macros")
    unpacked = sum(part.file_size for part in parts)
    if len(parts) > PARTS or unpacked > UNPACKED or unpacked > RATIO * len(content):
        raise Refused("file_unsafe", "the document grows beyond measure when it is unpacked")
