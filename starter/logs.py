"""Logging: one JSON object a line, with the case id, without personal data.

Workflow code logs through ``workflow.logger``, which is silent during replay. The logs of the SDK and of
other libraries have the same form.
"""

from __future__ import annotations

import logging
import sys
from typing import Literal

import structlog
from structlog.typing import EventDict, WrappedLogger
from temporalio import activity, workflow


def _case(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Add the case id to a line that is logged in one of the case's activities."""
    if activity.in_activity():
        event.setdefault("case", activity.info().workflow_id)
    return event


def _from_sdk(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Add the case id to a line that is logged through the SDK's loggers."""
    record = event.get("_record")
    for name in ("temporal_workflow", "temporal_activity"):
        info = getattr(record, name, None)
        if isinstance(info, dict) and "workflow_id" in info:
            event.setdefault("case", info["workflow_id"])
    return event


def configure(form: Literal["json", "console"]) -> None:
    """Set up the logging of the process to stderr; call it once."""
    # The SDK would repeat these details, which are fields here, in the text of each line.
    for logger in (workflow.logger, activity.logger):
        logger.workflow_info_on_message = False  # type: ignore[union-attr]  # only one of them has each
        logger.activity_info_on_message = False  # type: ignore[union-attr]
    shared: list[structlog.typing.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _case,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    last: structlog.typing.Processor = (
        structlog.processors.JSONRenderer(ensure_ascii=False) if form == "json" else structlog.dev.ConsoleRenderer()
    )
    final: list[structlog.typing.Processor] = [
        _from_sdk,
        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
        structlog.processors.format_exc_info,
        last,
    ]
    handler = logging.StreamHandler(sys.stderr)
    # Of the extra fields of other loggers, only ``reason`` is known to contain no personal data.
    foreign: list[structlog.typing.Processor] = [*shared, structlog.stdlib.ExtraAdder(allow=("reason",))]
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=foreign, processors=final))
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.INFO)
    # It logs each request, which the metrics count too, with a URL that may contain an address.
    logging.getLogger("httpx").setLevel(logging.WARNING)
