"""The sample cases of ``examples/``: files named after a kind, like ``complaint-late-parcel.toml``."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cases.kinds import KINDS
from starter.embedded import StackError


def find_examples() -> Path:
    """The folder ``examples`` here, or the one that came with this program.

    Raises:
        StackError: neither holds a sample.
    """
    here, own = Path("examples"), Path(__file__).parents[1] / "examples"
    for folder in (here, own):
        if any(_files(folder)):
            return folder
    raise StackError(f"no sample cases: neither {here.resolve()} nor {own} has files like complaint-NAME.toml")


def samples(folder: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Kind and intake of each sample. They live now, so their parcels were posted two days ago, and what
    is reported became known a minute ago."""
    now = datetime.now(UTC).replace(microsecond=0)
    posted, known = (now - timedelta(days=2)).date().isoformat(), (now - timedelta(minutes=1)).isoformat()
    for kind, path in _files(folder):
        text = path.read_text("utf-8")
        intake: dict[str, Any] = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
        if "shipment" in intake["facts"]:
            intake["facts"]["shipment"]["posted_on"] = posted
        if "known_at" in intake["facts"]:
            intake["facts"]["known_at"] = known
        yield kind, intake


def _files(folder: Path) -> Iterator[tuple[str, Path]]:
    for path in sorted(folder.glob("*")):
        kind = path.name.partition("-")[0]
        if path.suffix in (".toml", ".json") and kind in KINDS:
            yield kind, path
