"""Lines for whoever reads standard output and the log, written by a thread of its own.

A line costs the loop no system call, many go in one write, and a reader that stops reading stops
nobody else: beyond `MAX_WAITING_BYTES` lines are dropped, and a line says how many.
"""

from __future__ import annotations

import os
from contextlib import suppress
from queue import Empty, SimpleQueue
from threading import Thread

__all__ = ["MAX_WAITING_BYTES", "LineWriter"]

# Some 20,000 lines of the log: two seconds of the most commits that there can be.
MAX_WAITING_BYTES = 4 << 20
# What is left is written at the end, unless nobody reads.
_CLOSE_S = 2.0


class LineWriter:
    """A text stream as structlog needs one, written to a descriptor; one thread may use it."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._queue: SimpleQueue[bytes | None] = SimpleQueue()
        self._taken_bytes = self._done_bytes = self._dropped = 0
        self._thread = Thread(target=self._work, name=f"kdbd-lines-{descriptor}", daemon=True)
        self._thread.start()

    def isatty(self) -> bool:
        """Tell whether a person reads this."""
        return os.isatty(self._descriptor)

    def write(self, text: str) -> None:
        """Take whole lines, to be written soon."""
        lines = text.encode("utf-8", "replace")
        if self._taken_bytes - self._done_bytes > MAX_WAITING_BYTES:
            self._dropped += 1
            return
        if self._dropped:
            dropped, self._dropped = self._dropped, 0
            lines = b"... %d lines were dropped, as nobody read them\n" % dropped + lines
        self._taken_bytes += len(lines)
        self._queue.put(lines)

    def flush(self) -> None:
        """Do nothing: lines leave as soon as they can."""

    def close(self) -> None:
        """Write what is left, unless nobody reads it."""
        self._queue.put(None)
        self._thread.join(_CLOSE_S)

    def _work(self) -> None:
        taken: list[bytes | None] = [b""]
        while taken[-1] is not None:
            taken = [self._queue.get()]
            with suppress(Empty):
                while taken[-1] is not None:
                    taken.append(self._queue.get_nowait())
            data = b"".join(lines for lines in taken if lines is not None)
            self._write(data)
            self._done_bytes += len(data)

    def _write(self, data: bytes) -> None:
        rest = memoryview(data)
        # Whoever read the log has gone, or its disk is full: nobody is left to be told.
        with suppress(OSError):
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
