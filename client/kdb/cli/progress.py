"""A bar on a terminal for what takes longer than a second."""

from __future__ import annotations

import os
import shutil
import signal
import time
from types import FrameType, TracebackType
from typing import Final, Self

from kdb.cli.command import warn

__all__ = ["Progress"]

_PATIENCE_S: Final = 1.0
_REDRAWN_S: Final = 0.2
_BAR_COLUMNS: Final = 20
_ERASE: Final = "\r\x1b[K"


class Progress:
    """Draws how far something is, on standard error where that is a terminal; else nothing.

    A timer draws, so that it goes on while a call waits for kdbd. A mark moves through the part
    that is not done, each time it draws.
    """

    def __init__(self, what: str) -> None:
        self._what = what
        self._doing = ""
        self._part = 0.0
        self._drawn = 0

    def show(self, doing: str, part: float) -> None:
        """Tell what is being done, and which part of everything is done, from 0 to 1."""
        self._doing = doing
        self._part = part

    def __enter__(self) -> Self:
        self._began_s = time.monotonic()
        if os.isatty(2):
            signal.signal(signal.SIGALRM, self._draw)
            signal.setitimer(signal.ITIMER_REAL, _PATIENCE_S, _REDRAWN_S)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        if self._drawn:
            warn(_ERASE)

    def _draw(self, number: int, frame: FrameType | None) -> None:
        full = round(self._part * _BAR_COLUMNS)
        rest = _BAR_COLUMNS - full
        bar = "#" * full + "".join(
            ">" if self._drawn % rest == each else "-" for each in range(rest)
        )
        self._drawn += 1
        seconds = time.monotonic() - self._began_s
        line = f"{self._what} [{bar}] {self._doing}, {seconds:.0f} s"
        # A line that is wrapped could not be erased.
        warn(_ERASE + line[: shutil.get_terminal_size().columns - 1])
