"""The client for backend systems: file cases, send commands, read them.

Use it like this::

    from caseladder import CaseClient

    cases = await CaseClient.connect()
    view = await cases.file("complaint", {"key": "CALL-1", "facts": {"category": "delay"}})
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cases.vocabulary.refusals import Refused as Refused
    from starter.client import CaseClient as CaseClient
    from starter.connection import Unreachable as Unreachable

__all__ = ["CaseClient", "Refused", "Unreachable"]

if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        # Imported at the first use: the installed command line lies in this package too, and most of its
        # commands need no Temporal client, which takes half a second.
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from starter import client

        return getattr(client, name)
