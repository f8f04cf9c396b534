"""What is taken as an attachment, where it is kept, and how a picture is shown."""

from __future__ import annotations

import struct
import zlib
from collections.abc import AsyncIterator
from io import BytesIO
from os import listdir
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile

import asyncpg
import pytest
from PIL import Image
from pydantic import SecretStr
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from activities.attachments.book import Attachments
from activities.attachments.content import TYPES, check, clean_name
from activities.attachments.picture import SHOWN, remade
from activities.attachments.stores import FolderStore, Store, StoreAway, build_store
from activities.buckets import Access, authorization
from activities.notify.channels import SettingError
from cases.vocabulary.refusals import Refused
from starter.settings import Settings, SettingsError, load_settings
from tests.casebook import Book
from tests.http_server import serving

MOST = 100_000


def picture(width: int = 40, height: int = 30, form: str = "PNG") -> bytes:
    """A picture."""
    out = BytesIO()
    Image.new("RGB", (width, height), "orange").save(out, form)
    return out.getvalue()


def document(*more: tuple[str, bytes]) -> bytes:
    """An office document with further parts."""
    out = BytesIO()
    with ZipFile(out, "w", ZIP_DEFLATED) as archive:
        for name, content in (("[Content_Types].xml", b"<Types/>"), ("word/document.xml", b"<w/>"), *more):
            archive.writestr(name, content)
    return out.getvalue()


def archive() -> bytes:
    """An archive that is no document."""
    out = BytesIO()
    with ZipFile(out, "w") as made:
        made.writestr("run.sh", "echo")
    return out.getvalue()


# Ends as an archive does whose table is elsewhere, at which the library for archives fails.
MISLEADING = (
    b" " * 100
    + struct.pack("<4sLQL", b"PK\x06\x07", 1, 0, 1)
    + struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 0, 0, 0, 0, 0)
)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("damage.PNG", picture()),
        ("damage.jpg", picture(form="JPEG")),
        ("damage.webp", picture(form="WEBP")),
        ("对账单.pdf", b"%PDF-1.7\n..."),
        ("note.txt", "外箱破损".encode("gb18030")),
        ("list.csv", "a,b\n1,2\n".encode("utf-16")),
        ("letter.docx", document()),
        ("call.wav", b"RIFF\x00\x00\x00\x00WAVEfmt "),
        ("call.amr", b"#!AMR\n"),
        ("film.mp4", b"\x00\x00\x00\x18ftypmp42"),
        ("photo.heic", b"\x00\x00\x00\x18ftypheic"),
    ],
)
def test_usual_files_are_taken(name: str, content: bytes) -> None:
    taken, found = check(name, content, MOST, TYPES)
    assert taken == name
    assert found is TYPES[name.rpartition(".")[2].lower()]


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("run.exe", b"MZ", "file_type"),
        ("page.html", b"<html>", "file_type"),
        ("drawing.svg", b"<svg onload='x'/>", "file_type"),
        ("photo.jpg.exe", picture(form="JPEG"), "file_type"),
        ("no-end", picture(), "file_type"),
        ("photo.png", b"MZ\x90\x00", "file_type"),
        ("photo.jpg", picture(), "file_type"),
        ("note.txt", b"MZ\x00\x01", "file_type"),
        ("void.png", b"", "file_empty"),
        ("large.png", picture() + b"\0" * MOST, "file_too_large"),
        # Two kinds at once: an archive behind a picture, a page within one, a program behind a paper.
        ("both.png", picture() + archive(), "file_unsafe"),
        ("both.jpg", picture(form="JPEG") + b"<SCRIPT>alert(1)</SCRIPT>", "file_unsafe"),
        ("both.pdf", b"%PDF-1.7\n<?php system($_GET[0]); ?>", "file_unsafe"),
        ("both.pdf", b"%PDF-1.4" + MISLEADING, "file_unsafe"),
        ("letter.docx", b"PK\x03\x04" + MISLEADING, "file_type"),
        ("letter.docx", archive(), "file_type"),
        ("letter.docx", b"PK\x03\x04 and nothing else", "file_type"),
        ("letter.docx", document(("word/vbaProject.bin", b"x")), "file_unsafe"),
        # It would have 50 MB when it is unpacked.
        ("bomb.docx", document(("word/media.xml", b"\0" * 50_000_000)), "file_unsafe"),
    ],
)
def test_others_are_refused_with_one_message(name: str, content: bytes, code: str) -> None:
    with pytest.raises(Refused) as caught:
        check(name, content, MOST, TYPES)
    assert caught.value.code == code
    assert name.partition(".")[0] not in caught.value.message


def test_only_the_types_of_the_setting_are_taken() -> None:
    with pytest.raises(Refused, match="none of those that are taken: pdf, png"):
        check("note.txt", b"x", MOST, ("png", "pdf"))
    assert load_settings(attachment_types="png, pdf").taken_types == ("png", "pdf")
    with pytest.raises(SettingsError, match="'exe' is none of jpg"):
        load_settings(attachment_types="png,exe")


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("C:\\Users\\wang\\箱.png", "箱.png"),
        ("../../etc/passwd.png", "passwd.png"),
        ("a\r\nb\0c.png", "abc.png"),
        ("<script>alert(1)</script>.png", "script_.png"),
        ("photo\u202egnp.png", "photognp.png"),
        (" . photo.png . ", "photo.png"),
        (f"{'长' * 300}.png", f"{'长' * 146}.png"),
    ],
)
def test_names_lose_what_is_no_part_of_a_name(name: str, kept: str) -> None:
    assert clean_name(name) == kept
    assert clean_name(kept) == kept


def test_a_picture_is_shown_as_one_that_was_made_anew() -> None:
    marked = picture(3000, 2000, "JPEG") + b"GPS 39.9,116.4 and more behind the end"
    shown = remade(marked)
    assert b"GPS" not in shown
    with Image.open(BytesIO(shown)) as image:
        assert image.format == "JPEG"
        assert max(image.size) == SHOWN
    # One with holes stands on white.
    out = BytesIO()
    Image.new("RGBA", (4, 4), (0, 0, 0, 0)).save(out, "PNG")
    with Image.open(BytesIO(remade(out.getvalue()))) as image:
        assert image.convert("L").tobytes().count(255) == 16


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"\x89PNG\r\n\x1a\n and nothing", "file_type"),
        (picture()[:60], "file_type"),
        # A picture of four thousand million pixels in few bytes.
        (
            b"\x89PNG\r\n\x1a\n"
            + chunk(b"IHDR", struct.pack(">IIBBBBB", 65000, 65000, 8, 2, 0, 0, 0))
            + chunk(b"IDAT", zlib.compress(b"\0" * 1000))
            + chunk(b"IEND", b""),
            "file_unsafe",
        ),
        (picture(form="GIF"), "file_type"),
    ],
)
def test_a_picture_that_cannot_be_shown_is_refused(content: bytes, code: str) -> None:
    with pytest.raises(Refused) as caught:
        remade(content)
    assert caught.value.code == code


# --- stores ---------------------------------------------------------------------------------------


class Bucket:
    """A server that speaks as much of S3 as is needed, and checks each signature as its documentation says."""

    def __init__(self, secret: str) -> None:
        self.access = Access("", "us-east-1", "key", secret)
        self.objects: dict[str, bytes] = {}
        self.away = False

    async def answer(self, request: Request) -> Response:
        """Answer one request."""
        body, path = await request.body(), request.url.path
        said = request.headers["authorization"]
        names = said.partition("SignedHeaders=")[2].partition(",")[0].split(";")
        signed = {name: request.headers[name] for name in names}
        if self.away:
            return Response("<Error><Code>SlowDown</Code></Error>", 503)
        if said != authorization(self.access, request.method, path, signed):
            return Response("<Error><Code>SignatureDoesNotMatch</Code></Error>", 403)
        if request.method == "PUT":
            if path in self.objects and request.headers["if-none-match"] == "*":
                return Response(status_code=412)
            self.objects[path] = body
            return Response()
        if request.method == "DELETE":
            self.objects.pop(path, None)
            return Response(status_code=204)
        return Response(self.objects[path]) if path in self.objects else Response(status_code=404)


@pytest.fixture
async def bucket(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Bucket]:
    """The server, to which AWS's variables lead."""
    made = Bucket("secret")
    app = Starlette(routes=[Route("/{rest:path}", made.answer, methods=["GET", "PUT", "DELETE"])])
    async with serving(app) as url:
        for name, value in {
            "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_ENDPOINT_URL_S3": url,
        }.items():
            monkeypatch.setenv(name, value)
        monkeypatch.delenv("AWS_REGION", raising=False)
        yield made


async def keeps(store: Store) -> None:
    """Hold a store against what it says."""
    assert await store.get("0a") is None
    await store.put("0a", b"first")
    await store.put("0a", b"second")
    assert await store.get("0a") == b"first"
    await store.remove("0a")
    await store.remove("0a")
    assert await store.get("0a") is None


async def test_a_folder_keeps_attachments_for_this_program_alone(tmp_path: Path) -> None:
    store = build_store(f"folder:{tmp_path / 'kept'}")
    await keeps(store)
    await store.put("0b", b"x")
    assert (tmp_path / "kept" / "0b").stat().st_mode & 0o777 == 0o600
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreAway) as caught:
        await FolderStore(tmp_path / "file").put("0a", b"x")
    assert str(tmp_path) not in str(caught.value)


async def test_a_bucket_keeps_attachments(bucket: Bucket) -> None:
    store = build_store("s3://parcels/photos")
    await keeps(store)
    await store.put("0b", b"x")
    assert bucket.objects == {"/parcels/photos/0b": b"x"}
    bucket.away = True
    for doing in (store.put("0c", b"x"), store.get("0b"), store.remove("0b")):
        with pytest.raises(StoreAway, match="HTTP 503 SlowDown"):
            await doing
    bucket.away = False
    bucket.access = Access("", "us-east-1", "key", "another")
    with pytest.raises(StoreAway, match="HTTP 403 SignatureDoesNotMatch"):
        await store.get("0b")


@pytest.mark.parametrize("address", ["kept", "folder:", "s3://", "ftp://x"])
def test_what_is_no_store_is_refused(address: str) -> None:
    with pytest.raises(SettingError, match="attachments: allowed: folder:PATH or s3://BUCKET/PREFIX"):
        build_store(address)


def test_a_bucket_needs_its_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID", raising=False)
    with pytest.raises(SettingError, match="s3: needs AWS_ACCESS_KEY_ID"):
        build_store("s3://parcels")


def test_the_embedded_stack_keeps_them_in_its_folder(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path).on_embedded("postgresql://x")
    assert settings.attachments == f"folder:{tmp_path / 'attachments'}"
    assert Settings(database_url=SecretStr("postgresql://x")).attachments is None


# --- which belongs to which case ------------------------------------------------------------------


async def test_a_content_belongs_to_its_case_alone(book: Book, tmp_path: Path) -> None:
    kept = Attachments(book.database, FolderStore(tmp_path))
    one = await kept.keep("complaint:A", b"photo", "request-1")
    # The same request again, another one, and another case.
    assert await kept.keep("complaint:A", b"photo", "request-1") == one
    two = await kept.keep("complaint:A", b"photo", "request-2")
    other = await kept.keep("complaint:B", b"photo", "request-1")
    assert len({one.id, two.id, other.id}) == 3
    assert await kept.content("complaint:A", one.id) == b"photo"
    assert await kept.content("complaint:B", one.id) is None
    assert await kept.content("complaint:A", "../../etc/passwd") is None
    (tmp_path / one.id).write_bytes(b"another photo")
    with pytest.raises(ValueError, match="was changed in its store"):
        await kept.content("complaint:A", one.id)
    await kept.drop("complaint:A", [one.id])
    assert set(listdir(tmp_path)) == {two.id, other.id}
    await kept.drop("complaint:A")
    assert listdir(tmp_path) == [other.id]
    assert await kept.content("complaint:A", two.id) is None


async def test_nothing_is_in_a_store_that_the_casebook_does_not_know(
    book: Book, tmp_path: Path, superuser: asyncpg.Connection
) -> None:
    (tmp_path / "file").write_text("")
    kept = Attachments(book.database, FolderStore(tmp_path / "file"))
    with pytest.raises(StoreAway):
        await kept.keep("complaint:away", b"photo", "request-1")
    # What was begun is found when the case is erased.
    assert await superuser.fetchval("SELECT count(*) FROM attachment WHERE case_id = 'complaint:away'") == 1
    without = Attachments(book.database, None)
    assert not without.takes
    # Without its store nothing of a case counts as gone.
    with pytest.raises(StoreAway, match="no store of attachments is set"):
        await without.drop("complaint:away")
    await without.drop("complaint:without")
