"""Somebody who owns the database and knows how the ledger is made: after each forgery all hashes are right again."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import asyncpg

from activities.casebook.ledger import genesis, link
from cases.vocabulary.events import canonical
from tests.activities.ledger import behind_the_back

Events = list[dict[str, Any]]


async def rewrite(connection: asyncpg.Connection, case_id: str, change: Callable[[Events], object]) -> None:
    """Change the events of a case, number them anew, and compute every hash and the head of the case anew.

    An event keeps its place in the order of recording; one more comes right behind the last one.
    """
    rows = await connection.fetch("SELECT * FROM case_event WHERE case_id = $1 ORDER BY seq", case_id)
    events = [{**json.loads(row["body"]), "place": (row["tx"], row["position"])} for row in rows]
    texts = await connection.fetch("SELECT * FROM case_text WHERE case_id = $1", case_id)
    change(events)
    # In the order of the seqs, as the ledger has it.
    last_place = (rows[-1]["tx"], rows[-1]["position"])
    places = sorted(event.pop("place", (last_place[0], last_place[1] + 100_000)) for event in events)
    last = genesis(case_id).hash
    async with connection.transaction():
        await connection.execute("SET LOCAL session_replication_role = replica")
        for table in ("case_event", "case_text"):
            await connection.execute(f"DELETE FROM {table} WHERE case_id = $1", case_id)
        for seq, event in enumerate(events, 1):
            for text in texts:
                if text["seq"] == event["seq"] and isinstance(event["data"].get(text["field"]), dict):
                    await connection.execute(
                        "INSERT INTO case_text (case_id, seq, field, salt, text) VALUES ($1, $2, $3, $4, $5)",
                        case_id, seq, text["field"], text["salt"], text["text"],
                    )  # fmt: skip
            body, prev = canonical({**event, "seq": seq}), last
            last = link(prev, body)
            await connection.execute(
                "INSERT INTO case_event (case_id, seq, type, at, recorded_at, body, prev_hash, hash, tx, position) "
                "VALUES ($1, $2, $3, ($4::text)::timestamptz, ($5::text)::timestamptz, $6, $7, $8, $9, $10)",
                case_id, seq, event["type"], event["at"], event["recorded_at"], body, prev, last, *places[seq - 1],
            )  # fmt: skip
        await connection.execute(
            "UPDATE case_file SET head_seq = $2, head_hash = $3 WHERE case_id = $1", case_id, len(events), last
        )


async def remove(connection: asyncpg.Connection, case_id: str) -> None:
    """Remove a case as a whole, with its number: the later ones of its kind move up, and the counter with them."""
    number = await connection.fetchval("SELECT number FROM case_file WHERE case_id = $1", case_id)
    month, serial = number[:8], int(number[8:])
    tables = ("case_event", "case_file", "case_text", "case_request", "case_number_given", "case_search", "personal")
    await behind_the_back(
        connection,
        *(f"DELETE FROM {table} WHERE case_id = '{case_id}'" for table in tables),
        "DROP INDEX case_file_number",
        *(
            f"UPDATE {table} SET number = '{month}' || lpad((substr(number, 9)::int - 1)::text, 4, '0') "
            f"WHERE number > '{number}'"
            for table in ("case_file", "case_number_given")
        ),
        "CREATE UNIQUE INDEX case_file_number ON case_file (number, kind)",
        f"UPDATE case_number SET serial = serial - 1 WHERE serial >= {serial}",
        "DELETE FROM case_number WHERE serial = 0",
    )
