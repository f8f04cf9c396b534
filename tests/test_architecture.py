"""How the parts may depend on each other, read off the source."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from cases.registry import KINDS

ROOT = Path(__file__).parents[1]
# Arrows go one way: each part may import itself and those after it.
PARTS = ("starter", "workflows", "activities", "cases")
CLOCKS = {
    "datetime.now", "datetime.utcnow", "datetime.today", "date.today", "time.time", "time.monotonic",
    "time.perf_counter", "time.sleep", "uuid.uuid1", "uuid.uuid4", "os.urandom",
}  # fmt: skip
CHANCE = {"random", "secrets", "uuid"}
OUTSIDE = {
    "asyncpg",
    "httpx",
    "aiosmtplib",
    "sqlalchemy",
    "alembic",
    "smtplib",
    "socket",
    "subprocess",
    "requests",
}


def sources(part: str) -> list[Path]:
    """The Python files of a part; a part without any would make its tests say nothing."""
    found = sorted((ROOT / part).rglob("*.py"))
    assert found, part
    return found


def imports(path: Path) -> Iterator[str]:
    """Every module that a file imports, wherever in the file it does so."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            yield node.module or ""
            # "from activities import ledger" reaches a module too.
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def top(module: str) -> str:
    """The package of a module."""
    return module.partition(".")[0]


def file_of(module: str) -> Path | None:
    """The project's file of a module, if it is one."""
    path = ROOT / module.replace(".", "/")
    found = (path.with_suffix(".py"), path / "__init__.py")
    return next((file for file in found if file.is_file()), None)


def reached(start: list[Path]) -> dict[str, list[str]]:
    """Everything that loading these files imports: each module with the way to it."""
    ways: dict[str, list[str]] = {}
    waiting = [(module, [str(path.relative_to(ROOT))]) for path in start for module in imports(path)]
    while waiting:
        module, way = waiting.pop()
        if module in ways:
            continue
        ways[module] = way
        # The packages above a module are loaded too.
        parents = [module.rsplit(".", n)[0] for n in range(1, module.count(".") + 1)]
        waiting.extend((parent, way) for parent in parents)
        file = file_of(module) if top(module) in PARTS else None
        if file is not None:
            waiting.extend((further, [*way, module]) for further in imports(file))
    return ways


@pytest.mark.parametrize("part", PARTS)
def test_imports_go_one_way(part: str) -> None:
    forbidden = {*PARTS[: PARTS.index(part)], "worker", "tests", "bench"} - {part}
    if part == "starter":
        # `caseladder worker` starts the process that worker.py assembles.
        forbidden.discard("worker")
    for path in sources(part):
        for module in imports(path):
            assert top(module) not in forbidden, f"{path.relative_to(ROOT)} imports {module}"


def test_the_rules_know_no_engine_and_no_outside() -> None:
    ways = reached(sources("cases"))
    for module, way in ways.items():
        assert top(module) not in {*OUTSIDE, "temporalio", "asyncio", "activities", "workflows", "starter"}, way


def test_workflows_reach_no_outside() -> None:
    ways = reached(sources("workflows"))
    assert any(module == "activities.messages" for module in ways)
    for module, way in ways.items():
        assert top(module) not in OUTSIDE, f"{module}: {' -> '.join(way)}"


def test_the_client_reaches_no_name_that_its_user_may_have_too() -> None:
    ways = reached([ROOT / "starter" / "client.py"])
    assert "cases.kinds" in ways
    for module, way in ways.items():
        assert top(module) not in {"workflows", "activities"}, f"{module}: {' -> '.join(way)}"


@pytest.mark.parametrize("part", ["cases", "workflows"])
def test_no_wall_clock_and_no_chance(part: str) -> None:
    for path in sources(part):
        where = path.relative_to(ROOT)
        for module in imports(path):
            assert top(module) not in CHANCE, f"{where} imports {module}"
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Attribute):
                dotted = ast.unparse(node)
                # workflow.now() is the workflow's own clock; anything called datetime is not.
                assert ".".join(dotted.split(".")[-2:]) not in CLOCKS, f"{where}:{node.lineno} {dotted}"
            if isinstance(node, ast.ImportFrom) and node.module == "time":
                raise AssertionError(f"{where}:{node.lineno} imports from time")


def test_rules_open_no_file() -> None:
    for path in sources("cases"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                forbidden = {"open", "print", "input", "exec", "eval"}
                assert node.func.id not in forbidden, f"{path.name}:{node.lineno}"
        assert not {"pathlib", "os", "io", "importlib", "logging"} & {top(module) for module in imports(path)}


def test_no_file_names_a_place_outside_the_project() -> None:
    # Put together, so that this file does not name it itself.
    place = "/" + "work/"
    kinds = {
        ".py",
        ".toml",
        ".md",
        ".sql",
        ".txt",
        ".yml",
        ".yaml",
        ".cfg",
        ".ini",
        ".j2",
        ".html",
        ".json",
        ".sh",
        "",
    }
    skipped = {
        ".git",
        ".venv",
        ".caseladder",
        ".hypothesis",
        ".mypy_cache",
        ".ruff_cache",
        ".pytest_cache",
        "__pycache__",
    }
    seen = 0
    for path in ROOT.rglob("*"):
        parts = path.relative_to(ROOT).parts
        if skipped.intersection(parts) or not path.is_file() or path.suffix not in kinds:
            continue
        seen += 1
        assert place not in path.read_text("utf-8", errors="replace"), path
    assert seen > 30


def test_no_statement_page_or_operation_names_a_kind() -> None:
    """What is of one kind is declared by it; `cases.registry` is asked for the rest."""
    named = re.compile(rf"""["']({"|".join(KINDS)})["']""")
    # A complaint is also a way of dispute, which letters name.
    files = [
        *(ROOT / "activities").rglob("*.sql"),
        *(path for path in (ROOT / "activities/notify/templates").rglob("*.txt") if path.parent.name != "letters"),
        *(ROOT / "starter/console/templates").rglob("*.html"),
        *(ROOT / "starter/api").rglob("*.py"),
    ]
    assert len(files) > 80
    found = [
        f"{path.relative_to(ROOT)}:{number} {line.strip()}"
        for path in files
        if "migrations" not in path.parts
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
        # The name of a field of a view or of a tag of the API is no kind.
        if named.search(line)
    ]
    assert found == []
