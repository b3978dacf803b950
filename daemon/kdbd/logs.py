"""The log: readable on a terminal, JSON otherwise; never a value of a key."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from typing import Any, Literal, Protocol, TextIO, cast

import structlog

__all__ = ["LogFormat", "open_log"]

LogFormat = Literal["auto", "console", "json"]

_encode = json.JSONEncoder(default=repr).encode


class Stream(Protocol):
    """Where the log goes."""

    def isatty(self) -> bool: ...

    def write(self, text: str, /) -> object: ...

    def flush(self) -> None: ...


def open_log(form: LogFormat, level: str, stream: Stream) -> Any:
    """Set the log up and answer it."""
    console = form == "console" or (form == "auto" and stream.isatty())
    processors: list[Any] = [_render_json]
    if console:
        processors = [
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.dev.ConsoleRenderer(colors=stream.isatty()),
        ]
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level.upper())),
        # A stream as far as the logger needs one.
        logger_factory=structlog.WriteLoggerFactory(cast(TextIO, stream)),
        cache_logger_on_first_use=True,
    )
    # Bound now: the lazy one that structlog hands out costs more than a microsecond each time.
    return structlog.get_logger().bind()


def _render_json(logger: Any, level: str, event: structlog.typing.EventDict) -> str:
    """Render at one go what structlog's own processors do in four, in two thirds of the time.

    A commit of one key has one line, so at 10,000 commits a second this counts.
    """
    if "exc_info" in event:
        event = structlog.processors.format_exc_info(logger, level, event)
    event["level"] = level
    event["timestamp"] = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    return _encode(event)
