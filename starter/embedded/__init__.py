"""PostgreSQL and the Temporal dev server on this machine, run from Python packages.

All their data is in one folder, so that every case is still there after a restart::

    async with Stack(Path(".caseladder"), search_attributes={"CaseKind": "Keyword"}) as addresses:
        ...                      # addresses.temporal, addresses.database_url

Importing this package is cheap: Temporal's client and asyncpg are imported only when a server is started.
"""

from pathlib import Path

from starter.embedded.server import StackError
from starter.embedded.stack import Addresses, Ports, Stack, running

__all__ = ["DATA", "Addresses", "Ports", "Stack", "StackError", "running"]

# The data folder where none is named.
DATA = Path(".caseladder")
