"""The sample cases, without a server: which are given, and their times."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from activities.policies.store import Policies
from cases.registry import kind_of
from cases.vocabulary.facts import read_intake
from starter.examples import POLICIES, samples
from tests.cli.program import ROOT

EXAMPLES = ROOT / "examples"
PLAIN = 'name = "default"\nextends = "default"\nwithout = ["form.leave"]\n'


def test_each_sample_is_an_intake_of_its_kind() -> None:
    policies = Policies(EXAMPLES / POLICIES)
    given = {sample.id: sample for sample in samples(EXAMPLES, policies)}
    assert len(given) == len(list(EXAMPLES.glob("*-*.*")))
    for sample in given.values():
        policy = policies.load(sample.intake.get("policy", "default"))
        assert read_intake(kind_of(sample.kind, policy).INTAKE, sample.intake).key == sample.intake["key"]
    fields = given["leave:sample-sick-child"].intake["facts"]["fields"]
    leaves, back = (datetime.fromisoformat(fields[name]) for name in ("from", "to"))
    assert timedelta(hours=23) < leaves - datetime.now(UTC) <= timedelta(days=1)
    assert back - leaves == timedelta(days=2)


def test_a_form_or_a_policy_that_is_not_at_hand_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "default.toml").write_text(PLAIN, "utf-8")
    every = {sample.id: sample for sample in samples(EXAMPLES, Policies(EXAMPLES / POLICIES))}
    left = {sample.id: sample for sample in samples(EXAMPLES, Policies(tmp_path))}
    assert every.keys() - left.keys() == {"leave:sample-sick-child"}
    quality = "quality:sample-peeling-coat"
    assert (every[quality].intake["policy"], left[quality].intake.get("policy")) == ("hurried", None)
