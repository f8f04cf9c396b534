"""PostgreSQL and the Temporal dev server on this machine, from Python packages.

Everything lives in one data folder, so that a restart finds every case where it was::

    async with Stack(Path(".caseladder"), search_attributes={"CaseKind": "Keyword"}) as addresses:
        ...                      # addresses.temporal, addresses.database_url

Importing this package costs nothing: neither Temporal's client nor asyncpg comes along before a
server is started.
"""

from pathlib import Path

from starter.embedded.server import StackError
from starter.embedded.stack import Addresses, Ports, Stack, running

__all__ = ["DATA", "Addresses", "Ports", "Stack", "StackError", "running"]

# The data folder where none is named.
DATA = Path(".caseladder")
