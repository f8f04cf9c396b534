"""Set-up of every test run: the seed, the order and the distribution of tests, and the temporary folder."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import is_hypothesis_test, seed, settings
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from tests import real_logs
from tests.seed import SEED

# Without a deadline for an example, since a busy machine would miss it.
settings.register_profile("caseladder", deadline=None)
settings.load_profile("caseladder")

# So that a failed assertion of these helpers says what it compared.
pytest.register_assert_rewrite("tests.core.support")

_basetemp = pytest.StashKey[str]()


@pytest.hookimpl(tryfirst=True)  # before the fixture tmp_path reads the option
def pytest_configure(config: pytest.Config) -> None:
    """Give a run as root its own temporary folder.

    PostgreSQL does not run as root, so another user must be able to enter the folders above its data.
    pytest's default folder is closed to others again whenever another pytest starts.
    """
    if os.geteuid() == 0 and config.option.basetemp is None:
        config.option.basetemp = config.stash[_basetemp] = tempfile.mkdtemp(prefix="caseladder-tests-")


def pytest_report_header() -> list[str]:
    """Print the seed, and why tests are left out."""
    lines = [f"seed: {SEED} (CASELADDER_TEST_SEED={SEED} repeats it)"]
    return lines if real_logs.HELP_DESK else [*lines, real_logs.MISSING]


# Folders whose tests are run first, so that at the end no process has to run a long file alone.
FIRST = ("durability", "rehearsal", "workflows", "console", "api", "cli", "embedded", "activities")
# Folders whose tests share servers, so that all of them are run by one process.
TOGETHER = frozenset({"console", "api", "cli"})
# Files of them that bring servers of their own.
APART = frozenset({"tests/console/test_now.py"})


class Together(LoadScopeScheduling):  # type: ignore[misc]  # the package ships no types
    """Distribution of tests in which one process runs all tests of a file, or of a folder in `TOGETHER`."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        folder = Path(file).parent.name
        return folder if folder in TOGETHER and file not in APART else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Together:
    """Distribute the tests by `Together`."""
    return Together(config, log)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Seed the property tests, leave out tests of real logs if there are none, and sort by `FIRST`."""
    for item in items:
        function: Any = getattr(item, "function", None)
        if is_hypothesis_test(function):
            seed(SEED)(function)
    if real_logs.HELP_DESK is None:
        left_out = [item for item in items if item.get_closest_marker("real_log")]
        if left_out:
            config.hook.pytest_deselected(items=left_out)
            items[:] = [item for item in items if item not in left_out]

    def rank(item: pytest.Item) -> int:
        folder = item.path.parent.name
        return FIRST.index(folder) if folder in FIRST else len(FIRST)

    items.sort(key=rank)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Wait until the threads of Temporal's client are idle before the interpreter ends.

    Otherwise it sometimes aborts with "PyGILState_Release" (temporalio/sdk-python issue 300), so that a
    successful run has an exit code of failure.
    """
    if "temporalio" in sys.modules:
        time.sleep(0.25)
    if _basetemp in config.stash:
        shutil.rmtree(config.stash[_basetemp], ignore_errors=True)
