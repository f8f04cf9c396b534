"""Reads what the rules of each number left behind: ``rules-N`` beside this file.

``scenarios.jsonl.gz`` holds the events of every scenario, ``policy-*.json`` the policies that they pinned,
``histories`` the histories of real runs, ``ledgers.jsonl.gz`` the same cases as the casebook held them.
`tests.releases.make` writes the folder of the present rules.
"""

from __future__ import annotations

import gzip
import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from activities.casebook.ledger import Head, Row
from activities.casebook.texts import join, strip
from cases.policy.model import Policy
from cases.rules import RULES
from cases.vocabulary.events import Event

HERE = Path(__file__).parent
Json = dict[str, Any]


def folder_of(rules: int) -> Path:
    """Return the folder of the rules of a number."""
    return HERE / f"rules-{rules}"


PRESENT = folder_of(RULES)
# By number, the oldest first.
FOLDERS = dict(sorted((int(path.name.removeprefix("rules-")), path) for path in HERE.glob("rules-*")))


@dataclass(frozen=True)
class Ledger:
    """A case as a casebook held it.

    Args:
        policy: the document that it pinned.
        view: as the case file held it.
    """

    case_id: str
    kind: str
    policy: str
    view: Json
    head: Head
    rows: list[Row]

    def events(self) -> list[Event]:
        """Return the events as people see them, with their texts."""
        texts = [{name: text for name, (_, text) in (row.texts or {}).items() if text} for row in self.rows]
        joined = [join(row.body, text) for row, text in zip(self.rows, texts, strict=True)]
        return [Event.from_json(event) for event in joined]

    def events_without_texts(self) -> list[Event]:
        """Return the events as a run that starts from the ledger reads them."""
        return [Event.from_json(strip(row.body)) for row in self.rows]


def ledgers(folder: Path) -> dict[str, Ledger]:
    """Return the stored cases by the name of their history."""
    return {line["name"]: _ledger(line) for line in read_lines(folder / "ledgers.jsonl.gz")}


def scenario_events(folder: Path) -> dict[str, list[Json]]:
    """Return the events of the scenarios by the key of the case, refused commands among them (``seq`` null)."""
    found: dict[str, list[Json]] = defaultdict(list)
    for event in read_lines(folder / "scenarios.jsonl.gz"):
        found[event.pop("key")].append(event)
    return dict(found)


def policies(folder: Path) -> dict[str, Policy]:
    """Return the pinned policies by name."""
    found = [Policy.from_document(path.read_text("utf-8")) for path in sorted(folder.glob("policy-*.json"))]
    return {policy.name: policy for policy in found}


def read_lines(file: Path) -> list[Json]:
    """Return the objects of a compressed file of JSON lines."""
    with gzip.open(file, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def write_lines(file: Path, lines: Iterable[str]) -> None:
    """Write a compressed file of JSON lines; the same lines give the same bytes."""
    text = "".join(f"{line}\n" for line in lines)
    file.write_bytes(gzip.compress(text.encode(), mtime=0))


def _ledger(line: Json) -> Ledger:
    file = line["case_file"][0]
    texts: dict[int, dict[str, tuple[str | None, str | None]]] = defaultdict(dict)
    for one in line["case_text"]:
        salt = None if one["salt"] is None else _bytes(one["salt"]).hex()
        texts[one["seq"]][one["field"]] = (salt, one["text"])
    rows = [
        Row(
            row["seq"],
            row["type"],
            datetime.fromisoformat(row["at"]),
            datetime.fromisoformat(row["recorded_at"]),
            row["body"],
            _bytes(row["prev_hash"]),
            _bytes(row["hash"]),
            texts[row["seq"]],
        )
        for row in line["case_event"]
    ]
    head = Head(file["head_seq"], _bytes(file["head_hash"]))
    return Ledger(file["case_id"], file["kind"], line["policy"], file["view"], head, rows)


def _bytes(text: str) -> bytes:
    # PostgreSQL writes bytes as \x and their hex.
    return bytes.fromhex(text.removeprefix("\\x"))
