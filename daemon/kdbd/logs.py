"""The log: readable on a terminal, JSON otherwise; on standard error, never a value of a key."""

from __future__ import annotations

import logging
import sys
from typing import Any, Literal

import structlog

__all__ = ["LogFormat", "open_log"]

LogFormat = Literal["auto", "console", "json"]


def open_log(form: LogFormat, level: str) -> Any:
    """Set the log up and answer it."""
    console = form == "console" or (form == "auto" and sys.stderr.isatty())
    renderer: Any
    if console:
        renderer = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    else:
        renderer = structlog.processors.JSONRenderer()
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *([] if console else [structlog.processors.format_exc_info]),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level.upper())),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    return structlog.get_logger()
