"""Tokens and codes that acknowledge: ours, in time, for one person and one arrival."""

from __future__ import annotations

import hashlib
import hmac
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from itsdangerous import URLSafeSerializer
from itsdangerous.encoding import base64_encode

from activities.notify.ack_tokens import VALID, Ack, expiry, find, issue, read, read_code, short_code
from cases.vocabulary.refusals import Refused

SECRET = "geheim-" + "x" * 32
AT = "2026-03-10T09:05:00+08:00"
NOW = datetime(2026, 3, 10, 2, 0, tzinfo=UTC)
UNTIL = expiry(AT)
ACK = Ack("complaint:C-1", 4, "s-1", "supervisor", UNTIL.astimezone(UTC))


def token(*secrets: str) -> str:
    return issue(secrets or (SECRET,), ACK.case_id, ACK.seq, ACK.person, ACK.role, UNTIL)


def refused(text: str, now: datetime = NOW, secrets: tuple[str, ...] = (SECRET,)) -> Refused:
    with pytest.raises(Refused) as caught:
        read(secrets, text, now)
    assert "geheim" not in caught.value.message
    return caught.value


def test_a_token_says_who_takes_up_what_and_is_the_same_whenever_it_is_issued() -> None:
    assert read((SECRET,), token(), NOW) == ACK
    assert token() == token()
    assert ACK.command() == {"by": {"id": "s-1", "role": "supervisor"}, "notice": 4}
    # It stands in a link as it is, and gives away nothing that is secret.
    assert token().replace(".", "").replace("-", "").replace("_", "").isalnum()


@pytest.mark.long
@given(
    st.text(min_size=1, max_size=40),
    st.integers(1, 10_000),
    st.text(max_size=20),
    st.datetimes(datetime(2020, 1, 1), datetime(2090, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 - given a zone
)
def test_every_token_is_read_as_it_was_meant(case: str, seq: int, person: str, until: datetime) -> None:
    ack = read((SECRET,), issue((SECRET,), case, seq, person, "agent", until), until - timedelta(days=1))
    assert ack == Ack(case, seq, person, "agent", until.replace(microsecond=0))


def test_a_forged_token_is_refused() -> None:
    good = token()
    body, _, signature = good.partition(".")
    other = issue((SECRET,), ACK.case_id, ACK.seq, "s-2", ACK.role, UNTIL)
    for bad in (
        "", ".", "x", body, f"{body}.", f".{signature}", good[:-1], good + "A", good + "=", f"{body}.{'A' * 43}", "ü.ü",
        f"{other.partition('.')[0]}.{signature}", token("another secret of 32 characters!"), good.swapcase(),
        f"{good}.",
    ):  # fmt: skip
        assert refused(bad).code == "token_forged", bad
    # Of the two texts that a decoder takes for the same bytes, only ours counts.
    last = signature[-1]
    twin = chr(ord(last) + 1)
    assert refused(f"{body}.{signature[:-1]}{twin}").code == "token_forged"
    # What the secret signs for another purpose is no token.
    for salt in ("itsdangerous", "caseladder console session"):
        elsewhere = URLSafeSerializer(
            SECRET, salt=salt, signer_kwargs={"key_derivation": "hmac", "digest_method": hashlib.sha256}
        )
        assert refused(elsewhere.dumps([ACK.case_id, ACK.seq, ACK.person, ACK.role, 2**40])).code == "token_forged"
    plain = hmac.digest(SECRET.encode(), body.encode(), hashlib.sha256)
    assert refused(f"{body}.{base64_encode(plain).decode()}").code == "token_forged"


def test_a_token_outlives_a_change_of_the_secret_for_as_long_as_the_old_one_is_listed() -> None:
    old, new = "an old secret of 32 characters!!", "the new secret of 32 characters!"
    assert read((new, old), token(old), NOW) == ACK
    assert read((new, old), token(new), NOW) == ACK
    # The newest signs.
    assert token(new, old) == token(new)
    assert refused(token(old), secrets=(new,)).code == "token_forged"
    assert refused(token(old), secrets=()).code == "token_forged"
    code = short_code(old, ACK.case_id, 4, "s-2", UNTIL)
    assert find((new, old), ACK.case_id, EVENTS, ["s-2"], code) == Ack(ACK.case_id, 4, "s-2", "supervisor", UNTIL)
    assert find((new,), ACK.case_id, EVENTS, ["s-2"], code) is None


def test_an_expired_token_is_refused_and_says_until_when_it_was_good() -> None:
    assert read((SECRET,), token(), UNTIL - timedelta(seconds=1))
    late = refused(token(), UNTIL)
    assert late.code == "token_expired"
    assert "it was good until 2026-03-11T01:05:00+00:00" in late.message
    assert datetime.fromisoformat(AT) + VALID == UNTIL


# --- codes ------------------------------------------------------------------------------------------


def test_a_code_is_short_and_depends_on_everything() -> None:
    code = short_code(SECRET, "complaint:C-1", 4, "s-1", UNTIL)
    # The codes in mails that are on their way stay good over an upgrade.
    assert code == "SXBM-XEVW"
    assert code == short_code(SECRET, "complaint:C-1", 4, "s-1", UNTIL.astimezone(UTC))
    assert read_code(code) == code
    others = {
        short_code("other", "complaint:C-1", 4, "s-1", UNTIL),
        short_code(SECRET, "complaint:C-2", 4, "s-1", UNTIL),
        short_code(SECRET, "complaint:C-1", 5, "s-1", UNTIL),
        short_code(SECRET, "complaint:C-1", 4, "s-2", UNTIL),
        short_code(SECRET, "complaint:C-1", 4, "s-1", UNTIL + timedelta(seconds=1)),
    }
    assert len(others - {code}) == 5


@pytest.mark.parametrize(
    ("typed", "read"),
    [
        ("k7q2-m9xa", "K7Q2-M9XA"),
        ("K7Q2 M9XA", "K7Q2-M9XA"),
        ("K7Q2M9XA", "K7Q2-M9XA"),
        ("K7Q2-M9X", None),
        ("K7Q2-M9XAA", None),
        ("K7Q2-M9X0", None),
        ("K7Q2-M9XI", None),
        ("", None),
        ("ｋ7q2-m9xa", None),
    ],
)
def test_what_is_typed_is_read_as_people_type_it(typed: str, read: str | None) -> None:
    assert read_code(typed) == read


def event(seq: int, type: str, **data: Any) -> dict[str, Any]:
    return {"seq": seq, "type": type, "at": AT, "data": data}


EVENTS = [
    event(1, "case_opened", holder_role="agent"),
    event(2, "clock_started", clock="rung", due=AT),
    event(3, "noted", text="x"),
    event(4, "escalated", **{"from": "agent", "to": "supervisor"}),
    event(5, "clock_started", clock="rung", due=AT),
    event(6, "assigned", **{"from": {"role": "supervisor", "id": None}, "to": {"role": "agent", "id": "a-1"}}),
    event(7, "reminded", rung="agent", count=1),
]


@pytest.mark.parametrize(
    ("seq", "role"), [(1, "agent"), (2, "agent"), (4, "supervisor"), (5, "supervisor"), (6, "agent"), (7, "agent")]
)
def test_a_code_is_found_by_whom_it_was_made_for_in_the_role_that_was_meant(seq: int, role: str) -> None:
    code = short_code(SECRET, "complaint:C-1", seq, "s-2", UNTIL)
    found = find((SECRET,), "complaint:C-1", EVENTS, ["s-1", "s-2"], code)
    assert found == Ack("complaint:C-1", seq, "s-2", role, UNTIL)


def test_a_code_of_another_case_event_or_person_is_nobodys() -> None:
    for case, seq, person in (("complaint:C-2", 2, "s-1"), ("complaint:C-1", 3, "s-1"), ("complaint:C-1", 2, "x")):
        code = short_code(SECRET, case, seq, person, UNTIL)
        assert find((SECRET,), "complaint:C-1", EVENTS, ["s-1"], code) is None
