"""Every clause id that anybody can meet leads to its place on the rules page."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from activities.policies.store import Policies
from cases.vocabulary.clauses import CLAUSE_ID, anchor, clause_ids
from starter.rehearsal.core_engine import run_case
from starter.rehearsal.scenario import load_scenario
from tests import markdown

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "rules.md"
ANCHORS = {anchor for _, anchor in markdown.anchors(PAGE.read_text("utf-8"))}

FOLDERS = ("cases", "workflows", "activities", "starter", "docs", "examples", "bench", "tests")
TEXTS = {".py", ".toml", ".md", ".html", ".txt", ".sql", ".js", ".json", ".csv"}
# Histories are what a server stored, the rest is other people's.
NOT_OURS = {"histories", "vendor", "__pycache__"}
SOURCES = sorted(
    path
    for top in (*(ROOT / folder for folder in FOLDERS), *ROOT.glob("*.py"), *ROOT.glob("*.md"))
    for path in (top.rglob("*") if top.is_dir() else [top])
    if path.suffix in TEXTS and not NOT_OURS.intersection(path.parts)
)
PYTHON = [path for path in SOURCES if path.suffix == ".py" and "tests" not in path.relative_to(ROOT).parts]
POLICIES = [path for path in SOURCES if path.suffix == ".toml" and path.is_relative_to(ROOT / "cases")]
SCENARIOS = sorted((ROOT / "tests" / "scenarios").glob("*.toml"))


def where(path: Path, line: int) -> str:
    """Return a place as a person can open it."""
    return f"{path.relative_to(ROOT)}:{line}"


def unexplained(text: str) -> list[str]:
    """Return the ids in a text that have no anchor on the page."""
    return [id_ for id_ in clause_ids(text) if anchor(id_) not in ANCHORS]


def is_clause(text: str) -> bool:
    """Return whether a text that should name clauses holds ids with an anchor, and nothing else."""
    rest = CLAUSE_ID.sub("", text).strip(" ,[]")
    return bool(clause_ids(text)) and not rest and not unexplained(text)


def test_no_id_is_dead() -> None:
    dead = [
        f"{where(path, number)} {id_}"
        for path in SOURCES
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
        for id_ in unexplained(line)
    ]
    assert not dead, "no anchor in docs/rules.md:\n" + "\n".join(dead)


# Where these take the clause, if it comes without its name.
PLACE = {"Refused": 2, "Refusal": 1}


def clauses_in(module: ast.AST) -> Iterator[ast.expr]:
    """Yield what stands for clauses in a module: as an argument, or as the value of ``clause`` or ``CLAUSE``."""
    for node in ast.walk(module):
        if isinstance(node, ast.Call):
            yield from (word.value for word in node.keywords if word.arg in {"clause", "clauses"})
            place = PLACE.get(node.func.id) if isinstance(node.func, ast.Name) else None
            yield from [] if place is None else node.args[place : place + 1]
        elif isinstance(node, ast.Assign) and ast.unparse(node.targets[0]).lower() in {"clause", "clauses"}:
            yield node.value


def texts_of(value: ast.expr) -> Iterator[ast.Constant]:
    """Yield the texts that an expression can come to; what is compared or looked up on the way is none."""
    if isinstance(value, ast.Constant) and isinstance(value.value, str) and value.value:
        yield value
    elif isinstance(value, ast.IfExp):
        yield from (*texts_of(value.body), *texts_of(value.orelse))
    elif isinstance(value, ast.Tuple):
        yield from (text for element in value.elts for text in texts_of(element))


def test_code_names_clauses_and_nothing_else() -> None:
    found = [
        (where(path, text.lineno), str(text.value))
        for path in PYTHON
        for expression in clauses_in(ast.parse(path.read_text("utf-8")))
        for text in texts_of(expression)
    ]
    wrong = [f"{place} {text!r}" for place, text in found if not is_clause(text)]
    assert not wrong, "\n".join(wrong)
    assert len(found) > 50


def named_clauses(table: Any) -> Iterator[str]:
    """Yield the value of every key ``clause`` or ``..._clause`` in a policy."""
    for key, value in table.items() if isinstance(table, dict) else enumerate(table):
        if isinstance(value, dict | list):
            yield from named_clauses(value)
        elif str(key).endswith("clause"):
            yield value


@pytest.mark.parametrize("path", POLICIES, ids=lambda path: path.name)
def test_policies_name_clauses_and_nothing_else(path: Path) -> None:
    text = path.read_text("utf-8")
    wrong = [
        f"{where(path, text[: text.find(value)].count(chr(10)) + 1)} {value!r}"
        for value in named_clauses(tomllib.loads(text))
        if not is_clause(value)
    ]
    assert not wrong, "\n".join(wrong)


def test_the_default_policy_is_looked_at() -> None:
    default = next(path for path in POLICIES if path.name == "default.toml")
    assert len(list(named_clauses(tomllib.loads(default.read_text("utf-8"))))) > 40


def test_events_name_clauses_and_nothing_else() -> None:
    """Look at what no search in the code finds: ids that are put together while a case runs."""
    seen: set[str] = set()
    wrong: set[str] = set()
    for path in SCENARIOS:
        for event in run_case(load_scenario(path, Policies()).case):
            seen.update(event.clauses)
            wrong.update(f"{path.name}, {event.type}: {text!r}" for text in event.clauses if not is_clause(text))
    assert not wrong, "\n".join(sorted(wrong))
    assert len(seen) > 40


def test_each_entry_of_the_page_stands_at_its_own_anchor() -> None:
    page = PAGE.read_text("utf-8")
    # The anchors of an entry, and the words up to the end of its name in bold, its heading or its cell.
    entries = list(re.finditer(r'((?:<a id="[^"]+"></a>)+)\s*((?:\*\*)?[^*|\n]+)', page))
    misplaced = []
    for found in entries:
        expected = {anchor(id_) for id_ in clause_ids(found[2])}
        if not expected or not expected.issubset(markdown.EXPLICIT.findall(found[1])):
            misplaced.append(f"{where(PAGE, page.count(chr(10), 0, found.start()) + 1)} {found[2]}")
    assert not misplaced, "\n".join(misplaced)
    assert len(entries) > 200


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("S0-A.5.4", ["s0-a-5-4"]),
        ("S0-A.5.4 [INVENTED]", ["s0-a-5-4", "invented"]),
        ("S4-3.3.1, S1-1.3", ["s4-3-3-1", "s1-1-3"]),
        ("S0-A.3.2 b", ["s0-a-3-2-b"]),
        ("S0-2.1.2(2)", ["s0-2-1-2-2"]),
        ("by S0-A.2.X c: too late", ["s0-a-2-x-c"]),
        ("see S0-2.3.3 a second time.", ["s0-2-3-3"]),
        ("ends with S1-1.7.", ["s1-1-7"]),
        ("T3 [INVENTED]", ["t3", "invented"]),
        ("Q9", ["q9"]),
        ("O-HOL", ["o-hol"]),
        ("O-REG-29 [OUTSIDE]", ["o-reg-29", "outside"]),
        ("CARD", ["card"]),
        ("INVENTED", ["invented"]),
        ("2026-03-05T18:00 PT5M XT3 discARD", []),
    ],
)
def test_texts_resolve(text: str, at: list[str]) -> None:
    assert [anchor(id_) for id_ in clause_ids(text)] == at
    assert ANCHORS.issuperset(at)
