"""The words of a language with those that a form brings along: its title, its steps, fields and choices."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cases.policy.forms import FieldRule, FormTable, StepRule, titles_of
from cases.vocabulary.commands import Withdraw
from cases.vocabulary.lifecycle import Withdrawn
from starter.console.translations import PageTranslations

# The clock of a step is ``step:NAME``.
STEP = "step"


class FormTranslations(PageTranslations):
    """The words of a language, in which a form is called as its table says.

    Args:
        words: of the language.
        name: of the form.
    """

    def __init__(self, words: PageTranslations, name: str, table: FormTable) -> None:
        language = words.language
        steps = {rule.name: rule.titles[language] for rule in table.steps}
        fields = {field: titles_of(rule.title, field)[language] for field, rule in _all(table.fields)}
        own: Mapping[str, Mapping[str, str]] = {
            "kind": {name: table.titles(name)[language]},
            "subject": steps,
            STEP: steps,
            "fact": fields,
            "field": {f"fields.{field}": title for field, title in fields.items()},
            # Who takes a form back drops no complaint.
            "command": {Withdraw.NAME: words.say("paper.withdraw")},
            "event": {Withdrawn.TYPE: words.say("paper.withdrawn")},
            "outcome": {Withdrawn.TYPE: words.say("paper.withdrawn")},
        }
        merged = {section: {**words.sections.get(section, {}), **terms} for section, terms in own.items()}
        super().__init__(language, {**words.sections, **merged})
        self.table = table

    def word(self, section: str, term: Any) -> str:
        """Return the word for a term, of a step's clock by the title of the step."""
        base, _, step = str(term).partition(":")
        if section == "clock" and base == STEP and step:
            return self.word(STEP, step)
        return super().word(section, term)

    def choice(self, rule: FieldRule, value: str) -> str:
        """Return what a value of a choice is called."""
        return titles_of(rule.labels.get(value), value)[self.language]

    def title(self, rule: StepRule | FieldRule, name: str) -> str:
        """Return what a step, a field or a column is called."""
        return titles_of(rule.title, name)[self.language]


def _all(fields: Mapping[str, FieldRule]) -> list[tuple[str, FieldRule]]:
    """Return fields and the columns of rows; a field goes before a column of the same name."""
    columns = [item for rule in fields.values() for item in rule.columns.items()]
    return [*columns, *fields.items()]
