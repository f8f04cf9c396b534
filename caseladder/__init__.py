"""The client for backend systems: file cases, send commands, read them.

    from caseladder import CaseClient, Refused

    cases = await CaseClient.connect()
    view = await cases.file("complaint", {"key": "CALL-1", "facts": {"category": "delay"}})
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cases.refusals import Refused as Refused
    from starter.client import CaseClient as CaseClient
    from starter.connection import Unreachable as Unreachable
else:
    # Imported at the first use: the command line lies in this package too, and most of its commands need
    # no Temporal client, which takes half a second.
    def __getattr__(name: str) -> object:
        if name == "Refused":
            from cases.refusals import Refused

            return Refused
        if name == "CaseClient":
            from starter.client import CaseClient

            return CaseClient
        if name == "Unreachable":
            from starter.connection import Unreachable

            return Unreachable
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = ["CaseClient", "Refused", "Unreachable"]
