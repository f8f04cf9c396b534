"""Build hook of the wheel: let first-party modules find each other under the one package that is installed.

In the repository `cases`, `workflows`, `activities`, `starter` and `worker` are top-level names. Installed under these
names they would collide with a user's own ``workflows.py`` or ``activities/``, so the wheel has them inside
`caseladder` (the ``sources`` in pyproject.toml) and this hook rewrites their absolute imports to match. An editable
installation is not rewritten: it shows the repository as it is.
"""

from __future__ import annotations

import ast
import re
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PACKAGE = "caseladder"
FIRST_PARTY = frozenset({"activities", "cases", "starter", "worker", "workflows"})
_FROM = re.compile(rb"from[ \t]+")


class PackageNames(BuildHookInterface[Any]):
    """Replace the modules of a standard wheel by copies that import each other from `caseladder`."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Write the copies and have them included in place of the originals."""
        if version == "editable":
            return
        modules = {
            file.path: file.distribution_path
            for file in self.build_config.builder.recurse_included_files()
            if file.path.endswith(".py")
        }
        # The map of names in pyproject.toml takes folders only.
        modules[str(Path(self.root, "worker.py"))] = f"{PACKAGE}/worker.py"
        # Removed when the process of the build drops the hook.
        self._copies = tempfile.TemporaryDirectory()
        for number, (path, distribution_path) in enumerate(modules.items()):
            copy = Path(self._copies.name, f"{number}.py")
            copy.write_bytes(rename_imports(Path(path).read_bytes(), path))
            build_data["force_include"][str(copy)] = distribution_path


def rename_imports(source: bytes, path: str) -> bytes:
    """Return a module's source with its absolute imports of first-party modules taken from `caseladder`.

    Args:
        source: the module as UTF-8.
        path: where it stands, for the error.

    Raises:
        ValueError: an import has a form that cannot be renamed in place.
    """
    lines = source.splitlines(keepends=True)
    # What is inserted where: line (from 1), column in bytes.
    inserted: list[tuple[int, int, bytes]] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.level == 0 and _is_first_party(node.module or ""):
            begin = _FROM.match(lines[node.lineno - 1], node.col_offset)
            if begin is None:
                raise ValueError(f"{path}:{node.lineno}: write `from` and the module on one line")
            inserted.append((node.lineno, begin.end(), f"{PACKAGE}.".encode()))
        elif isinstance(node, ast.Import):
            for alias in filter(lambda alias: _is_first_party(alias.name), node.names):
                if alias.asname is not None:
                    inserted.append((alias.lineno, alias.col_offset, f"{PACKAGE}.".encode()))
                elif len(node.names) == 1 and "." not in alias.name:
                    inserted.append((node.lineno, node.col_offset, f"from {PACKAGE} ".encode()))
                else:
                    raise ValueError(f"{path}:{alias.lineno}: write `from ... import ...` for {alias.name}")
    for line, column, text in sorted(inserted, reverse=True):
        lines[line - 1] = lines[line - 1][:column] + text + lines[line - 1][column:]
    return b"".join(lines)


def _is_first_party(module: str) -> bool:
    return module.partition(".")[0] in FIRST_PARTY
