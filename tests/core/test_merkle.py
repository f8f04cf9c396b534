"""The Merkle tree by itself, against the definition of RFC 6962 to the letter."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from activities.audit.merkle import Tree, inclusion_proof, leaf_hash, root_of

LEAVES = st.lists(st.binary(max_size=3), max_size=40)


def mth(leaves: list[bytes]) -> bytes:
    """MTH of RFC 6962, 2.1."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return hashlib.sha256(b"\x00" + leaves[0]).digest()
    k = split(len(leaves))
    return hashlib.sha256(b"\x01" + mth(leaves[:k]) + mth(leaves[k:])).digest()


def path(m: int, leaves: list[bytes]) -> list[bytes]:
    """PATH of RFC 6962, 2.1.1."""
    if len(leaves) == 1:
        return []
    k = split(len(leaves))
    if m < k:
        return [*path(m, leaves[:k]), mth(leaves[k:])]
    return [*path(m - k, leaves[k:]), mth(leaves[:k])]


def split(n: int) -> int:
    """The largest power of two smaller than n."""
    return 1 << (n - 1).bit_length() - 1


def grown(leaves: list[bytes]) -> Tree:
    tree = Tree()
    for leaf in leaves:
        tree.append(leaf)
    return tree


def test_the_roots_of_certificate_transparency() -> None:
    # The vectors that its implementations share.
    data = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
    leaves = [bytes.fromhex(one) for one in data]
    assert Tree().root().hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert grown(leaves[:1]).root().hex() == "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
    assert grown(leaves[:3]).root().hex() == "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77"
    assert grown(leaves).root().hex() == "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"


@given(LEAVES)
def test_a_tree_that_grew_leaf_by_leaf_has_the_root_of_the_definition(leaves: list[bytes]) -> None:
    tree = grown(leaves)
    assert (tree.size, tree.root()) == (len(leaves), mth(leaves))


@given(LEAVES, LEAVES)
def test_a_tree_goes_on_from_its_size_and_its_peaks(before: list[bytes], after: list[bytes]) -> None:
    tree = grown(before)
    further = Tree(tree.size, list(tree.peaks))
    for leaf in after:
        further.append(leaf)
    assert further.root() == mth(before + after)
    assert tree.copy() == tree
    assert tree.copy().peaks is not tree.peaks


@given(LEAVES.filter(bool), st.data())
def test_a_proof_is_that_of_the_definition_and_leads_to_the_root(leaves: list[bytes], data: st.DataObject) -> None:
    index = data.draw(st.integers(0, len(leaves) - 1))
    proof = inclusion_proof(leaves, index)
    assert proof == path(index, leaves)
    assert root_of(leaves[index], index, len(leaves), proof) == mth(leaves)


@given(LEAVES.filter(bool), st.data())
def test_a_proof_serves_for_nothing_else(leaves: list[bytes], data: st.DataObject) -> None:
    index, size = data.draw(st.integers(0, len(leaves) - 1)), len(leaves)
    proof, root = inclusion_proof(leaves, index), mth(leaves)
    assert root_of(leaves[index] + b"x", index, size, proof) != root
    assert root_of(leaves[index], index, size, [*proof, bytes(32)]) is None
    assert root_of(leaves[index], size, size, proof) is None
    assert root_of(leaves[index], -1, size, proof) is None
    if proof:
        at = data.draw(st.integers(0, len(proof) - 1))
        bad = [*proof[:at], bytes([proof[at][0] ^ 1]) + proof[at][1:], *proof[at + 1 :]]
        assert root_of(leaves[index], index, size, bad) != root
        assert root_of(leaves[index], index, size, proof[:-1]) is None
    others = data.draw(st.integers(0, size - 1))
    if leaves[others] != leaves[index]:
        assert root_of(leaves[others], index, size, proof) != root


def test_a_node_is_no_leaf() -> None:
    two = leaf_hash(b"a") + leaf_hash(b"b")
    assert grown([two]).root() != grown([b"a", b"b"]).root()
    assert grown([b"\1" + two]).root() != grown([b"a", b"b"]).root()


def test_bad_trees_are_refused() -> None:
    for size, peaks in ((1, []), (2, [bytes(32)] * 2), (1, [b"x"]), (-1, [bytes(32)])):
        with pytest.raises(ValueError, match="other peaks"):
            Tree(size, peaks)
    with pytest.raises(IndexError, match="2 leaves has none at 2"):
        inclusion_proof([b"a", b"b"], 2)
