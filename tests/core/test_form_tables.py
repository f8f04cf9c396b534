"""The tables of forms: what each wrong one is told, what inheritance does with them, and the forms that ship."""

from __future__ import annotations

import json
import re
import tomllib
from decimal import Decimal
from pathlib import Path
from time import process_time
from typing import Any

import pytest

from activities.policies.store import Policies, published_years
from cases.kinds.form import Form
from cases.policy.forms import PERMITTED, FormTable, titles
from cases.policy.model import Policy
from cases.registry import KINDS
from cases.vocabulary.refusals import Refused
from tests.core.support import DEFAULT, default_policy

# A form that takes nothing from those that ship; tests/company/scenarios has its life.
VISIT = "\n" + (Path(__file__).parents[1] / "company" / "forms" / "visit.toml").read_text("utf-8")
DEFAULTS = DEFAULT + VISIT


def read(text: str) -> Policy:
    """A policy file."""
    return Policy.from_toml(text, published_years())


def visit(*changes: tuple[str, str]) -> FormTable:
    """The form with some texts replaced; each must occur."""
    default, form = DEFAULT, VISIT
    for old, new in changes:
        assert old in default + form, old
        if old in form:
            form = form.replace(old, new, 1)
        else:
            default = default.replace(old, new, 1)
    return read(default + form).form["visit"]


FIELDS = "[form.visit.fields]"
HEAD = 'clause = "S1-2.4"\n'
OWN = '[form.visit.authority]\nrungs = ["hr", "director"]\nlimits = { hr = "5.00" }\nclause = "x"\n'
# A form that is right but for its name.
OTHER = (
    '[form.NAME]\nclause = "x"\nfiles = ["agent"]\nfields = {}\nstep = [{name = "a", roles = ["agent"]}]\n[form.visit]'
)
STEP_CLOCK = """[form_defaults.clocks.step]
working_time = "PT18H"                       # [INVENTED]: two working days for each step
escalates_to = "general_manager"             # [INVENTED]
clause = "INVENTED"
"""

# Each: the text to replace, what to put there, and what the message must hold: where, what, what is allowed.
WRONG: dict[str, tuple[str, str, list[str]]] = {
    "a title of two lines": ('name = "pay"', 'name = "pay"\ntitle = "Pay\\nBcc: x"', ["form.visit.step", "one line"]),
    "unknown key": (HEAD, f'{HEAD}colour = "red"\n', ["form.visit.colour", "allowed:", "step"]),
    "unknown key of a step": (
        'act = "opinion"',
        'acts = "opinion"',
        ["form.visit.step.0.acts", "allowed: act, any_of"],
    ),
    "unknown key of a field": ("min = 1", "minimum = 1", ["form.visit.fields.people.minimum", "not a known field"]),
    "unknown field type": ('type = "month"', 'type = "monht"', ["form.visit.fields.month.type = 'monht'", "'month'"]),
    "unknown check": ('rule = "required_if"', 'rule = "if"', ["form.visit.check.0.rule = 'if'", "'ended'"]),
    "unknown act": ('act = "opinion"', 'act = "shout"', ["form.visit.step.0.act = 'shout'", "'sign' or 'opinion'"]),
    "unknown role that files": (
        'files = ["ladder"]',
        'files = ["boss"]',
        ["form.visit.files = 'boss' is not a role", "agent"],
    ),
    "nobody files": ('files = ["ladder"]', "files = []", ["form.visit.files", "at least 1"]),
    "unknown role of a step": (
        'role = "finance"',
        'role = "boss"',
        ["form.visit.step.see.roles = 'boss' is not a role", "finance"],
    ),
    "a group where all sign": (
        'role = "finance"',
        'role = "ladder"',
        ["form.visit.step.see.roles = 'ladder' is not a role"],
    ),
    "a condition that is no list": (
        'where = ["there"], urgent',
        'where = "there", urgent',
        ["form.visit.step.0.roles.1.when.where = 'there': Input should be a valid list"],
    ),
    "a rung and above where all sign": (
        'role = "finance"',
        'role = "supervisor+"',
        ["form.visit.step.see.roles = 'supervisor+' is not a role; allowed: agent"],
    ),
    "unknown rung and above": (
        '"supervisor+"',
        '"finance+"',
        ["form.visit.step.go.any_of = 'finance+'", "supervisor+"],
    ),
    "the role of no field": (
        '"field:unit", {',
        '"field:unti", {',
        ["form.visit.step.see.roles = 'field:unti'", "allowed: unit"],
    ),
    "the role of a field that holds none": (
        '"field:unit", {',
        '"field:client", {',
        ["client is of type token", "allowed: role"],
    ),
    "unknown role told": ('name = "pay"', 'name = "pay"\nnotify = ["boss"]', ["form.visit.step.pay.notify = 'boss'"]),
    "unknown role of copies": ('"accounting", ', '"boss", ', ["form.visit.copies = 'boss' is not a role"]),
    "copies to the customer": (
        '"accounting", ',
        '"customer", ',
        ["form.visit.copies = 'customer'", "never", "S1-5.9.10", "allowed: every other role"],
    ),
    "condition on no field": (
        'where = ["there"], urgent',
        'were = ["there"], urgent',
        ["form.visit.step.see.roles.finance.when.were: were is not a field", "where"],
    ),
    "condition on no value": (
        'where = ["there"], urgent',
        'where = ["away"], urgent',
        ["when.where = 'away' is not a value", "allowed: here, there"],
    ),
    "condition on no bool": ('urgent = ["true"]', 'urgent = ["yes"]', ["when.urgent = 'yes'", "allowed: true, false"]),
    "condition on an amount without fen": (
        'urgent = ["true"]',
        'total = ["7"]',
        ["when.total = '7' is met by nothing", "like 500.00"],
    ),
    "condition beyond a colon": ('urgent = ["true"]', 'client = ["A:1"]', ["when.client = 'A:1' is met by nothing"]),
    "condition on a free text": ('urgent = ["true"]', 'report = ["x"]', ["report is filled at a step"]),
    "condition on a personal field": ('urgent = ["true"]', 'note = ["x"]', ["when.note", "allowed: choice"]),
    "condition of a check": (
        'when = { where = ["there"] }',
        'when = { where = ["away"] }',
        ["form.visit.check.0.when.where = 'away'"],
    ),
    "field of a check": (
        'fields = ["people"]',
        'fields = ["poeple"]',
        ["form.visit.check.0.fields = 'poeple'", "people"],
    ),
    "check without its code": (
        'code = "people_missing"',
        "",
        ["form.visit.check.0.code is missing", "required_if needs"],
    ),
    "check with what it has not": (
        'code = "people_missing"',
        'code = "x"\ndays = 3',
        ["form.visit.check.0.days", "allowed: fields, when, code"],
    ),
    "two steps of one name": ('name = "pay"', 'name = "see"', ["form.visit.step.see: two steps have this name"]),
    "step without roles": (
        'any_of = ["supervisor+", "courier"]',
        "",
        ["form.visit.step.go.roles is missing", "any_of"],
    ),
    "step with both": (
        'any_of = ["supervisor+"',
        'roles = ["finance"]\nany_of = ["supervisor+"',
        ["form.visit.step.go", "roles and any_of"],
    ),
    "a role twice in a step": (
        'role = "finance", when = { where = ["there"], urgent = ["true"] }',
        'role = "field:unit"',
        ["form.visit.step.see.roles names a role twice"],
    ),
    "decides with roles": (
        'decides = "total"',
        'decides = "total"\nroles = ["finance"]',
        ["form.visit.step.pay", "authority"],
    ),
    "decides no yuan": (
        'decides = "total"',
        'decides = "people"',
        ["form.visit.step.pay.decides = 'people'", "integer", "allowed: yuan"],
    ),
    "decides what may be missing": (
        'total = { type = "yuan", sum = "costs.amount" }',
        'total = { type = "yuan" }',
        ["form.visit.step.pay.decides", "required = true"],
    ),
    "decides no field": (
        'decides = "total"',
        'decides = "totla"',
        ["form.visit.step.pay.decides = 'totla'", "allowed: total"],
    ),
    "fills no field": (
        'fills = ["report"]',
        'fills = ["reprot"]',
        ["form.visit.step.go.fills = 'reprot' is not a field", "report"],
    ),
    "filled twice": (
        'decides = "total"',
        'roles = ["hr"]\nfills = ["report"]',
        ["form.visit.step.go.fills = 'report'", "step pay fills it"],
    ),
    "filled and required": (
        'report = { type = "text" }',
        'report = { type = "text", required = true }',
        ["form.visit.fields.report", "neither personal nor required"],
    ),
    "sum of no rows": (
        'sum = "costs.amount"',
        'sum = "cost.amount"',
        ["form.visit.fields.total.sum = 'cost.amount'", "allowed: costs.amount"],
    ),
    "sum of no column": (
        'sum = "costs.amount"',
        'sum = "costs.sum"',
        ["form.visit.fields.total.sum = 'costs.sum'", "allowed: costs.amount"],
    ),
    "sum of texts": (
        'sum = "costs.amount"',
        'sum = "costs.what"',
        ["form.visit.fields.total.sum = 'costs.what'", "costs.amount"],
    ),
    "sum that is given": (
        'sum = "costs.amount"',
        'required = true, sum = "costs.amount"',
        ["form.visit.fields.total.sum", "not required"],
    ),
    "choice of nothing": ('of = ["here", "there"], ', "", ["form.visit.fields.where.of", "names its values"]),
    "label of no value": ('here = "Here', 'hier = "Here', ["form.visit.fields.where.labels.hier", "here, there"]),
    "values of no choice": (
        'unit = { type = "role"',
        'unit = { of = ["a"], type = "role"',
        ["form.visit.fields.unit.of", "choice"],
    ),
    "least of no number": (
        'unit = { type = "role"',
        'unit = { min = 1, type = "role"',
        ["form.visit.fields.unit.min", "integer"],
    ),
    "least above most": ("min = 1", "min = 3, max = 2", ["form.visit.fields.people.min = 3", "max = 2"]),
    "rows without columns": (
        'columns = { what = { type = "text" }, amount = { type = "yuan" } }',
        "columns = {}",
        ["form.visit.fields.costs.columns is missing"],
    ),
    "rows in rows": (
        'what = { type = "text" }',
        'what = { type = "rows" }',
        ["form.visit.fields.costs.columns.what", "no rows"],
    ),
    "key that may be missing": (
        "required = true, key = true",
        "key = true",
        ["form.visit.fields.client.key", "required"],
    ),
    "two keys": (
        'month = { type = "month", required',
        'month = { type = "month", key = true, required',
        ["client and month have key"],
    ),
    "name of the program": ("people = {", "model_dump = {", ["form.visit.fields.model_dump", "used by the program"]),
    "name of a field": (
        "people = {",
        "People = {",
        ["form.visit.fields.People: allowed are a small letter, then small letters, digits and _, at most 40"],
    ),
    "name of a field in Chinese": ("people = {", '"猫" = {', ["form.visit.fields.猫: allowed are a small letter"]),
    "name of a field of two lines": ("people = {", '"a\\nb" = {', [r"form.visit.fields.'a\nb': allowed are"]),
    "name of a field that is too long": (
        "people = {",
        f"{'p' * 100} = {{",
        [f"form.visit.fields.{'p' * 77}...: allowed are a small letter", "at most 40"],
    ),
    "name of a step": (
        'name = "pay"',
        'name = "step one"',
        ["form.visit.step.1.name = 'step one': allowed are a small"],
    ),
    "value of a choice": ('of = ["here"', 'of = ["猫"', ["form.visit.fields.where.of.0 = '猫': allowed are a letter"]),
    "code of a check": ('"people_missing"', '"no people"', ["form.visit.check.0.code = 'no people': allowed are"]),
    "outcome in words": (HEAD, f'{HEAD}outcome = "well done"\n', ["form.visit.outcome = 'well done': allowed are"]),
    "who acts in words": (
        '"supervisor+"',
        '"The boss"',
        ["form.visit.step.2.any_of.0 = 'The boss': allowed are a role"],
    ),
    "clock in words": ('"PT2H"', '"4 hours"', ["form.visit.step.0.clock.elapsed = '4 hours': a duration is days"]),
    "a value too long to show": ('"PT2H"', f'"{"4" * 900}"', [f"elapsed = '{'4' * 76}...: a duration is days"]),
    "a field that is no table": (
        "urgent = { ",
        "urgent = 3\nin_time = { ",
        ["form.visit.fields.urgent = 3: allowed is a"],
    ),
    "clock by no field": (
        'field = "month"',
        'field = "moon"',
        ["form.visit.clocks.whole.field = 'moon'", "allowed: month, day"],
    ),
    "clock by a field of a wrong type": (
        'field = "month"',
        'field = "client"',
        ["form.visit.clocks.whole.field = 'client'", "token", "allowed: month"],
    ),
    "clock by a field that may be missing": (
        'field = "month"',
        'field = "day"',
        ["form.visit.clocks.whole.field = 'day'", "may be missing"],
    ),
    "clock until no date": (
        'month_day = 10\nfield = "month"',
        'until = "month"',
        ["form.visit.clocks.whole.until = 'month'", "allowed: date, instant"],
    ),
    "clock with a day and no field": (
        'month_day = 10\nfield = "month"',
        "month_day = 10",
        ["form.visit.clocks.whole", "go by a field"],
    ),
    "clock with a field and no day": (
        'month_day = 10\nfield = "month"',
        'calendar_days = 10\nfield = "month"',
        ["form.visit.clocks.whole", "go by a field"],
    ),
    "clock with two limits": (
        "month_day = 10",
        "month_day = 10\ncalendar_days = 3",
        ["form.visit.clocks.whole", "only one of elapsed"],
    ),
    "day of no month": ("month_day = 10", "month_day = 32", ["form.visit.clocks.whole.month_day = 32", "31"]),
    "clock of a step without a limit": (
        'elapsed = "PT2H", ',
        "",
        ["form.visit.step.see.clock has no limit", "month_day"],
    ),
    "clock that goes to no rung": (
        'elapsed = "PT2H", ',
        'elapsed = "PT2H", escalates_to = "finance", ',
        ["form.visit.step.see.clock.escalates_to = 'finance'", "is not a rung", "agent"],
    ),
    "unknown clock": (
        "[form.visit.clocks.whole]",
        "[form.visit.clocks.hole]",
        ["form.visit.clocks.hole = 'hole' is not a clock", "step, approval, whole"],
    ),
    "early as a clock": ("[form.visit.clocks.whole]", "[form.visit.clocks.early]", ["form.visit", "early.clock"]),
    "clock that is paused": (
        "month_day = 10",
        "month_day = 10\npausable = true",
        ["form.visit.clocks.whole", "cannot be paused"],
    ),
    "effect without fields": (
        HEAD,
        f'{HEAD}effect = "absence"\n',
        ["form.visit.effect = 'absence' needs from", "allowed: day"],
    ),
    "an effect that would be taken back": (
        HEAD,
        f'{HEAD}effect = "absence"\nreopen_days = 3\n',
        ["form.visit.reopen_days: what effect = 'absence' brings about stands"],
    ),
    "unknown effect": (HEAD, f'{HEAD}effect = "joy"\n', ["form.visit.effect = 'joy'", "'absence'"]),
    "outcome of the incomplete": (HEAD, f'{HEAD}outcome = "refused"\n', ["form.visit.outcome = 'refused'"]),
    "named like a kind": (
        "[form.visit]",
        OTHER.replace("NAME", "claim"),
        ["form.claim is named like a built-in kind", "refund"],
    ),
    "named like a kind to come": (
        "[form.visit]",
        OTHER.replace("NAME", "order"),
        ["form.order is named like a built-in kind"],
    ),
    "a name": ("[form.visit]", OTHER.replace("NAME", "Visit-1"), ["form.Visit-1 is not a name", "at most 40"]),
    "no clause": ('clause = "S1-2.4"\nfiles', "files", ["form.visit.clause is missing"]),
    "unknown command": (
        FIELDS,
        f'[form.visit.permissions]\nfly = ["agent"]\n{FIELDS}',
        ["form.visit.permissions.fly", "is not a command"],
    ),
    "a command that goes by the steps": (
        FIELDS,
        f'[form.visit.permissions]\nsign = ["agent"]\n{FIELDS}',
        ["form.visit.permissions.sign = 'sign' is not a command that a form's permissions are for; allowed: acknowl"],
    ),
    "limits that fall": (
        FIELDS,
        OWN.replace('"director"', '"deputy_gm", "director"').replace('"5.00"', '"5.00", deputy_gm = "4.99"') + FIELDS,
        ["form.visit.authority: limits.deputy_gm = 4.99: allowed is at least the 5.00 of hr, the rung below"],
    ),
    "needed without fields": (
        'fields = ["people"]',
        "fields = []",
        ["form.visit.check.0.fields is empty: required_if"],
    ),
    "needed without a condition": (
        'when = { where = ["there"] }',
        "when = {}",
        ["form.visit.check.0.when is empty: required_if needs at least one field"],
    ),
    "a field before itself": (
        'rule = "required_if"\nfields = ["people"]\nwhen = { where = ["there"] }',
        'rule = "order"\nfrom = "day"\nto = "day"',
        ["form.visit.check.0.to = 'day' is from too", "two fields"],
    ),
    "nobody stands above": (
        'any_of = ["supervisor+", "courier"]',
        'any_of = ["supervisor+"]\nsuperior = true',
        ["form.visit.step.go.superior: general_manager may file, and none of supervisor, qa_manager, general_manager"],
    ),
    "one of all does not stand above": (
        'roles = ["field:unit", {',
        'superior = true\nroles = ["field:unit", "supervisor", {',
        ["form.visit.step.see.superior: general_manager may file, and none of supervisor stands above"],
    ),
    "unknown rung of the authority": (
        FIELDS,
        f'[form.visit.authority]\nrungs = ["boss"]\nclause = "x"\n{FIELDS}',
        ["form.visit.authority.rungs = 'boss' is not a role"],
    ),
    "limit of the last rung": (
        FIELDS,
        f'[form.visit.authority]\nrungs = ["hr"]\nlimits = {{ hr = "1.00" }}\nclause = "x"\n{FIELDS}',
        ["form.visit.authority", "limits.hr", "no limit"],
    ),
    "no limit of another": (
        FIELDS,
        f'[form.visit.authority]\nrungs = ["hr", "director"]\nclause = "x"\n{FIELDS}',
        ["form.visit.authority", "limits.hr is missing"],
    ),
    "early by nobody": (
        FIELDS,
        f'[form.visit.early]\nroles = ["boss"]\nclock = {{ elapsed = "PT1H", clause = "x" }}\n{FIELDS}',
        ["form.visit.early.roles = 'boss'"],
    ),
    "early without a clock": (
        FIELDS,
        f'[form.visit.early]\nroles = ["hr"]\n{FIELDS}',
        ["form.visit.early.clock is missing"],
    ),
    "no defaults of clocks": (
        "[form_defaults.clocks.step]",
        "[form_defaults.clocks.stop]",
        ["form_defaults.clocks.stop", "'step' or 'approval'"],
    ),
    "no clock of a step": (STEP_CLOCK, "", ["form.visit.clocks.step is missing"]),
    "erased before its time": (
        HEAD,
        f"{HEAD}retain_years = 9\nerase_after_years = 8\n",
        ["form.visit.erase_after_years = 8", "9 of form.visit.retain_years"],
    ),
    "kept too short": (HEAD, f"{HEAD}retain_years = 2\n", ["form.visit.retain_years = 2"]),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_form_is_told_where_what_and_what_is_allowed(case: str) -> None:
    old, new, parts = WRONG[case]
    with pytest.raises(Refused) as caught:
        visit((old, new))
    assert caught.value.code == "bad_policy"
    for part in ("policy: ", *parts):
        assert part in caught.value.message


def test_every_fault_of_a_form_is_named() -> None:
    with pytest.raises(Refused) as caught:
        visit(('decides = "total"', 'decides = "sum"'), ('"supervisor+"', '"boss"'), ('"accounting", ', '"customer", '))
    for part in ("form.visit.step.pay.decides", "form.visit.step.go.any_of = 'boss'", "form.visit.copies = 'customer'"):
        assert part in caught.value.message


def named_in(text: str) -> list[str]:
    """The faults of a policy file, each as its key path."""
    with pytest.raises(Refused) as caught:
        read(text)
    faults = re.split(r"; (?=form\.|notice\.)", caught.value.message.removeprefix("policy: "))
    return [re.split(r" |: ", fault)[0] for fault in faults]


def test_what_a_form_means_is_judged_beside_forms_of_a_wrong_shape() -> None:
    clause, boss = ('clause = "S1-2.4"\nfiles', "files"), ('"supervisor+"', '"boss"')
    bad, wrong = VISIT.replace(*clause), VISIT.replace(*boss).replace("form.visit", "form.trip")
    assert named_in(DEFAULT + bad + wrong) == ["form.visit.clause", "form.trip.step.go.any_of"]
    # What names a form is not wrong by what is wrong in it, but a form's own name may be.
    notice = '[[notice]]\nname = "sign"\non = ["signed"]\nkinds = ["visit"]\nto = ["NAME"]\nclause = "x"\n'
    told = notice.replace("NAME", "supervisor")
    assert named_in(DEFAULT + bad + told) == ["form.visit.clause"]
    assert named_in(DEFAULT + bad + told.replace("visit", "vist")) == ["form.visit.clause", "notice.sign.kinds"]
    odd = bad.replace("form.visit", "form.Visit")
    assert named_in(DEFAULT + odd) == ["form.Visit.clause", "form.Visit"]
    # A notice of a wrong shape hides nothing of a form either.
    untold = told.replace('clause = "x"', "").replace("visit", "trip")
    assert named_in(DEFAULT + wrong + untold)[1:] == ["form.trip.step.go.any_of"]
    # Not judged, since they rest on what is wrong: it comes when that is mended.
    ladder = DEFAULT.replace("factor = 2", "factor = 0", 1)
    assert [path.partition(".")[0] for path in named_in(ladder + wrong)] == ["ladder"]


def test_what_a_form_means_is_judged_beside_its_unknown_keys() -> None:
    acts, boss = ('act = "opinion"', 'acts = "opinion"'), ('"supervisor+"', '"boss"')
    assert named_in(DEFAULT + VISIT.replace(*acts).replace(*boss)) == [
        "form.visit.step.0.acts", "form.visit.step.go.any_of",
    ]  # fmt: skip
    # And what is wrong with the shape of a table is seen only without them.
    two = 'month_day = 10\ncalendar_days = 3\ncolour = "red"'
    other = VISIT.replace("form.visit", "form.trip").replace(*boss)
    assert named_in(DEFAULT + VISIT.replace("month_day = 10", two) + other) == [
        "form.visit.clocks.whole.colour", "form.visit.clocks.whole", "form.trip.step.go.any_of",
    ]  # fmt: skip


def test_what_is_erased_before_its_time_hides_no_other_fault() -> None:
    early = VISIT.replace(HEAD, f"{HEAD}retain_years = 9\nerase_after_years = 8\n", 1)
    early = early.replace('"supervisor+"', '"boss"')
    assert named_in(DEFAULT + early) == ["form.visit.step.go.any_of", "form.visit.erase_after_years"]


def test_what_is_no_nonsense_is_read() -> None:
    equal = OWN.replace('"director"', '"deputy_gm", "director"').replace('"5.00"', '"5.00", deputy_gm = "5.00"')
    assert visit((FIELDS, equal + FIELDS)).authority is not None
    superior = 'any_of = ["supervisor+"]\nsuperior = true'
    # Somebody on no rung may sign; the highest who files has a rung above; who signs is not asked of each of them.
    for change in (
        [('"courier"]', '"courier"]\nsuperior = true')],
        [
            ('files = ["ladder"]', 'files = ["agent", "qa_manager", "hr"]'),
            ('any_of = ["supervisor+", "courier"]', superior),
        ],
        [('any_of = ["supervisor+", "courier"]', f'{superior}\nwhen = {{ urgent = ["true"] }}')],
        [('any_of = ["supervisor+", "courier"]', 'any_of = ["field:unit", "supervisor"]\nsuperior = true')],
    ):
        assert visit(*change).step("go").superior


def test_the_permissions_of_a_form_are_for_what_goes_by_them() -> None:
    for command in Form.COMMANDS:
        given = f'[form.visit.permissions]\n{command} = ["customer"]\n{FIELDS}'
        if command in PERMITTED:
            assert visit((FIELDS, given)).permissions == {command: ("customer",)}
        else:
            with pytest.raises(Refused, match=rf"form\.visit\.permissions\.{command} = "):
                visit((FIELDS, given))


def test_a_pinned_form_may_hold_what_a_file_may_not() -> None:
    document = json.loads(read(DEFAULT + VISIT.replace(FIELDS, OWN + FIELDS)).document)
    form = document["form"]["visit"]
    form["permissions"] = {"sign": ["agent"]}
    form["authority"] = {
        "rungs": ["hr", "deputy_gm", "director"],
        "limits": {"hr": "5.00", "deputy_gm": "4.00"},
        "clause": "x",
    }
    form["check"][0] |= {"fields": [], "when": {}}
    document["authority"]["limits"]["supervisor"] = "1.00"
    assert Policy.from_document(json.dumps(document)).form["visit"].checks[0].fields == ()


def test_what_a_step_fills_is_known_afterwards() -> None:
    filled = ('total = { type = "yuan", sum = "costs.amount" }', 'total = { type = "yuan" }')
    offer = '[[form.visit.step]]\nname = "offer"\nfills = ["total"]\nroles = ["hr"]\n'
    pay = '[[form.visit.step]]\nname = "pay"'
    table = visit(filled, (pay, offer + pay))
    assert (table.steps[2].decides, "total" in table.taken) == ("total", False)
    sometimes = (
        offer + 'when = { urgent = ["true"] }\n',
        offer.replace('"hr"', '{ role = "hr", when = { urgent = ["true"] } }'),
    )
    for unsure in sometimes:
        with pytest.raises(
            Refused, match=r"step\.pay\.decides = 'total': total is filled at a step and not known by then"
        ):
            visit(filled, (pay, unsure + pay))
    # Nor before.
    with pytest.raises(Refused, match=r"step\.see\.when\.report: report is filled at a step"):
        visit(('act = "opinion"', 'act = "opinion"\nwhen = { report = ["x"] }'))


def test_a_form_is_read() -> None:
    table = visit()
    assert table.titles("visit") == {"en": "Visit of a client", "zh": "客户拜访"}
    # In the order of the file, which the document keeps.
    names = ["client", "unit", "month", "urgent", "day", "people", "where", "note", "costs", "total", "report"]
    assert list(table.fields) == names
    assert list(table.fields["costs"].columns) == ["what", "amount"]
    assert list(table.taken) == [name for name in names if name not in ("total", "report")]
    assert (table.filled, table.key_field) == (frozenset({"report"}), "client")
    see, pay, go, travel = table.steps
    assert travel.when == {"where": ("there",)}
    assert [rule.role for rule in see.roles] == ["field:unit", "finance"]
    assert see.roles[1].when == {"where": ("there",), "urgent": ("true",)}
    assert (go.any_of, go.titles, pay.refusable) == (("supervisor+", "courier"), {"en": "go", "zh": "go"}, True)
    assert (table.outcome, table.effect, table.early, table.reopens, table.retain_years) == (
        "approved", None, None, False, 3,
    )  # fmt: skip
    assert visit((HEAD, f"{HEAD}reopen_days = 3\n")).reopens


def test_a_clock_is_that_of_the_step_else_of_all_steps() -> None:
    table = visit()
    limits = {name: table.clock(name) for name in ("step:see", "step:go", "step:no", "approval:3", "whole", "early")}
    assert [rule and str(rule.elapsed or rule.working_time or rule.month_day) for rule in limits.values()] == [
        "2:00:00", "18:00:00", "18:00:00", "18:00:00", "10", None,
    ]  # fmt: skip
    early = '[form.visit.early]\nroles = ["hr"]\nclock = { elapsed = "PT1H", clause = "x" }\n[form.visit.fields]'
    rule = visit(("[form.visit.fields]", early)).clock("early")
    assert rule is not None
    assert str(rule.elapsed) == "1:00:00"


def test_a_form_says_what_the_defaults_do_not() -> None:
    assert visit((HEAD, f"{HEAD}retain_years = 5\n")).retain_years == 5
    own = 'step = { calendar_days = 2, clause = "x" }\n[form.visit.clocks.whole]'
    rule = visit(("[form.visit.clocks.whole]", f"[form.visit.clocks]\n{own}")).clock("step:go")
    assert rule is not None
    # A clock stands as a whole: nothing of the default's is left.
    assert (rule.calendar_days, rule.working_time, rule.escalates_to) == (2, None, None)


def test_who_decides_is_of_the_kind_where_it_says_so() -> None:
    policy = read(DEFAULT + VISIT.replace(FIELDS, OWN + FIELDS))
    asked, limit = policy.authority_for("visit"), Decimal("5.00")
    assert (asked.lowest_for(limit), asked.next_above("hr"), asked.rank("agent")) == ("hr", "director", -1)
    assert policy.authority_for("claim").rank("agent") == 0
    of_claims = read(DEFAULT.replace("[claim.duties]", OWN.replace("form.visit", "claim") + "[claim.duties]"))
    assert of_claims.authority_for("claim").lowest_for(limit) == "hr"
    with pytest.raises(Refused, match=r"no section \[trip\]"):
        policy.authority_for("trip")


def test_titles_are_split_at_the_first_chinese_character() -> None:
    assert titles("Leave 请假") == {"en": "Leave", "zh": "请假"}
    assert titles("Form “A” 《表》 A") == {"en": "Form “A”", "zh": "《表》 A"}
    assert titles("Leave") == {"en": "Leave", "zh": "Leave"}
    assert titles("请假 A") == {"en": "请假 A", "zh": "请假 A"}


@pytest.mark.parametrize(("what", "most"), [("fields", 100), ("steps", 50)])
def test_a_form_has_an_end(what: str, most: int) -> None:
    def form(count: int) -> str:
        fields = "".join(f'f{number} = {{ type = "bool" }}\n' for number in range(count if what == "fields" else 1))
        steps = range(count if what == "steps" else 1)
        return (
            f'{DEFAULT}[form.long]\nclause = "x"\nfiles = ["agent"]\n[form.long.fields]\n{fields}'
            + "".join(f'[[form.long.step]]\nname = "s{number}"\nroles = ["hr"]\n' for number in steps)
        )  # fmt: skip

    read(form(most))
    for count in (most + 1, 1000):
        with pytest.raises(Refused) as caught:
            read(form(count))
        path = "form.long.fields" if what == "fields" else "form.long.step"
        assert f"{path}: there are {count}; allowed are at most {most}" in caught.value.message


def test_no_steps_are_refused() -> None:
    allowed = r"allowed is at least one \[\[form\.none\.step\]\]"
    with pytest.raises(Refused, match=rf"form\.none\.step is missing; {allowed}"):
        read(f'{DEFAULT}[form.none]\nclause = "x"\nfiles = ["agent"]\nfields = {{}}\n')
    with pytest.raises(Refused, match=rf"form\.none\.step = \[\]: {allowed}"):
        read(f'{DEFAULT}[form.none]\nclause = "x"\nfiles = ["agent"]\nfields = {{}}\nstep = []\n')


def test_a_step_with_a_fault_is_a_step() -> None:
    step = 'step = [{name = "step one", roles = ["hr"]}]'
    assert named_in(f'{DEFAULT}[form.one]\nclause = "x"\nfiles = ["agent"]\nfields = {{}}\n{step}\n') == [
        "form.one.step.0.name"
    ]


def test_a_pinned_document_is_what_it_was() -> None:
    policy = read(DEFAULTS)
    again = Policy.from_document(policy.document)
    assert again.form == policy.form
    assert list(again.form["visit"].fields) == list(policy.form["visit"].fields)
    # Nothing of another release is refused: what it said and this one does not know is passed over.
    later = json.loads(policy.document)
    later["form"]["visit"]["mood"] = "glad"
    later["form"]["visit"]["fields"]["client"]["hue"] = "red"
    later["form_defaults"]["tempo"] = 3
    later["form_defaults"]["clocks"]["step"]["tempo"] = 3
    assert Policy.from_document(json.dumps(later)).form == policy.form
    later["form"]["visit"]["copies"] = ["nobody"]
    assert Policy.from_document(json.dumps(later)).form["visit"].copies == ("nobody",)


def test_kinds_are_those_with_code_and_then_the_forms() -> None:
    policy = read(DEFAULTS)
    assert policy.kinds == (*KINDS, "visit")
    assert policy.rule("visit") is policy.form["visit"]
    assert "visit" not in default_policy().kinds
    assert policy.permitted("approve", "visit") == policy.permitted("approve")
    # A notice may be about a form.
    read(DEFAULTS.replace('kinds = ["complaint"]', 'kinds = ["visit"]', 1))


# --- the forms that ship --------------------------------------------------------------------------

SHIPPED = default_policy().form


def test_the_forms_of_the_documents_ship() -> None:
    assert set(SHIPPED) == {
        "new_business", "leave", "penalty_notice", "personnel_publication", "complaint_statistics", "goods_decision",
        "statement", "petition", "allowance", "improvement_slip", "weekly_summary",
    }  # fmt: skip
    folder = Path(__file__).parents[2] / "cases" / "policy" / "forms"
    for path in folder.glob("*.toml"):
        assert list(tomllib.loads(path.read_text("utf-8"))["form"]) == [path.stem]
    routes = {name: [step.name for step in table.steps] for name, table in SHIPPED.items()}
    assert routes["statement"] == [
        "issue", "check", "send", "confirm", "ask_invoice", "invoice", "deliver", "ready", "collect",
    ]  # fmt: skip
    assert routes["allowance"] == ["manager", "general", "customer"]
    assert {name: table.outcome for name, table in SHIPPED.items() if table.outcome != "approved"} == {
        "personnel_publication": "published", "goods_decision": "allocated", "statement": "settled",
    }  # fmt: skip


@pytest.mark.parametrize("name", SHIPPED)
def test_all_that_people_see_of_a_shipped_form_is_in_both_languages(name: str) -> None:
    def both(title: str | None) -> bool:
        return title is not None and len(set(titles(title).values())) == 2

    table = SHIPPED[name]
    assert both(table.title)
    assert [step.name for step in table.steps if not both(step.title)] == []
    fields = {
        **table.fields,
        **{f"{n}.{c}": its for n, rule in table.fields.items() for c, its in rule.columns.items()},
    }
    assert [path for path, rule in fields.items() if not both(rule.title)] == []
    assert [p for p, rule in fields.items() if rule.of and [v for v in rule.of if not both(rule.labels.get(v))]] == []


def test_a_hundred_forms_are_checked_in_less_than_a_second() -> None:
    text = DEFAULT + "".join(VISIT.replace("form.visit", f"form.visit_{number}") for number in range(100))
    read(DEFAULTS)
    # Of this process, so that others on the machine do not count.
    begun = process_time()
    policy = read(text)
    assert process_time() - begun < 1
    assert len(policy.form) == 100


def test_between_companies_no_form_climbs_the_default_ladder() -> None:
    policy = Policies().load("cross_company")
    assert set(policy.form) == set(SHIPPED)
    ends: set[Any] = {rule.escalates_to for table in policy.form.values() for _, rule in table.limits()}
    assert ends - {None} == {"headquarters"}
