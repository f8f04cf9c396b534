"""`caseladder calendar` without a stack: what a bad file is told, and what is known of itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.program import call

NOWHERE = ("--data", "/nonexistent/caseladder")
GOOD = '[2027]\nsource = "made up"\nholidays = [2027-01-01, "2027-01-02"]\nmake_up_days = []\n'

BAD = {
    "both": (
        '[2027]\nsource = "x"\nholidays = ["2027-05-01", "2027-05-08"]\nmake_up_days = ["2027-05-08"]\n',
        [],
        ["2027", "2027-05-08 is both a holiday and a make-up day"],
    ),
    "another year": ('[2027]\nsource = "x"\nholidays = ["2026-12-31"]\n', [], ["2026-12-31 stands under 2027"]),
    "no source": ('[2027]\nholidays = ["2027-01-01"]\n', [], ["2027.source is missing"]),
    "no date": ('[2027]\nsource = "x"\nholidays = ["1 May"]\n', [], ["2027.holidays.0 = (text)"]),
    "no such day": ('[2027]\nsource = "x"\nholidays = ["2027-02-29"]\n', [], ["2027.holidays.0 = '2027-02-29'"]),
    "unknown field": ('[2027]\nsource = "x"\nholiday = ["2027-01-01"]\n', [], ["2027.holiday is not a known field"]),
    "one year of two is bad": (GOOD + '[2028]\nsource = ""\n', [], ["2028.source"]),
    "no year": ("", [], ["holds no year", "[2027]"]),
    "a name for a year": ('[next]\nsource = "x"\n', [], ["next", "integer"]),
    "a year too far": ('[1999]\nsource = "x"\n', [], ["1999", "2000 to 9998"]),
    "not in the file": (GOOD, ["--year", "2028"], ["--year = 2028", "holds 2027"]),
    "of which year": ('source = "x"\n', [], ["of which year", "--year"]),
    "not TOML": ("[2027\n", [], ["not TOML"]),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_file_is_told_where_what_and_what_is_allowed(case: str, tmp_path: Path) -> None:
    text, options, parts = BAD[case]
    file = tmp_path / "year.toml"
    file.write_text(text)
    line = call("calendar", "load", str(file), *options, *NOWHERE).refused(2)
    for part in parts if case == "not in the file" else (str(file), *parts):
        assert part in line


def test_a_good_file_needs_a_casebook(tmp_path: Path) -> None:
    file = tmp_path / "year.toml"
    file.write_text(GOOD)
    assert "no database" in call("calendar", "load", str(file), *NOWHERE).refused(1)
    assert "cannot be read" in call("calendar", "load", str(tmp_path / "none.toml"), *NOWHERE).refused(2)


def test_the_shipped_years_are_shown_without_a_casebook() -> None:
    shown = call("calendar", "show", *NOWHERE)
    assert shown.code == 0
    assert "02-15 to 02-23" in shown.out
    assert "02-14, 02-28" in shown.out
    assert "no casebook at hand" in shown.out
    [year] = call("calendar", "show", "2026", "--json", *NOWHERE).json
    assert (year["year"], year["kept"], len(year["holidays"])) == (2026, "shipped", 33)
    assert year["make_up_days"] == [
        "2026-01-04", "2026-02-14", "2026-02-28", "2026-05-09", "2026-09-20", "2026-10-10",
    ]  # fmt: skip
    line = call("calendar", "show", "2027", *NOWHERE).refused(1)
    assert "2027: not known" in line
    assert "provisional" in line


def test_the_ladder_between_companies_can_be_shown() -> None:
    shown = call("policy", "show", "cross_company")
    assert shown.code == 0
    assert "window_and_site → other_company_agent → area_office → headquarters" in shown.out
    assert "next opening" in shown.out
