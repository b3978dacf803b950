"""What threads do, one call at a time and when the test says so."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

__all__ = ["Crash", "SteppedWorker"]


class Crash(SystemExit):
    """The process ends here; nothing that follows takes place.

    It is a SystemExit since of all else that is raised in a callback the loop makes a log entry.
    """


class SteppedWorker:
    """A worker whose calls the test does, and whose results it hands over, in their order.

    Between the two the loop may run: a thread is done before the loop knows.
    """

    def __init__(self, name: str, loop: asyncio.AbstractEventLoop) -> None:
        self.name = name
        self._loop = loop
        self._queue: deque[tuple[Callable[[], Any], asyncio.Future[Any]]] = deque()
        self._done: deque[tuple[asyncio.Future[Any], Any, Exception | None]] = deque()

    def run(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> asyncio.Future[Any]:
        future: asyncio.Future[Any] = self._loop.create_future()
        self._queue.append((lambda: function(*args, **kwargs), future))
        return future

    def close(self) -> None:
        """Threads end with the process."""

    @property
    def busy(self) -> bool:
        return bool(self._queue or self._done)

    @property
    def has_work(self) -> bool:
        return bool(self._queue)

    @property
    def has_results(self) -> bool:
        return bool(self._done)

    def work(self) -> None:
        """Do the oldest call. Raises Crash where the process ends in it."""
        call, future = self._queue.popleft()
        try:
            result = call()
        except Exception as error:  # noqa: BLE001  # handed to whoever waits
            self._done.append((future, None, error))
        else:
            self._done.append((future, result, None))

    def hand_over(self) -> None:
        """Tell the loop the oldest result."""
        future, result, error = self._done.popleft()
        if future.done():
            return
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(error)
