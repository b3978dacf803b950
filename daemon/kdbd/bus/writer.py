"""What is to be sent on the bus: a bounded queue, written when the socket takes it.

The writers of dbus-next and dbus-fast end the connection when the socket takes nothing for a
moment (EAGAIN), which 1,000 to 3,000 signals at once make happen (measured). This one keeps the
rest and waits, and joins many small messages into one write.

Rules:

- Messages leave in the order in which they were put, and whole: after a change of the socket a
  half-sent signal is sent again from its start.
- Above `MAX_QUEUED_BYTES` the oldest signals are dropped, then the oldest replies. Those who
  follow the signals see the gap in the revisions of `Committed`; those who wait for a reply run
  into their time-out. The newest message always stays.
- Signals outlive the connection they were put on; replies and calls go with it, since a bus
  passes a reply on only from the connection that got the call.
- Between two bytes that the socket takes lie at most `stall_s`; then `on_stalled` is called.
"""

from __future__ import annotations

import asyncio
import os
import socket
from array import array
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

__all__ = ["HIGH_WATER_BYTES", "MAX_QUEUED_BYTES", "Writer"]

MAX_QUEUED_BYTES = 8 << 20
# From here on no more calls should be read: their replies would have to wait too.
HIGH_WATER_BYTES = 4 << 20
_LOW_WATER_BYTES = 1 << 20
# What one write carries at most; a Unix socket takes about 200 KiB before it is full.
_BATCH_BYTES = 128 << 10


class _Message(NamedTuple):
    data: bytes
    fds: tuple[int, ...]
    is_signal: bool


class Writer:
    """The queue of outgoing messages and the socket that it is written to, if there is one."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        *,
        stall_s: float,
        on_failed: Callable[[OSError], None],
        on_full: Callable[[bool], None],
        log: Any,
    ) -> None:
        """Write with `loop`.

        `on_failed` is called when the socket fails or takes nothing for `stall_s`
        (TimeoutError); `on_full` when the queue grows above `HIGH_WATER_BYTES` (True) and when
        it has become short again (False).
        """
        self._loop = loop
        self._stall_s = stall_s
        self._on_failed = on_failed
        self._on_full = on_full
        self._log = log
        self._queue: deque[_Message] = deque()
        self._queued_bytes = 0
        self._sent_of_head = 0
        self._put_count = self._done_count = 0
        self._drains: deque[tuple[int, asyncio.Future[None]]] = deque()
        self._socket: socket.socket | None = None
        self._flush_soon: asyncio.Handle | None = None
        self._stall: asyncio.TimerHandle | None = None
        self._full = False
        self._held = False

    def hold(self) -> None:
        """Let messages gather until the next `flush`, which the caller owes."""
        self._held = True

    def attach(self, connected: socket.socket) -> None:
        """Write to `connected` from now on, a non-blocking socket."""
        self._socket = connected
        self._schedule()

    def detach(self) -> None:
        """Let go of the socket; keep the signals only, and end every `drain`."""
        if self._socket is not None:
            self._wait_no_more()
            self._socket = None
        if self._flush_soon is not None:
            self._flush_soon.cancel()
            self._flush_soon = None
        self._sent_of_head = 0
        self._keep(lambda message: message.is_signal)
        while self._drains:
            self._finish(self._drains.popleft()[1])
        self._set_full(False)

    def put(self, data: bytes, fds: Sequence[int] = (), *, is_signal: bool = False) -> None:
        """Queue one message. `fds` are duplicated; they stay the caller's. Raises OSError."""
        own = tuple(os.dup(fd) for fd in fds) if fds else ()
        self._queue.append(_Message(data, own, is_signal))
        self._put_count += 1
        self._queued_bytes += len(data)
        if self._queued_bytes > HIGH_WATER_BYTES:
            self._bound()
        if not self._held:
            self._schedule()

    async def drain(self) -> None:
        """Wait until all that is queued now was written, or given up as there is no bus."""
        if self._socket is None or self._done_count == self._put_count:
            return
        done: asyncio.Future[None] = self._loop.create_future()
        self._drains.append((self._put_count, done))
        await done

    def flush(self) -> None:
        """Write what the socket takes now; see to the rest when it takes more."""
        self._held = False
        if self._flush_soon is not None:
            self._flush_soon.cancel()
            self._flush_soon = None
        if self._socket is None or (self._stall is not None and not self._queue):
            return
        try:
            while self._queue:
                if not self._write(self._socket):
                    self._wait()
                    break
            else:
                self._wait_no_more()
        except OSError as error:
            self._on_failed(error)
            return
        while self._drains and self._drains[0][0] <= self._done_count:
            self._finish(self._drains.popleft()[1])
        if self._full and self._queued_bytes < _LOW_WATER_BYTES:
            self._set_full(False)

    def _write(self, connected: socket.socket) -> bool:
        """Write once, as much as fits; return whether the socket took all of it."""
        queue = self._queue
        head = queue[0]
        data: bytes | memoryview
        if head.fds and not self._sent_of_head:
            data = head.data
            rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", head.fds))]
            try:
                sent = connected.sendmsg([data], rights)
            except (BlockingIOError, InterruptedError):
                return False
        else:
            data = head.data
            if self._sent_of_head:
                data = memoryview(data)[self._sent_of_head :]
            if len(queue) > 1 and len(data) < _BATCH_BYTES:
                data = self._batch(data)
            try:
                sent = connected.send(data)
            except (BlockingIOError, InterruptedError):
                return False
        took_all = sent == len(data)
        sent += self._sent_of_head
        while queue and sent >= len(queue[0].data):
            sent -= len(queue[0].data)
            self._forget(queue.popleft())
        self._sent_of_head = sent
        self._restart_stall()
        return took_all

    def _batch(self, first: bytes | memoryview) -> bytes:
        parts = [first]
        size = len(first)
        following = iter(self._queue)
        next(following)
        for message in following:
            size += len(message.data)
            if message.fds or size > _BATCH_BYTES:
                break
            parts.append(message.data)
        return b"".join(parts)

    def _schedule(self) -> None:
        if self._flush_soon is None and self._stall is None and self._socket is not None:
            self._flush_soon = self._loop.call_soon(self.flush)

    def _wait(self) -> None:
        if self._stall is None and self._socket is not None:
            self._loop.add_writer(self._socket, self.flush)
            self._stall = self._loop.call_later(self._stall_s, self._stalled)

    def _wait_no_more(self) -> None:
        if self._stall is not None and self._socket is not None:
            self._loop.remove_writer(self._socket)
            self._stall.cancel()
            self._stall = None

    def _restart_stall(self) -> None:
        if self._stall is not None:
            self._stall.cancel()
            self._stall = self._loop.call_later(self._stall_s, self._stalled)

    def _stalled(self) -> None:
        self._on_failed(TimeoutError(f"the bus took nothing for {self._stall_s} s"))

    def _bound(self) -> None:
        """Drop what is too much, see the module's rules; and say that the queue is full."""
        if self._queued_bytes > MAX_QUEUED_BYTES:
            # Down to three quarters, so that a stalled queue is not walked for every message.
            excess = self._queued_bytes - MAX_QUEUED_BYTES * 3 // 4
            for signals in (True, False):
                excess = self._drop(excess, signals=signals)
        self._set_full(True)

    def _drop(self, excess: int, *, signals: bool) -> int:
        last = self._queue[-1]
        half_sent = self._queue[0] if self._sent_of_head else None
        dropped = 0

        def stays(message: _Message) -> bool:
            nonlocal excess, dropped
            if (
                excess <= 0
                or message is last
                or message is half_sent
                or message.is_signal != signals
            ):
                return True
            excess -= len(message.data)
            dropped += 1
            return False

        self._keep(stays)
        if dropped:
            self._log.warning("bus.dropped", messages=dropped, signals=signals)
        return excess

    def _keep(self, stays: Callable[[_Message], bool]) -> None:
        kept: deque[_Message] = deque()
        for message in self._queue:
            if stays(message):
                kept.append(message)
            else:
                self._forget(message)
        self._queue = kept

    def _forget(self, message: _Message) -> None:
        self._queued_bytes -= len(message.data)
        self._done_count += 1
        for fd in message.fds:
            os.close(fd)

    def _set_full(self, full: bool) -> None:
        if full is not self._full:
            self._full = full
            self._on_full(full)

    @staticmethod
    def _finish(done: asyncio.Future[None]) -> None:
        if not done.done():
            done.set_result(None)
