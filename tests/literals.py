"""Texts that the code names and nothing declares, read from its source."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from functools import cache
from itertools import chain
from pathlib import Path

ROOT = Path(__file__).parents[1]


def passed(function: str, place: int | str, *folders: str) -> set[str]:
    """Return the texts that calls of a function pass as an argument.

    A name counts as every text that its function assigns to it.

    Args:
        function: its own name, without what it belongs to.
        place: of the argument, by position from 0; or its name.
        folders: of the project.
    """
    found: set[str] = set()
    for scope in chain.from_iterable(map(_functions, folders)):
        for call in _calls(scope).get(function, ()):
            if isinstance(place, str):
                values = [one.value for one in call.keywords if one.arg == place]
            else:
                values = call.args[place : place + 1]
            found.update(text for value in values for text in _texts(value, scope))
    return found


def initialised(base: str, *folders: str) -> set[str]:
    """Return the texts that subclasses pass first to the ``__init__`` of a class."""
    return {
        text
        for tree in _modules(folders)
        for derived in ast.walk(tree)
        if isinstance(derived, ast.ClassDef) and any(ast.unparse(one) == base for one in derived.bases)
        for call in _calls(derived).get("__init__", ())
        for text in _texts(call.args[0], derived)
    }


def under_key(key: str, *folders: str) -> set[str]:
    """Return the texts that stand under a key of a dict."""
    return {
        text
        for tree in _modules(folders)
        for table in ast.walk(tree)
        if isinstance(table, ast.Dict)
        for name, value in zip(table.keys, table.values, strict=True)
        if isinstance(name, ast.Constant) and name.value == key
        for text in _texts(value, table)
    }


def _modules(folders: tuple[str, ...]) -> Iterator[ast.Module]:
    return chain.from_iterable(map(_parsed, folders))


@cache
def _parsed(folder: str) -> tuple[ast.Module, ...]:
    return tuple(ast.parse(path.read_text("utf-8")) for path in sorted((ROOT / folder).rglob("*.py")))


@cache
def _functions(folder: str) -> tuple[ast.FunctionDef | ast.AsyncFunctionDef, ...]:
    nodes = chain.from_iterable(map(ast.walk, _parsed(folder)))
    return tuple(node for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


@cache
def _calls(scope: ast.AST) -> Mapping[str, list[ast.Call]]:
    found: dict[str, list[ast.Call]] = {}
    for node in ast.walk(scope):
        if isinstance(node, ast.Call):
            found.setdefault(ast.unparse(node.func).rpartition(".")[2], []).append(node)
    return found


def _texts(value: ast.expr, scope: ast.AST) -> Iterator[str]:
    if isinstance(value, ast.Constant) and isinstance(value.value, str):
        yield value.value
    elif isinstance(value, ast.IfExp):
        yield from _texts(value.body, scope)
        yield from _texts(value.orelse, scope)
    elif isinstance(value, ast.BoolOp):
        for one in value.values:
            yield from _texts(one, scope)
    elif isinstance(value, ast.Name):
        for node in ast.walk(scope):
            if isinstance(node, ast.Assign) and any(ast.unparse(target) == value.id for target in node.targets):
                yield from _texts(node.value, scope)
