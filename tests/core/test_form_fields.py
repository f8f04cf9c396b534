"""What people fill into forms: what is taken, what is computed, what is personal, and the rules between fields."""

from __future__ import annotations

from copy import deepcopy
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from cases.kinds.form_fields import (
    FormIntake,
    begin_of,
    check_fields,
    computed,
    fields_model,
    filled_model,
    form_intake,
    personal_fields,
    text_paths,
)
from cases.policy.forms import FormTable
from cases.policy.model import Policy
from cases.vocabulary.facts import read_intake
from cases.vocabulary.refusals import Refused, invalid
from tests.core.support import DEFAULT, at, default_policy, read_default

SHA = "0" * 64
PAPER = {"name": "prices.pdf", "sha256": SHA, "where": "cabinet 3"}
FILED_BY = {"id": "a-1", "role": "agent"}
# A form with a field of each type.
EVERY = """
[form.every]
clause = "S1-2.4"
files = ["agent"]
[form.every.fields]
text = { type = "text" }
token = { type = "token" }
yuan = { type = "yuan", min = "0.01", max = "50.00" }
number = { type = "number", min = "0.5" }
integer = { type = "integer", min = 1, max = 9 }
bool = { type = "bool" }
date = { type = "date" }
instant = { type = "instant" }
month = { type = "month" }
week = { type = "week" }
staff = { type = "staff" }
role = { type = "role" }
case = { type = "case" }
choice = { type = "choice", of = ["one", "both"] }
attachment = { type = "attachment" }
rows = { type = "rows", columns = { what = { type = "text" }, money = { type = "yuan" }, times = { type = "integer" }, weight = { type = "number" }, who = { type = "role" } } }
total = { type = "yuan", sum = "rows.money" }
count = { type = "integer", sum = "rows.times" }
heavy = { type = "number", sum = "rows.weight" }
phone = { type = "token", personal = true }
story = { type = "text", personal = true }
paper = { type = "attachment" }
said = { type = "text" }
[[form.every.step]]
name = "only"
roles = ["hr"]
fills = ["paper", "said"]
"""  # noqa: E501 - an inline table stands on one line
POLICY = read_default(DEFAULT + EVERY)
TABLE = POLICY.form["every"]
ROW = {"what": "petrol", "money": "3333.33", "times": 2, "weight": "0.5", "who": "hr"}


def intake(fields: dict[str, Any], name: str = "every", table: FormTable = TABLE) -> FormIntake:
    """An intake of a form."""
    facts = {"filed_by": FILED_BY, "fields": fields}
    read = read_intake(form_intake(name, table), {"key": "F-1", "facts": facts})
    assert isinstance(read, FormIntake)
    return read


GOOD: dict[str, list[Any]] = {
    "text": ["x" * 4000, "车坏了"],
    "token": ["a-1"],
    "yuan": ["0.01", "50.00", "50"],
    "number": ["0.5", "12.125"],
    "integer": [1, 9],
    "bool": [True, False],
    "date": ["2000-01-01", "9998-12-31", "2028-02-29"],
    "instant": ["2026-03-10T09:00:00+08:00", "2026-03-10T01:00:00Z"],
    "month": ["2026-12"],
    "week": ["2026-W53", "2026-W01", "2027-W52"],
    "staff": ["a-1"],
    "role": ["hr", "agent"],
    "case": ["complaint:C-1", "car_hire:2026/1"],
    "choice": ["one", "both"],
    "attachment": [PAPER],
    "rows": [[], [ROW] * 200],
    "phone": ["13800000000"],
}
BAD: dict[str, list[tuple[Any, str]]] = {
    "text": [("", "at least 1"), ("x" * 4001, "at most 4000"), (3, "valid string"), ("a\0", "NUL")],
    "token": [("a b", "match pattern"), ("", "match pattern")],
    "yuan": [
        ("0.00", "0.01"),
        ("50.01", "50"),
        ("0.015", "two decimals"),
        (1.5, "never as a float"),
        ("-1", "no sign"),
    ],
    "number": [("0.4", "0.5"), (0.5, "never as a float"), ("1e3", "no sign"), ("x", "twelve digits")],
    "integer": [(0, "1"), (10, "9"), ("3", "valid integer"), (2.0, "valid integer"), (True, "valid integer")],
    "bool": [("true", "valid boolean"), (1, "valid boolean")],
    "date": [("1999-12-31", "2000 to 9998"), ("2026-02-29", "date"), ("9999-01-01", "2000 to 9998")],
    "instant": [("2026-03-10T09:00:00", "timezone"), ("1999-03-10T09:00:00Z", "2000 to 9998")],
    "month": [("2026-13", "match pattern"), ("2026-3", "match pattern")],
    "week": [("2025-W53", "no such week"), ("2026-W00", "no such week"), ("2026-10", "match pattern")],
    "staff": [("a b", "match pattern")],
    "role": [("Hr", "match pattern")],
    "case": [("C-1", "match pattern"), ("complaint:", "match pattern")],
    "choice": [("two", "'one' or 'both'"), (None, "'one' or 'both'")],
    "attachment": [({**PAPER, "sha256": "0"}, "match pattern"), ({"name": "x"}, "missing"), ("x", "dictionary")],
    "rows": [([ROW] * 201, "at most 200"), ([{**ROW, "hue": 1}], "not a known field"), ([{"what": "x"}], "missing")],
    "total": [("1.00", "it is the sum of rows.money")],
    "paper": [(PAPER, "step only fills it")],
    "hue": [("red", "facts.fields.hue is not a known field; allowed: attachment, ")],
}


@pytest.mark.parametrize(("field", "value"), [(field, value) for field, values in GOOD.items() for value in values])
def test_a_right_value_is_taken(field: str, value: Any) -> None:
    taken = intake({field: value})
    there = {**taken.open_facts()["fields"], **taken.personal().get("fields", {})}
    assert list(there) == [field]
    # What is filed again is the same, and the schema says so too.
    assert intake(there).digest() == intake(deepcopy(there)).digest()
    filed = {"key": "F-1", "facts": {"filed_by": FILED_BY, "fields": {field: value}}}
    jsonschema_rs.validate(form_intake("every", TABLE).model_json_schema(), filed)


@pytest.mark.parametrize(("field", "value", "said"), [(f, *bad) for f, values in BAD.items() for bad in values])
def test_a_wrong_value_is_told_where_what_and_what_is_allowed(field: str, value: Any, said: str) -> None:
    if value is None:
        # Left out is not given as nothing: both are the same.
        assert field not in intake({field: value}).open_facts()["fields"]
        return
    with pytest.raises(Refused) as caught:
        intake({field: value})
    assert caught.value.code == "invalid"
    assert "facts.fields" in caught.value.message
    assert field in caught.value.message
    assert said in caught.value.message


def test_what_is_required_is_missed() -> None:
    leave = default_policy().form["leave"]
    with pytest.raises(Refused) as caught:
        intake({"emergency": True}, "leave", leave)
    for name in ("from", "to", "reason"):
        assert f"facts.fields.{name} is missing" in caught.value.message
    with pytest.raises(Refused, match=r"facts\.filed_by is missing"):
        read_intake(form_intake("leave", leave), {"key": "F-1", "facts": {"fields": {}}})


def test_personal_fields_stand_apart_and_in_no_message() -> None:
    assert personal_fields(TABLE) == {"phone", "story"}
    filed = intake({"phone": "Zhang", "story": "ill", "token": "t"})
    assert filed.open_facts()["fields"] == {"token": "t"}
    assert filed.personal() == {"fields": {"phone": "Zhang", "story": "ill"}}
    assert intake({"token": "t"}).personal() == {}
    with pytest.raises(Refused) as caught:
        intake({"phone": "Zhang San"})
    assert "facts.fields.phone: String should match pattern" in caught.value.message
    assert "Zhang" not in caught.value.message


def test_free_texts_are_found_that_are_not_personal() -> None:
    fields = {"text": "x", "story": "y", "rows": [ROW, ROW], "attachment": PAPER, "said": "z", "token": "t"}
    assert text_paths(TABLE, fields) == [
        "text", "attachment.name", "attachment.where", "rows.0.what", "rows.1.what", "said",
    ]  # fmt: skip
    # As they are where they were taken out.
    assert text_paths(TABLE, {"rows": [{**ROW, "what": ""}]}) == ["rows.0.what"]
    assert text_paths(TABLE, {}) == []


def test_what_a_step_fills_is_needed_there() -> None:
    model = filled_model(TABLE, "only")
    filled = model.model_validate({"paper": PAPER, "said": "done"}).model_dump(mode="json")
    assert filled == {"paper": PAPER, "said": "done"}
    for wrong, said in (
        ({"said": "done"}, "paper is missing"),
        ({**filled, "token": "t"}, "token is not a known field"),
    ):
        with pytest.raises(ValidationError) as caught:
            model.model_validate(wrong)
        assert said in invalid(caught.value, "sign", model).message
    with pytest.raises(LookupError):
        filled_model(TABLE, "none")


def test_models_are_made_once() -> None:
    assert fields_model(TABLE) is fields_model(TABLE)
    assert form_intake("every", TABLE) is form_intake("every", TABLE)
    schema = form_intake("new_business", default_policy().form["new_business"]).model_json_schema()
    assert (schema["title"], schema["required"]) == ("NewBusinessIntake", ["key", "facts"])
    fields = schema["$defs"]["NewBusinessFields"]
    assert list(fields["properties"])[:2] == ["client", "business"]
    assert fields["properties"]["business"]["enum"] == ["warehousing", "distribution", "both"]
    assert fields["properties"]["business"]["title"] == "Business 业务类型"


@given(st.lists(st.tuples(st.integers(0, 10**10), st.integers(-(10**6), 10**6), st.integers(0, 10**9)), max_size=20))
def test_sums_are_exact(entries: list[tuple[int, int, int]]) -> None:
    rows = [
        {**ROW, "money": f"{Decimal(fen) / 100:.2f}", "times": times, "weight": str(Decimal(grams) / 1000)}
        for fen, times, grams in entries
    ]
    sums = computed(TABLE, intake({"rows": rows}).open_facts()["fields"])
    fen = sum(fen for fen, _, _ in entries)
    assert sums["total"] == f"{fen // 100}.{fen % 100:02}"
    assert sums["count"] == sum(times for _, times, _ in entries)
    assert Decimal(sums["heavy"]) == Decimal(sum(grams for _, _, grams in entries)) / 1000


def test_the_sums_of_the_worked_cases() -> None:
    lines = [{"waybill": "W", "amount": amount} for amount in ("3333.33", "3333.33", "3333.35")]
    assert computed(default_policy().form["statement"], {"lines": lines}) == {"total": "10000.01"}
    entries = [("30.00", "0.00"), ("0.00", "200.00"), ("45.50", "0.00")]
    rows = [{"reward": reward, "penalty": penalty} for reward, penalty in entries]
    sums = computed(default_policy().form["goods_decision"], {"entries": rows})
    assert sums == {"rewards": "75.50", "penalties": "200.00"}
    assert computed(default_policy().form["statement"], {}) == {"total": "0.00"}


# --- the rules between fields ---------------------------------------------------------------------


def refused(form: str, filed: str, fields: dict[str, Any], key: str | None = None) -> str | None:
    """The code with which a form of the default policy is refused that is filed at an instant (see `at`)."""
    return refused_by(default_policy().form[form], default_policy(), filed, fields, key)


def refused_by(
    table: FormTable, policy: Policy, filed: str, fields: dict[str, Any], key: str | None = None
) -> str | None:
    try:
        check_fields(table, fields, at(filed).astimezone(UTC), policy, key)
    except Refused as refusal:
        return refusal.code
    return None


def day(text: str) -> str:
    return at(text).isoformat()


def test_without_a_contract_the_settlement_is_agreed() -> None:
    def terms(**fields: Any) -> str | None:
        return refused("new_business", "04-03 14:00:00", {"business": "both", **fields})

    assert terms(contract=False) == "settlement_missing"
    assert terms(contract=False, settlement_method="transfer") == "settlement_missing"
    assert terms(contract=False, settlement_method="transfer", settlement_days=30) is None
    assert terms(contract=True) is None


def test_leave_is_asked_for_a_day_ahead() -> None:
    leave = {"from": day("06-09 08:00:00"), "to": day("06-09 18:00:00")}
    assert refused("leave", "06-08 23:59:59", leave) is None
    assert refused("leave", "06-09 00:00:00", leave) == "too_late"
    assert refused("leave", "06-09 07:00:00", {**leave, "emergency": True}) is None
    assert refused("leave", "06-09 07:00:00", {**leave, "emergency": False}) == "too_late"
    assert refused("leave", "06-01 07:00:00", {**leave, "to": leave["from"]}) == "out_of_order"
    # The same instant, written in another zone.
    assert refused("leave", "06-01 07:00:00", {**leave, "to": "2026-06-09T00:00:00Z"}) == "out_of_order"


def test_who_is_away_comes_back_later_also_where_no_check_says_so() -> None:
    leave = {"from": day("06-09 08:00:00"), "to": day("06-09 18:00:00")}
    bare = default_policy().form["leave"].model_copy(update={"checks": ()})
    assert refused_by(bare, default_policy(), "06-08 08:00:00", leave) is None
    assert refused_by(bare, default_policy(), "06-08 08:00:00", {**leave, "to": leave["from"]}) == "invalid"
    dates = {"from": "2026-06-09", "to": "2026-06-09"}
    assert refused_by(bare, default_policy(), "06-08 08:00:00", dates) == "invalid"


def test_a_date_begins_in_the_zone_of_the_policy() -> None:
    assert begin_of("2026-06-09", default_policy()) == "2026-06-09T00:00:00+08:00"
    assert begin_of("2026-06-09T00:00:00Z", default_policy()) == "2026-06-09T00:00:00Z"


def test_a_form_that_asks_nobody_is_not_taken() -> None:
    shipped = default_policy().form["leave"]
    step = shipped.steps[0].model_copy(update={"when": {"emergency": ("true",)}})
    table = shipped.model_copy(update={"steps": (step,)})
    leave = {"from": day("06-09 08:00:00"), "to": day("06-09 18:00:00")}
    assert refused_by(table, default_policy(), "06-08 08:00:00", {**leave, "emergency": True}) is None
    with pytest.raises(Refused, match="no step of the form is asked"):
        check_fields(table, leave, at("06-08 08:00:00").astimezone(UTC), default_policy())


def test_no_two_forms_have_models_of_one_name() -> None:
    table = default_policy().form["leave"]
    names = ("a_b", "a__b", "ab", "car1", "car_1", "claim", "claim_", "car_hire", "carhire")
    made = {form_intake(name, table).__name__ for name in names}
    assert len(made) == len(names)
    assert "CarHireIntake" in made


def test_leave_is_not_over_holidays() -> None:
    def leave(start: str, to: str, **more: Any) -> str | None:
        return refused("leave", "09-01 09:00:00", {"from": day(start), "to": day(to), **more})

    assert leave("09-29 00:00:00", "10-01 00:00:00") is None
    assert leave("09-29 00:00:00", "10-01 00:00:01") == "holiday"
    assert leave("10-10 09:00:00", "10-10 18:00:00") is None
    assert leave("09-29 00:00:00", "10-01 00:00:01", emergency=True) is None
    # A plain weekend is no holiday.
    assert leave("09-12 00:00:00", "09-14 00:00:00") is None


def test_a_month_or_a_week_is_over() -> None:
    month = {"month": "2026-02"}
    assert refused("personnel_publication", "02-28 23:59:59", month, "2026-02") == "not_ended"
    assert refused("personnel_publication", "03-01 00:00:00", month, "2026-02") is None
    assert refused("personnel_publication", "03-01 00:00:00", month, "2026-03") == "invalid"
    assert refused("weekly_summary", "04-05 23:59:59", {"week": "2026-W14"}) == "not_ended"
    assert refused("weekly_summary", "04-06 00:00:00", {"week": "2026-W14"}) is None
    # The first days of January may be of the last week of the year before.
    assert refused("weekly_summary", "2027-01-03 23:59:59", {"week": "2026-W53"}) == "not_ended"
    assert refused("weekly_summary", "2027-01-04 00:00:00", {"week": "2026-W53"}) is None


@pytest.mark.parametrize(
    ("type_", "low", "high"),
    [
        ("date", "2026-03-09", "2026-03-10"),
        ("instant", "2026-03-10T09:00:00+08:00", "2026-03-10T02:00:00Z"),
        ("month", "2026-09", "2026-10"),
        ("week", "2026-W09", "2026-W10"),
        ("integer", 9, 10),
        ("yuan", "9.00", "10.00"),
        ("number", "9.5", "10"),
    ],
)
def test_order_is_that_of_the_type(type_: str, low: Any, high: Any) -> None:
    check = 'check = [{ rule = "order", from = "a", to = "b", code = "turned" }]\n[form.every.fields]\n'
    fields = f'{check}a = {{ type = "{type_}" }}\nb = {{ type = "{type_}" }}\n'
    policy = read_default(DEFAULT + EVERY.replace("[form.every.fields]\n", fields))
    table = policy.form["every"]
    assert refused_by(table, policy, "03-10 09:00:00", {"a": low, "b": high}) is None
    assert refused_by(table, policy, "03-10 09:00:00", {"a": high, "b": low}) == "turned"
    assert refused_by(table, policy, "03-10 09:00:00", {"a": low, "b": low}) == "turned"
    assert refused_by(table, policy, "03-10 09:00:00", {"a": low}) is None


def test_a_role_is_one_of_the_policy_and_no_copy_goes_to_the_customer() -> None:
    with pytest.raises(Refused) as caught:
        check_fields(TABLE, {"role": "boss"}, at("03-10 09:00:00"), POLICY)
    assert "fields.role = 'boss' is not a role; allowed: agent, " in caught.value.message
    assert refused_by(TABLE, POLICY, "03-10 09:00:00", {"rows": [ROW, {**ROW, "who": "boss"}]}) == "invalid"
    assert refused_by(TABLE, POLICY, "03-10 09:00:00", {"rows": [ROW], "role": "customer"}) is None
    assert refused("penalty_notice", "03-10 09:00:00", {"department": "customer"}) == "invalid"
    assert refused("penalty_notice", "03-10 09:00:00", {"department": "manufacturing"}) is None


@given(st.dates(date(2026, 1, 1), date(2026, 12, 31)), st.integers(1, 400), st.integers(0, 86_399))
def test_a_day_ahead_is_a_local_day(first: date, days: int, second: int) -> None:
    filed = datetime(first.year, first.month, first.day, tzinfo=at("01-01 00:00:00").tzinfo) + timedelta(seconds=second)
    start = filed - timedelta(seconds=second) + timedelta(days=days)
    fields = {"from": start.astimezone(UTC).isoformat(), "to": (start + timedelta(seconds=1)).isoformat()}
    table = default_policy().form["leave"]
    assert [check.rule for check in table.checks] == ["order", "ahead", "not_holiday"]
    ahead = table.model_copy(update={"checks": table.checks[:2]})
    check_fields(ahead, fields, filed, default_policy())
    with pytest.raises(Refused, match="at the latest"):
        check_fields(ahead, fields, filed + timedelta(days=days), default_policy())
