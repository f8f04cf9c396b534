"""Webhook signatures against the specification's own arithmetic, written out here once more."""

from __future__ import annotations

import base64
import hashlib
import hmac
import time

import pytest

from activities.signatures import BadSignature, read_secret, sign, verify

KEY = bytes(range(32))
SECRET = "whsec_" + base64.b64encode(KEY).decode()
BODY = '{"text":"赔付 120.00"}'.encode()


def by_the_book(key: bytes, message_id: str, timestamp: str, body: bytes) -> str:
    mac = hmac.digest(key, f"{message_id}.{timestamp}.".encode() + body, hashlib.sha256)
    return f"v1,{base64.b64encode(mac).decode()}"


def headers(timestamp: str | None = None, *, signature: str | None = None) -> dict[str, str]:
    moment = str(int(time.time())) if timestamp is None else timestamp
    signed = by_the_book(KEY, "msg-1", moment, BODY) if signature is None else signature
    return {"Webhook-Id": "msg-1", "Webhook-Timestamp": moment, "Webhook-Signature": signed}


def test_what_is_signed_is_what_the_specification_signs(monkeypatch: pytest.MonkeyPatch) -> None:
    # Where local time is far from UTC too.
    monkeypatch.setenv("TZ", "Asia/Shanghai")
    time.tzset()
    try:
        signed = sign(read_secret(SECRET), "msg-1", BODY)
    finally:
        monkeypatch.undo()
        time.tzset()
    assert abs(int(signed["webhook-timestamp"]) - time.time()) < 60
    assert signed["webhook-signature"] == by_the_book(KEY, "msg-1", signed["webhook-timestamp"], BODY)
    verify(read_secret(SECRET), signed, BODY)


def test_a_sender_that_changes_its_secret_signs_with_both() -> None:
    good = headers()["Webhook-Signature"]
    verify(read_secret(SECRET), headers(), BODY)
    verify(read_secret(SECRET), headers(signature=f"v1,{base64.b64encode(b'x' * 32).decode()} {good}"), BODY)
    verify(read_secret(SECRET), headers(signature=f"v1a,of-another-kind {good}"), BODY)


@pytest.mark.parametrize("signature", ["v1,", "v1", "v1,A", "v1,é", "v1,a,b", " ", "v2,AAAA", "\x00"])
def test_a_signature_of_another_form_is_refused_and_raises_nothing_else(signature: str) -> None:
    with pytest.raises(BadSignature, match="webhook-signature does not fit the body"):
        verify(read_secret(SECRET), headers(signature=signature), BODY)


@pytest.mark.parametrize("off", [-301, 302])
def test_what_was_signed_long_ago_or_far_ahead_is_refused(off: int) -> None:
    with pytest.raises(BadSignature, match="within 300 s of now"):
        verify(read_secret(SECRET), headers(str(int(time.time()) + off)), BODY)


def test_bytes_that_are_no_text_are_refused() -> None:
    body = b"\xff"
    moment = str(int(time.time()))
    signed = headers(moment, signature=by_the_book(KEY, "msg-1", moment, body))
    with pytest.raises(BadSignature, match="does not fit the body"):
        verify(read_secret(SECRET), signed, body)


@pytest.mark.parametrize("secret", ["whsec_Z2VoZWlt", "geheimé", "", "whsec_", "A" * 88, SECRET + "!"])
def test_a_secret_of_another_form_is_refused_and_not_repeated(secret: str) -> None:
    with pytest.raises(ValueError, match="allowed: whsec_ followed by the base64 of 24 to 64") as caught:
        read_secret(secret)
    assert len(secret) < 8 or secret not in str(caught.value)
