"""The page of the documentation that verifies the proof of a case: opened as a file, without a server or a network."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from playwright.async_api import Browser, Page

from activities.audit.checkpoint import Checkpoint, Epoch, head_leaf, sign
from activities.audit.keys import Keys, new_key
from activities.audit.merkle import Tree, inclusion_proof
from activities.audit.prove import FORMAT
from activities.casebook.ledger import chain, genesis
from activities.casebook.texts import commitment
from cases.vocabulary.events import canonical

RSA = (
    rsa.generate_private_key(65537, 2048).public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
).decode()
PAGE = Path(__file__).parents[2] / "docs" / "verify_proof.html"
CASE, TEXT = "complaint:C", '迟到了 <b>"late"</b>\u2028'


def proof_of(keys: Keys, index: int = 2, size: int = 5, text: str = TEXT) -> str:
    """The proof of a case of two events, the second with a text and one within a list, among others."""
    said = {"text": commitment(b"salt", text), "options": ["", commitment(b"pepper", "a voucher")]}
    event = {"type": "noted", "at": "2026-03-10T09:00:00+08:00", "actor": {"id": "agent-7", "role": "agent"}}
    bodies = [canonical({**event, "seq": 1, "data": {}}), canonical({**event, "seq": 2, "data": said})]
    leaves = [b"another %d" % place for place in range(size)]
    leaves[index] = head_leaf(CASE, "2026-03-0003", 2, chain(genesis(CASE).hash, bodies)[-1])
    tree = Tree()
    for leaf in leaves:
        tree.append(leaf)
    checkpoint = Checkpoint(
        ledger="a" * 32, number=4, epoch=Epoch(), at="2026-03-11T09:00:00+00:00", since="0-0", position="7-9",
        events=9, events_root="0" * 64, cases=size, cases_root=tree.root().hex(), looks=0, looks_hash="", previous="",
    )  # fmt: skip
    return canonical({
        "format": FORMAT, "case": CASE, "number": "2026-03-0003", "events": bodies,
        "texts": [[2, "options.1", b"pepper".hex(), "a voucher"], [2, "text", b"salt".hex(), text]], "index": index,
        "path": [other.hex() for other in inclusion_proof(leaves, index)],
        "checkpoint": sign(checkpoint, keys).envelope,
    }) + "\n"  # fmt: skip


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    return new_key(tmp_path / "key.pem")


@pytest.fixture
async def page(browser: Browser) -> AsyncIterator[Page]:
    """The page, in a browser that has no network and tells of every error."""
    context = await browser.new_context(offline=True)
    opened = await context.new_page()
    errors: list[object] = []
    opened.on("pageerror", lambda error: errors.append(error))
    opened.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    await opened.goto(PAGE.as_uri())
    yield opened
    assert errors == []
    await context.close()


async def choose(page: Page, proof: str, pem: str) -> str:
    """Choose both files as people do, and return the verdict."""
    files = {"keys": ("public.pem", pem), "proof": ("proof.json", proof)}
    for name, (file, content) in files.items():
        chosen = {"name": file, "mimeType": "text/plain", "buffer": content.encode()}
        await page.locator(f"#{name}").set_input_files(chosen)  # type: ignore[arg-type]
    await page.wait_for_selector("#verdict.good, #verdict.bad")
    return await page.locator("#verdict").inner_text()


async def test_the_page_verifies_a_proof_and_shows_the_events(page: Page, keys: Keys, tmp_path: Path) -> None:
    pem = new_key(tmp_path / "another.pem").public_pem() + keys.public_pem()
    verdict = await choose(page, proof_of(keys), pem)
    assert "核验通过 · Verified: complaint:C, 2026-03-0003: 2 " in verdict
    assert "checkpoint 4, 2026-03-11T09:00:00+00:00" in verdict
    # Words are words, whatever they look like.
    assert '<b>\\"late\\"</b>' in await page.locator("#events tbody tr:nth-child(2)").inner_text()
    assert await page.locator("#events b").count() == 0
    assert '"options":["","a voucher"]' in await page.locator("#events tbody tr:nth-child(2)").inner_text()


@pytest.mark.parametrize(("index", "size"), [(0, 1), (0, 2), (1, 2), (6, 7), (3, 8), (64, 65)])
async def test_the_page_verifies_wherever_the_case_stands(page: Page, keys: Keys, index: int, size: int) -> None:
    assert "Verified" in await choose(page, proof_of(keys, index, size), keys.public_pem())


async def test_the_page_says_why_it_refuses(page: Page, keys: Keys, tmp_path: Path) -> None:
    proof, pem = proof_of(keys), keys.public_pem()
    for changed, with_keys, why in (
        (proof.replace("agent-7", "agent-8"), pem, "the events are not those that were signed"),
        (proof.replace("迟到了", "准时了"), pem, "the text text of event 2 is not the one that was recorded"),
        (proof.replace("a voucher", "a refund"), pem, "the text options.1 of event 2 is not the one that was recorded"),
        (proof.replace(",", ", "), pem, "written anew"),
        ("{}", pem, "this is no proof of a case"),
        (proof, new_key(tmp_path / "other.pem").public_pem(), "is not among yours"),
        (proof, "", "holds no public keys"),
        (proof, RSA, "holds no public keys, or others than Ed25519"),
    ):
        verdict = await choose(page, changed, with_keys)
        assert verdict.startswith("核验不通过 · REFUSED"), changed
        assert why in verdict
        assert await page.locator("#events").is_hidden()


async def test_the_page_refuses_any_changed_byte(page: Page, keys: Keys) -> None:
    raw = base64.b64encode(proof_of(keys).encode()).decode()
    passed = await page.evaluate(
        """async ([raw, pem]) => {
            const good = unbase64(raw), passed = [];
            await verify(good, pem);
            for (let place = 0; place < good.length; place++) for (const mask of [1, 0x20, 0x80]) {
                const changed = good.slice();
                changed[place] ^= mask;
                try { await verify(changed, pem); passed.push(place); } catch {}
            }
            return passed;
        }""",
        [raw, keys.public_pem()],
    )
    assert passed == []


async def test_the_page_refuses_what_is_no_unicode(page: Page, keys: Keys) -> None:
    """Half a surrogate pair is hashed as the sign that stands for no character."""
    replaced = TEXT.replace("迟", "\ufffd")
    proof = proof_of(keys, text=replaced)
    assert "Verified" in await choose(page, proof, keys.public_pem())
    assert "\ufffd" in proof
    assert "REFUSED" in await choose(page, proof.replace("\ufffd", "\\ud800"), keys.public_pem())


async def test_a_verdict_goes_with_the_files_that_it_was_on(page: Page, keys: Keys) -> None:
    assert "Verified" in await choose(page, proof_of(keys), keys.public_pem())
    await page.locator("#keys").set_input_files([])
    assert await page.locator("#verdict").inner_text() == "请选择两个文件 · Choose both files"
