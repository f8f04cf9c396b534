"""Writes the folder of the present rules (`tests.releases.stored`): ``python -m tests.releases.make [PART...]``.

The parts are ``policies``, ``scenarios`` and ``cases`` (histories and ledgers); without any, all are made. Policies
that are there stay, since cases are pinned to them. The folder of earlier rules is never written again.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from typing import Any

from pydantic import BaseModel

from activities.policies.store import Policies
from cases.policy import model
from cases.policy.model import Policy
from cases.rules import REASONS, RULES
from cases.vocabulary.events import canonical
from cases.vocabulary.refusals import Refused
from starter.rehearsal.scenario import load_scenario
from tests.releases.scenarios import FILES, emitted
from tests.releases.stored import FOLDERS, PRESENT, write_lines
from tests.workflows import make_histories


def make_policies() -> None:
    """Store the policies of cases, and one that says only what a policy must say, with what is read in it."""
    default = Policies().load("default")
    pinned = [Policies().load(name) for name in Policies().names()]
    pinned += [load_scenario(path, Policies()).case.policy for path in FILES.values()]
    made = {f"policy-{policy.name}.json": policy.document for policy in pinned}
    made["policy-least.json"] = document = least(default)
    made["least-as-read.json"] = canonical(Policy.from_document(document).model_dump(mode="json", exclude={"document"}))
    for name, text in made.items():
        if not (PRESENT / name).exists():
            (PRESENT / name).write_text(text, "utf-8")


def least(policy: Policy) -> str:
    """Return the document of a policy without what its tables need not say."""
    content = json.loads(policy.document)

    def prune(node: Any, read: Any) -> None:
        if isinstance(read, BaseModel):
            for name, field in type(read).model_fields.items():
                if name not in node:
                    continue
                said = node[name]
                if not field.is_required() and node is not content:
                    del node[name]
                    if _is_policy(content):
                        continue
                    node[name] = said
                prune(said, getattr(read, name))
        elif isinstance(node, dict):
            for key, item in node.items():
                prune(item, read[key])
        elif isinstance(node, list):
            for item, one in zip(node, read, strict=True):
                prune(item, one)

    prune(content, policy)
    return canonical({**content, "name": "least"})


def _is_policy(content: dict[str, Any]) -> bool:
    """Whether a file may say this."""
    try:
        model._read(canonical(content), model._declared())
    except Refused:
        return False
    return True


def make_scenarios() -> None:
    """Store the events of all scenarios."""
    write_lines(PRESENT / "scenarios.jsonl.gz", chain.from_iterable(emitted(name) for name in sorted(FILES)))


def make_cases() -> None:
    """Store the histories and the ledgers of all lives."""
    asyncio.run(make_histories.main([]))


# In this order: scenarios run under the policies.
PARTS: Mapping[str, Callable[[], None]] = {
    "policies": make_policies,
    "scenarios": make_scenarios,
    "cases": make_cases,
}


def refusal(rules: int, folders: Sequence[int]) -> str | None:
    """Say why the folder of these rules must not be written; None when it may."""
    if rules < max(folders, default=rules):
        return f"rules-{max(folders)} is there: what rules {rules} made is never made anew"
    if rules not in REASONS:
        return f"RULES is {rules}: say why in REASONS (cases/rules.py)"
    return None


def main(wanted: Sequence[str]) -> None:
    """Make the parts that are named, or all."""
    refused = refusal(RULES, [*FOLDERS])
    unknown = [part for part in wanted if part not in PARTS]
    if refused or unknown:
        sys.exit(refused or f"{unknown[0]!r} is no part; allowed: {', '.join(PARTS)}")
    PRESENT.mkdir(exist_ok=True)
    for part, make in PARTS.items():
        if part in wanted or not wanted:
            make()


if __name__ == "__main__":
    main(sys.argv[1:])
