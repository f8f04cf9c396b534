"""The sample cases of ``examples/``: files named after a kind, like ``complaint-late-parcel.toml``.

``story.toml`` says what is done with them besides: how long ago each was received, and what people did since.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from pydantic import Field, TypeAdapter, ValidationError

from cases.policy.tables import Duration
from cases.registry import KINDS
from cases.vocabulary.refusals import invalid
from cases.vocabulary.values import Model, Role, Token
from starter.embedded import StackError

STORY = "story.toml"


class Step(Model):
    """What somebody did with a sample case; ``with`` are the command's fields."""

    by: Token
    role: Role
    command: Role
    with_: dict[str, Any] = Field(default_factory=dict, alias="with")

    def body(self, number: int) -> dict[str, Any]:
        """The command as it is sent; the same however often the start is repeated."""
        return {"by": {"id": self.by, "role": self.role}, "request_id": f"sample-{number}", **self.with_}


class Part(Model):
    """A sample case's part of the story."""

    ago: Duration = timedelta()
    step: tuple[Step, ...] = ()


@dataclass(frozen=True)
class Sample:
    """A sample case: what is filed, and what is done then."""

    kind: str
    intake: dict[str, Any]
    steps: tuple[Step, ...]

    @property
    def id(self) -> str:
        """The id of the case."""
        return f"{self.kind}:{self.intake['key']}"


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


def samples(folder: Path) -> Iterator[Sample]:
    """The samples as of now: their parcels were posted two days before, and what is reported became known a
    minute ago.

    Raises:
        StackError: the story is not as it must be.
    """
    now = datetime.now(UTC).replace(microsecond=0)
    story = _story(folder)
    for kind, path in _files(folder):
        text = path.read_text("utf-8")
        intake: dict[str, Any] = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
        part = story.get(path.stem, Part())
        if part.ago:
            intake["received_at"] = (now - part.ago).isoformat()
        if "shipment" in intake["facts"]:
            intake["facts"]["shipment"]["posted_on"] = (now - part.ago - timedelta(days=2)).date().isoformat()
        if "known_at" in intake["facts"]:
            intake["facts"]["known_at"] = (now - timedelta(minutes=1)).isoformat()
        yield Sample(kind, intake, part.step)


def _story(folder: Path) -> Mapping[str, Part]:
    file = folder / STORY
    if not file.is_file():
        return {}
    try:
        return TypeAdapter(dict[str, Part]).validate_python(tomllib.loads(file.read_text("utf-8")))
    except tomllib.TOMLDecodeError as error:
        raise StackError(f"{file}: not TOML: {error}") from None
    except ValidationError as error:
        raise StackError(invalid(error, str(file)).message) from None


def _files(folder: Path) -> Iterator[tuple[str, Path]]:
    for path in sorted(folder.glob("*")):
        kind = path.name.partition("-")[0]
        if path.suffix in (".toml", ".json") and kind in KINDS:
            yield kind, path
