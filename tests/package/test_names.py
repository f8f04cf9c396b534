"""The wheel's names: every first-party import is taken from the one package, nothing else is touched."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from hatch_build import FIRST_PARTY, rename_imports

ROOT = Path(__file__).parents[2]
BUILD = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["hatch"]["build"]["targets"]["wheel"]


def modules() -> Iterator[Path]:
    """Every module that the wheel has."""
    yield ROOT / "worker.py"
    for folder in BUILD["only-include"]:
        yield from (ROOT / folder).rglob("*.py")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("from cases.registry import KINDS", "from caseladder.cases.registry import KINDS"),
        ("from  worker import (\n    main,\n)", "from  caseladder.worker import (\n    main,\n)"),
        ("import cases", "from caseladder import cases"),
        ("import worker as process", "import caseladder.worker as process"),
        ("import activities.notify as n, os", "import caseladder.activities.notify as n, os"),
        (
            "def f():\n    from starter import client\n    return client",
            "def f():\n    from caseladder.starter import client\n    return client",
        ),
        ("if TYPE_CHECKING:\n    from workflows import a", "if TYPE_CHECKING:\n    from caseladder.workflows import a"),
        # Columns count bytes.
        (
            "x = '报'; from cases import y; import worker",
            "x = '报'; from caseladder.cases import y; from caseladder import worker",
        ),
        ("from cases import a\r\nfrom os import b\r\n", "from caseladder.cases import a\r\nfrom os import b\r\n"),
    ],
)
def test_imports_of_first_party_modules_are_renamed(before: str, after: str) -> None:
    assert rename_imports(before.encode(), "m.py") == after.encode()


@pytest.mark.parametrize(
    "source",
    [
        "from . import cases",
        "from .cases import x",
        "from caseladder import cases",
        "from casework import y",
        "import workflows_extra",
        "'''from cases import x'''",
        "# from cases import x",
        "cases = worker = None",
    ],
)
def test_nothing_else_is_touched(source: str) -> None:
    assert rename_imports(source.encode(), "m.py") == source.encode()


@pytest.mark.parametrize(
    ("source", "line", "says"),
    [
        ("\nimport activities.notify", 2, "from ... import ..."),
        ("import os, cases", 1, "from ... import ..."),
        ("from\\\n  cases import x", 1, "on one line"),
    ],
)
def test_a_form_that_cannot_be_renamed_is_refused_with_its_place(source: str, line: int, says: str) -> None:
    with pytest.raises(ValueError, match=re.escape(f"m.py:{line}: ")) as refused:
        rename_imports(source.encode(), "m.py")
    assert says in str(refused.value)


def test_every_top_level_name_of_the_product_is_known() -> None:
    folders = {source for source in BUILD["sources"] if (ROOT / source / "__init__.py").exists()}
    assert folders | {"worker"} == FIRST_PARTY
    # Of the docs the product takes the rules page alone.
    assert set(BUILD["sources"]) | {"caseladder"} == {one.partition("/")[0] for one in BUILD["only-include"]}


def test_no_module_names_another_by_a_string() -> None:
    readers = {"files", "import_module", "find_spec"}
    found = []
    for path in modules():
        for node in ast.walk(ast.parse(path.read_bytes())):
            if isinstance(node, ast.Call) and getattr(node.func, "attr", getattr(node.func, "id", "")) in readers:
                texts = [one.value for one in node.args if isinstance(one, ast.Constant) and one.value in FIRST_PARTY]
            elif isinstance(node, ast.Constant) and isinstance(node.value, str) and names_a_module(node.value):
                texts = [node.value]
            else:
                continue
            found += [f"{path.relative_to(ROOT)}:{node.lineno}: {text}" for text in texts]
    assert found == []


def names_a_module(text: str) -> bool:
    """Whether a text reads like ``starter.cli`` or ``activities:migrations`` and there is such a module."""
    package, _, rest = text.replace(":", ".").partition(".")
    name = rest.partition(".")[0]
    return package in FIRST_PARTY and any(
        (ROOT / package / f"{name}{ending}").exists() for ending in ("", ".py") if name
    )
