"""The sample cases of ``examples/``, in files named after a kind or a form, like ``complaint-late-parcel.toml``.

``story.toml`` says of each how long ago it was received, and which commands were sent to it since. It may have one go
by a policy of the folder ``policies`` beside it.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from pydantic import Field, TypeAdapter, ValidationError

from activities.policies.store import Policies
from cases.policy.tables import Duration
from cases.registry import KINDS
from cases.vocabulary.refusals import invalid
from cases.vocabulary.values import Model, Role, Token
from starter.client import DEFAULT_POLICY
from starter.embedded import StackError

STORY = "story.toml"
# The policies of the samples, beside the built-in ones.
POLICIES = "policies"


class Step(Model):
    """A command that is sent to a sample case; ``with`` are its fields."""

    by: Token
    role: Role
    command: Role
    with_: dict[str, Any] = Field(default_factory=dict, alias="with")

    def body(self, number: int) -> dict[str, Any]:
        """Return the command's body, which is the same at each start, so that the command is carried out once."""
        return {"by": {"id": self.by, "role": self.role}, "request_id": f"sample-{number}", **self.with_}


class History(Model):
    """What ``story.toml`` says of one sample case; ``ahead`` are fields of a form that lie so long after now."""

    policy: Token | None = None
    ago: Duration = timedelta()
    ahead: dict[str, Duration] = Field(default_factory=dict)
    step: tuple[Step, ...] = ()


@dataclass(frozen=True)
class Sample:
    """A sample case: its intake, and the commands that are sent to it then."""

    kind: str
    intake: dict[str, Any]
    steps: tuple[Step, ...]

    @property
    def id(self) -> str:
        """The id of the case."""
        return f"{self.kind}:{self.intake['key']}"


def find_examples() -> Path:
    """Find the folder ``examples`` in the current folder, or else the one that comes with the program.

    Raises:
        StackError: neither contains a sample.
    """
    here, own = Path("examples"), Path(__file__).parents[1] / "examples"
    for folder in (here, own):
        if any(_files(folder, KINDS)):
            return folder
    raise StackError(f"no sample cases: neither {here.resolve()} nor {own} has files like complaint-NAME.toml")


def samples(folder: Path, policies: Policies) -> Iterator[Sample]:
    """Yield the samples with times that are set relative to now.

    A parcel was posted two days before its case was received, and an exception became known a minute ago. A form that
    is not declared is passed over, and so is the policy of a sample that is not at hand.

    Args:
        folder: where they are; see `find_examples`.

    Raises:
        StackError: ``story.toml`` is invalid.
        Refused: code ``bad_policy``: the default policy cannot be read.
    """
    now = datetime.now(UTC).replace(microsecond=0)
    histories = _histories(folder)
    known = policies.names()
    for kind, path in _files(folder, {*KINDS, *policies.load(DEFAULT_POLICY).form}):
        text = path.read_text("utf-8")
        intake: dict[str, Any] = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
        history = histories.get(path.stem, History())
        if history.policy in known:
            intake["policy"] = history.policy
        if history.ago:
            intake["received_at"] = (now - history.ago).isoformat()
        if "shipment" in intake["facts"]:
            intake["facts"]["shipment"]["posted_on"] = (now - history.ago - timedelta(days=2)).date().isoformat()
        if "known_at" in intake["facts"]:
            intake["facts"]["known_at"] = (now - timedelta(minutes=1)).isoformat()
        for name, span in history.ahead.items():
            intake["facts"]["fields"][name] = (now + span).isoformat()
        yield Sample(kind, intake, history.step)


def _histories(folder: Path) -> Mapping[str, History]:
    file = folder / STORY
    if not file.is_file():
        return {}
    try:
        return TypeAdapter(dict[str, History]).validate_python(tomllib.loads(file.read_text("utf-8")))
    except tomllib.TOMLDecodeError as error:
        raise StackError(f"{file}: not TOML: {error}") from None
    except ValidationError as error:
        raise StackError(invalid(error, str(file)).message) from None


def _files(folder: Path, kinds: Collection[str]) -> Iterator[tuple[str, Path]]:
    for path in sorted(folder.glob("*")):
        kind = path.name.partition("-")[0]
        if path.suffix in (".toml", ".json") and kind in kinds:
            yield kind, path
