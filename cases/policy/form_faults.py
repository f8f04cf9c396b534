"""What is wrong with the table of a form: every fault with its key path, the value and what is allowed."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from cases.policy.forms import BY_FIELD, CheckRule, FieldRule, FormTable, StepRule, When
from cases.policy.shape_faults import A_NAME, named
from cases.policy.tables import CUSTOMER, NEVER_TO_CUSTOMER
from cases.vocabulary.values import Model

if TYPE_CHECKING:
    from cases.policy.model import Policy

NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
# Names of kinds that have code, or are to have it, and the word under which the schema of the whole API is asked for.
RESERVED = frozenset({"refund", "order", "tracking", "quality", "return", "openapi"})
# How forms end that nobody completed.
TAKEN_OUTCOMES = ("refused", "withdrawn")

# The types of fields by which something is reckoned or told apart.
_NUMBERS = ("yuan", "number", "integer")
_DAYS = ("date", "instant")
_KEYS = ("token", "month", "week", "date")
_IN_ORDER = (*_DAYS, "month", "week", *_NUMBERS)
_CONDITIONS = ("choice", "bool", "role", "staff", "token", "case", "month", "week", "date", "integer", "yuan")
# How values that conditions name are written, by type, each with an example: they are compared as text.
_WRITTEN: Mapping[str, tuple[str, str]] = {
    "yuan": (r"(0|[1-9][0-9]*)\.[0-9]{2}", "500.00"),
    "integer": (r"0|-?[1-9][0-9]*", "5"),
    "date": (r"[0-9]{4}-[0-9]{2}-[0-9]{2}", "2026-03-01"),
    "month": (r"[0-9]{4}-[0-9]{2}", "2026-03"),
    "week": (r"[0-9]{4}-W[0-9]{2}", "2026-W10"),
    "case": (r"[a-z][a-z0-9_]*", "complaint, the kind of the case"),
    "token": (r"[A-Za-z0-9][A-Za-z0-9._/@-]*", "A-7, up to a colon"),
    "staff": (r"[A-Za-z0-9][A-Za-z0-9._/@-]*", "a-7, up to a colon"),
}
_BY_CLOCK = {"month_day": ("month", *_DAYS), "week_day": ("week", *_DAYS), "until": _DAYS}
# What each check needs, and may have beside ``unless`` and ``code``.
_CHECKS: Mapping[str, tuple[str, ...]] = {
    "required_if": ("fields", "when", "code"),
    "order": ("from", "to", "code"),
    "ahead": ("field", "days", "code"),
    "not_holiday": ("from", "to", "code"),
    "ended": ("field",),
}


def faults(name: str, table: FormTable, policy: Policy, built_in: Collection[str]) -> Iterator[str]:
    """Yield each fault of a form's table.

    Args:
        built_in: the kinds that have code.
    """
    if not NAME.fullmatch(name):
        yield f"form.{named(name)} is not a name: allowed are {A_NAME}, at most 40"
    if name in built_in or name in RESERVED:
        taken = ", ".join(sorted({*built_in, *RESERVED}))
        yield f"form.{name} is named like a built-in kind; allowed is any name but {taken}"
    yield from _Faults(name, table, policy).all()


class _Faults:
    """The faults of one table."""

    def __init__(self, name: str, table: FormTable, policy: Policy) -> None:
        self.path = f"form.{named(name)}"
        self.table = table
        self.policy = policy
        self.groups = (*policy.all_roles, *(f"{rung}+" for rung in policy.ladder.rungs), "ladder")

    def all(self) -> Iterator[str]:
        """Yield each of them."""
        table, taken = self.table, self.table.taken
        for name, rule in table.fields.items():
            yield from self._field(f"fields.{name}", name, rule)
        if len(keys := [name for name, rule in table.fields.items() if rule.key]) > 1:
            yield f"{self.path}.fields: {' and '.join(keys)} have key = true; allowed is one field"
        for place, check in enumerate(table.checks):
            yield from self._check(f"check.{place}", check)
        yield from self._steps()
        yield from self._who("files", table.files, fields=False)
        yield from self._who("notify", table.notify, fields=False)
        yield from self._who("copies", table.copies, groups=False)
        if table.early is not None:
            yield from self._who("early.roles", table.early.roles, fields=False)
        if table.effect is not None:
            for name in ("from", "to"):
                yield from self._known(f"effect = {table.effect!r} needs", name, taken, _DAYS, required=True)
            if table.reopens:
                yield f"{self.path}.reopen_days: what effect = {table.effect!r} brings about stands; leave one out"
        if table.outcome in TAKEN_OUTCOMES:
            taken_by = " and ".join(TAKEN_OUTCOMES)
            yield f"{self.path}.outcome = {table.outcome!r}: {taken_by} are of forms that are not completed"
        if table.authority is not None:
            yield from self._who("authority.rungs", table.authority.rungs, fields=False, groups=False)
        yield from self._clocks()
        try:
            table.check_years(self.path)
        except ValueError as error:
            yield str(error)

    # --- fields -----------------------------------------------------------------------------------

    def _field(self, path: str, name: str, rule: FieldRule) -> Iterator[str]:
        where = f"{self.path}.{path}"
        if hasattr(Model, name):
            yield f"{where}: this name is used by the program; give it another, like {name}_of_form"
        for key, types in {"of": ("choice",), "labels": ("choice",), "columns": ("rows",)}.items():
            if getattr(rule, key) and rule.type not in types:
                yield f"{where}.{key}: only a field of type {types[0]} has it, and this is {rule.type}"
        for key in ("min", "max"):
            if getattr(rule, key) is not None and rule.type not in _NUMBERS:
                yield f"{where}.{key}: only {_or(_NUMBERS)} has it, and this is {rule.type}"
        if rule.min is not None and rule.max is not None and rule.min > rule.max:
            yield f"{where}.min = {rule.min} is above max = {rule.max}"
        if rule.type == "integer":
            for key in ("min", "max"):
                bound = getattr(rule, key)
                if bound is not None and bound != int(bound):
                    yield f"{where}.{key} = {bound} is no whole number"
        if rule.type == "choice":
            if not rule.of or len(set(rule.of)) != len(rule.of):
                yield f"{where}.of: a choice names its values, each once, like of = ['one', 'both']"
            yield from (
                f"{where}.labels.{value} is not one of the values; allowed: {', '.join(rule.of)}"
                for value in rule.labels
                if value not in rule.of
            )
        if rule.type == "rows":
            yield from self._columns(where, path, rule)
        yield from self._special(where, name, rule)

    def _columns(self, where: str, path: str, rule: FieldRule) -> Iterator[str]:
        if not rule.columns:
            yield f"{where}.columns is missing: rows have columns, each a field"
        for name, column in rule.columns.items():
            if column.type == "rows" or column.personal or column.sum is not None or column.key:
                yield f"{where}.columns.{name}: a column is no rows, and neither personal, computed nor the key"
            else:
                yield from self._field(f"{path}.columns.{name}", name, column)

    def _special(self, where: str, name: str, rule: FieldRule) -> Iterator[str]:
        filled = name in self.table.filled
        if rule.sum is not None:
            rows, column = rule.summed
            of = self.table.fields.get(rows)
            summable = [
                f"{one}.{each}"
                for one, other in self.table.fields.items()
                for each, its in other.columns.items()
                if its.type == rule.type and other.type == "rows" and not other.personal
            ]
            if rule.type not in _NUMBERS:
                yield f"{where}.sum: only {_or(_NUMBERS)} is a sum, and this is {rule.type}"
            elif of is None or f"{rows}.{column}" not in summable:
                yield _not(f"{where}.sum", rule.sum, f"column of rows of type {rule.type}", summable)
            if rule.required or rule.key or rule.personal or filled:
                yield f"{where}.sum: what is computed is not required, no key, not personal and not filled"
        if rule.key and (rule.type not in _KEYS or not rule.required or rule.personal or filled):
            yield f"{where}.key: a key is a required field of type {_or(_KEYS)}, not personal and not filled at a step"
        if filled and (rule.personal or rule.required):
            yield f"{where}: a step fills it, so that it is neither personal nor required when the form is filed"

    # --- checks and conditions --------------------------------------------------------------------

    def _check(self, path: str, check: CheckRule) -> Iterator[str]:
        where, needs = f"{self.path}.{path}", _CHECKS[check.rule]
        given = check.model_dump(by_alias=True, exclude_unset=True).keys() - {"rule", "unless", "code"}
        for key in needs:
            if key != "code" and key not in given:
                yield f"{where}.{key} is missing: {check.rule} needs {', '.join(needs)}"
        if "code" in needs and check.code is None:
            yield f"{where}.code is missing: {check.rule} needs {', '.join(needs)}"
        for key in sorted(given - set(needs)):
            yield f"{where}.{key}: {check.rule} does not have it; allowed: {', '.join((*needs, 'unless', 'code'))}"
        for key, value in {"fields": check.fields, "when": check.when}.items():
            if key in given and key in needs and not value:
                yield f"{where}.{key} is empty: {check.rule} needs at least one field there"
        if check.rule == "order" and check.start is not None and check.start == check.to:
            yield f"{where}.to = {check.to!r} is from too, which never lies before itself; allowed are two fields"
        taken = self.table.taken
        types = {"ended": ("month", "week"), "order": _IN_ORDER}.get(check.rule, _DAYS)
        for key, name in {"field": check.field, "from": check.start, "to": check.to}.items():
            if name is not None:
                yield from self._known(f"{path}.{key} = {name!r}:", name, taken, types)
        if check.rule == "order" and check.start in taken and check.to in taken:
            one, other = taken[check.start].type, taken[check.to].type
            if one != other:
                yield f"{where}: from is {one} and to is {other}; allowed are two of one type"
        for name in check.fields:
            yield from self._known(f"{path}.fields = {name!r}:", name, taken, None)
        if check.unless is not None:
            yield from self._known(f"{path}.unless = {check.unless!r}:", check.unless, taken, ("bool",))
        yield from self._when(f"{path}.when", check.when, taken)

    def _known(
        self,
        what: str,
        name: str,
        known: Mapping[str, FieldRule],
        types: Collection[str] | None,
        *,
        required: bool = False,
    ) -> Iterator[str]:
        """Yield what is wrong with a field that is named: not known by then, or of a wrong type."""
        where = f"{self.path}.{what}"
        rule = known.get(name)
        if rule is None:
            fitting = [one for one, other in known.items() if types is None or other.type in types]
            reason = "is filled at a step and not known by then" if name in self.table.filled else "is not a field"
            yield f"{where} {name} {reason}; allowed: {', '.join(fitting) or 'none'}"
        elif types is not None and rule.type not in types:
            yield f"{where} {name} is of type {rule.type}; allowed: {', '.join(types)}"
        elif types is not None and rule.personal:
            yield f"{where} {name} is personal, which no rule reads"
        elif required and not (rule.required or rule.sum is not None or name in self.table.filled):
            yield f"{where} {name} may be missing; allowed is a field with required = true"

    def _when(self, path: str, when: When, known: Mapping[str, FieldRule]) -> Iterator[str]:
        for name, values in when.items():
            yield from self._known(f"{path}.{name}:", name, known, _CONDITIONS)
            rule = known.get(name)
            allowed: Iterable[str] | None = None
            if rule is not None:
                by_type = {"choice": rule.of, "bool": ("true", "false"), "role": self.policy.all_roles}
                allowed = by_type.get(rule.type)
            if not values:
                yield f"{self.path}.{path}.{name} names no value"
            pattern, like = _WRITTEN.get("" if rule is None else rule.type, ("(?s:.*)", ""))
            yield from (
                f"{self.path}.{path}.{name} = {value!r} is met by nothing; allowed is a value like {like}"
                for value in values
                if not re.fullmatch(pattern, value)
            )
            yield from (
                _not(f"{self.path}.{path}.{name}", value, "value of the field", allowed)
                for value in values
                if allowed is not None and value not in allowed
            )

    # --- steps ------------------------------------------------------------------------------------

    def _steps(self) -> Iterator[str]:
        known, seen, filled_at = dict(self.table.taken), set[str](), dict[str, str]()
        known |= {name: rule for name, rule in self.table.fields.items() if rule.sum is not None}
        for step in self.table.steps:
            path = f"step.{step.name}"
            if step.name in seen:
                dropped = f"a form that is inherited is dropped first: without = ['{self.path}']"
                yield f"{self.path}.{path}: two steps have this name; allowed is one; {dropped}"
            seen.add(step.name)
            yield from self._step(path, step, known)
            for name in step.fills:
                if name not in self.table.fields:
                    fields = (one for one, rule in self.table.fields.items() if rule.sum is None)
                    yield _not(f"{self.path}.{path}.fills", name, "field", fields)
                elif name in filled_at:
                    yield f"{self.path}.{path}.fills = {name!r}: step {filled_at[name]} fills it; allowed is one step"
                else:
                    filled_at[name] = step.name
                    # What a step fills that may be left out is not sure to be known later.
                    if not step.when and (step.any_of or any(not rule.when for rule in step.roles)):
                        known[name] = self.table.fields[name]

    def _step(self, path: str, step: StepRule, known: Mapping[str, FieldRule]) -> Iterator[str]:
        where = f"{self.path}.{path}"
        if step.decides is not None:
            yield from self._known(f"{path}.decides = {step.decides!r}:", step.decides, known, ("yuan",), required=True)
            if step.roles or step.any_of or step.fills:
                yield f"{where}: who decides goes by authority, so that it has neither roles, any_of nor fills"
            if "approval" not in self.table.clocks:
                yield f"{self.path}.clocks.approval is missing, which {path}.decides needs"
        elif step.roles and step.any_of:
            yield f"{where}: it has roles and any_of; allowed is one of them"
        elif not step.roles and not step.any_of:
            yield f"{where}.roles is missing: name who acts in roles (all of them) or any_of (one of them)"
        yield from self._who(f"{path}.roles", [rule.role for rule in step.roles], known=known, groups=False)
        if len({rule.role for rule in step.roles}) != len(step.roles):
            yield f"{where}.roles names a role twice"
        yield from self._who(f"{path}.any_of", step.any_of, known=known)
        yield from self._who(f"{path}.notify", step.notify, fields=False)
        yield from self._when(f"{path}.when", step.when, known)
        for rule in step.roles:
            yield from self._when(f"{path}.roles.{rule.role}.when", rule.when, known)
        if step.clock is not None:
            yield from self._clock(f"{path}.clock", step.clock, known)
        if step.superior and not step.when:
            yield from self._superior(where, step)

    def _superior(self, where: str, step: StepRule) -> Iterator[str]:
        """Yield whoever may file and would wait for ever, since nobody who is to sign stands above them."""
        rungs = self.policy.ladder.rungs
        filers = self._expanded(self.table.files)
        highest = max((rungs.index(role) for role in filers if role in rungs), default=-1)
        for names in (step.any_of, *((rule.role,) for rule in step.roles if not rule.when)):
            signers = self._expanded(names)
            # Who is on no rung may sign, and so may whom a field names.
            if signers and all(role in rungs[: highest + 1] for role in signers):
                signing = ", ".join(signers)
                yield (
                    f"{where}.superior: {rungs[highest]} may file, and none of {signing} stands above; let fewer file, "
                    "or let a higher rung sign, or a role that is no rung"
                )

    def _expanded(self, names: Iterable[str]) -> tuple[str, ...]:
        """Return the roles that are meant, without what is no role; ``field:NAME`` as it is."""
        return self.policy.expand(tuple(name for name in names if name in self.groups or name.startswith(BY_FIELD)))

    def _who(
        self,
        path: str,
        names: Iterable[str],
        *,
        known: Mapping[str, FieldRule] | None = None,
        fields: bool = True,
        groups: bool = True,
    ) -> Iterator[str]:
        """Yield what is wrong with the roles that are named.

        Args:
            known: the fields that are known by then; without it those of filing.
            fields: whether ``field:NAME`` may stand there.
            groups: whether ``ROLE+`` and ``ladder`` may.
        """
        allowed = self.groups if groups else self.policy.all_roles
        for name in names:
            if fields and name.startswith(BY_FIELD):
                field = name.removeprefix(BY_FIELD)
                taken = self.table.taken if known is None else known
                yield from self._known(f"{path} = {name!r}:", field, taken, ("role",), required=True)
            elif path == "copies" and name == CUSTOMER:
                yield f"{self.path}.copies = {name!r}: {NEVER_TO_CUSTOMER}"
            elif name not in allowed:
                yield _not(f"{self.path}.{path}", name, "role", allowed)

    # --- clocks -----------------------------------------------------------------------------------

    def _clocks(self) -> Iterator[str]:
        for name, rule in self.table.clocks.items():
            path = "early.clock" if name == "early" else f"clocks.{name}"
            if name not in self.table.CLOCKS:
                yield _not(f"{self.path}.{path}", name, "clock", (*self.table.CLOCKS[:-1], "early (as early.clock)"))
            yield from self._clock(path, rule, self.table.taken)
        for name in self.table.NEEDED:
            if name not in self.table.clocks:
                yield f"{self.path}.clocks.{name} is missing"

    def _clock(self, path: str, rule: Any, known: Mapping[str, FieldRule]) -> Iterator[str]:
        where, rungs = f"{self.path}.{path}", self.policy.ladder.rungs
        if rule.unlimited:
            yield f"{where} has no limit; give one of {', '.join(rule.LIMITS)}"
        if rule.escalates_to is not None and rule.escalates_to not in rungs:
            yield _not(f"{where}.escalates_to", rule.escalates_to, "rung", rungs)
        if rule.working_time is not None and not any(self.policy.calendar.windows.values()):
            yield f"{where}.working_time needs hours in calendar.windows"
        for limit, types in _BY_CLOCK.items():
            if getattr(rule, limit) is not None:
                name, key = rule.bound_to, "until" if limit == "until" else "field"
                yield from self._known(f"{path}.{key} = {name!r}:", name, known, types, required=True)


def _not(path: str, value: Any, what: str, allowed: Iterable[str]) -> str:
    return f"{path} = {value!r} is not a {what}; allowed: {', '.join(allowed) or 'none'}"


def _or(types: Iterable[str]) -> str:
    return " or ".join(types)
