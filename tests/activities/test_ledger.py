"""The hash chain by itself: every way to break one, and what the check says of it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime

import pytest

from activities.casebook.ledger import Fault, Head, Row, chain, check, genesis, link
from cases.vocabulary.events import canonical

CASE = "complaint:C-1"
OTHER = "complaint:C-2"


def body_of(seq: int, text: str = "as it was", at: str = "2026-03-10T09:00:00+08:00") -> str:
    return canonical({"seq": seq, "type": "noted", "at": at, "recorded_at": at, "data": {"text": text}})


def row(seq: int, prev_hash: bytes, text: str = "as it was") -> Row:
    body = body_of(seq, text)
    at = datetime.fromisoformat("2026-03-10T01:00:00+00:00")
    return Row(seq, "noted", at, at, body, prev_hash, link(prev_hash, body))


def ledger(length: int = 5, case_id: str = CASE) -> tuple[list[Row], Head]:
    rows: list[Row] = []
    head = genesis(case_id)
    for seq in range(1, length + 1):
        rows.append(row(seq, head.hash))
        head = Head(seq, rows[-1].hash)
    return rows, head


def verdict(rows: Sequence[Row], head: Head | None) -> tuple[int, str] | None:
    fault = check(CASE, rows, head)
    return None if fault is None else (fault.seq, fault.what)


def test_the_chain_is_sha256_over_the_previous_hash_and_the_body() -> None:
    first = hashlib.sha256(b"complaint:C-1").digest()
    second = hashlib.sha256(first + "投诉".encode()).digest()
    assert genesis(CASE) == Head(0, first)
    assert chain(first, ["投诉", "b"]) == [first, second, hashlib.sha256(second + b"b").digest()]
    assert chain(first, []) == [first]


@pytest.mark.parametrize("length", [1, 2, 5])
def test_a_whole_ledger_has_no_fault(length: int) -> None:
    assert check(CASE, *ledger(length)) is None


@pytest.mark.parametrize("seq", [1, 3, 5])
def test_a_changed_body_is_found(seq: int) -> None:
    rows, head = ledger()
    rows[seq - 1] = replace(rows[seq - 1], body=body_of(seq, "as it never was"))
    assert verdict(rows, head) == (seq, "changed")


@pytest.mark.parametrize("seq", [1, 3, 5])
def test_a_changed_body_is_found_also_with_its_hash_computed_anew(seq: int) -> None:
    rows, head = ledger()
    rows[seq - 1] = row(seq, rows[seq - 1].prev_hash, "as it never was")
    assert verdict(rows, head) == (seq, "changed")


@pytest.mark.parametrize(
    "change",
    [
        lambda r: replace(r, type="closed"),
        lambda r: replace(r, at=datetime.fromisoformat("2026-03-10T01:00:01+00:00")),
        lambda r: replace(r, recorded_at=datetime.fromisoformat("2026-03-10T01:00:01+00:00")),
        lambda r: replace(r, hash=bytes(32)),
        lambda r: replace(r, prev_hash=bytes(32)),
    ],
    ids=["type", "at", "recorded_at", "hash", "prev_hash"],
)
@pytest.mark.parametrize("seq", [1, 3, 5])
def test_a_changed_column_is_found(seq: int, change: Callable[[Row], Row]) -> None:
    rows, head = ledger()
    rows[seq - 1] = change(rows[seq - 1])
    assert verdict(rows, head) == (seq, "changed")


@pytest.mark.parametrize("seq", [1, 3, 5])
def test_a_removed_row_is_found(seq: int) -> None:
    rows, head = ledger()
    del rows[seq - 1]
    assert verdict(rows, head) == (seq, "removed")


@pytest.mark.parametrize("seq", [1, 3, 4])
def test_a_removed_row_is_found_also_when_later_rows_close_the_gap(seq: int) -> None:
    rows, head = ledger()
    rows = rows[: seq - 1] + [replace(later, seq=later.seq - 1) for later in rows[seq:]]
    assert verdict(rows, head) == (seq, "removed")
    assert verdict(rows, Head(4, head.hash)) == (seq, "removed")


def test_all_rows_removed_are_found() -> None:
    assert verdict([], ledger()[1]) == (1, "removed")


def test_a_row_added_at_the_end_is_found() -> None:
    rows, head = ledger()
    assert verdict([*rows, row(6, head.hash)], head) == (6, "inserted")
    assert verdict([*rows, row(6, bytes(32))], head) == (6, "inserted")
    assert verdict([*rows, row(8, head.hash)], head) == (8, "inserted")


@pytest.mark.parametrize("properly_linked", [True, False])
@pytest.mark.parametrize("head_moved", [True, False])
@pytest.mark.parametrize("seq", [1, 3, 5])
def test_a_row_put_in_between_is_found(seq: int, head_moved: bool, properly_linked: bool) -> None:
    rows, head = ledger()
    alien = row(seq, rows[seq - 1].prev_hash if properly_linked else bytes(32), "never happened")
    shifted = [replace(later, seq=later.seq + 1) for later in rows[seq - 1 :]]
    rows = [*rows[: seq - 1], alien, *shifted]
    assert verdict(rows, Head(6, head.hash) if head_moved else head) == (seq, "inserted")


def test_rows_of_another_case_are_found() -> None:
    rows, head = ledger(case_id=OTHER)
    assert verdict(rows, head) == (1, "changed")
    assert check(OTHER, rows, head) is None


def test_rows_without_a_case_file_are_found() -> None:
    rows, _ = ledger()
    fault = check(CASE, rows, None)
    assert fault is not None
    assert (fault.seq, fault.what) == (1, "inserted")
    assert "case file is missing" in fault.detail


def test_another_hash_in_the_case_file_is_found() -> None:
    rows, head = ledger()
    assert verdict(rows, Head(head.seq, bytes(32))) == (5, "changed")


@pytest.mark.parametrize(
    "body", ["no json", "[]", '{"seq": "x"}', "{}", '{"seq":1,"type":"noted","at":3,"recorded_at":3}']
)
def test_a_body_that_is_no_event_is_found_though_its_hash_fits(body: str) -> None:
    rows, _ = ledger(1)
    forged = replace(rows[0], body=body, hash=link(rows[0].prev_hash, body))
    assert verdict([forged], Head(1, forged.hash)) == (1, "changed")


def test_only_the_first_fault_is_named() -> None:
    rows, head = ledger()
    rows[3] = replace(rows[3], body=body_of(4, "x"))
    rows[1] = replace(rows[1], body=body_of(2, "x"))
    assert verdict(rows, head) == (2, "changed")


def test_a_fault_reads_as_a_sentence() -> None:
    removed = Fault(CASE, 3, "removed", "the next row is seq 4")
    assert str(removed) == "complaint:C-1 seq 3: removed: the next row is seq 4"
    assert str(Fault("", 0, "removed", "gone")) == "removed: gone"
