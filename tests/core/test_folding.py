"""Texts that people take for the same are folded into the same, and cut into what they are found by."""

from __future__ import annotations

import pytest

from activities.casebook.folding import FOLDED, folded, pairs, parts, runs


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("損壞", "损坏"),
        ("損毀", "损毁"),
        ("颱風後裡", "台风后里"),
        ("ＳＦ１２３", "sf123"),
        ("ÉMILIE Straße", "émilie straße"),
        ("E\u0301", "é"),
        ("①", "1"),
        ("İ", "İ"),
        ("\u3000", " "),
        ("破损", "破损"),
    ],
)
def test_what_is_taken_for_the_same_is_the_same(written: str, read: str) -> None:
    assert folded(written) == read


def test_folding_twice_changes_nothing() -> None:
    assert [one for one, to in FOLDED.items() if len(one) != 1 or len(to) != 1 or folded(to) != to] == []
    assert len(FOLDED) > 4800


def test_a_text_is_cut_into_words_and_runs_of_characters() -> None:
    assert list(runs(folded("外箱破了, SF-8812 老李·张 of Émile's 〇〇"))) == [
        "外箱破了", "sf", "8812", "老李", "张", "of", "émile", "s", "〇〇"
    ]  # fmt: skip
    assert [len(run) for run in runs("x" * 50)] == [40]
    assert pairs("外箱破了") == ["外箱", "箱破", "破了"]
    assert pairs("损") == ["损"]
    assert parts("88123") == ["8812", "8123"]
    assert parts("881") == []
