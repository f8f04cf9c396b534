"""The connection to Temporal, configured in the SDK's standard way (TEMPORAL_ADDRESS, profiles, TLS).

What it sends is encrypted where `starter.encryption` has keys.
"""

from __future__ import annotations

import asyncio
import os
from functools import cache
from pathlib import Path

from temporalio.client import Client
from temporalio.envconfig import ClientConfig
from temporalio.runtime import Runtime, TelemetryConfig
from temporalio.service import RetryConfig

from starter.embedded import running
from starter.encryption import BadPayloadKeys, configured

# How the SDK itself repeats a call that the server turned away. Shorter than its default of 10 s, since people wait for
# the answer, and whoever calls knows better what is worth repeating.
QUICK = RetryConfig(max_elapsed_time_millis=2000)


class Unreachable(Exception):
    """Raised when no Temporal server answers; the message names the address and what to do."""


@cache
def silent() -> Runtime:
    """Return a runtime that logs nothing: the SDK's default prints to stdout, where answers stand."""
    return Runtime(telemetry=TelemetryConfig(logging=None))


async def connect(
    data: Path, runtime: Runtime | None = None, *, lazy: bool = False, retry: RetryConfig | None = QUICK
) -> Client:
    """Connect to the configured server, or else to the embedded stack that is running on the data folder.

    Args:
        data: the data folder of the embedded stack, used if no address is configured.
        runtime: the runtime that the SDK reports its metrics and messages to; without it to none.
        lazy: connect at the first use, so that the server need not be available yet.
        retry: how the SDK repeats calls; None for its default.

    Raises:
        Unreachable: the configuration or CASELADDER_PAYLOAD_KEYS is invalid, or no server answers.
    """
    try:
        converter = await asyncio.to_thread(configured)
        config = ClientConfig.load_client_connect_config()
    except BadPayloadKeys as error:
        raise Unreachable(str(error)) from None
    except (RuntimeError, ValueError, OSError) as error:
        raise Unreachable(f"the Temporal configuration cannot be used: {error}") from None
    if "target_host" not in config and (stack := running(data)) is not None:
        config["target_host"], config["namespace"] = stack.temporal, stack.namespace
    address = config.setdefault("target_host", "localhost:7233")
    try:
        return await Client.connect(
            **config,
            data_converter=converter,
            runtime=runtime or silent(),
            lazy=lazy,
            retry_config=retry,
        )
    except (RuntimeError, ValueError) as error:
        where = "TEMPORAL_ADDRESS" if "TEMPORAL_ADDRESS" in os.environ else "the default address"
        raise Unreachable(
            f"no Temporal server answers at {address} ({where}): start one with `caseladder up`, "
            f"or set TEMPORAL_ADDRESS ({str(error).splitlines()[0]})"
        ) from None
