"""Where checkpoints are handed out to, and a worker that makes them in time."""

from __future__ import annotations

import asyncio
import base64
import email.policy
import hashlib
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import pytest
import structlog
from pydantic import SecretStr

from activities.audit.compare import compare
from activities.audit.handed_out import read_files
from activities.audit.keys import Keys, new_key
from activities.audit.make import Checkpoints
from activities.audit.places import HandingOut, Place, build_places, file_name
from activities.buckets import Access, authorization
from activities.notify.build import mail_channel, webhook_channel
from activities.notify.channels import SettingError
from activities.signatures import read_secret, verify
from starter.checkpoints import keep_making, sign_now
from starter.settings import Settings, SettingsError
from tests.activities.ledger import batch, behind_the_back
from tests.casebook import Book
from tests.receiver import Receiver, always, receiver
from tests.temporal import eventually

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    return new_key(tmp_path / "key.pem")


@pytest.fixture
async def subscriber() -> AsyncIterator[Receiver]:
    async with receiver() as made:
        yield made


async def hand_out(book: Book, keys: Keys, places: list[Place]) -> dict[str, str]:
    maker = Checkpoints(book.database, keys)
    await maker.make()
    return await HandingOut(book.database, maker, places).hand_out()


async def test_every_place_gets_what_it_lacks_once(
    book: Book, keys: Keys, tmp_path: Path, subscriber: Receiver, superuser: asyncpg.Connection
) -> None:
    folder, mails = tmp_path / "kept", tmp_path / "mails"
    places = build_places(
        f"folder:{folder}  mailto:auditor@example.com {subscriber.url()}",
        mail_channel(f"maildir:{mails}", "caseladder@localhost"),
        webhook_channel(SECRET),
    )
    await book.record(batch(1, 3, "complaint:A"))
    assert await hand_out(book, keys, places) == {}
    await book.record(batch(4, 4, "complaint:A"))
    assert await hand_out(book, keys, places) == {}
    assert await hand_out(book, keys, places) == {}
    # A folder has everything, and the comparison takes it as it is.
    kept = read_files([folder], keys)
    assert [one.signed.checkpoint.number for one in kept] == [1, 2]
    async with book.database.audit() as connection:
        assert (await compare(connection, keys, kept)).faults == []
    # A webhook is signed, and has the same.
    assert len(subscriber.calls) == 2
    for call, one in zip(subscriber.calls, kept, strict=True):
        verify(read_secret(SECRET), call.headers, call.body)
        said = json.loads(call.body)
        assert (said["hash"], said["content"]) == (one.signed.hash, one.file.read_text("utf-8"))
        assert said["file"] == one.file.name
    # A mail has the signed head, which is compared too.
    mailed = sorted(mails.glob("*.eml"))
    assert len(mailed) == 2
    texts = [email.message_from_bytes(one.read_bytes(), policy=email.policy.default) for one in mailed]
    heads = [line for text in texts for line in text.get_content().splitlines() if line.startswith("{")]
    assert len(heads) == 2
    file = tmp_path / "from-a-mail"
    file.write_text("".join(f"{head}\n" for head in heads))
    assert {one.signed.hash for one in read_files([file], keys)} == {one.signed.hash for one in kept}
    # What is kept is not written over.
    kept[0].file.write_text("mine")
    await superuser.execute("DELETE FROM checkpoint_place")
    assert await hand_out(book, keys, places) == {}
    assert kept[0].file.read_text() == "mine"
    assert len(list(mails.glob("*.eml"))) == 2
    assert len({call.id for call in subscriber.calls}) == 2


async def test_a_place_that_takes_nothing_gets_it_later(
    book: Book, keys: Keys, tmp_path: Path, subscriber: Receiver
) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    places = build_places(f"folder:{blocked} {subscriber.url()}", None, webhook_channel(SECRET))
    await book.record(batch(1, 1, "complaint:A"))
    subscriber.behaviour = always("503 Service Unavailable")
    failed = await hand_out(book, keys, places)
    assert failed == {places[0].name: "File exists", places[1].name: "HTTP 503"}
    # No address is in what is logged.
    assert not [name for name in failed if str(tmp_path) in name or str(subscriber.port) in name]
    subscriber.behaviour = always("204 No Content")
    blocked.unlink()
    assert await hand_out(book, keys, places) == {}
    assert len(list(blocked.glob("*.checkpoint"))) == 1


@pytest.mark.parametrize(
    ("addresses", "why"),
    [
        ("ftp://x", "no place begins with 'ftp:'; allowed: folder:PATH"),
        ("folder:", "no place begins with 'folder:'"),
        ("kept", "no place begins with 'kept:'"),
        ("mailto:auditor", "no place begins with 'mailto:'"),
        ("mailto:a@example.com", "mailto: needs CASELADDER_SMTP_URL"),
        ("https://example.com", "https: needs CASELADDER_WEBHOOK_SECRET"),
    ],
)
def test_what_is_no_place_is_refused(addresses: str, why: str) -> None:
    with pytest.raises(SettingError, match=f"checkpoint_places: {why}"):
        build_places(addresses, None, None)
    assert build_places("  ", None, None) == []


def test_requests_are_signed_as_the_examples_of_the_specification() -> None:
    """The examples "GET Object" and "PUT Object" of AWS's page on Signature Version 4 for S3."""
    access = Access("", "us-east-1", "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
    common = {"host": "examplebucket.s3.amazonaws.com", "x-amz-date": "20130524T000000Z"}
    got = authorization(
        access, "GET", "/test.txt",
        {**common, "range": "bytes=0-9", "x-amz-content-sha256": hashlib.sha256(b"").hexdigest()},
    )  # fmt: skip
    assert got.endswith("f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41")
    put = authorization(
        access, "PUT", "/test%24file.text",
        {**common, "date": "Fri, 24 May 2013 00:00:00 GMT", "x-amz-storage-class": "REDUCED_REDUNDANCY",
         "x-amz-content-sha256": hashlib.sha256(b"Welcome to Amazon S3.").hexdigest()},
    )  # fmt: skip
    assert put.startswith("AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, ")
    assert put.endswith("98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd")


async def test_a_bucket_locks_what_it_gets(
    book: Book,
    keys: Keys,
    subscriber: Receiver,
    superuser: asyncpg.Connection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(SettingError, match="s3: needs AWS_ACCESS_KEY_ID"):
        build_places("s3://records/ledger", None, None)
    for name, value in {
        "AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_REGION": "cn-north-1",
        "AWS_ENDPOINT_URL_S3": subscriber.url(path="/"),
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    places = build_places("s3://records/ledger", None, None, timedelta(days=30))
    await book.record(batch(1, 1, "complaint:A"))
    subscriber.behaviour = always("403 Forbidden")
    assert await hand_out(book, keys, places) == {places[0].name: "HTTP 403"}
    subscriber.behaviour = always("200 OK")
    assert await hand_out(book, keys, places) == {}
    call = subscriber.calls[-1]
    maker = Checkpoints(book.database, keys)
    ((signed, text),) = [one async for one in maker.handed_out()]
    assert call.path == f"/records/ledger/{file_name(signed)}"
    assert call.body.decode() == text
    assert call.headers["x-amz-object-lock-mode"] == "COMPLIANCE"
    until = datetime.fromisoformat(call.headers["x-amz-object-lock-retain-until-date"])
    assert timedelta(days=29) < until - datetime.now(UTC) < timedelta(days=31)
    assert base64.b64decode(call.headers["x-amz-checksum-sha256"]) == hashlib.sha256(call.body).digest()
    said = call.headers["authorization"]
    names = said.partition("SignedHeaders=")[2].partition(",")[0].split(";")
    assert {"if-none-match", "x-amz-object-lock-mode", "x-amz-object-lock-retain-until-date"} < set(names)
    access = Access(subscriber.url(path=""), "cn-north-1", "key", "secret")
    assert said == authorization(access, "PUT", call.path, {name: call.headers[name] for name in names})
    # What is there is left as it is.
    await superuser.execute("DELETE FROM checkpoint_place")
    subscriber.behaviour = always("412 Precondition Failed")
    assert await hand_out(book, keys, places) == {}


async def test_makers_take_turns(book: Book, keys: Keys) -> None:
    makers = [Checkpoints(book.database, keys) for _ in range(4)]
    for seq in range(1, 5):
        await book.record(batch(seq, seq, "complaint:A"))
        made = await asyncio.gather(*(maker.make() for maker in makers))
        assert sum(map(len, made)) == 1
    stored = [signed.checkpoint for signed, _ in await makers[0].stored()]
    assert [(one.number, one.events) for one in stored] == [(1, 1), (2, 2), (3, 3), (4, 4)]


async def test_a_worker_makes_checkpoints_in_time(
    book: Book, keys: Keys, dsn: str, superuser: asyncpg.Connection, tmp_path: Path
) -> None:
    folder = tmp_path / "kept"
    settings = Settings(
        database_url=SecretStr(dsn), checkpoint_key=tmp_path / "key.pem", checkpoint_places=f"folder:{folder}"
    )
    await book.record(batch(1, 1, "complaint:A"))

    async def kept() -> int:
        return len(list(folder.glob("*.checkpoint")))

    async def works(settings: Settings, files: int) -> None:
        task = asyncio.create_task(keep_making(book.database, settings, structlog.get_logger()))
        try:
            await eventually(kept, lambda seen: seen == files)
            assert not task.done()
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    await works(settings, 1)
    # The hour has not passed, so nothing more is made; where it has, it is.
    await book.record(batch(2, 2, "complaint:A"))
    maker = Checkpoints(book.database, keys)
    assert await maker.make(every=timedelta(seconds=settings.checkpoint_interval)) == []
    await works(settings.model_copy(update={"checkpoint_interval": 1}), 2)
    # Without a key, or without an interval, nothing is done.
    await keep_making(book.database, settings.model_copy(update={"checkpoint_interval": 0}), structlog.get_logger())
    without = settings.model_copy(update={"checkpoint_key": None, "data": tmp_path / "none"})
    assert await sign_now(without, book.database) == []
    await book.record(batch(3, 3, "complaint:A"))
    assert await sign_now(settings, book.database) == ["checkpoint 3 is of epoch 1 of the ledger"]
    assert await kept() == 3
    await behind_the_back(superuser, "UPDATE checkpoint SET envelope = '{}' WHERE number = 1")
    await book.record(batch(4, 4, "complaint:A"))
    assert await sign_now(settings, book.database) == ["nothing is signed: this is no checkpoint"]
    (tmp_path / "key.pem").write_text("x")
    with pytest.raises(SettingsError, match=r"CASELADDER_CHECKPOINT_KEY: .*allowed are PEM blocks"):
        await sign_now(settings, book.database)
