"""Verifying everything: the chains, each case folded again, policies, personal facts, numbers, payees, looks.

What a checkpoint covers is not read again, unless all of it is asked for: of those cases only the heads are compared
with what was signed.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, timedelta
from hashlib import sha256

import asyncpg

from activities.audit.checkpoint import BadCheckpoint, Checkpoint, head_leaf, read_stored
from activities.audit.fold import differences
from activities.audit.keys import Keys
from activities.audit.make import PREFETCH
from activities.audit.merkle import Tree
from activities.casebook.audit import wrong_number
from activities.casebook.chains import Chain, Chains
from activities.casebook.ledger import UNREADABLE, Fault
from activities.database.database import AUDIT_TIMEOUT, Database, statement
from activities.messages import PayoutOrder
from activities.payouts.payees import fits, is_erased
from activities.senders.key_set import KeySet
from cases.policy.model import Policy
from cases.vocabulary.refusals import Refused

# Faults that are kept; there may be as many as rows.
MOST = 1000
# Seconds until a case that is not what its events make is looked at again: what was being recorded is no fault.
SECOND_LOOK = 2.0
# How long an event may wait for the casebook.
LATE = timedelta(days=1)
Progress = Callable[[int, int], object]


@dataclass(slots=True)
class Verified:
    """What came of verifying everything.

    Args:
        cases, events: how many were read.
        covered: the checkpoint whose cases were not read again; None where all were.
        looks: rows of the log of looks.
        proofs: of senders, whether they were checked or not.
        faults: what is not as it was recorded, at most `MOST`.
    """

    cases: int = 0
    events: int = 0
    covered: Checkpoint | None = None
    looks: int = 0
    proofs: int = 0
    faults: list[Fault] = field(default_factory=list)


class Everything:
    """Verifies a casebook. Raises what `Database.connection` does.

    Args:
        keys: whose checkpoints are believed; without keys everything is read.
        senders: by which proofs of senders are checked; without it they are not.
        second_look: seconds.
        order: of money, which each case that is read has to owe.
    """

    _LAST = statement(__package__, "checkpoint_last")
    _HEADS = statement(__package__, "checkpoint_heads")
    _COVERED = statement(__package__, "everything_covered")
    _ORPHANS = statement(__package__, "everything_orphans")
    _POLICIES = statement(__package__, "everything_policies")
    _PAYEES = statement(__package__, "everything_payees")
    _LOOKS = statement(__package__, "everything_looks")
    _LATE = statement(__package__, "everything_late")

    def __init__(
        self,
        database: Database,
        keys: Keys | None = None,
        second_look: float = SECOND_LOOK,
        senders: KeySet | None = None,
        order: PayoutOrder | None = None,
    ) -> None:
        self._database, self._keys, self._second_look, self._senders = database, keys, second_look, senders
        self._order = order

    async def verify(
        self, case_id: str | None = None, *, full: bool = False, progress: Progress = lambda cases, events: None
    ) -> Verified:
        """Verify everything, from one state of the database.

        Args:
            case_id: only this case.
            full: read also what the last checkpoint covers.
            progress: is told how many cases and events were read.
        """
        done, doubtful = Verified(), dict[str, list[Fault]]()
        async with self._database.audit() as connection:
            if not full and case_id is None:
                done.covered = await self._covered(connection, done)
            policies = await self._policies(connection, done)
            chains = Chains(connection)
            grown = done.covered is not None
            cases = chains.each(lambda chain: self._look(chain, policies), case_id, grown=grown, derived=True)
            async for chain, (whole, differing) in cases:
                done.cases, done.events = done.cases + 1, done.events + chain.count
                done.proofs += 0 if chain.derived is None else len(chain.derived["sent"] or ())
                if not whole and (fault := await chains.fault(chain)) is not None:
                    done.faults.append(fault)
                elif differing:
                    doubtful[chain.case_id] = differing
                if len(done.faults) + len(doubtful) >= MOST:
                    break
                if done.cases % 50 == 0:
                    progress(done.cases, done.events)
            await self._payees(connection, case_id, done)
            await self._late(connection, case_id, done)
            if case_id is None:
                await self._beside(connection, done)
        progress(done.cases, done.events)
        done.faults += await self._again(doubtful, policies)
        del done.faults[MOST:]
        return done

    async def _beside(self, connection: asyncpg.Connection, done: Verified) -> None:
        """Check what belongs to no case, or to none that there is."""
        if (fault := await wrong_number(connection)) is not None:
            done.faults.append(fault)
        await self._looks(connection, done)
        for row in await connection.fetch(self._ORPHANS, timeout=AUDIT_TIMEOUT):
            done.faults.append(Fault(row["case_id"], 0, "inserted", f"there are {row['what']} of a case that is none"))

    async def _covered(self, connection: asyncpg.Connection, done: Verified) -> Checkpoint | None:
        """Return the last checkpoint, if its cases need not be read again; compare their heads with it."""
        row = await connection.fetchrow(self._LAST, timedelta())
        if self._keys is None or row["envelope"] is None:
            return None
        try:
            own = read_stored(row["envelope"], self._keys).checkpoint
        except BadCheckpoint as error:
            done.faults.append(Fault("", 0, "changed", f"the last checkpoint in the casebook: {error}"))
            return None
        tree = Tree()
        async for head in connection.cursor(self._HEADS, prefetch=PREFETCH, timeout=AUDIT_TIMEOUT):
            tree.append(head_leaf(*head))
        if tree.root().hex() != own.cases_root:
            wrong = f"the heads of the cases are not those that checkpoint {own.number} was signed over"
            done.faults.append(Fault("", 0, "changed", wrong))
            return None
        for row in await connection.fetch(self._COVERED, timeout=AUDIT_TIMEOUT):
            done.faults.append(_behind(row, own))
        return own

    async def _policies(self, connection: asyncpg.Connection, done: Verified) -> Callable[[str], Policy | None]:
        """Check the documents of all policies; return how those that are whole are found."""
        found: dict[str, Policy] = {}
        for row in await connection.fetch(self._POLICIES, timeout=AUDIT_TIMEOUT):
            if sha256((row["document"] or "").encode()).hexdigest() != row["hash"]:
                done.faults.append(Fault("", 0, "changed", f"the policy {row['hash']} has another text"))
                continue
            try:
                policy = found[row["hash"]] = Policy.from_document(row["document"])
                if policy.name != row["name"]:
                    done.faults.append(Fault("", 0, "changed", f"the policy {row['hash']} has another name"))
            except Refused as refusal:
                done.faults.append(Fault("", 0, "changed", f"the policy {row['hash']}: {refusal.message}"))
        return found.get

    async def _payees(self, connection: asyncpg.Connection, case_id: str | None, done: Verified) -> None:
        """Check that each token of a payee still stands for whom it was given for; no name is told, the token is."""
        async for row in connection.cursor(self._PAYEES, case_id, prefetch=PREFETCH, timeout=AUDIT_TIMEOUT):
            if not is_erased(row) and not fits(row):
                wrong = f"the payee {row['token']} is not the one that this token was given for"
            elif is_erased(row) != row["told"]:
                how = "is there, and its case was erased" if row["told"] else "was erased, and its case was not"
                wrong = f"the payee {row['token']} {how}"
            else:
                continue
            done.faults.append(Fault(row["case_id"], 0, "changed", wrong))

    async def _late(self, connection: asyncpg.Connection, case_id: str | None, done: Verified) -> None:
        """Find what was written when everything had to be signed, and says that it is of before."""
        since = None if self._senders is None else self._senders.signed_since
        if since is None:
            return
        rows = await connection.fetch(self._LATE, since, since + LATE, case_id, timeout=AUDIT_TIMEOUT)
        for row in rows:
            wrong = "it says that it is of before everything was signed, and was written later"
            done.faults.append(Fault(row["case_id"], row["seq"], "inserted", wrong))

    async def _looks(self, connection: asyncpg.Connection, done: Verified) -> None:
        """Check the chain of the log of looks; the first bad row is named."""
        try:
            await self._chain_of_looks(connection, done)
        except UNREADABLE as error:
            wrong = f"the log of looks cannot be read behind its first {done.looks} rows ({type(error).__name__})"
            done.faults.append(Fault("", 0, "changed", wrong))

    async def _chain_of_looks(self, connection: asyncpg.Connection, done: Verified) -> None:
        last = b""
        async for row in connection.cursor(self._LOOKS, prefetch=PREFETCH, timeout=AUDIT_TIMEOUT):
            done.looks += 1
            at = row["at"].astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
            content = [row["id"], row["case_id"], row["caller"], row["role"], row["masked"], at]
            last = sha256(last + json.dumps(content, ensure_ascii=False).encode()).digest()
            if last != row["hash"]:
                wrong = f"the look {row['id']} at personal data, or the one before it, is not the one that was recorded"
                done.faults.append(Fault(row["case_id"], 0, "changed", wrong))
                return

    async def _again(self, doubtful: dict[str, list[Fault]], policies: Callable[[str], Policy | None]) -> list[Fault]:
        """Look once more at cases that are not what their events make, and return what is still so."""
        if not doubtful:
            return []
        await asyncio.sleep(self._second_look)
        faults: list[Fault] = []
        async with self._database.audit() as connection:
            for case_id, before in doubtful.items():
                chains = Chains(connection)
                looks = chains.each(lambda one: self._look(one, policies), case_id, derived=True)
                async for chain, (whole, now) in looks:
                    if not whole and (fault := await chains.fault(chain)) is not None:
                        faults.append(fault)
                    else:
                        faults += [fault for fault in now if fault in before]
        return faults

    def _look(self, chain: Chain, policies: Callable[[str], Policy | None]) -> tuple[bool, list[Fault]]:
        """Return whether the chain of a case is whole, and where what is derived from it is not what it makes."""
        whole = chain.is_whole()
        return whole, list(differences(chain, policies, self._senders, self._order)) if whole else []


def _behind(row: asyncpg.Record, own: Checkpoint) -> Fault:
    case_id, seq = row["case_id"], row["seq"]
    if row["number_now"] is None:
        return Fault(case_id, 1, "removed", f"the case with the number {row['number']} is gone as a whole")
    if row["number_now"] != row["number"]:
        wrong = f"it was given the number {row['number']}, it has {row['number_now']} now"
        return Fault(case_id, 1, "renumbered", wrong)
    if row["head_seq"] < seq:
        return Fault(case_id, row["head_seq"] + 1, "removed", f"checkpoint {own.number} has it up to seq {seq}")
    return Fault(case_id, seq, "changed", f"it is another case up to here than checkpoint {own.number} has")
