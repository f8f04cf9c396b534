"""The route of a form: which steps and roles there are for the fields as they stand (design of forms, S3-1.2.4)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from cases.kinds.form_fields import text_paths
from cases.mechanisms.route import Route, Step, StepName
from cases.policy.forms import BY_FIELD, FormTable, StepRule
from cases.policy.tables import Reminders, meets
from cases.vocabulary.commands import Sign
from cases.vocabulary.effects import Notice
from cases.vocabulary.events import SYSTEM, Actor, Event, with_references
from cases.vocabulary.refusals import Refused, shown

if TYPE_CHECKING:
    from cases.kinds.form import Form

# The notices that a form's own table asks for, beside the routes of the policy.
EFFECTIVE, SIGNED = "effective", "signed"


class FormRoute(Route):
    """The steps that a form's table names."""

    case: Form

    @property
    def table(self) -> FormTable:
        """The table of the form."""
        return self.case.rule

    def clause(self) -> str:
        """Return the clause of the form."""
        return self.table.clause

    def reminders(self) -> Reminders:
        """Return how who is late is reminded."""
        return self.table.reminders

    def plan(self) -> Sequence[Step]:
        """Return the steps that the fields ask for; those of whose roles none is asked are left out."""
        fields = self.case.fields
        steps = (self._step(rule, fields) for rule in self.table.steps if meets(fields, rule.when))
        return [step for step in steps if step.decision or step.roles]

    def _step(self, rule: StepRule, fields: Mapping[str, Any]) -> Step:
        who = rule.any_of or tuple(one.role for one in rule.roles if meets(fields, one.when))
        roles = self.named(who)
        asked = tuple(role for role in roles if not rule.superior or self._is_above(role)) or roles
        amount = fields.get(rule.decides) if rule.decides is not None else None
        return Step(
            name=rule.name,
            roles=roles,
            asked=asked,
            clock=f"step:{rule.name}",
            any_of=bool(rule.any_of),
            opinion=rule.act == "opinion",
            own=rule.own,
            refusable=rule.refusable,
            decision=rule.decides is not None,
            amount=None if amount is None else Decimal(amount),
        )

    def named(self, who: Iterable[str]) -> tuple[str, ...]:
        """Return the roles that are meant, each once: ``field:NAME`` is the one that the field meets."""
        fields = self.case.fields
        found = (fields.get(one.removeprefix(BY_FIELD)) if one.startswith(BY_FIELD) else one for one in who)
        return self.case.policy.expand(tuple(one for one in found if one is not None))

    def actors(self) -> frozenset[str]:
        """Return the roles of any step, also of those that are not asked in this case."""
        who = [*(one for rule in self.table.steps for one in rule.any_of)]
        who += [one.role for rule in self.table.steps for one in rule.roles]
        return frozenset(self.named(who))

    def filers(self) -> Iterable[Actor]:
        """Return who filed it: whom the form names, and who sent it."""
        yield self.case.filed_by
        sent = self.case.events[0].actor
        if sent != SYSTEM:
            yield sent

    def _is_above(self, role: str) -> bool:
        ladder = self.case.ladder
        return ladder.height(role) < 0 or ladder.height(role) > ladder.height(self.case.filed_by.role)

    def _may_sign(self, by: Actor, at: datetime) -> None:
        super()._may_sign(by, at)
        self._refuse_not_superior(by)

    def _may_send_back(self, by: Actor, at: datetime) -> None:
        super()._may_send_back(by, at)
        self._refuse_not_superior(by)

    def _may_refuse(self, by: Actor, at: datetime) -> None:
        super()._may_refuse(by, at)
        self._refuse_not_superior(by)

    def _refuse_not_superior(self, by: Actor) -> None:
        """Let nobody act in a superior's step who does not stand above who filed: not by a no either (S1-1.7)."""
        if self._rule(self._present().name).superior and not self._is_above(by.role):
            message = f"by.role = {by.role!r} does not stand above {self.case.filed_by.role}, who filed it"
            raise Refused("not_superior", message, self.clause())

    def _rule(self, name: StepName) -> StepRule:
        return self.table.step(str(name))

    # --- what steps fill --------------------------------------------------------------------------

    def check_signature(self, step: Step, command: Sign, by: Actor) -> dict[str, Any] | None:
        """Return the fields that a signature fills, which are all that the step needs and no others."""
        needed = self._rule(step.name).fills
        given: dict[str, Any] = command.model_dump(mode="json", exclude_none=True).get("fields") or {}
        for name in given:
            if name not in needed:
                message = (
                    f"fields: {shown(name)} is none that {step.name} fills; allowed: {', '.join(needed) or 'none'}"
                )
                raise Refused("unknown_field", message, self.clause())
        if missing := [name for name in needed if name not in given]:
            raise Refused("fields_missing", f"fields: {', '.join(missing)}: {step.name} fills them", self.clause())
        super().check_signature(step, command, by)
        return given

    def written(self, fields: Mapping[str, Any] | None) -> list[str] | None:
        """Return which of the filled fields are free texts."""
        return [f"fields.{path}" for path in text_paths(self.table, fields or {})] or None

    def filling(self) -> Iterator[Event]:
        """Yield the signatures that fill fields and are not void, in the order of the steps."""
        for step in self.asked:
            yield from (event for event in self.signed.get(step, {}).values() if event.data.get("fields"))

    def filled(self) -> dict[str, Any]:
        """Return the fields that were filled, with references in place of texts."""
        found: dict[str, Any] = {}
        for event in self.filling():
            found.update(with_references(event)["fields"])
        return found

    # --- how events change the state --------------------------------------------------------------

    def _sign(self, role: str, event: Event) -> None:
        super()._sign(role, event)
        step = self._present()
        if self._is_done(step) and (notify := self._rule(step.name).notify):
            notice = Notice(seq=event.seq, name=SIGNED, roles=self.named(notify), clause=self.clause())
            self.case.ask(notice)
