"""The codec of payloads and its keys, without a server."""

from __future__ import annotations

import base64
import os
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from temporalio.api.common.v1 import Payload
from temporalio.api.failure.v1 import Failure
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.exceptions import ApplicationError

from activities.refusals import failure
from cases.vocabulary.contract import REFUSED, UnreadablePayload, refusal_of
from cases.vocabulary.refusals import Refused
from starter import encryption
from starter.connection import Unreachable, connect
from starter.encryption import (
    BadPayloadKeys,
    Codec,
    Keyring,
    configured,
    data_converter,
    new_key,
    read_keyring,
)
from tests.cli.program import call

OLD, NEW = new_key("old"), new_key("new-2")
SECRET = "the customer is Wang Xiaoming"


def codec(*keys: str) -> Codec:
    """The codec of some keys."""
    return Codec(read_keyring(",".join(keys)) if keys else Keyring())


def plain(text: str = SECRET) -> Payload:
    """A payload as a plain client sends it."""
    return pydantic_data_converter.payload_converter.to_payload(text)


async def sealed(*keys: str) -> Payload:
    """A payload that is encrypted with the first of some keys."""
    [found] = await codec(*keys).encode([plain()])
    return found


METADATA = st.dictionaries(st.text(max_size=20), st.binary(max_size=20))


@given(st.lists(st.builds(Payload, metadata=METADATA, data=st.binary(max_size=300))))
async def test_what_is_encrypted_comes_back_and_shows_nothing(payloads: list[Payload]) -> None:
    both = codec(OLD)
    encrypted = await both.encode(payloads)
    assert await both.decode(encrypted) == payloads
    for one in encrypted:
        assert dict(one.metadata) == {"encoding": b"binary/encrypted", "encryption-key-id": b"old"}
    # Each with a nonce of its own.
    assert len({one.data[:12] for one in [*encrypted, *await both.encode(payloads)]}) == 2 * len(payloads)


async def test_nothing_of_it_can_be_read_or_changed() -> None:
    payload = await sealed(OLD)
    assert SECRET.encode() not in payload.SerializeToString()
    for at in (0, 12, len(payload.data) - 1):
        data = bytearray(payload.data)
        data[at] ^= 1
        with pytest.raises(UnreadablePayload, match="not as it was encrypted with the key old"):
            codec(OLD).open(Payload(metadata=payload.metadata, data=bytes(data)))
    # The id of the key is bound to it: a key that is known under two ids is no way around.
    same = OLD.replace("old:", "other:")
    renamed = Payload(metadata={**payload.metadata, "encryption-key-id": b"other"}, data=payload.data)
    with pytest.raises(UnreadablePayload, match="the key other"):
        codec(OLD, same).open(renamed)


async def test_keys_are_rotated_by_their_order() -> None:
    before, both, after = codec(OLD), codec(OLD, NEW), codec(NEW, OLD)
    [first] = await both.encode([plain()])
    [second] = await after.encode([plain()])
    assert (first.metadata["encryption-key-id"], second.metadata["encryption-key-id"]) == (b"old", b"new-2")
    for one in (both, after):
        assert await one.decode([first, second]) == [plain(), plain()]
    with pytest.raises(UnreadablePayload) as caught:
        before.open(second)
    said = str(caught.value)
    assert "the key new-2" in said
    assert "CASELADDER_PAYLOAD_KEYS (there: old)" in said
    assert OLD.partition(":")[2] not in said


async def test_encrypting_is_begun_and_ended_without_a_pause() -> None:
    """Every process gets the keys before the first one encrypts."""
    for value in (f"plain,{OLD}", f"plain {OLD}", f" plain,{OLD},{NEW}"):
        reads = Codec(read_keyring(value))
        assert reads.decrypts
        assert await reads.encode([plain()]) == [plain()]
        assert await reads.decode([await sealed(OLD)]) == [plain()]
    assert not codec().decrypts


@pytest.mark.parametrize("keys", [(), (OLD,)])
async def test_plain_input_is_always_taken(keys: tuple[str, ...]) -> None:
    given = [
        plain(),
        Payload(),
        # Others call their encoding like this too.
        Payload(metadata={"encoding": b"binary/encrypted"}, data=b"?"),
        Payload(metadata={"encoding": b"binary/encrypted", "encryption-key-id": b"no id!"}, data=bytes(40)),
        Payload(metadata={"encoding": b"binary/encrypted", "encryption-key-id": b"old"}, data=b"short"),
    ]
    assert await codec(*keys).decode(given) == given
    # What is said of another payload within a process is not believed from outside: no key would help.
    foreign = Payload(metadata={"encoding": b"binary/unreadable", "reason": b"no key"})
    assert await codec(*keys).decode([foreign]) == [Payload()]


async def test_without_keys_nothing_is_encrypted_and_what_is_encrypted_is_named() -> None:
    converter = data_converter(Keyring())
    assert await converter.encode([SECRET]) == [plain()]
    told = Failure()
    await converter.encode_failure(ApplicationError(SECRET), told)
    assert told.message == SECRET
    with pytest.raises(UnreadablePayload, match=r"the key old.*\(there: none\)"):
        await converter.decode([await sealed(OLD)])


async def test_a_refusal_is_what_it_was_and_no_engine_reads_it() -> None:
    told = Failure()
    try:
        raise failure(Refused("authority", SECRET, "S0-2.3.4")) from None
    except ApplicationError as error:
        await data_converter(read_keyring(OLD)).encode_failure(error, told)
    # Retries are decided by these.
    assert (told.application_failure_info.type, told.application_failure_info.non_retryable) == (REFUSED, True)
    for shown in (SECRET, "authority", "S0-2.3.4", "test_encryption.py"):
        assert shown.encode() not in told.SerializeToString()
    for keys in (Keyring(), read_keyring(NEW)):
        copied = Failure()
        copied.CopyFrom(told)
        # Otherwise a case would go on from "Encoded failure".
        with pytest.raises(UnreadablePayload, match="the key old"):
            await data_converter(keys).decode_failure(copied)
    refusal = refusal_of(await data_converter(read_keyring(f"{NEW},{OLD}")).decode_failure(told))
    assert refusal is not None
    assert (refusal.code, refusal.message, refusal.clause) == ("authority", SECRET, "S0-2.3.4")


# --- the setting ----------------------------------------------------------------------------------


def test_keys_come_from_the_setting_a_file_or_a_command(tmp_path: Path) -> None:
    file = tmp_path / "payload keys.txt"
    file.write_text(f"# made in March\n{NEW}\n\n{OLD}\n")
    program = tmp_path / "kms"
    program.write_text('#!/bin/sh\necho "not a key: $1" >&2\ncat "$1"\n')
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    for value in (f"{NEW}, {OLD}", f"file:{file}", f"command:{program} '{file}'"):
        ring = read_keyring(value)
        assert (ring.primary, [*ring.keys]) == ("new-2", ["new-2", "old"])
        assert repr(ring) == "Keyring(primary='new-2')"


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("{old},{old}", "the id old stands there twice"),
        ("{secret}", "key no. 1: it must be ID:BASE64 of 32 bytes"),
        ("{old},{secret}", "key no. 2: it must be"),
        ("a b:{secret}", "key no. 1"),
        ("a/b:{secret}", "the id of a key is up to 64 letters"),
        ("{old},plain", "key no. 2: it must be"),
        ("plain:{secret}", "the id of a key is up to 64 letters"),
        (":{secret}", "the id of a key is up to 64 letters"),
        ("k:{secret}x", "key no. 1 must be base64 of 32 bytes"),
        ("k:c2hvcnQ=", "key no. 1 must be base64 of 32 bytes"),
        ("k:", "key no. 1 must be base64 of 32 bytes"),
        ("file:/nowhere/{name}", "the file /nowhere/keys: No such file or directory"),
        ("file:{folder}", "Is a directory"),
        ("command:", "after command: stand a program and its arguments"),
        ("command:'", "after command: stand a program and its arguments"),
        ("command:/nowhere/kms {secret}", "the command cannot be started: No such file or directory"),
        ("command:sh -c 'echo {secret}; echo {secret} >&2; exit 3'", "the command failed with exit code 3"),
        ("command:sh -c 'echo {secret}'", "key no. 1"),
        ("command:true", "key no. 1"),
        ("command:head -c 70000 /dev/zero", "is longer than 65536 bytes"),
        ("command:sleep 5", "took more than 0.2 s"),
    ],
)
def test_what_cannot_be_keys_is_named_and_never_shown(
    value: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encryption, "PATIENCE", 0.2)
    secret = OLD.partition(":")[2]
    with pytest.raises(BadPayloadKeys) as caught:
        read_keyring(value.format(old=OLD, secret=secret, name="keys", folder=tmp_path))
    assert str(caught.value).startswith("CASELADDER_PAYLOAD_KEYS: ")
    assert said in str(caught.value)
    assert secret[:20] not in str(caught.value)


async def test_a_connection_encrypts_as_the_environment_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TEMPORAL_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("CASELADDER_PAYLOAD_KEYS", OLD)
    client = await connect(tmp_path, lazy=True)
    assert client.data_converter.payload_codec is not None
    assert await client.data_converter.payload_codec.decode([await sealed(OLD)]) == [plain()]
    # Set to nothing it is not set, as every setting.
    monkeypatch.setenv("CASELADDER_PAYLOAD_KEYS", " ")
    assert await configured().encode([SECRET]) == [plain()]
    monkeypatch.setenv("CASELADDER_PAYLOAD_KEYS", "k")
    with pytest.raises(Unreachable, match=r"CASELADDER_PAYLOAD_KEYS: key no\. 1"):
        await connect(tmp_path, lazy=True)


def test_the_command_line_makes_keys_and_names_bad_ones() -> None:
    made = call("payload-key", "2026-03").out.strip()
    assert base64.b64decode(made.removeprefix("2026-03:"), validate=True)
    assert read_keyring(made).primary == "2026-03"
    assert read_keyring(call("payload-key").out.strip()).primary
    assert "the id of a key" in call("payload-key", "a:b").refused(2)
    said = call("show", "complaint:x", env={"CASELADDER_PAYLOAD_KEYS": "k:c2hvcnQ="}).refused(1)
    assert "CASELADDER_PAYLOAD_KEYS: key no. 1 must be base64 of 32 bytes" in said


@pytest.mark.parametrize("keys", ["plain", "plain,", "plain # none yet"])
def test_plain_stands_in_front_of_keys(keys: str) -> None:
    with pytest.raises(BadPayloadKeys, match="CASELADDER_PAYLOAD_KEYS: key no"):
        read_keyring(keys)


def test_a_key_where_its_id_belongs_is_not_repeated() -> None:
    """One in hexadecimal, or base64 without its end, looks like an id."""
    for key in (os.urandom(32).hex(), base64.b64encode(bytes(range(32))).decode().rstrip("=")):
        with pytest.raises(BadPayloadKeys) as caught:
            read_keyring(f"{key}:2026-12")
        assert key not in str(caught.value)
