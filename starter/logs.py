"""Logging: one JSON object a line, with the case id, without personal data.

Workflow code logs through ``workflow.logger``, which is silent during replay. The logs of the SDK and of
other libraries have the same form.
"""

from __future__ import annotations

import logging
import re
import sys
from typing import Any, Literal

import structlog
from structlog.typing import EventDict, WrappedLogger
from temporalio import activity, workflow
from temporalio.runtime import LogForwardingConfig, LoggingConfig, TelemetryFilter

from cases.rules import OtherRules

# Where the messages of the SDK's core go.
CORE = "temporalio.core"
# Which of the SDK's loggers tells of a workflow task that failed.
TASKS = "temporalio.worker._workflow_instance"
# Characters that are kept of one text of the core: it prints whole histories into its errors.
MOST = 300
# A payload as the core prints it: base64 in brackets, of a long one only both ends; bytes as a list of numbers; and
# what is too long for a word.
_PAYLOAD = re.compile(r"\[(?:[A-Za-z0-9+/=]+(?:\.\.[A-Za-z0-9+/=]*)?|\d+(?:, ?\d+)*,?)(?:\]|$)|[A-Za-z0-9+/=]{60,}")


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


class CoreFilter(logging.Filter):
    """Cuts payloads out of what the SDK's core says: they are intakes and commands, with personal data in base64.

    The text of a line and its fields (``reason``) are kept to a length that cannot flood a log.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Rewrite a record as it may be shown."""
        said = getattr(record, "temporal_log", None)
        if said is not None:
            if OtherRules.__name__ in str((said.fields or {}).get("failure", "")):
                # `RulesFilter` lets that be said once.
                return False
            record.msg, record.args = without_payloads(said.message), ()
            fields: dict[str, Any] = said.fields or {}
            if fields:
                record.reason = ", ".join(f"{name}: {without_payloads(fields[name])}" for name in sorted(fields))
        return True


class RulesFilter(logging.Filter):
    """Says once of each case that other rules have started it, in place of a trace at each attempt."""

    def __init__(self) -> None:
        super().__init__()
        self._said: set[str] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        """Rewrite the first record of a case, and drop the others."""
        error = record.exc_info[1] if record.exc_info else None
        if not isinstance(error, OtherRules):
            return True
        text = str(error)
        if text in self._said:
            return False
        self._said.add(text)
        record.msg, record.args, record.exc_info = text, (), None
        return True


def without_payloads(value: Any) -> str:
    """Return a text of the core without the payloads in it, and no longer than it needs to be."""
    text = str(value)
    # What cutting splits is a payload still, so the end is open to it.
    shown = _PAYLOAD.sub("[...]", text[: 4 * MOST])
    return shown if len(shown) <= MOST and len(text) <= 4 * MOST else f"{shown[:MOST]}... ({len(text)} characters)"


def core_logging() -> LoggingConfig:
    """Return how a runtime of the SDK hands on its messages, so that they become lines of this log."""
    forwarding = LogForwardingConfig(
        logging.getLogger(CORE),
        append_target_to_name=False,
        prepend_target_on_message=False,
        # `CoreFilter` does it.
        append_log_fields_to_message=False,
    )
    return LoggingConfig(TelemetryFilter(core_level="WARN", other_level="ERROR"), forwarding=forwarding)


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
    core = logging.getLogger(CORE)
    core.filters = [CoreFilter()]
    logging.getLogger(TASKS).filters = [RulesFilter()]
    # It logs each request, which the metrics count too, with a URL that may contain an address.
    logging.getLogger("httpx").setLevel(logging.WARNING)
