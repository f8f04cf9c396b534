"""Which release this is."""

from __future__ import annotations


def release() -> str:
    """Return the version of the installed package."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("caseladder")
    except PackageNotFoundError:
        return "not installed: run from a checkout"
