"""Real event logs, which do not come with the sources.

The log is ``helpdesk.csv``, its mapping ``helpdesk.toml``. They are searched for in CASELADDER_TEST_LOGS, or else in a
folder ``data`` of a directory beside the repository.
"""

from __future__ import annotations

import os
from pathlib import Path

_NAME = "helpdesk.csv"


def find() -> Path | None:
    """Return the path of the log, or None if there is none."""
    named = os.environ.get("CASELADDER_TEST_LOGS")
    folders = [Path(named)] if named else sorted(Path(__file__).parents[2].glob("*/data"))
    return next((folder / _NAME for folder in folders if (folder / _NAME).is_file()), None)


HELP_DESK = find()
MISSING = f"tests of real logs are left out: there is no {_NAME} in CASELADDER_TEST_LOGS, nor beside the repository"


def help_desk() -> Path:
    """Return the path of the log, for a test with the marker ``real_log``."""
    assert HELP_DESK is not None, MISSING
    return HELP_DESK
