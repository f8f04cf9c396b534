"""A form 表单: what somebody fills in, and others sign step by step, as its policy declares it (S3-1.2.4, S1-1.7).

A company adds one by a table ``[form.NAME]``, without code. What all of them have in common is `Form`; `form_named`
makes of a policy's table the kind that its cases are of.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any, ClassVar

from pydantic import Field

from cases.case import OTHERS, Case, by_name
from cases.directory import OUTSIDE
from cases.kinds.form_example import example_of
from cases.kinds.form_fields import AnyFormIntake, FormFacts, begin_of, check_fields, computed, form_intake, signing
from cases.kinds.form_route import EFFECTIVE, FormRoute
from cases.mechanisms.approvals import Approval
from cases.mechanisms.notices import CopiesIssued, IssuedCopy
from cases.mechanisms.route import FormRefused, SendBack
from cases.policy.forms import BY_FIELD, FormTable
from cases.policy.model import Policy
from cases.vocabulary import commands
from cases.vocabulary import lifecycle as life
from cases.vocabulary.commands import Command, Refuse, Sign
from cases.vocabulary.effects import RECORD_ABSENCE, ActivityCall, Notice
from cases.vocabulary.events import Actor, Event, EventData, known_or_reference, reference, with_references
from cases.vocabulary.facts import Intake
from cases.vocabulary.parcels import EarlierClaims
from cases.vocabulary.refusals import Refused
from cases.vocabulary.texts import Said, put
from cases.vocabulary.values import FreeText, Text
from cases.vocabulary.views import CaseView, ViewModel, Waiting

WORKFLOW = "Form"


class GrantEarly(Command):
    """Let a form take effect before its papers are complete (S3-1.2.4)."""

    NAME = "grant_early"
    EXAMPLE: ClassVar[Mapping[str, Any]] = {"reason": "the goods arrive tonight"}
    reason: Text


class TookEffect(EventData):
    """What the form is about holds from now on; ``early`` where its papers are still to follow."""

    TYPE: ClassVar[str] = "took_effect"
    early: bool
    reason: FreeText | None = None


class FormCompleted(EventData):
    """Everybody has signed; ``fields`` are those that were computed or filled on the way."""

    TYPE: ClassVar[str] = "form_completed"
    outcome: str
    fields: dict[str, Any]
    written: list[str] | None = None


class AbsenceRecorded(EventData):
    """The directory of staff knows that these people are away; ``unknown`` are those whom it does not have."""

    TYPE: ClassVar[str] = "absence_recorded"
    people: list[str]
    from_: str = Field(alias="from")
    to: str
    unknown: list[str] | None = None


class StepSigned(ViewModel):
    """Who signed or decided a step, and what they wrote."""

    step: str
    role: str
    id: str
    text: Said


class FormView(CaseView):
    """A form: whose turn it is, who has signed, whether it is in effect, and its fields."""

    title: str | None
    step: str | None
    step_titles: dict[str, str]
    turn: list[str]
    signed: list[StepSigned]
    effective: bool
    fields: dict[str, Any]


class Form(Case):
    """A paper that moves by itself from desk to desk, as its policy declares it.

    Whoever is late is reminded, and the ladder hears of it. It takes effect with the last signature, or earlier where
    the form says who may grant that.
    """

    WORKFLOW = WORKFLOW
    KIND = ""
    INTAKE = AnyFormIntake
    EXAMPLE: ClassVar[Mapping[str, Any]] = {
        "key": "F-1", "facts": {"filed_by": {"id": "agent-7", "role": "agent"}, "fields": {}},
    }  # fmt: skip
    TABLE = FormTable
    COMMANDS = by_name(
        commands.Acknowledge, commands.Assign, commands.Escalate, commands.Note, commands.Attach,
        commands.LoadCalendar, commands.Resend, commands.Withdraw, commands.Reopen, commands.Approve, commands.Reject,
        Sign, SendBack, Refuse, GrantEarly,
    )  # fmt: skip
    VIEW = FormView
    PARTS = {**Case.PARTS, "route": FormRoute}
    CLIMBS = False
    FILED = True
    CUSTOMERS = False
    SEEN_BY = frozenset({OTHERS})
    # Which policy declares it, who files it, and the fields that name a role that acts or gets a copy.
    DECLARED_BY: ClassVar[Policy]
    FILES: ClassVar[frozenset[str]] = frozenset()
    NAMES_ROLE: ClassVar[frozenset[str]] = frozenset()
    ABOUT = ""
    MONEY = {}
    AFTER_RESOLVED = Case.AFTER_RESOLVED - {"withdraw"}

    rule: FormTable
    route: FormRoute

    def __init__(self, policy: Policy) -> None:
        self.base_fields: dict[str, Any] = {}
        self.effective = False
        # Whether everybody has signed; what follows may still be under way.
        self.complete = False
        # Whether the copies went out: once, however often it is reopened.
        self.copied = False
        super().__init__(policy)

    @property
    def fields(self) -> dict[str, Any]:
        """The fields as they stand: what was filed, what is computed of it, what steps have filled."""
        return {**self.base_fields, **self.route.filled()}

    @property
    def filed_by(self) -> Actor:
        """Who filed it."""
        return Actor(**self.facts["filed_by"])

    def fact(self, name: str) -> Any:
        """Return a field of the form."""
        return self.fields.get(name)

    # --- opening ----------------------------------------------------------------------------------

    def _admit(self, intake: Intake, received: datetime) -> None:
        assert isinstance(intake.facts, FormFacts)
        role = intake.facts.filed_by.role
        allowed = self.policy.expand(self.rule.files)
        if role not in allowed:
            message = f"facts.filed_by.role = {role!r} may not file {self.KIND}; allowed: {', '.join(allowed)}"
            raise Refused("role", message, self.rule.clause)
        # Systems file for whom they name, and people for themselves: what a person signs is in no other name.
        by = intake.by
        if by is not None and by.role not in OUTSIDE and (by.id, by.role) != (intake.facts.filed_by.id, role):
            message = f"facts.filed_by: who files it is who sends it, here {by.id!r} as {by.role!r}"
            raise Refused("not_you", message, self.rule.clause)
        fields = intake.facts.fields.model_dump(mode="json", exclude_none=True)
        check_fields(self.rule, fields, received, self.policy, intake.key)

    def _start_clocks(self, at: datetime) -> None:
        if "whole" in self.rule.clocks:
            self.clocks.start("whole", at)
        self.route.begin(at)

    def _restart_clocks(self, at: datetime) -> None:
        """Begin with the first step again."""
        whole = self.clocks.get("whole")
        # A limit that a field names stays what it was: once it lies behind, nobody can keep it any more.
        if whole is not None and (whole.rule.bound_to is None or whole.due > at):
            self.clocks.start("whole", at)
        self.route.begin(at)

    # --- who may do what --------------------------------------------------------------------------

    def permitted(self, name: str) -> frozenset[str]:
        """Return the roles that may send a command to this form, as its table says (S3-1.2.4)."""
        rungs = frozenset(self.authority.rungs) if any(step.decides for step in self.rule.steps) else frozenset()
        actors = self.route.actors()
        match name:
            case "sign" | "send_back" | "refuse":
                return actors | rungs
            case "approve" | "reject":
                return rungs
            case "grant_early":
                early = self.rule.early
                return frozenset() if early is None else frozenset(self.policy.expand(early.roles))
            case "note" | "attach":
                return super().permitted(name) | actors | rungs | {self.filed_by.role}
            case "withdraw":
                # Whoever filed it, in whatever role: the guard looks at the person.
                return frozenset(self.policy.all_roles)
        return super().permitted(name)

    def _may_withdraw(self, by: Actor, at: datetime) -> None:
        if not by.is_same(self.filed_by):
            raise Refused("role", f"withdraw: by.id = {by.id!r} has not filed it: who filed it may", self.rule.clause)
        if self.complete:
            raise Refused("resolved", "withdraw: the form is complete", self.rule.clause)

    def _may_grant_early(self, by: Actor, at: datetime) -> None:
        if self.effective:
            raise Refused("already_effective", "grant_early: it is in effect already", self.rule.clause)

    def _do_grant_early(self, command: GrantEarly, at: datetime, by: Actor) -> None:
        self.emit(TookEffect(early=True, reason=command.reason), at, by=by, clauses=(self.rule.clause,))
        self.clocks.start("early", at)

    def objection(self, approval: Approval, by: Actor) -> Refused | None:
        """Let nobody decide what they signed just before."""
        step = self.route.present
        if step is None or not step.decision or approval.subject != step.name:
            return None
        try:
            self.route.refuse_same_person(step, by)
        except Refused as refusal:
            return refusal
        return None

    # --- what follows -----------------------------------------------------------------------------

    def after_approved(self, approval: Approval, at: datetime, by: Actor) -> None:
        """Go on after the decision."""
        self.route.go_on(at, by)

    def after_rejected(self, approval: Approval, reason: str, at: datetime, by: Actor) -> None:
        """Refuse the form with the decision."""
        self.after_refused(approval.subject, reason, at, by)

    def after_refused(self, step: str, reason: str, at: datetime, by: Actor) -> None:
        """Close the form without its outcome; what took effect early ends."""
        clauses = (self.rule.clause,)
        self.emit(FormRefused(step=step, role=by.role, reason=reason), at, by=by, clauses=clauses)
        self.emit(life.Closed(outcome="refused"), at, by=by, clauses=clauses)

    def after_signed(self, at: datetime, by: Actor) -> None:
        """Let it take effect, hand out the copies, and end it, once what follows is done."""
        clauses = (self.rule.clause,)
        self.clocks.meet(at, "whole", "early")
        if not self.effective:
            self.emit(TookEffect(early=False), at, by=by, clauses=clauses)
        fields, written = self._completed()
        data = FormCompleted(outcome=self.rule.outcome, fields=fields, written=written or None)
        self.emit(data, at, by=by, clauses=clauses)
        copies = self.route.named(self.rule.copies)
        if copies and not self.copied:
            told = [IssuedCopy(no=number, to=role) for number, role in enumerate(copies, 1)]
            self.emit(CopiesIssued(copies=told), at, by=by, clauses=clauses)
        if self.rule.effect is None:
            self._end(at, by)

    def _end(self, at: datetime, by: Actor | None = None) -> None:
        data = life.Resolved(summary=None) if self.rule.reopens else life.Closed(outcome=self.rule.outcome)
        if by is None:
            self.emit(data, at, clauses=(self.rule.clause,))
        else:
            self.emit(data, at, by=by, clauses=(self.rule.clause,))

    def _close_by_itself(self, at: datetime) -> None:
        self.emit(life.Closed(outcome=self.rule.outcome), at, clauses=(self.rule.reopen_clause,))

    def _completed(self) -> tuple[dict[str, Any], list[str]]:
        """Return the computed and the filled fields, and which of them are texts."""
        fields = {name: self.base_fields[name] for name, rule in self.rule.fields.items() if rule.sum is not None}
        written: list[str] = []
        for signature in self.route.filling():
            texts = signature.data.get("written") or ()
            said = {path.removeprefix("fields."): known_or_reference(signature, path) for path in texts}
            fields.update(put(with_references(signature)["fields"], said))
            written += texts
        return fields, written

    # --- effects ----------------------------------------------------------------------------------

    def activity_done(self, call: ActivityCall, result: Mapping[str, Any], at: datetime) -> None:
        """Take in that the directory of staff knows the absence, and end."""
        at = self.arrive(at)
        order = call.order
        data = AbsenceRecorded(
            people=order["people"], from_=order["from"], to=order["to"], unknown=result.get("unknown") or None
        )
        self.emit(data, at, clauses=(self.rule.clause,))
        self._end(at)

    def rehearsed(self, call: ActivityCall, earlier_claims: EarlierClaims, serial: int) -> Mapping[str, Any]:
        """Return that everybody is known."""
        return {}

    # --- what others see --------------------------------------------------------------------------

    def waits_for(self) -> list[Waiting]:
        """List whose signatures are waited for."""
        return self.route.waits_for()

    @classmethod
    def parties(cls, view: Mapping[str, Any]) -> list[str]:
        """Name who filed it; they see it wherever they are."""
        return [view["facts"]["filed_by"]["id"]]

    @classmethod
    def named_in(cls, view: Mapping[str, Any]) -> frozenset[str]:
        """Return the roles that fields of this one form name: they act or get a copy."""
        return frozenset(str(view["fields"].get(name)) for name in cls.NAMES_ROLE)

    def _view(self) -> dict[str, Any]:
        signed = [
            StepSigned(
                step=str(step),
                role=role,
                id=event.actor.id,
                text=reference(event, "text") or reference(event, "reason"),
            )
            for step, signatures in self.route.signed.items()
            for role, event in signatures.items()
        ]
        return {
            **super()._view(),
            "title": self.rule.title,
            "step": self.route.step,
            "step_titles": {step.name: step.title for step in self.rule.steps if step.title is not None},
            "turn": list(self.route.turn),
            "signed": signed,
            "effective": self.effective,
            "fields": self.fields,
        }

    # --- how events change the state --------------------------------------------------------------

    def _on_case_opened(self, data: life.CaseOpened, event: Event) -> None:
        super()._on_case_opened(data, event)
        filed = self.facts["fields"]
        self.base_fields = {**filed, **computed(self.rule, filed)}

    def _on_took_effect(self, data: TookEffect, event: Event) -> None:
        self.effective = True
        if self.rule.notify:
            roles = self.policy.expand(self.rule.notify)
            self.ask(Notice(seq=event.seq, name=EFFECTIVE, roles=roles, clause=self.rule.clause))

    def _on_copies_issued(self, data: CopiesIssued, event: Event) -> None:
        self.copied = True

    def _on_form_completed(self, data: FormCompleted, event: Event) -> None:
        self.complete = True
        if self.rule.effect is not None:
            away = {name: begin_of(self.fields[name], self.policy) for name in ("from", "to")}
            order = {"people": [self.filed_by.id], **away}
            self.ask(ActivityCall(seq=event.seq, activity=RECORD_ABSENCE, order=order))

    def _on_absence_recorded(self, data: AbsenceRecorded, event: Event) -> None:
        self.came_out(ActivityCall)

    def _on_reopened(self, data: life.Reopened, event: Event) -> None:
        super()._on_reopened(data, event)
        self.effective = self.complete = False

    def _on_closed(self, data: life.Closed, event: Event) -> None:
        super()._on_closed(data, event)
        self.effective = self.effective and data.outcome == self.rule.outcome


def form_of(name: str, policy: Policy) -> type[Form]:
    """Return the kind that a policy declares under this name.

    Raises:
        KeyError: it declares none.
    """
    return _form_of(name, policy.document)


# By the document, which says everything of it: a policy is read anew more often than it changes.
@lru_cache(maxsize=1024)
def _form_of(name: str, document: str) -> type[Form]:
    return make_form(name, Policy.from_document(document))


def make_form(name: str, policy: Policy) -> type[Form]:
    """Return a new kind each time: for a policy that nothing is filed by, and that is not to be kept."""
    table = policy.form[name]
    files = policy.expand(table.files)
    roles = tuple(one for one in table.everybody() if not one.startswith(BY_FIELD))
    by_field = (one.removeprefix(BY_FIELD) for one in table.everybody() if one.startswith(BY_FIELD))
    decide = policy.authority_for(name).rungs if any(step.decides for step in table.steps) else ()
    members = {
        "__doc__": f"{table.titles(name)['en']}.",
        "__module__": __name__,
        "KIND": name,
        "DECLARED_BY": policy,
        "EXAMPLE": example_of(table, files[0]),
        "FILES": frozenset(files),
        "SEEN_BY": frozenset((*policy.expand(roles), *decide)),
        "NAMES_ROLE": frozenset(by_field),
        "INTAKE": form_intake(name, table),
        "COMMANDS": {**Form.COMMANDS, Sign.NAME: signing(table)},
        "OPENED_BY": (table.clause,),
    }
    return type(f"Form_{name}", (Form,), members)
