"""Policies on disk: the built-in ones and those of a folder, read when a case pins one."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib.resources import files
from pathlib import Path

from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.messages import LOAD_POLICY
from cases.policy import Policy
from cases.refusals import Refused

BUILT_IN = files("cases") / "policies"
CALENDAR = "calendar_cn.toml"


class Policies:
    """Finds policies by name.

    Args:
        folder: where the operator's own ``NAME.toml`` files lie; they win over built-in ones.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder

    def names(self) -> list[str]:
        """The names that can be loaded."""
        own = [path.name for path in self.folder.glob("*.toml")] if self.folder else []
        found = {name.removesuffix(".toml") for name in [*own, *(entry.name for entry in BUILT_IN.iterdir())]}
        return sorted(found - {CALENDAR.removesuffix(".toml"), "__init__.py"})

    def load(self, name: str) -> Policy:
        """The policy of this name.

        Raises:
            Refused: code ``unknown_policy`` or ``bad_policy``.
        """
        own = self.folder / f"{name}.toml" if self.folder else None
        if own is not None and own.is_file():
            return read_policy(own)
        if name not in self.names():
            raise Refused("unknown_policy", f"policy = {name!r} is not known; allowed: {', '.join(self.names())}")
        return _built_in(name)

    @activity.defn(name=LOAD_POLICY)
    async def load_policy(self, name: str) -> str:
        """The canonical JSON document of a policy, for a case to pin."""
        try:
            return self.load(name).document
        except Refused as refusal:
            details = {"code": refusal.code, "clause": refusal.clause}
            raise ApplicationError(refusal.message, details, type="Refused", non_retryable=True) from None


def read_policy(path: Path) -> Policy:
    """Read a policy file; a file without ``[calendar.years]`` gets the published years.

    Raises:
        Refused: code ``bad_policy``, naming the file, the key path, the value and what is allowed.
    """
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Refused("bad_policy", f"{path}: cannot be read: {error}") from None
    try:
        return Policy.from_toml(text, published_years())
    except Refused as refusal:
        raise Refused(refusal.code, f"{path}: {refusal.message}") from None


@cache
def _built_in(name: str) -> Policy:
    return Policy.from_toml((BUILT_IN / f"{name}.toml").read_text("utf-8"), published_years())


@cache
def published_years() -> dict[str, object]:
    """The working calendar's published years, by year."""
    return tomllib.loads((BUILT_IN / CALENDAR).read_text("utf-8"))
