"""``caseladder export`` against a running stack with the sample cases."""

from __future__ import annotations

import csv
from io import BytesIO
from pathlib import Path

import openpyxl
import pytest

from starter.exports import COLUMNS
from tests.cli.program import Up, spawn


@pytest.mark.long
def test_cases_and_their_events_go_into_files(up: Up, tmp_path: Path) -> None:
    cases, events = tmp_path / "cases.csv", tmp_path / "events.csv"
    listed = up("list", "--kind", "claim", "--limit", "1000", "--json").json
    assert listed
    assert f" in {cases}\n" in up("export", "cases", "-o", str(cases), "--kind", "claim", "--raw").out
    with cases.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["case"] for row in rows} == {view["id"] for view in listed}
    told = up("export", "events", "-o", str(events), "--kind", "claim", "--raw", "--json").json
    with events.open(newline="") as file:
        log = list(csv.DictReader(file))
    assert told == {"rows": len(log), "file": str(events)}
    assert {row["case:concept:name"] for row in log} == {row["case"] for row in rows}
    assert sum(int(row["events"]) for row in rows) == len(log)

    book = tmp_path / "cases.xlsx"
    up("export", "cases", "-o", str(book), "--kind", "claim", "--format", "xlsx", "--raw", "--json")
    sheet = openpyxl.load_workbook(BytesIO(book.read_bytes())).active
    assert [cell.value for cell in next(sheet.iter_rows())] == list(COLUMNS)
    assert sheet.max_row == len(rows) + 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cases.csv", "cases.xlsx", "events.csv"]


@pytest.mark.parametrize(
    ("locale", "options", "heads"),
    [
        ({"LANG": "zh_CN.UTF-8"}, (), ["案件", "编号", "案件类型", "状态"]),
        ({"LANG": "zh_CN.UTF-8", "LC_ALL": "C"}, (), ["Case", "Number", "Kind", "Status"]),
        ({"LANG": "C"}, ("--language", "zh"), ["案件", "编号", "案件类型", "状态"]),
    ],
)
def test_people_read_words_and_spreadsheets_know_the_encoding(
    up: Up,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    locale: dict[str, str],
    options: tuple[str, ...],
    heads: list[str],
) -> None:
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.delenv(name, raising=False)
    for name, value in locale.items():
        monkeypatch.setenv(name, value)
    file = tmp_path / "cases.csv"
    up("export", "cases", "-o", str(file), "--kind", "claim", *options, "--json")
    assert file.read_bytes().startswith(b"\xef\xbb\xbf")
    with file.open(encoding="utf-8-sig", newline="") as opened:
        head, *rows = csv.reader(opened)
    assert head[: len(heads)] == heads
    assert {row[2] for row in rows} == {"理赔" if heads[0] == "案件" else "claim"}


def test_filters_narrow_it(up: Up, tmp_path: Path) -> None:
    file = tmp_path / "none.csv"
    assert up("export", "cases", "-o", str(file), "--text", "nothing", "--json").json["rows"] == 0
    assert file.read_text().count("\n") == 1
    soon = ("--opened-to", "2020-01-01T00:00:00+08:00")
    assert up("export", "events", "-o", str(file), *soon, "--json").json["rows"] == 0


@pytest.mark.long
def test_a_text_finds_what_people_type(up: Up, tmp_path: Path) -> None:
    file = tmp_path / "found.csv"

    def found(*options: str) -> set[str]:
        listed = {view["id"] for view in up("list", *options, "--limit", "1000", "--json").json}
        up("export", "cases", "-o", str(file), "--raw", *options)
        with file.open(newline="") as rows:
            assert {row["case"] for row in csv.DictReader(rows)} == listed
        return listed

    claims = {view["id"] for view in up("list", "--kind", "claim", "--limit", "1000", "--json").json}
    # As the pages call it, in either language and script.
    assert claims
    assert claims <= found("--text", "理赔")
    assert claims <= found("--text", "理賠")
    assert claims <= found("--text", "ＣＬＡＩＭ")
    # What was written, with the name of who wrote it or its case's number in part.
    [told] = up("list", "--limit", "1000", "--text", "neighbour's courier", "--json").json
    number = told["number"].replace("-", "")
    assert found("--text", f"neighbour {number[2:]}") == {told["id"]}
    names = {one["id"]: one["name"] for one in csv.DictReader(up("staff", "export", "-").out.splitlines())}
    held = found("--holder", told["holder"])
    assert told["id"] in held <= found("--holder", names[told["holder"]])
    assert held <= found("--text", names[told["holder"]])


def test_it_goes_to_stdout_and_nothing_else_does(up: Up) -> None:
    shown = spawn("export", "cases", "-o", "-", "--text", "nothing", "--raw", "--data", str(up.data))
    assert (shown.code, shown.err) == (0, "")
    assert next(csv.reader([shown.out])) == list(COLUMNS)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("cases", "-o", "{}/x", "--opened-from", "2026-03-10"), 2, "--opened-from = '2026-03-10': give an"),
        (("cases", "-o", "{}/x", "--kind", "parcel"), 2, "kind = 'parcel': allowed: complaint, claim"),
        (("cases", "-o", "{}/x", "--format", "pdf"), 2, 'Invalid value "pdf" for --format'),
        (("people", "-o", "{}/x"), 2, 'Invalid value "people"'),
        (("cases",), 2, "requires an argument"),
        (("cases", "-o", "{}/no/x"), 1, "No such file or directory"),
    ],
)
def test_what_cannot_be_exported_leaves_nothing(
    up: Up, tmp_path: Path, arguments: tuple[str, ...], code: int, message: str
) -> None:
    given = [argument.format(tmp_path) for argument in arguments]
    assert message in up("export", *given).refused(code)
    assert list(tmp_path.iterdir()) == []


def test_a_file_takes_its_name_once_it_is_whole(up: Up, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was there before stays until then."""
    file = tmp_path / "cases.xlsx"
    file.write_text("before")
    monkeypatch.setattr("starter.exports.MOST_ROWS", 1)
    line = up("export", "cases", "-o", str(file), "--format", "xlsx").refused(1)
    assert line == "a worksheet holds 0 rows: narrow the filter, or take csv"
    assert file.read_text() == "before"
    assert [path.name for path in tmp_path.iterdir()] == ["cases.xlsx"]
