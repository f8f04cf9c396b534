"""The proof of one case: a file that a stranger checks offline, with nothing of another case in it.

It holds the events as they were recorded, the way from the head of the case to the root of the tree of all cases, and
the signed checkpoint with that root. ``docs/verify_proof.py`` and ``docs/verify_proof.html`` check it.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

from activities.audit.checkpoint import BadCheckpoint, head_leaf, read_stored
from activities.audit.keys import Keys
from activities.audit.make import PREFETCH, Untrue
from activities.audit.merkle import inclusion_proof, root_of
from activities.casebook.ledger import chain, genesis
from activities.database.database import AUDIT_TIMEOUT, Database, statement
from cases.vocabulary.events import canonical
from cases.vocabulary.refusals import Refused

# What a file says that it is.
FORMAT = "caseladder case proof 1"
_LAST = statement(__package__, "checkpoint_last")
_HEADS = statement(__package__, "checkpoint_heads")
_ROWS = statement(__package__, "prove_rows")


async def prove(database: Database, keys: Keys, case_id: str, *, texts: bool = False) -> str:
    """Return the proof of a case as it was at the last checkpoint, as one line of canonical JSON.

    Args:
        keys: whose signatures are trusted.
        texts: whether what people wrote freely is in it, as far as it was not erased.

    Raises:
        Refused: ``no_checkpoint``: there is none yet, or none that has the case.
        Untrue: the case is not as it was signed.
        DatabaseAway: see `Database.connection`.
    """
    async with database.audit() as connection:
        row = await connection.fetchrow(_LAST, timedelta())
        if row["envelope"] is None:
            raise Refused("no_checkpoint", "there is no checkpoint yet: make one with `caseladder audit checkpoint`")
        try:
            signed = read_stored(row["envelope"], keys)
        except BadCheckpoint as error:
            raise Untrue(f"the last checkpoint in the casebook: {error}") from None
        own, leaves, place, found = signed.checkpoint, list[bytes](), 0, None
        async for head in connection.cursor(_HEADS, prefetch=PREFETCH, timeout=AUDIT_TIMEOUT):
            if head["case_id"] == case_id:
                place, found = len(leaves), head
            leaves.append(head_leaf(*head))
        if found is None:
            raise Refused("no_checkpoint", f"checkpoint {own.number} of {own.at} does not have the case {case_id}")
        # It hashes all leaves, while whoever else is served waits for nothing.
        way = await asyncio.to_thread(inclusion_proof, leaves, place)
        if root_of(leaves[place], place, len(leaves), way) != bytes.fromhex(own.cases_root):
            raise Untrue(f"the heads of the cases are not those that checkpoint {own.number} was signed over")
        rows = await connection.fetch(_ROWS, case_id, found["seq"], timeout=AUDIT_TIMEOUT)
    bodies = [row["body"] for row in rows]
    if len(bodies) != found["seq"] or chain(genesis(case_id).hash, bodies)[-1] != found["hash"]:
        raise Untrue(f"{case_id}: its events are not those that checkpoint {own.number} was signed over")
    proof: dict[str, Any] = {
        "format": FORMAT,
        "case": case_id,
        "number": found["number"],
        "events": bodies,
        "texts": [[seq, *text] for seq, row in enumerate(rows, 1) for text in row["texts"]] if texts else [],
        "index": place,
        "path": [other.hex() for other in way],
        "checkpoint": signed.envelope,
    }
    return canonical(proof) + "\n"
