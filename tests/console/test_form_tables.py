"""Every form that ships: its table as text says the same, and an example of it comes to its end."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
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


@pytest.mark.parametrize("name", DEFAULT.form)
async def test_a_table_that_is_changed_and_saved_as_the_page_says_is_what_the_page_drew(
    name: str, tmp_path: Path
) -> None:
    step = DEFAULT.form[name].steps[0].name
    text = toml_of(name, DEFAULT).replace(f'name = "{step}"', 'name = "changed"')
    drawn = await POLICIES.beside(text)
    assert name in POLICIES.inherited("default")
    (tmp_path / "forms").mkdir()
    (tmp_path / "forms" / f"{name}.toml").write_text(text, "utf-8")
    head = f'extends = "default"\nname = "default"\nwithout = ["form.{name}"]\n'
    (tmp_path / "default.toml").write_text(head, "utf-8")
    own = Policies(tmp_path)
    assert own.load("default").document == drawn.document
    assert (await own.beside(text)).document == drawn.document
    assert name in own.inherited("default")


async def test_a_form_of_one_s_own_is_not_inherited(tmp_path: Path) -> None:
    text = toml_of("petition", DEFAULT).replace("form.petition", "form.plea")
    (tmp_path / "forms").mkdir()
    (tmp_path / "forms" / "plea.toml").write_text(text, "utf-8")
    (tmp_path / "default.toml").write_text('extends = "default"\nname = "default"\n', "utf-8")
    own = Policies(tmp_path)
    assert "plea" in own.load("default").form
    assert "plea" not in own.inherited("default")
    changed = text.replace("GM office", "Office", 1)
    drawn = await own.beside(changed)
    (tmp_path / "forms" / "plea.toml").write_text(changed, "utf-8")
    assert own.load("default").form["plea"] == drawn.form["plea"]


@pytest.mark.parametrize("filed", FILED)
@pytest.mark.parametrize("name", DEFAULT.form)
def test_an_example_that_is_signed_at_every_limit_comes_to_its_end(name: str, filed: str) -> None:
    form, table = cast("type[Form]", kind_of(name, DEFAULT)), DEFAULT.form[name]
    paper = Paper(name, DEFAULT, form, FormTranslations(translations()["en"], name, table))
    line = time_line(paper, datetime.fromisoformat(filed))
    assert (line.stopped, line.outcome) == (None, table.outcome)
    assert len(stages(paper)) == len(table.steps)
    assert [span.due for span in line.spans] == sorted(span.due for span in line.spans) or "whole" in table.clocks
