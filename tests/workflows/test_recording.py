"""How events are cut into calls to the casebook: only between steps, at least one step, no more than a call takes."""

from __future__ import annotations

from itertools import pairwise
from unittest.mock import patch

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cases.case import Case
from cases.vocabulary.events import canonical
from tests.core.support import CUSTOMER, complaint, do, pass_time
from tests.core.test_properties import Story, Teller, stories
from workflows.recording import MOST_BYTES, MOST_EVENTS, end_of_call, view_before


def cut(case: Case, first: int = 0) -> list[int]:
    """Return where the ledger ends after each call."""
    ends = [first]
    while ends[-1] < len(case.events):
        ends.append(end_of_call(case.events, case.steps, ends[-1]))
    return ends


def size(case: Case, first: int, last: int) -> int:
    """Return the bytes of some events as they are recorded."""
    return sum(len(canonical(event.as_json()).encode()) for event in case.events[first:last])


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(stories(), st.integers(1, 12), st.integers(200, 6000), st.data())
def test_events_are_cut_between_steps_into_calls_as_full_as_can_be(
    story: Story, most_events: int, most_bytes: int, data: st.DataObject
) -> None:
    case = Teller(story).play()
    steps = [*case.steps, len(case.events)]
    first = data.draw(st.sampled_from([0, *steps]))

    with patch.multiple("workflows.recording", MOST_EVENTS=most_events, MOST_BYTES=most_bytes):
        ends = cut(case, first)

    def fits(begin: int, end: int) -> bool:
        return end - begin <= most_events and size(case, begin, end) <= most_bytes

    assert ends[-1] == len(case.events)
    for begin, end in pairwise(ends):
        assert end in steps
        whole = [step for step in steps if begin < step]
        assert fits(begin, end) or end == whole[0]
        after = [step for step in whole if step > end]
        assert not after or not fits(begin, after[0])


def test_a_step_is_never_cut_however_many_events_it_has() -> None:
    case = complaint("03-10 09:00:00", now="03-10 09:00:00")
    pass_time(case, "03-10 09:05:00")
    [step] = [step for step in case.steps if step > case.steps[0]]

    with patch.multiple("workflows.recording", MOST_EVENTS=1, MOST_BYTES=1):
        assert cut(case) == [0, case.steps[0], step]
    assert case.steps[0] > 1 < step - case.steps[0]


def test_a_call_before_the_last_one_tells_of_a_case_that_is_open() -> None:
    case = complaint("03-10 09:00:00", now="03-10 09:00:00")
    do(case, "03-10 09:01:00", "withdraw", CUSTOMER, reason="found")
    view = case.view()
    assert view["status"] == "closed"
    assert view_before(view, []) == view
    assert view_before(view, case.events[-1:]) == {**view, "status": "open", "outcome": None, "closed_at": None}


def test_years_of_reminders_and_long_texts_go_in_many_calls_each_of_bounded_size() -> None:
    case = complaint("2023-03-10 09:00:00", now="2026-03-10 09:00:00")
    pass_time(case, "2026-03-10 09:00:00")
    for number in range(100):
        do(case, f"2026-03-11 09:{number // 60:02}:{number % 60:02}", "note", text="字" * 4000)

    ends = cut(case)

    assert len(ends) > 6
    for begin, end in pairwise(ends):
        assert end in (*case.steps, len(case.events))
        assert end - begin <= MOST_EVENTS
        assert size(case, begin, end) <= MOST_BYTES
