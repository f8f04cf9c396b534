"""The events of a scenario under the policy that the present rules pinned."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from activities.policies.store import Policies
from cases.policy.model import Policy
from cases.vocabulary.events import canonical
from starter.rehearsal.core_engine import run_case
from starter.rehearsal.engine import Prepared, entry_json
from starter.rehearsal.scenario import load_scenario
from tests.releases.stored import PRESENT

FILES = {path.stem: path for path in (Path(__file__).parents[1] / "scenarios").glob("*.toml")}


def prepared(name: str) -> Prepared:
    """Return a scenario's case under the stored policy: a number in a policy's file may change without a rule."""
    case = load_scenario(FILES[name], Policies()).case
    pinned = PRESENT / f"policy-{case.policy.name}.json"
    return replace(case, policy=Policy.from_document(pinned.read_text("utf-8"))) if pinned.exists() else case


def emitted(name: str) -> list[str]:
    """Return the events of a scenario as canonical JSON, with the key of its case."""
    case = prepared(name)
    return [canonical({**entry_json(event), "key": case.key}) for event in run_case(case)]
