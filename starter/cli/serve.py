"""The command ``serve``."""

from __future__ import annotations

import asyncio
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from starter.cli.errors import OK
from starter.cli.options import STACK, StackOptions


def serve(
    *,
    host: str = "127.0.0.1",
    port: Annotated[int, Parameter(validator=Number(gte=0, lte=65535))] = 8080,
    options: StackOptions = STACK,
) -> int:
    """Serve the HTTP API and the console until SIGTERM or Ctrl-C. Its log is on stderr.

    Args:
        host: address to listen on; another than this machine's own needs CASELADDER_ACCESS.
        port: 0 takes any free one.
    """
    from starter.api.serve import serve as run
    from starter.logs import configure

    options.database_url()
    settings = options.settings()
    configure(settings.log_format)
    asyncio.run(run(settings, host, port))
    return OK
