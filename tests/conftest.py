"""What every test run needs."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

import pytest
from hypothesis import settings
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

# How long an example may take is no part of any property: a busy machine would fail it. CI takes the
# same examples each time, so that what fails there is the change; elsewhere each run looks further.
settings.register_profile("caseladder", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("caseladder")

# Their assertions are part of the tests, so a failed one must say what it compared.
pytest.register_assert_rewrite("tests.core.support")

_basetemp = pytest.StashKey[str]()


@pytest.hookimpl(tryfirst=True)  # before the fixture tmp_path learns where its folders go
def pytest_configure(config: pytest.Config) -> None:
    """Give a run as root a temporary folder of its own.

    PostgreSQL does not run as root, so another user must pass through the folders above its data.
    pytest's usual place is closed to others again by every further pytest that starts.
    """
    if os.geteuid() == 0 and config.option.basetemp is None:
        config.option.basetemp = config.stash[_basetemp] = tempfile.mkdtemp(prefix="caseladder-tests-")


# What takes long begins first, so that at the end nobody waits for one file.
LONG = ("durability", "rehearsal", "workflows", "console", "api", "cli", "embedded", "activities")
# These folders have servers of their own, so that one process does all of a folder's tests.
TOGETHER = frozenset({"workflows", "console", "api", "cli"})


class Together(LoadScopeScheduling):  # type: ignore[misc]  # the package ships no types
    """Which tests one process does in a row: those of a file, or of a folder."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        folder = Path(file).parent.name
        return folder if folder in TOGETHER else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Together:
    """Share the tests out by `Together`."""
    return Together(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the folders of long tests first."""

    def place(item: pytest.Item) -> int:
        folder = item.path.parent.name
        return LONG.index(folder) if folder in LONG else len(LONG)

    items.sort(key=place)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Let the threads of Temporal's client come to rest before the interpreter is taken down.

    Else it aborts now and then with "PyGILState_Release" (temporalio/sdk-python issue 300), and a
    green run ends in a red exit code.
    """
    if "temporalio" in sys.modules:
        time.sleep(0.25)
    if _basetemp in config.stash:
        shutil.rmtree(config.stash[_basetemp], ignore_errors=True)
