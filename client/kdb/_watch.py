"""A blocking watch: an iterator, and for event loops a descriptor with ``dispatch()``."""

from __future__ import annotations

import os
import select
import threading
import time
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Self

from kdb._connection import Connection
from kdb.model.errors import KDBError
from kdb.model.exceptions import KDBException
from kdb.requests import (
    CALL_TIMEOUT_S,
    AwaitSignal,
    Call,
    CallFailed,
    Connect,
    Disconnected,
    Request,
    Rest,
    TimedOut,
    as_error,
)
from kdb.watching import Deliver, Watch, WatchEvent

__all__ = ["BlockingWatch"]


class BlockingWatch:
    """The changes at and below a parent key: each once, in order, across restarts.

    Iterating waits for the next change. With an event loop, wait until ``fileno()`` is readable
    and call ``dispatch()``, which never waits, and returns the changes that have come. The
    descriptor stays the same across restarts of kdbd and the bus. Changes are delivered from the
    moment the watch was made, however late the first iteration or dispatch is.

    Raises:
        KDBException: the parent cannot be watched, or no kdbd answers.

    """

    def __init__(self, watch: Watch, address: str) -> None:
        self._watch = watch
        self._address = address
        self._connection: Connection | None = None
        self._events: deque[WatchEvent] = deque()
        self._serial: int | None = None
        self._until_s: float | None = None
        self._timer: threading.Timer | None = None
        # One descriptor for an event loop to watch: the connection's changes with each restart,
        # and without a connection something must say when to try again.
        self._ready = select.epoll()
        self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._ready.register(self._wake, select.EPOLLIN)
        self._request: Request | Deliver | None = None
        try:
            self._resume(lambda: next(watch))
            self._start(time.monotonic() + CALL_TIMEOUT_S)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> WatchEvent:
        """Wait for the next change.

        Raises:
            StopIteration: the watch is closed.
            KDBException: kdbd refuses to go on.

        """
        while not self._events:
            if self._request is None:
                raise StopIteration
            if not self._step():
                self._wait(None)
        return self._events.popleft()

    def fileno(self) -> int:
        """Return the descriptor that is readable when :meth:`dispatch` has something to do."""
        return self._ready.fileno()

    def dispatch(self) -> list[WatchEvent]:
        """Return the changes that have come, without waiting for more. Raises KDBException."""
        if self._ready.closed:
            return []
        self._silence()
        while not self._events and self._step():
            pass
        if self._events:
            # More may be waiting already in the connection; the loop is to call again.
            os.eventfd_write(self._wake, 1)
        elif self._until_s is not None:
            self._set_timer(self._until_s - time.monotonic())
        events = list(self._events)
        self._events.clear()
        return events

    def close(self) -> None:
        """End the watch."""
        self._request = None
        self._watch.close()
        if self._connection is not None:
            self._connection.close()
        if self._timer is not None:
            self._timer.cancel()
            self._timer.join()
        if not self._ready.closed:
            self._ready.close()
            os.close(self._wake)

    def _start(self, deadline_s: float) -> None:
        """Go on until changes are being delivered."""
        while not isinstance(self._request, AwaitSignal | Deliver):
            if self._step():
                continue
            if time.monotonic() > deadline_s:
                raise KDBException(as_error(TimedOut()))
            self._wait(deadline_s)

    def _wait(self, deadline_s: float | None) -> None:
        """Wait until there may be something to do."""
        ends = [end for end in (deadline_s, self._until_s) if end is not None]
        self._ready.poll(max(min(ends) - time.monotonic(), 0.0) if ends else None)
        self._silence()

    def _silence(self) -> None:
        try:
            os.eventfd_read(self._wake)
        except BlockingIOError:
            return

    def _set_timer(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = threading.Timer(max(seconds, 0.0), os.eventfd_write, (self._wake, 1))
        self._timer.daemon = True
        self._timer.start()

    # --- one step of the watch ------------------------------------------------------------------

    def _step(self) -> bool:
        """Do what the watch asked for, if that is possible without waiting; tell whether it was."""
        request = self._request
        try:
            match request:
                case None:
                    return False
                case Deliver(events):
                    self._events.extend(events)
                case Connect():
                    self._connect()
                case Rest(seconds):
                    if not self._rested(seconds):
                        return False
                case AwaitSignal():
                    if not self._signalled():
                        return False
                case Call():
                    return self._call(request)
        except (Disconnected, CallFailed) as caught:
            failure = caught
            self._serial = None
            self._resume(lambda: self._watch.throw(failure))
            return True
        self._resume(lambda: next(self._watch))
        return True

    def _resume(self, resume: Callable[[], Request | Deliver]) -> None:
        self._request = None
        try:
            self._request = resume()
        except KDBError as error:
            raise KDBException(error) from None

    def _connect(self) -> None:
        if self._connection is None or self._connection.closed:
            self._connection = Connection(self._address)
            self._ready.register(self._connection, select.EPOLLIN)

    def _rested(self, seconds: float) -> bool:
        now_s = time.monotonic()
        if self._until_s is None:
            self._until_s = now_s + seconds
        if now_s < self._until_s:
            return False
        self._until_s = None
        return True

    def _signalled(self) -> bool:
        assert self._connection is not None
        while not self._connection.signalled:
            if not self._read():
                return False
        self._connection.signalled = False
        return True

    def _call(self, call: Call) -> bool:
        assert self._connection is not None
        if self._serial is None:
            self._serial = self._connection.send(call)
        while (reply := self._connection.take(self._serial)) is None:
            if not self._read():
                return False
        self._serial = None
        self._resume(lambda: self._watch.send(reply))
        return True

    def _read(self) -> bool:
        assert self._connection is not None
        try:
            self._connection.read(0.0)
        except TimedOut:
            return False
        return True
