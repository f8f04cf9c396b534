"""Every form that ships: its table as text says the same, and an example of it comes to its end."""

from __future__ import annotations

from datetime import datetime
from typing import cast

import pytest

from activities.policies.store import Policies
from cases.kinds.form import Form
from cases.registry import kind_of
from starter.console.papers.paper import Paper
from starter.console.papers.route import stages, time_line
from starter.console.papers.titles import FormTranslations
from starter.console.papers.written import toml_of
from starter.console.translations import translations

POLICIES = Policies()
DEFAULT = POLICIES.load("default")
# The last day of a month, on which months and weeks change, and a day before the longest holidays.
FILED = ("2026-08-31T10:00:00+08:00", "2026-09-30T23:30:00+08:00")


@pytest.mark.parametrize("name", DEFAULT.form)
async def test_the_table_that_a_page_begins_with_is_that_of_the_policy(name: str) -> None:
    tried = await POLICIES.beside(toml_of(name, DEFAULT))
    assert tried.form[name].model_dump() == DEFAULT.form[name].model_dump()
    assert list(tried.form[name].fields) == list(DEFAULT.form[name].fields)
    assert sorted(route.name for route in tried.notice) == sorted(route.name for route in DEFAULT.notice)


@pytest.mark.parametrize("filed", FILED)
@pytest.mark.parametrize("name", DEFAULT.form)
def test_an_example_that_is_signed_at_every_limit_comes_to_its_end(name: str, filed: str) -> None:
    form, table = cast("type[Form]", kind_of(name, DEFAULT)), DEFAULT.form[name]
    paper = Paper(name, DEFAULT, form, FormTranslations(translations()["en"], name, table))
    line = time_line(paper, datetime.fromisoformat(filed))
    assert (line.stopped, line.outcome) == (None, table.outcome)
    assert len(stages(paper)) == len(table.steps)
    assert [span.due for span in line.spans] == sorted(span.due for span in line.spans) or "whole" in table.clocks
