"""Scenario files: one case, its commands, and the events that must and must not occur."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

from pydantic import Field

from activities.policies.store import Policies
from cases.case import Case
from cases.registry import kind_of
from cases.vocabulary.commands import Command, read_command
from cases.vocabulary.events import EventName
from cases.vocabulary.facts import read_intake
from cases.vocabulary.refusals import Refused
from cases.vocabulary.values import Token
from starter.rehearsal.engine import Effects, Prepared, Step
from starter.rehearsal.files import BadInput, FileModel, Instant, find_policy, plain, read_toml


class ByField(FileModel):
    """Who sends a command."""

    id: Token
    role: Token
    person: Token | None = None


class StepTable(FileModel):
    """One ``[[step]]``: a command at an instant."""

    at: Instant
    command: str
    by: ByField
    fields: dict[str, Any] = Field(default={}, alias="with")


class Pattern(FileModel):
    """One ``[[expect]]`` or ``[[forbid]]``: an event's type, its instant, and a part of its data."""

    type: EventName
    at: Instant | None = None
    data: dict[str, Any] = Field(default={})


class ScenarioFile(FileModel):
    """The content of a scenario file."""

    kind: str
    key: str
    received_at: Instant
    policy: str = "default"
    until: Instant | None = None
    parent: str | None = None
    facts: dict[str, Any]
    steps: list[StepTable] = Field(default=[], alias="step")
    expect: list[Pattern] = Field(default=[])
    forbid: list[Pattern] = Field(default=[])
    effects: Effects = Effects()


@dataclass(frozen=True, slots=True)
class Scenario:
    """A scenario that was read and checked, ready to run."""

    path: Path
    case: Prepared
    expect: tuple[Pattern, ...]
    forbid: tuple[Pattern, ...]


def load_scenario(path: Path, policies: Policies, policy: str | None = None) -> Scenario:
    """Read a scenario file.

    Args:
        path: the TOML file.
        policies: the policies that are known by name.
        policy: a policy's name or path to use instead of the file's own.

    Raises:
        BadInput: naming the file, the key path, the value and what is allowed.
    """
    content = read_toml(path, ScenarioFile)
    _in_time_order(path, content)
    if policy is not None:
        pinned = find_policy(policy, Path(), policies)
    else:
        try:
            pinned = find_policy(content.policy, path.parent, policies)
        except BadInput as error:
            raise BadInput(f"{path}: {error}") from None
    intake = {
        "key": content.key,
        "received_at": content.received_at.isoformat(),
        "policy": pinned.name,
        "facts": plain(content.facts),
    }
    if content.parent is not None:
        intake["parent"] = content.parent
    steps = tuple(
        Step(step.at, step.command, step.by.id, step.by.role, plain(step.fields), step.by.person)
        for step in content.steps
    )
    try:
        kind = kind_of(content.kind, pinned)
        read_intake(kind.INTAKE, intake)
        for number, step in enumerate(steps, 1):
            check_command(kind, step.command, step.fields, f"step {number}")
    except Refused as refusal:
        raise BadInput(f"{path}: {refusal.message}") from None
    case = Prepared(content.kind, intake, content.received_at, pinned, steps, content.until, content.effects)
    return Scenario(path, case, tuple(content.expect), tuple(content.forbid))


def check_command(kind: type[Case], command: str, fields: Mapping[str, Any], where: str) -> None:
    """Check the name and the fields of a command before any case runs.

    Args:
        kind: of the case.
        command: the name of the command.
        fields: the command's own fields.
        where: the place in the file, for the error message.

    Raises:
        Refused: the command is invalid; the message names the place, the field, the value and what is allowed.
    """
    # A rehearsal checks no proof; one stands for a passkey that the rules ask for.
    shared = sorted((Command.model_fields.keys() - {"proof"}) & fields.keys())
    if shared:
        raise Refused("invalid", f"{where}.with: {', '.join(shared)} may not stand among a command's own fields")
    try:
        read_command(kind.COMMANDS, command, {**fields, "by": {"id": "check", "role": "check"}})
    except Refused as refusal:
        raise Refused(refusal.code, f"{where}: {refusal.message}") from None


def _in_time_order(path: Path, content: ScenarioFile) -> None:
    marks: list[tuple[str, datetime]] = [("received_at", content.received_at)]
    marks += [(f"step {number}.at", step.at) for number, step in enumerate(content.steps, 1)]
    if content.until is not None:
        marks.append(("until", content.until))
    for (before, earlier), (name, later) in pairwise(marks):
        if later < earlier:
            raise BadInput(
                f"{path}: {name} = {later.isoformat()} lies before {before} = {earlier.isoformat()};"
                " steps stand in the order of time"
            )
