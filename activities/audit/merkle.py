"""Merkle trees in the manner of RFC 6962, section 2.1, over SHA-256. Pure.

A leaf is hashed behind a zero byte and a node behind a one, so that neither can stand for the other. A tree of
``n`` leaves splits at the largest power of two below ``n``, so that a tree which only grows keeps its full
subtrees: their roots, `Tree.peaks`, are all that is needed to let it grow further.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256


def leaf_hash(leaf: bytes) -> bytes:
    """Return the hash of a leaf."""
    return sha256(b"\0" + leaf).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of a node over those of its two children."""
    return sha256(b"\1" + left + right).digest()


@dataclass(slots=True)
class Tree:
    """A tree that only grows, known by its size and the roots of its full subtrees, the largest first."""

    size: int = 0
    peaks: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Refuse peaks that are none of a tree of this size.

        Raises:
            ValueError: there are more or fewer of them, or one is no hash.
        """
        if self.size < 0 or len(self.peaks) != self.size.bit_count() or any(len(peak) != 32 for peak in self.peaks):
            raise ValueError(f"a tree of {self.size} leaves has other peaks")

    def append(self, leaf: bytes) -> None:
        """Add a leaf at the end."""
        grown, size = leaf_hash(leaf), self.size
        while size & 1:
            grown = node_hash(self.peaks.pop(), grown)
            size >>= 1
        self.peaks.append(grown)
        self.size += 1

    def root(self) -> bytes:
        """Return the hash that stands for the whole tree."""
        if not self.peaks:
            return sha256().digest()
        root = self.peaks[-1]
        for peak in reversed(self.peaks[:-1]):
            root = node_hash(peak, root)
        return root

    def copy(self) -> Tree:
        """Return a tree that grows by itself."""
        return Tree(self.size, list(self.peaks))


def inclusion_proof(leaves: Iterable[bytes], index: int) -> list[bytes]:
    """Return the hashes that lead from a leaf to the root, those beside the leaf first.

    Args:
        leaves: all of them, in order; read once.
        index: which of them.

    Raises:
        IndexError: there is no such leaf.
    """
    level = [leaf_hash(leaf) for leaf in leaves]
    if not 0 <= index < len(level):
        raise IndexError(f"a tree of {len(level)} leaves has none at {index}")
    proof = []
    while len(level) > 1:
        if index ^ 1 < len(level):
            proof.append(level[index ^ 1])
        # A last one without a neighbour rises as it is: so every left subtree is full.
        level = [node_hash(*level[at : at + 2]) if at + 1 < len(level) else level[at] for at in range(0, len(level), 2)]
        index >>= 1
    return proof


def root_of(leaf: bytes, index: int, size: int, proof: Sequence[bytes]) -> bytes | None:
    """Return the root to which a proof leads from a leaf; None where it is none for this place (RFC 9162, 2.1.3.2).

    Args:
        index: the place of the leaf.
        size: how many leaves the tree has.
    """
    if not 0 <= index < size:
        return None
    found, last = leaf_hash(leaf), size - 1
    for other in proof:
        if last == 0:
            return None
        if index & 1 or index == last:
            found = node_hash(other, found)
            while not index & 1 and index:
                index, last = index >> 1, last >> 1
        else:
            found = node_hash(found, other)
        index, last = index >> 1, last >> 1
    return found if last == 0 else None
