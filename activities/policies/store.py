"""Policies on disk: the built-in ones and those of a folder, read when a case pins one."""

from __future__ import annotations

import asyncio
import json
import tomllib
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from functools import cache, lru_cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from itertools import takewhile
from pathlib import Path
from typing import Any

from cases import policy
from cases.policy.inheritance import EXTENDS, FORM, WITHOUT, check_forms, is_of_forms, layered, read_table
from cases.policy.model import Policy
from cases.vocabulary.refusals import Refused

BUILT_IN = files(policy)
CALENDAR = "calendar_cn.toml"
# Beside the policies of a folder, forms in files of their own.
FORMS = "forms"

# Calendar years by number, as `PublishedYear` in plain JSON.
Years = Mapping[str, Any]
# A folder, and a text of it.
Layer = tuple[Path | Traversable, str]


class Policies:
    """Finds policies by name.

    Args:
        folder: where the operator's own ``NAME.toml`` files lie; they win over built-in ones. Each policy of a folder
            has the forms in its ``forms`` folder too.
        loaded: asks for the calendar years that were loaded since the program was made.
    """

    def __init__(self, folder: Path | None = None, loaded: Callable[[], Awaitable[Years]] | None = None) -> None:
        self.folder = folder
        self._loaded = loaded

    def names(self) -> list[str]:
        """List the names that can be loaded."""
        own = list(self.folder.glob("*.toml")) if self.folder else []
        files = {file.name for file in (*own, *BUILT_IN.iterdir())} - {CALENDAR}
        return sorted(name.removesuffix(".toml") for name in files if name.endswith(".toml"))

    def load(self, name: str, loaded: Years | None = None) -> Policy:
        """Return the policy of this name.

        Args:
            name: one of `names`.
            loaded: calendar years besides the shipped ones, over which they win.

        Raises:
            Refused: code ``unknown_policy`` or ``bad_policy``.
        """
        sources = self._sources(name)
        if not sources:
            raise Refused("unknown_policy", f"policy = {name!r} is not known; allowed: {', '.join(self.names())}")
        return self.read(sources[0], loaded)

    def read(self, source: Path | Traversable, loaded: Years | None = None) -> Policy:
        """Return the policy in a file; one without ``[calendar.years]`` gets the published years.

        Raises:
            Refused: code ``bad_policy``, naming the file, the key path, the value and what is allowed.
        """
        known = self
        if self.folder is None and isinstance(source, Path) and _folder(source) != BUILT_IN:
            # What it extends may lie beside it.
            known = Policies(source.parent)
        try:
            if is_of_forms(_text(source)):
                found = "such files lie in the folder forms beside a policy: check that policy"
                raise Refused("bad_policy", f"policy: it is a file of forms, and no policy; {found}")
            return _policy(tuple(known._texts(source)), _json({**published_years(), **(loaded or {})}))
        except Refused as refusal:
            raise Refused(refusal.code, f"{source}: {refusal.message}") from None

    def shares_calendar(self, name: str) -> bool:
        """Return whether a policy works by the published years; else the file brings years of its own.

        Raises:
            Refused: code ``unknown_policy`` or ``bad_policy``.
        """
        self.load(name)
        texts = self._texts(self._sources(name)[0])
        return not any("years" in read_table(text).get("calendar", {}) for text in texts)

    def inherited(self, name: str) -> Collection[str]:
        """Name the forms that a policy has from below the folder: a file there of one of these adds to it.

        It takes its place where the policy beside it says ``without``, see `cases.policy.inheritance`.

        Raises:
            Refused: code ``unknown_policy`` or ``bad_policy``.
        """
        self.load(name)
        own = None if self.folder is None else _place(self.folder)
        below = list(takewhile(lambda layer: layer[0] != own, self._layers(self._sources(name)[0])))
        forms: Mapping[str, Any] = layered([text for _, text in below]).get(FORM, {})
        return forms.keys()

    def _sources(self, name: str) -> list[Path | Traversable]:
        """Return where a policy of this name is, the one that wins first."""
        if name not in self.names():
            return []
        own = [] if self.folder is None else [self.folder / f"{name}.toml"]
        return [file for file in [*own, BUILT_IN / f"{name}.toml"] if file.is_file()]

    def _texts(self, source: Path | Traversable) -> list[str]:
        """Return the text of a file and of all that it extends, the lowest first, each folder's forms once."""
        return [text for _, text in self._layers(source)]

    def _layers(self, source: Path | Traversable) -> list[Layer]:
        """Return the texts of `_texts`, each with the folder that it is of.

        A file that extends a policy of its own name means the one that it wins over. The forms of a folder follow the
        lowest of its policies, so that the others inherit them; without a policy there, those of the program.
        """
        used = [source]
        while (base := read_table(_text(used[0])).get(EXTENDS)) is not None:
            known = self._sources(base)
            left = [file for file in known if _place(file) not in map(_place, used)]
            if not left:
                why = "it extends itself" if known else f"no such policy; allowed: {', '.join(self.names())}"
                raise Refused("bad_policy", f"policy: {EXTENDS} = {base!r}: {why}")
            used.insert(0, left[0])
        layers: list[Layer] = []
        for file in used:
            folder = _folder(file)
            is_lowest = all(below != folder for below, _ in layers)
            layers.append((folder, _text(file)))
            if is_lowest:
                layers += _forms_beside(folder, file.name, layers)
        if self.folder is not None and not any(self.folder.glob("*.toml")):
            layers += _forms_beside(_place(self.folder), "", layers)
        return layers

    async def in_force(self, name: str) -> Policy:
        """Return the policy that a case which opens now would pin: with the years that were loaded.

        Raises:
            Refused: code ``unknown_policy`` or ``bad_policy``.
        """
        return self.load(name, await self._loaded() if self._loaded else None)

    async def beside(self, text: str, name: str = "default") -> Policy:
        """Return what a policy would be with a file of forms beside it, in place of its forms of these names.

        So it is on disk where the policy drops the forms that it inherits (`inherited`). Nothing is stored.

        Raises:
            Refused: code ``bad_policy``, naming the key path, the value and what is allowed.
        """
        years = {**published_years(), **(await self._loaded() if self._loaded else {})}
        return await asyncio.to_thread(self._beside, text, name, years)

    def _beside(self, text: str, name: str, years: Years) -> Policy:
        try:
            check_forms(text)
            texts = self._texts(self._sources(name)[0])
            known = layered(texts)
            replaced = [f"{FORM}.{form}" for form in read_table(text)[FORM] if form in known.get(FORM, {})]
            head = {EXTENDS: known["name"], "name": known["name"], WITHOUT: replaced}
            written = "".join(f"{key} = {json.dumps(value)}\n" for key, value in head.items())
            return Policy.from_table(layered([*texts, written, text]), json.loads(_json(years)))
        except RecursionError:
            raise Refused("bad_policy", "policy: tables within tables, more than any form has") from None


def _json(years: Years) -> str:
    return json.dumps(years, default=str)


def _place(source: Path | Traversable) -> Path | Traversable:
    # One file, however its path is written.
    return source.resolve() if isinstance(source, Path) else source


def _folder(source: Path | Traversable) -> Path | Traversable:
    folder = _place(source.parent) if isinstance(source, Path) else BUILT_IN
    return BUILT_IN if folder == _place(BUILT_IN) else folder


def _forms_beside(folder: Path | Traversable, policy: str, below: Sequence[Layer]) -> list[Layer]:
    """Return the forms beside the lowest policy of a folder, by the names of their files.

    Args:
        policy: the name of its file; empty if there is none.
        below: what is below them, with the policy itself, which is the last one, if there is one; what of it is copied
            with a policy is there already.

    Raises:
        Refused: code ``bad_policy``, naming the file: it holds something else than forms and notices of them, or a
            form that another file beside it, or the policy, declares too.
    """
    inherited = [text for _, text in below]
    table = read_table(inherited.pop()) if policy else {}
    own, dropped, seen, found = table.get(FORM), table.get(WITHOUT, ()), dict[str, str](), list[Layer]()
    for file, text in _built_in_forms() if folder == BUILT_IN else _read_forms(folder):
        forms = read_table(text)[FORM]
        adds = text not in inherited or any(f"{FORM}.{name}" in dropped for name in forms)
        for name in forms:
            if adds and isinstance(own, dict) and name in own:
                seen.setdefault(name, policy)
            if name in seen:
                twice = f"{seen[name]} declares it too; allowed is one of them"
                raise Refused("bad_policy", f"{file}: policy: {FORM}.{name}: {twice}")
            seen[name] = file.name
        if adds:
            found.append((folder, text))
    return found


@cache
def _built_in_forms() -> Sequence[tuple[Path | Traversable, str]]:
    # What was installed does not change while the program runs.
    return tuple(_read_forms(BUILT_IN))


def _read_forms(folder: Path | Traversable) -> Iterator[tuple[Path | Traversable, str]]:
    for file in _files(folder / FORMS):
        text = _text(file)
        try:
            check_forms(text)
        except Refused as refusal:
            raise Refused(refusal.code, f"{file}: {refusal.message}") from None
        yield file, text


def _files(folder: Path | Traversable) -> list[Path | Traversable]:
    found = [file for file in folder.iterdir() if file.name.endswith(".toml")] if folder.is_dir() else []
    return sorted(found, key=lambda file: file.name)


def _text(source: Path | Traversable) -> str:
    try:
        return source.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Refused("bad_policy", f"cannot be read: {error}") from None


# Reading a file takes long in proportion to opening a case, and most cases have the same few.
@lru_cache(maxsize=64)
def _policy(texts: tuple[str, ...], years: str) -> Policy:
    return Policy.from_toml(texts[-1], json.loads(years), texts[:-1])


@cache
def published_years() -> dict[str, object]:
    """Return the working calendar's published years, by year."""
    return tomllib.loads((BUILT_IN / CALENDAR).read_text("utf-8"))
