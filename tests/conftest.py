"""What every test run needs."""

from __future__ import annotations

import sys
import time


def pytest_unconfigure() -> None:
    """Let the threads of Temporal's client come to rest before the interpreter is taken down.

    Else it aborts now and then with "PyGILState_Release" (temporalio/sdk-python issue 300), and a
    green run ends in a red exit code.
    """
    if "temporalio" in sys.modules:
        time.sleep(0.25)
