"""Logs, on standard error: for a person or as JSON, one event a line."""

import logging
import sys
from typing import TextIO

import structlog

LEVELS = {-1: logging.ERROR, 0: logging.INFO, 1: logging.DEBUG}


class _StandardError(logging.StreamHandler[TextIO]):
    """Writes to what sys.stderr is at the moment: a progress bar puts itself in its place."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> TextIO:  # type: ignore[override] # an attribute there, looked up here
        return sys.stderr


def set_up_logs(verbosity: int, log_format: str) -> None:
    """Send this package's logs to standard error: -1 only errors, 0 the usual, 1 every attempt."""
    rendering: list[structlog.typing.Processor] = (
        [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
        if log_format == "json"
        else [
            structlog.dev.ConsoleRenderer(
                colors=sys.stderr.isatty(),
                pad_event_to=0,
                # The usual one shows the variables of every frame: the key is one.
                exception_formatter=structlog.dev.plain_traceback,
            )
        ]
    )
    handler = _StandardError()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[
                structlog.stdlib.add_log_level,
                structlog.stdlib.ExtraAdder(),
                structlog.processors.TimeStamper(fmt="iso", utc=True),
            ],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *rendering,
            ],
        )
    )
    logger = logging.getLogger("batch_resend")
    logger.handlers = [handler]
    logger.setLevel(LEVELS[max(-1, min(verbosity, 1))])
    logger.propagate = False
