"""The proof of one case, checked by the script of the documentation as a stranger has it: alone in a folder."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import asyncpg
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from activities.audit.keys import Keys, new_key
from activities.audit.make import Checkpoints, Untrue
from activities.audit.prove import prove
from activities.messages import Batch
from cases.vocabulary.refusals import Refused
from tests.activities.ledger import RUN, batch, behind_the_back, event, view_of
from tests.casebook import Book

SCRIPT = Path(__file__).parents[2] / "docs" / "verify_proof.py"
RSA = rsa.generate_private_key(65537, 2048).public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
TEXT = 'the customer 张三 says "late"\n\\ 迟到\u2028'


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    return new_key(tmp_path / "key.pem")


@pytest.fixture
async def signed(book: Book, keys: Keys) -> Book:
    """Seven cases, all but the last under a checkpoint; each begins with 'secret' and its key."""
    for key in "ABCDEFG":
        await book.record(batch(1, 3, f"complaint:{key}", text=TEXT if key == "C" else f"secret-{key}"))
        if key == "F":
            await Checkpoints(book.database, keys).make()
    return book


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("verify_proof", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


async def test_a_stranger_verifies_the_proof_of_each_case(signed: Book, keys: Keys, script: ModuleType) -> None:
    pem = keys.public_pem().encode()
    for key in "ABCDEF":
        raw = (await prove(signed.database, keys, f"complaint:{key}", texts=True)).encode()
        proof, checkpoint = script.verify(raw, pem)
        assert (proof["case"], len(proof["events"])) == (f"complaint:{key}", 3)
        assert (checkpoint["number"], checkpoint["cases"]["size"]) == (1, 6)
        assert [text for *_, text in proof["texts"]] == [TEXT if key == "C" else f"secret-{key}"] * 3


async def test_a_text_within_a_list_is_proved_too(book: Book, keys: Keys, script: ModuleType) -> None:
    case_id, pem = "complaint:H", keys.public_pem().encode()
    proposed = event(1, "proposed", options=["a voucher", "a refund"])
    await book.record(Batch(case_id, "complaint", [proposed], view_of(case_id), RUN))
    await Checkpoints(book.database, keys).make()
    raw = await prove(book.database, keys, case_id, texts=True)
    proof, _ = script.verify(raw.encode(), pem)
    assert [(field, text) for _, field, _, text in proof["texts"]] == [
        ("options.0", "a voucher"),
        ("options.1", "a refund"),
    ]
    with pytest.raises(script.Wrong, match=re.escape("'options.1' of event 1 is not the one that was recorded")):
        script.verify(raw.replace("a refund", "a reward").encode(), pem)


async def test_nothing_of_another_case_is_in_it_and_texts_only_on_demand(
    signed: Book, keys: Keys, script: ModuleType
) -> None:
    raw = await prove(signed.database, keys, "complaint:C")
    assert "secret" not in raw
    assert "张三" not in raw
    assert not [key for key in "ABDEFG" if f"complaint:{key}" in raw]
    assert script.verify(raw.encode(), keys.public_pem().encode())[0]["texts"] == []
    with_texts = await prove(signed.database, keys, "complaint:C", texts=True)
    assert not [key for key in "ABDEFG" if f"complaint:{key}" in with_texts or f"secret-{key}" in with_texts]


async def test_any_changed_byte_is_refused(signed: Book, keys: Keys, script: ModuleType) -> None:
    pem = keys.public_pem().encode()
    raw = (await prove(signed.database, keys, "complaint:C", texts=True)).encode()
    script.verify(raw, pem)
    for place, byte in enumerate(raw):
        for other in {byte ^ 1, byte ^ 0x20, byte ^ 0x80}:
            with pytest.raises(script.Wrong):
                script.verify(raw[:place] + bytes([other]) + raw[place + 1 :], pem)
    for changed in (
        raw + b"\n",
        raw[:-1],
        b" " + raw,
        raw.replace(b",", b", ", 1),
        b"",
        b"{}",
        b"[]",
        b"null",
        b"[" * 100_000,
        re.sub(rb'"index":\d+', b'"index":Infinity', raw),
    ):
        with pytest.raises(script.Wrong):
            script.verify(changed, pem)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda proof: proof["events"].pop(), "the events are not those that were signed"),
        (lambda proof: proof["events"].reverse(), "event 1 has another number"),
        (lambda proof: proof.update(number="2026-03-0009"), "the events are not those that were signed"),
        (lambda proof: proof.update(case="complaint:D"), "the events are not those that were signed"),
        (lambda proof: proof.update(index=99), "no place in the tree"),
        (lambda proof: proof["path"].append("00" * 32), "the way to the root is too long"),
        (lambda proof: proof["path"].pop(), "the events are not those that were signed"),
        (lambda proof: proof["texts"][0].__setitem__(3, "another"), "is not the one that was recorded"),
        (lambda proof: proof["texts"][0].__setitem__(0, 0), "is not the one that was recorded"),
        (lambda proof: proof["texts"].append([1, "none", "00", "x"]), "this is no proof"),
        (lambda proof: proof["checkpoint"]["signatures"][0].update(keyid="0" * 16), "is not among yours"),
        (lambda proof: proof["checkpoint"]["signatures"][0].update(sig="A" * 86 + "=="), "the signature is wrong"),
        (lambda proof: proof.update(more=1), "this is no proof of a case, or it was written anew"),
    ],
)
async def test_what_was_written_anew_is_refused_for_what_is_wrong_with_it(
    signed: Book, keys: Keys, script: ModuleType, change: Callable[[dict[str, object]], object], why: str
) -> None:
    proof = json.loads(await prove(signed.database, keys, "complaint:C", texts=True))
    change(proof)
    with pytest.raises(script.Wrong, match=why):
        script.verify((script.canonical(proof) + "\n").encode(), keys.public_pem().encode())


async def test_the_script_runs_by_itself(signed: Book, keys: Keys, tmp_path: Path) -> None:
    alone = tmp_path / "alone"
    alone.mkdir()
    shutil.copy(SCRIPT, alone)
    (alone / "proof.json").write_text(await prove(signed.database, keys, "complaint:C", texts=True), encoding="utf-8")
    (alone / "public.pem").write_text(new_key(tmp_path / "another.pem").public_pem() + keys.public_pem())

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-I", "verify_proof.py", *arguments]
        return subprocess.run(command, cwd=alone, capture_output=True, text=True, timeout=60, check=False)

    done = run("proof.json", "public.pem")
    assert (done.returncode, done.stderr) == (0, "")
    assert "complaint:C, number 2026-03-0003: 3 events are as they were signed" in done.stdout
    (alone / "proof.json").write_text((alone / "proof.json").read_text("utf-8").replace("agent-7", "agent-8"), "utf-8")
    done = run("proof.json", "public.pem")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("REFUSED: the events are not those")
    assert run().returncode == 2
    assert len(SCRIPT.read_text().splitlines()) < 150
    # Who chooses other files is told so, not where in the script it went wrong.
    for files, code, said in (
        (("none.json", "public.pem"), 2, "none.json: No such file or directory\n"),
        (("proof.json", "."), 2, ".: Is a directory\n"),
        (("public.pem", "proof.json"), 1, "REFUSED: this is no proof of a case\n"),
        (("proof.json", "proof.json"), 1, "REFUSED: the file of keys holds no public keys"),
        (("proof.json", "rsa.pem"), 1, "REFUSED: the file of keys holds no public keys, or others than Ed25519"),
    ):
        (alone / "rsa.pem").write_bytes(RSA)
        done = run(*files)
        assert (done.returncode, done.stdout) == (code, "")
        assert done.stderr.startswith(said), done.stderr


async def test_what_no_checkpoint_has_is_not_proved(signed: Book, keys: Keys, superuser: asyncpg.Connection) -> None:
    with pytest.raises(Refused, match=r"checkpoint 1 of .* does not have the case complaint:G"):
        await prove(signed.database, keys, "complaint:G")
    await signed.record(batch(4, 4, "complaint:A"))
    assert len(json.loads(await prove(signed.database, keys, "complaint:A"))["events"]) == 3
    body = "UPDATE case_event SET body = replace(body, 'agent', 'agenT') WHERE case_id = 'complaint:B' AND seq = 2"
    await behind_the_back(superuser, body)
    with pytest.raises(Untrue, match="complaint:B: its events are not those that checkpoint 1 was signed over"):
        await prove(signed.database, keys, "complaint:B")
    await behind_the_back(superuser, "UPDATE checkpoint_head SET seq = 2 WHERE case_id = 'complaint:B'")
    with pytest.raises(Untrue, match="the heads of the cases are not those"):
        await prove(signed.database, keys, "complaint:A")
    await behind_the_back(superuser, "TRUNCATE checkpoint")
    with pytest.raises(Refused, match="there is no checkpoint yet"):
        await prove(signed.database, keys, "complaint:A")
