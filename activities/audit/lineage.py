"""The checkpoints that a ledger must agree with: those in it and those that were handed out, put together. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise

from activities.audit.checkpoint import BadCheckpoint, Checkpoint, Epoch, Signed
from activities.audit.handed_out import HandedOut
from activities.casebook.ledger import Fault


@dataclass(frozen=True, slots=True)
class Link:
    """A checkpoint that the ledger must agree with.

    Args:
        peaks: of the tree of all events before it, by whoever has them.
        file: where it was handed out; None where only the casebook has it.
        stored: whether the casebook has it.
    """

    signed: Signed
    peaks: Sequence[bytes]
    file: HandedOut | None
    stored: bool

    @property
    def checkpoint(self) -> Checkpoint:
        """The checkpoint itself."""
        return self.signed.checkpoint


@dataclass(slots=True)
class Lineage:
    """What came of putting checkpoints together.

    Args:
        links: those that the ledger must agree with, by number.
        faults: what does not fit together.
        notes: what somebody should know who reads the verdict.
    """

    links: list[Link] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def put_together(
    stored: Iterable[tuple[Signed, Sequence[bytes]] | BadCheckpoint], files: Sequence[HandedOut]
) -> Lineage:
    """Put checkpoints together: those of the casebook in order, each checked or why it is none, and those of files.

    One that was handed out and is not in the casebook is a fault, unless an epoch that began later replaced it.
    """
    found = Lineage()
    # By number and hash: of two of one number, the ledger cannot agree with both.
    kept: dict[tuple[int, str], Link] = {}
    expected = 1
    for one in stored:
        if isinstance(one, BadCheckpoint):
            found.faults.append(Fault("", 0, "changed", f"in the casebook: {one}"))
            expected += 1
            continue
        signed, peaks = one
        number = signed.checkpoint.number
        if number > expected:
            found.faults.append(Fault("", 0, "removed", f"checkpoint {expected} is not in the casebook"))
        kept[number, signed.hash] = Link(signed, peaks, None, True)
        expected = number + 1
    signed_ones = [link.checkpoint for link in kept.values()] + [file.signed.checkpoint for file in files]
    epochs = sorted({one.epoch for one in signed_ones if one.epoch.began_at}, key=lambda epoch: epoch.number)
    first = {number: link for (number, _), link in kept.items()}
    for file in files:
        _add(found, kept, first, epochs, file)
    found.links = [kept[key] for key in sorted(kept)]
    found.faults += _broken(found.links)
    return found


def _add(
    found: Lineage,
    kept: dict[tuple[int, str], Link],
    first: dict[int, Link],
    epochs: Sequence[Epoch],
    file: HandedOut,
) -> None:
    """Add a checkpoint that was handed out.

    Args:
        first: of each number the one that was found first.
        epochs: those that a recovery began.
    """
    own, key = file.signed.checkpoint, (file.signed.checkpoint.number, file.signed.hash)
    if (same := kept.get(key)) is not None:
        # A copy that has the events goes before one that lacks them, as a mail does.
        if same.file is None or not same.file.has_events():
            kept[key] = Link(file.signed, file.peaks, file, same.stored)
        return
    if (epoch := _replaced_by(own, epochs)) is not None:
        found.notes.append(
            f"checkpoint {own.number} of {own.at} was replaced: the recovery of {epoch.began_at} went on from "
            f"checkpoint {epoch.after}"
        )
        return
    there = first.get(own.number)
    if there is None:
        say = f"checkpoint {own.number} of {own.at}, which was handed out, is not in the casebook"
        found.faults.append(Fault("", 0, "removed", say))
    elif there.stored:
        say = f"the casebook holds another checkpoint {own.number} than the one of {own.at}, which was handed out"
        found.faults.append(Fault("", 0, "changed", say))
    else:
        say = f"two checkpoints {own.number} were handed out, of {there.checkpoint.at} and {own.at}"
        found.faults.append(Fault("", 0, "changed", say))
    kept[key] = Link(file.signed, file.peaks, file, False)
    first.setdefault(own.number, kept[key])


def _replaced_by(own: Checkpoint, epochs: Iterable[Epoch]) -> Epoch | None:
    """Return the epoch that replaced a checkpoint: a later one, which goes on from before it."""
    for epoch in epochs:
        if epoch.began_at is None or epoch.after >= own.number or epoch.number <= own.epoch.number:
            continue
        if datetime.fromisoformat(epoch.began_at) > datetime.fromisoformat(own.at):
            return epoch
    return None


def _broken(links: Sequence[Link]) -> Iterator[Fault]:
    """Find where checkpoints do not follow on each other."""
    for before, link in pairwise(links):
        last, own = before.checkpoint, link.checkpoint
        if own.ledger != last.ledger:
            yield Fault("", 0, "changed", f"checkpoint {own.number} is of another ledger than checkpoint {last.number}")
        elif own.number == last.number + 1 and (own.previous, own.since) != (before.signed.hash, last.position):
            yield Fault("", 0, "changed", f"checkpoint {own.number} does not follow on checkpoint {last.number}")
