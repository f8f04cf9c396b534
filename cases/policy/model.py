"""The numbers: a policy is a validated TOML file, each number with its clause.

Reading a file is not done here; `Policy.from_toml` takes the text, so that a case can carry the very
text it was started with.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime, time
from functools import cache, cached_property, lru_cache
from itertools import chain
from typing import TYPE_CHECKING, Annotated, Any, Self, get_args
from zoneinfo import ZoneInfo

from pydantic import (
    Field,
    StringConstraints,
    ValidationError,
    ValidationInfo,
    create_model,
    field_validator,
    model_validator,
)

from cases.authority import Authority, falling
from cases.policy.earlier import PINNED, as_it_was_meant, pinned
from cases.policy.form_faults import faults
from cases.policy.forms import PERMITTED, FormDefaults, FormTable, in_place
from cases.policy.inheritance import layered
from cases.policy.shape_faults import shape_faults, without_these
from cases.policy.tables import (
    COPIES,
    COPIES_ISSUED,
    CUSTOMER,
    EVERY_FORM,
    FILER,
    NEVER_TO_CUSTOMER,
    ApprovalsRule,
    AuthorityRule,
    CalendarRule,
    ChoicesRule,
    CompensationRule,
    DigestRule,
    IncomingRule,
    KindTable,
    LadderRule,
    NoticeRoute,
    SeverityRule,
)
from cases.vocabulary.commands import COMMANDS
from cases.vocabulary.events import EVENTS, canonical
from cases.vocabulary.refusals import Refused
from cases.vocabulary.values import Model, Role, Severity
from cases.working_calendar import WEEKDAYS, WorkingCalendar

if TYPE_CHECKING:
    from cases.case import Case


def _declared() -> tuple[type[Case], ...]:
    # Imported here: a kind says what table it has in a policy, so it is read before any policy is.
    from cases.registry import KINDS

    return tuple(KINDS.values())


class Policy(Model):
    """All numbers of the rules, with a table for each kind of case that is named as the kind.

    Build one with `from_toml` or `from_document`.
    """

    name: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]*$")]
    zone: str
    roles: tuple[Role, ...]
    ladder: LadderRule
    authority: AuthorityRule
    severity: SeverityRule
    calendar: CalendarRule
    permissions: dict[str, tuple[str, ...]]
    compensation: CompensationRule
    notice: tuple[NoticeRoute, ...] = ()
    # Without it, authority alone approves.
    approvals: ApprovalsRule | None = None
    # Without it, every notice goes out by itself.
    digest: DigestRule | None = None
    # Without it, a message that answers nothing waits for a person.
    incoming: IncomingRule | None = None
    # Without it, people write what they mean.
    choices: ChoicesRule = ChoicesRule()
    # The kinds that are declared here without code, and what they do not say.
    form_defaults: FormDefaults | None = None
    form: dict[str, FormTable] = Field(default_factory=dict)
    # The canonical JSON of the file: what a case carries, and what its hash is taken over.
    document: str = ""

    @model_validator(mode="before")
    @classmethod
    def _complete_forms(cls, raw: Any) -> Any:
        forms = raw.get("form") if isinstance(raw, dict) else None
        if not isinstance(forms, dict):
            return raw
        defaults = raw.get("form_defaults")
        return {**raw, "form": {name: FormDefaults.merged(table, defaults) for name, table in forms.items()}}

    @field_validator("zone")
    @classmethod
    def _known_zone(cls, zone: str) -> str:
        try:
            ZoneInfo(zone)
        except (KeyError, ValueError, OSError):
            raise ValueError("not a time zone of the tz database, for example Asia/Shanghai") from None
        return zone

    @model_validator(mode="after")
    def _names_exist(self, info: ValidationInfo) -> Self:
        wrong: list[str] = []
        for path, value, what, allowed in self._named():
            # What a pinned document names and this release does not know leads nowhere; but a rung must be there.
            needed = not pinned(info) or what == "rung" or value.endswith("+")
            if needed and value not in allowed:
                wrong.append(f"{path} = {value!r} is not a {what}; allowed: {', '.join(allowed)}")
        if not pinned(info):
            built_in = tuple(kind.KIND for kind in _declared())
            wrong += (
                f"notice.{route.name}.to = {CUSTOMER!r}: {NEVER_TO_CUSTOMER}"
                for route in self.notice
                if COPIES_ISSUED in route.on and CUSTOMER in route.to
            )
            wrong += (fault for name, table in self.form.items() for fault in faults(name, table, self, built_in))
        if wrong:
            raise ValueError("; ".join(wrong))
        return self

    @model_validator(mode="after")
    def _complete(self, info: ValidationInfo) -> Self:
        for declared in _declared():
            if declared.IN_EVERY_POLICY and declared.KIND not in self.kinds and not pinned(info):
                raise ValueError(f"{declared.KIND} is missing")
        for level in get_args(Severity):
            if level not in self.severity.starts_at:
                raise ValueError(f"severity.starts_at.{level} is missing")
        for kind in self._coded:
            if not pinned(info):
                self.rule(kind).check_clocks(kind)
            self.rule(kind).check(kind, self)
        top = self.ladder.rungs[-1]
        if top in self.authority.limits:
            # An amount above it could never be decided.
            raise ValueError(f"authority.limits.{top}: the top rung decides any amount and has no limit")
        if not pinned(info) and (fault := falling(self.ladder.rungs, self.authority.limits)):
            raise ValueError(f"authority.{fault}")
        return self

    def _named(self) -> Iterator[tuple[str, str, str, Iterable[str]]]:
        """Return what the file names: path, value, what it must be, and what is allowed."""
        rungs = self.ladder.rungs
        roles = (*self.all_roles, *(f"{rung}+" for rung in rungs), "ladder")
        known, of_form = ("command", tuple(sorted(COMMANDS))), ("command that a form's permissions are for", PERMITTED)
        tables = {"permissions": self.permissions, **self._permissions_of_kinds}
        for path, table in tables.items():
            for command, allowed in table.items():
                yield f"{path}.{command}", command, *(of_form if path.startswith("form.") else known)
                yield from ((f"{path}.{command}", role, "role", roles) for role in allowed)
        kinds = (*(kind.KIND for kind in _declared()), *sorted(self.form))
        clocks = tuple(dict.fromkeys((*(c for kind in _declared() for c in kind.TABLE.CLOCKS), *FormTable.CLOCKS)))
        if self.incoming is not None:
            yield "incoming.files", self.incoming.files, "kind", kinds
        for route in self.notice:
            path = f"notice.{route.name}"
            yield from ((f"{path}.on", event, "type of event", EVENTS) for event in route.on)
            yield from ((f"{path}.to", role, "role", (*roles, "holder", "role", COPIES, FILER)) for role in route.to)
            yield from ((f"{path}.kinds", kind, "kind", (*kinds, EVERY_FORM)) for kind in route.kinds)
            if route.of_filer:
                forms = (EVERY_FORM, *sorted(self.form))
                yield from ((f"{path}.kinds", kind, "form", forms) for kind in route.kinds or self._coded)
            yield from ((f"{path}.meets", clock, "clock", clocks) for clock in route.meets)
            yield from ((f"{path}.when.clock", clock, "clock", clocks) for clock in route.when.get("clock", ()))
        yield from ((path, role, "rung", rungs) for path, role in self._named_rungs())
        for kind in self._coded:
            rule = self.rule(kind)
            yield from ((f"{kind}.{path}", role, "role", self.all_roles) for path, role in rule.roles())
            if rule.authority is not None:
                yield from ((f"{kind}.authority.rungs", r, "role", self.all_roles) for r in rule.authority.rungs)

    def _named_rungs(self) -> Iterator[tuple[str, str]]:
        yield from ((f"severity.starts_at.{level}", rung) for level, rung in self.severity.starts_at.items())
        yield from ((f"authority.limits.{rung}", rung) for rung in self.authority.limits)
        yield "compensation.discretion_from", self.compensation.discretion_from
        for kind in self._coded:
            for name, rule in self.rule(kind).clocks.items():
                if rule.escalates_to is not None:
                    yield f"{kind}.clocks.{name}.escalates_to", rule.escalates_to

    @property
    def all_roles(self) -> tuple[str, ...]:
        """Every role a command may name: the rungs and the others."""
        return self.ladder.rungs + self.roles

    @cached_property
    def hash(self) -> str:
        """SHA-256 of the document."""
        return hashlib.sha256(self.document.encode()).hexdigest()

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of case that it has a table for: those that have code, then its forms by name."""
        return (*self._coded, *sorted(self.form.keys() - set(self._coded)))

    @property
    def _coded(self) -> tuple[str, ...]:
        return tuple(kind.KIND for kind in _declared() if getattr(self, kind.KIND, None) is not None)

    def _path(self, kind: str) -> str:
        """Return the key path of a kind's table."""
        return kind if kind in self._coded else f"form.{kind}"

    @property
    def _permissions_of_kinds(self) -> dict[str, dict[str, tuple[str, ...]]]:
        return {f"{self._path(kind)}.permissions": self.rule(kind).permissions for kind in self.kinds}

    def rule(self, kind: str) -> KindTable:
        """Return the table of a kind of case.

        Raises:
            Refused: code ``bad_policy``, it has none.
        """
        table: KindTable | None = getattr(self, kind) if kind in self._coded else self.form.get(kind)
        if table is None:
            raise Refused("bad_policy", f"policy = {self.name!r} has no section [{kind}]")
        return table

    @cached_property
    def authority_of(self) -> Authority:
        """Who may decide how much."""
        return Authority(self.ladder.rungs, self.authority.limits)

    def authority_for(self, kind: str) -> Authority:
        """Return who may decide how much of a kind of case: by its own authority, else by that of all.

        Raises:
            Refused: code ``bad_policy``, there is no table of the kind.
        """
        own = self.rule(kind).authority
        return self.authority_of if own is None else Authority(own.rungs, own.limits)

    @cached_property
    def working(self) -> WorkingCalendar:
        """The working calendar; it also knows the policy's zone."""
        windows = [[_window(text) for text in self.calendar.windows.get(day, ())] for day in WEEKDAYS]
        return WorkingCalendar(ZoneInfo(self.zone), windows, self.calendar.years)

    def local(self, instant: datetime) -> datetime:
        """Return the instant in the policy's zone, with a fixed offset so that arithmetic is exact."""
        return self.working.local(instant)

    @cached_property
    def _permitted(self) -> dict[tuple[str | None, str], frozenset[str]]:
        tables: dict[str | None, dict[str, tuple[str, ...]]] = {None: self.permissions}
        for kind in self.kinds:
            # Whoever decides about a kind may say so, also where they stand on no rung of the ladder.
            own = self.rule(kind).authority
            decided = {} if own is None else {"approve": own.rungs, "reject": own.rungs}
            tables[kind] = {**decided, **self.rule(kind).permissions}
        return {
            (kind, command): frozenset(self.expand(allowed))
            for kind, table in tables.items()
            for command, allowed in table.items()
        }

    def permitted(self, command: str, kind: str | None = None) -> frozenset[str]:
        """Return the roles that may send a command to a kind of case; the rungs where the policy says nothing of it."""
        of_all = self._permitted.get((None, command), frozenset(self.ladder.rungs))
        return self._permitted.get((kind, command), of_all)

    def expand(self, names: tuple[str, ...]) -> tuple[str, ...]:
        """Roles with ``ladder`` and ``ROLE+`` written out, in ladder order, each once."""
        found: dict[str, None] = {}
        for name in names:
            if name == "ladder":
                found.update(dict.fromkeys(self.ladder.rungs))
            elif name.endswith("+"):
                start = self.ladder.rungs.index(name[:-1])
                found.update(dict.fromkeys(self.ladder.rungs[start:]))
            else:
                found[name] = None
        return tuple(found)

    def recipients(
        self, route: NoticeRoute, data: Mapping[str, Any], rung: str, filer: str | None = None
    ) -> tuple[str, ...]:
        """Return the roles that a route names for an event with these data, while a rung holds the case.

        Args:
            filer: the role of who filed it, of a form.
        """
        asked = (data.get("role") or data.get("rung") or rung, *data.get("also", ()))
        named = {"holder": (rung,), "role": asked, FILER: () if filer is None else (filer,)}
        return self.expand(tuple(chain.from_iterable(named.get(name, (name,)) for name in route.to)))

    def routes(self, kind: str, event: str) -> tuple[NoticeRoute, ...]:
        """Return the notice routes that an event of a kind of case may take."""
        return self._routes.get((kind, event), ())

    @cached_property
    def _routes(self) -> dict[tuple[str, str], tuple[NoticeRoute, ...]]:
        table: dict[tuple[str, str], tuple[NoticeRoute, ...]] = {}
        for kind in self.kinds:
            # How near to a form a route is: it names the form, every form, or no kind.
            near = {id(route): self._nearness(route, kind) for route in self.notice}
            nearest: dict[tuple[str, str], int] = {}
            for route in self.notice:
                for event in route.on:
                    nearest[event, route.name] = max(nearest.get((event, route.name), 0), near[id(route)])
            for route in self.notice:
                if not near[id(route)]:
                    continue
                for event in route.on:
                    if kind not in self.form or near[id(route)] == nearest[event, route.name]:
                        table[kind, event] = (*table.get((kind, event), ()), route)
        return table

    def _nearness(self, route: NoticeRoute, kind: str) -> int:
        """Return how closely a route is about a kind: 0 not at all, 1 as about all, 2 as a form, 3 by its name."""
        if kind in route.kinds:
            return 3
        if kind in self.form and EVERY_FORM in route.kinds:
            return 2
        return 0 if route.kinds else 1

    @classmethod
    def from_toml(cls, text: str, years: Mapping[str, Any] | None = None, bases: Sequence[str] = ()) -> Policy:
        """Read a policy file.

        Args:
            text: the TOML text.
            years: published calendar years for a file that brings none of its own.
            bases: the texts of the policies that it extends (`cases.policy.inheritance`), the lowest first.

        Raises:
            Refused: code ``bad_policy``, naming the key path, the value and what is allowed.
        """
        return cls.from_table(layered((*bases, text)), years)

    @classmethod
    def from_table(cls, data: dict[str, Any], years: Mapping[str, Any] | None = None) -> Policy:
        """Read a policy from one table, as `cases.policy.inheritance.layered` makes it, which becomes the policy's own.

        Raises:
            Refused: code ``bad_policy``, as `from_toml`.
        """
        calendar = data.get("calendar")
        if isinstance(calendar, dict):
            calendar.setdefault("years", dict(years or {}))
        forms = data.get("form")
        for form in forms.values() if isinstance(forms, dict) else ():
            in_place(form)
        return _read(canonical(json.loads(json.dumps(data, default=_plain))), _declared())

    @classmethod
    def from_document(cls, document: str) -> Policy:
        """Build the policy that a case pinned from its canonical JSON; the same text gives the same object.

        It may be of another release (`cases.policy.earlier`).

        Raises:
            Refused: code ``bad_policy``.
        """
        return _read(document, _declared(), PINNED)


@cache
def _model(kinds: tuple[type[Case], ...]) -> type[Policy]:
    """Return the model of a policy file with a table for each of these kinds."""
    fields: dict[str, Any] = {kind.KIND: (kind.TABLE | None, None) for kind in kinds}
    return create_model("Policy", __base__=Policy, **fields)


@lru_cache(maxsize=64)
def _read(document: str, kinds: tuple[type[Case], ...], context: str | None = None) -> Policy:
    model, content = _model(kinds), {**json.loads(document), "document": document}
    try:
        try:
            policy = model.model_validate(content, context=context)
        except ValidationError as error:
            if context != PINNED:
                raise
            policy = model.model_validate(as_it_was_meant(content, error), context=context)
        policy.working  # noqa: B018 - a wrong calendar must fail here, not in a running case
    except ValidationError as error:
        found = shape_faults(error, model) if context == PINNED else _all_faults(model, content, error)
        raise Refused("bad_policy", f"policy: {'; '.join(found)}") from None
    return policy


def _all_faults(model: type[Policy], content: dict[str, Any], error: ValidationError) -> Iterator[str]:
    """Yield what an error says, and then what is wrong beside that, as far as it can be judged."""
    yield from shape_faults(error, model)
    left = without_these(content, error)
    if left is not None and left != content:
        try:
            model.model_validate(left)
        except ValidationError as further:
            yield from _all_faults(model, left, further)


def _plain(value: Any) -> str:
    if isinstance(value, (date, datetime, time)):
        return value.isoformat()
    raise TypeError(f"no plain JSON for {value!r}")


def _window(text: str) -> tuple[time, time]:
    start, end = text.split("-")
    return time.fromisoformat(start), time.fromisoformat(end)
