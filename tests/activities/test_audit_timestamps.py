"""Timestamps of checkpoints, by an authority that is OpenSSL's."""

from __future__ import annotations

import base64
import json
import re
import subprocess
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from pydantic import SecretStr

from activities.audit import timestamps
from activities.audit.checkpoint import Signed, sign
from activities.audit.compare import Compared, compare
from activities.audit.handed_out import read_files
from activities.audit.keys import Keys, new_key
from activities.audit.make import Checkpoints
from activities.audit.timestamps import Authority, BadTimestamp, NotStamped, read_certificates, verify
from cases.vocabulary.events import canonical
from starter.checkpoints import Round, make_and_hand_out
from starter.settings import Settings, SettingsError, load_settings
from tests.activities.ledger import batch
from tests.authority import TimestampAuthority, authority
from tests.casebook import Book

A = "complaint:A"


@pytest.fixture
async def tsa(tmp_path: Path) -> AsyncIterator[TimestampAuthority]:
    async with authority(tmp_path / "tsa") as made:
        yield made


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    return new_key(tmp_path / "key.pem")


@pytest.fixture
def settings(tsa: TimestampAuthority, tmp_path: Path, dsn: str, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setattr(timestamps.Authority.__init__, "__defaults__", ((0.0, 0.0),))
    return Settings(
        database_url=SecretStr(dsn),
        checkpoint_key=tmp_path / "key.pem",
        checkpoint_places=f"folder:{tmp_path / 'outside'}",
        checkpoint_tsa=SecretStr(tsa.url),
        checkpoint_tsa_certificates=tsa.root,
    )


class Outside:
    """A casebook, and the folder where its checkpoints go to."""

    def __init__(self, book: Book, keys: Keys, settings: Settings, folder: Path) -> None:
        self.book, self.keys, self.settings, self.folder = book, keys, settings, folder
        self._seq = 0

    async def checkpoint(self) -> Round:
        """Record one more event, make a checkpoint, and hand it out."""
        self._seq += 1
        await self.book.record(batch(self._seq, self._seq, A))
        return await make_and_hand_out(self.settings, self.book.database, Checkpoints(self.book.database, self.keys))

    async def compare(self, trusted: Path | None, *files: Path) -> Compared:
        certificates = [] if trusted is None else read_certificates(trusted)
        async with self.book.database.audit() as connection:
            return await compare(connection, self.keys, read_files(files or [self.folder], self.keys), certificates)

    def heads(self) -> list[dict[str, Any]]:
        files = sorted(self.folder.glob("*.checkpoint"))
        return [json.loads(file.read_text("utf-8").partition("\n")[0]) for file in files]


@pytest.fixture
def outside(book: Book, keys: Keys, settings: Settings, tmp_path: Path) -> Outside:
    return Outside(book, keys, settings, tmp_path / "outside")


async def test_a_timestamp_travels_with_the_checkpoint(outside: Outside, tsa: TimestampAuthority) -> None:
    assert (await outside.checkpoint()).unstamped == ""
    assert (await outside.checkpoint()).failed == {}
    done = await outside.compare(tsa.root)
    assert (done.faults, done.notes) == ([], [])
    assert [one.checkpoint for one in done.stamps] == [1, 2]
    assert {one.by for one in done.stamps} == {"CN=Time stamping,O=Example TSA"}
    assert all(abs(datetime.now(UTC) - one.at) < timedelta(minutes=1) for one in done.stamps)
    # The casebook has it too, and what is written from there later is the same.
    maker = Checkpoints(outside.book.database, outside.keys)
    texts = [text async for _, text in maker.handed_out()]
    assert texts == [file.read_text("utf-8") for file in sorted(outside.folder.glob("*.checkpoint"))]
    assert await maker.newest() == texts[-1]
    async with outside.book.database.audit() as connection:
        stored = await compare(connection, outside.keys, (), read_certificates(tsa.root))
    assert stored.stamps == done.stamps


async def test_openssl_verifies_it_from_the_file_alone(
    outside: Outside, tsa: TimestampAuthority, tmp_path: Path
) -> None:
    await outside.checkpoint()
    (head,) = outside.heads()
    envelope, response = tmp_path / "envelope.json", tmp_path / "checkpoint.tsr"
    envelope.write_text(canonical({name: head[name] for name in ("payload", "payloadType", "signatures")}))
    response.write_bytes(base64.b64decode(head["timestamp"]))
    assert _openssl_verifies(response, tsa.root, envelope) == "Verification: OK\n"
    envelope.write_text(envelope.read_text() + "\n")
    assert _openssl_verifies(response, tsa.root, envelope) == "Verification: FAILED\n"


def _openssl_verifies(response: Path, root: Path, data: Path) -> str:
    command = ["openssl", "ts", "-verify", "-in", str(response), "-CAfile", str(root), "-data", str(data)]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False).stdout


async def test_a_wrong_timestamp_is_named(
    outside: Outside, tsa: TimestampAuthority, tmp_path: Path, superuser: asyncpg.Connection
) -> None:
    await outside.checkpoint()
    await outside.checkpoint()
    one, two = sorted(outside.folder.glob("*.checkpoint"))
    lines = two.read_text("utf-8").splitlines(keepends=True)
    head = json.loads(lines[0])

    async def said(timestamp: object) -> list[str]:
        file = tmp_path / "wrong"
        file.write_text(json.dumps({**head, "timestamp": timestamp}) + "\n" + "".join(lines[1:]))
        done = await outside.compare(tsa.root, file, one)
        assert [stamp.checkpoint for stamp in done.stamps] == [1]
        return [str(fault).removeprefix(f"changed: {file}: the timestamp of checkpoint 2: ") for fault in done.faults]

    assert await said(outside.heads()[0]["timestamp"]) == ["it is of something else"]
    assert await said("") == ["it cannot be read"]
    assert await said(base64.b64encode(b"\x30\x03\x02\x01\x02").decode()) == ["it cannot be read"]
    async with authority(tmp_path / "other") as other:
        foreign = await Authority(other.url, read_certificates(other.root)).stamp(
            read_files([two], outside.keys)[0].signed
        )
        assert foreign.timestamp is not None
        assert await said(base64.b64encode(foreign.timestamp).decode()) == ["it is of no authority that is trusted"]
        # One copy with a right timestamp does not hide another one with a wrong one.
        done = await outside.compare(tsa.root, outside.folder, tmp_path / "wrong")
        assert len(done.faults) == 1
        # Both are believed where both are trusted.
        both = tmp_path / "both.pem"
        both.write_bytes(tsa.root.read_bytes() + other.root.read_bytes())
        assert (await outside.compare(both, outside.folder, tmp_path / "wrong")).faults == []
    # What stands in the casebook is compared where no file is given.
    await superuser.execute("ALTER TABLE checkpoint_timestamp DISABLE TRIGGER USER")
    await superuser.execute("UPDATE checkpoint_timestamp SET response = 'x' WHERE number = 1")
    async with outside.book.database.audit() as connection:
        (fault,) = (await compare(connection, outside.keys, (), read_certificates(tsa.root))).faults
    assert str(fault) == "changed: in the casebook: the timestamp of checkpoint 1: it cannot be read"


async def test_any_changed_byte_of_a_timestamp_changes_nothing_that_it_says(
    outside: Outside, tsa: TimestampAuthority
) -> None:
    await outside.checkpoint()
    (one,) = read_files([outside.folder], outside.keys)
    whole, trusted = one.signed.timestamp, read_certificates(tsa.root)
    assert whole is not None
    right = verify(one.signed, trusted)
    for place in range(0, len(whole), 3):
        changed = whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :]
        try:
            assert verify(one.signed.with_timestamp(changed), trusted) == right
        except BadTimestamp:
            continue


async def test_a_checkpoint_that_says_another_time_is_named(outside: Outside, tsa: TimestampAuthority) -> None:
    await outside.checkpoint()
    (one,) = read_files([outside.folder], outside.keys)
    yesterday = (datetime.now(UTC) - timedelta(days=1)).isoformat()
    earlier = sign(replace(one.signed.checkpoint, at=yesterday), outside.keys)
    stamped = await Authority(tsa.url, read_certificates(tsa.root)).stamp(earlier)
    found = timestamps.check([(stamped, "here")], read_certificates(tsa.root))
    (fault,) = found.faults
    assert f"here: checkpoint 1 says that it is of {yesterday}, and its timestamp of " in str(fault)


async def test_who_trusts_nobody_is_told_that_nothing_was_checked(outside: Outside) -> None:
    await outside.checkpoint()
    done = await outside.compare(None)
    assert (done.faults, done.stamps) == ([], [])
    assert done.notes == [
        "timestamps that were not checked: 1; CASELADDER_CHECKPOINT_TSA_CERTIFICATES names no certificates to check "
        "them with"
    ]


async def test_an_authority_that_is_away_holds_nothing_up(
    outside: Outside, tsa: TimestampAuthority, unused_tcp_port: int
) -> None:
    there = outside.settings
    away = f"http://127.0.0.1:{unused_tcp_port}/"
    outside.settings = there.model_copy(update={"checkpoint_tsa": SecretStr(away)})
    began = time.monotonic()
    done = await outside.checkpoint()
    assert time.monotonic() - began < 5
    assert ([one.checkpoint.number for one in done.made], done.unstamped) == ([1], "no answer (ConnectError)")
    assert done.failed == {}
    outside.settings = there
    assert (await outside.checkpoint()).unstamped == ""
    assert ["timestamp" in head for head in outside.heads()] == [False, True]
    found = await outside.compare(tsa.root)
    assert ([one.checkpoint for one in found.stamps], found.faults) == ([2], [])


@pytest.mark.parametrize(
    ("status", "answer", "why"),
    [
        ("503 Service Unavailable", b"", "HTTP 503"),
        ("302 Found", b"", "HTTP 302"),
        ("200 OK", b"", "the answer is no timestamp of it: it cannot be read"),
        ("200 OK", b"<html>rubbish</html>", "the answer is no timestamp of it: it cannot be read"),
        ("200 OK", b"\x30\x80" + bytes(100), "the answer is no timestamp of it: it cannot be read"),
        ("200 OK", b"\x30\x05\x30\x03\x02\x01\x02", ".*: the authority has not granted it .status 2."),
        ("200 OK", bytes(5_000_000), "the answer is longer than 100000 bytes"),
    ],
)
async def test_an_authority_that_answers_rubbish_is_asked_thrice(
    outside: Outside, tsa: TimestampAuthority, status: str, answer: bytes, why: str
) -> None:
    tsa.status, tsa.answer = status, answer
    done = await outside.checkpoint()
    assert (len(done.made), len(tsa.queries)) == (1, 3)
    assert re.fullmatch(why, done.unstamped), done.unstamped
    assert "timestamp" not in outside.heads()[0]


async def test_an_answer_to_another_request_or_of_somebody_else_is_not_taken(
    outside: Outside, tsa: TimestampAuthority, tmp_path: Path
) -> None:
    await outside.checkpoint()
    (one,) = read_files([outside.folder], outside.keys)
    tsa.answer = one.signed.timestamp
    trusted = read_certificates(tsa.root)
    # Of the same bytes, and made before it was asked for.
    with pytest.raises(NotStamped, match="it answers another request"):
        await Authority(tsa.url, trusted).stamp(one.signed)
    other = Signed(one.signed.checkpoint, {**one.signed.envelope, "payloadType": "x"})
    with pytest.raises(NotStamped, match="is no timestamp of it"):
        await Authority(tsa.url, trusted).stamp(other)
    tsa.answer = None
    async with authority(tmp_path / "other") as stranger:
        with pytest.raises(NotStamped, match="it is of no authority that is trusted"):
            await Authority(stranger.url, trusted).stamp(one.signed)


def test_settings_that_cannot_be_used_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from starter.checkpoints import check_settings

    monkeypatch.setenv("CASELADDER_CHECKPOINT_TSA", "ftp://user:secret@example.com")
    with pytest.raises(SettingsError, match=r"CASELADDER_CHECKPOINT_TSA: .*http://, https://") as refused:
        load_settings()
    assert "secret" not in str(refused.value)
    monkeypatch.setenv("CASELADDER_CHECKPOINT_TSA", "https://tsa.example.com")
    with pytest.raises(SettingsError, match="CASELADDER_CHECKPOINT_TSA needs CASELADDER_CHECKPOINT_TSA_CERTIFICATES"):
        check_settings(load_settings(data=tmp_path))
    file = tmp_path / "tsa.pem"
    monkeypatch.setenv("CASELADDER_CHECKPOINT_TSA_CERTIFICATES", str(file))
    with pytest.raises(SettingsError, match=r"_CERTIFICATES: .*tsa\.pem: No such file"):
        check_settings(load_settings(data=tmp_path))
    file.write_text("-----BEGIN CERTIFICATE-----\nMAo=\n-----END CERTIFICATE-----\n")
    with pytest.raises(SettingsError, match=r"tsa\.pem: allowed are PEM blocks of certificates"):
        check_settings(load_settings(data=tmp_path))
