"""A case is its ledger: wherever the ledger may end, the events alone give what the case in memory knows."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from cases.case import Case
from cases.vocabulary.events import Event, texts_of
from cases.vocabulary.texts import put
from tests.core.test_properties import POLICIES, Story, Teller, stories

Known = tuple[dict[str, Any], datetime | None, tuple[object, ...]]


def known(case: Case) -> Known:
    """What a case knows of itself."""
    return case.view(), case.due(), case.owed()


def without_texts(event: Event) -> Event:
    """An event as a case that starts from its ledger reads it: of a free text it knows that there is one."""
    raw = event.as_json()
    told = json.loads(json.dumps(raw))
    texts = {path: "" for path, text in texts_of(told).items() if isinstance(text, str)}
    return Event.from_json({**told, "data": put(told["data"], texts)})


def watch(case: Case) -> Mapping[int, Known]:
    """Remember what the case knew whenever a step was complete, by how many events there were."""
    remembered: dict[int, Known] = {len(case.events): known(case)}
    end_step = case.end_step

    def watched() -> None:
        end_step()
        remembered[len(case.events)] = known(case)

    # Each step of this one case is looked at.
    monkey = pytest.MonkeyPatch()
    monkey.setattr(case, "end_step", watched)
    return remembered


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(stories())
def test_every_prefix_that_ends_a_step_gives_the_case_again(story: Story) -> None:
    teller = Teller(story)
    remembered = watch(teller.case)
    case = teller.play()
    case.end_step()

    ledger = list(map(without_texts, case.events))
    for length, then in remembered.items():
        again = type(case).replay(POLICIES[story.policy], ledger[:length])
        assert known(again) == then
    # Nothing else is a place where the ledger may end.
    assert {step for step in case.steps if step >= min(remembered)} <= set(remembered)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(stories())
def test_a_replayed_case_is_cut_where_it_was_complete(story: Story) -> None:
    case = Teller(story).play()
    case.end_step()

    again = type(case).replay(case.policy, case.events)

    if story.notices == "pending":
        # Later than the opening, whose own events may be of two instants.
        opening = case.steps[0]
        assert {step for step in again.steps if step > opening} <= set(case.steps)
