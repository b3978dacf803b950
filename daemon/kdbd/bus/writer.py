"""Writes what is to be sent when the socket takes it, and notices when the bus does not.

The writers of dbus-next and dbus-fast end the connection when the socket takes nothing for a
moment (EAGAIN), which 1,000 to 3,000 signals at once make happen (measured). This one keeps the
rest and waits, and joins many small messages into one write.

A bus that stopped, or that does not read from kdbd because one subscriber never reads, shows
only in the kernel: what was written stays in the socket's queue. So while there is traffic that
queue is looked at five times in `stall_s`; without traffic nothing wakes up.
"""

from __future__ import annotations

import asyncio
import fcntl
import socket
import struct
import termios
from array import array
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from kdbd.bus.outgoing import Outgoing

__all__ = ["Writer"]

# Above the one no more calls are read, whose replies would have to wait too; below the other they
# are again. A bus that keeps up has never more than a few hundred KiB waiting.
_HIGH_WATER_BYTES = 4 << 20
_LOW_WATER_BYTES = 1 << 20
_LOOKS = 5


class Writer:
    """The outgoing messages and the socket that they are written to, if there is one."""

    def __init__(
        self,
        *,
        stall_s: float,
        on_failed: Callable[[OSError], None],
        on_full: Callable[[bool], None],
        log: Any,
    ) -> None:
        """Queue until there is a socket.

        `on_failed` is called when the socket fails, or the bus took nothing for `stall_s`
        (TimeoutError); `on_full` when too much is queued (True) and when it no longer is.
        """
        self._loop: asyncio.AbstractEventLoop
        self._look_s = stall_s / _LOOKS
        self._on_failed = on_failed
        self._on_full = on_full
        self._log = log
        self._queue = Outgoing()
        self._drains: deque[tuple[int, asyncio.Future[None]]] = deque()
        self._socket: socket.socket | None = None
        self._flush_soon: asyncio.Handle | None = None
        self._waiting = self._full = self._held = False
        self._look: asyncio.TimerHandle | None = None
        self._looks_in_vain = self._unread = self._written = 0

    @property
    def queued_bytes(self) -> int:
        """Return how much waits to be written."""
        return self._queue.queued_bytes

    def attach(self, connected: socket.socket) -> None:
        """Write to `connected` from now on, a non-blocking socket, in the running loop."""
        self._loop = asyncio.get_running_loop()
        self._socket = connected
        self._looks_in_vain = self._unread = self._written = 0
        self._flush_later()

    def detach(self) -> None:
        """Let go of the socket; keep the signals only, and end every `drain`."""
        self._wait_for_room(False)
        self._socket = None
        for handle in (self._flush_soon, self._look):
            if handle is not None:
                handle.cancel()
        self._flush_soon = self._look = None
        self._queue.leave_connection()
        self._end_drains(self._queue.put_count)
        self._set_full(False)

    def hold(self) -> None:
        """Let messages gather until the next `flush`, which the caller owes."""
        self._held = True

    def put(self, data: bytes, fds: Sequence[int] = (), *, is_signal: bool = False) -> None:
        """Queue one message. `fds` are duplicated; they stay the caller's. Raises OSError."""
        self._queue.put(data, fds, is_signal=is_signal)
        if self._queue.queued_bytes > _HIGH_WATER_BYTES:
            signals, others = self._queue.bound()
            if signals or others:
                self._log.warning("bus.dropped", signals=signals, others=others)
            self._set_full(True)
        if not self._held:
            self._flush_later()

    async def drain(self) -> None:
        """Wait until all that is queued now was written, or given up as there is no bus."""
        if self._socket is None or not self._queue:
            await asyncio.sleep(0)  # whoever drains between slices of work counts on it
            return
        done: asyncio.Future[None] = self._loop.create_future()
        self._drains.append((self._queue.put_count, done))
        await done

    def flush(self) -> None:
        """Write what the socket takes now; see to the rest when it takes more."""
        self._held = False
        if self._flush_soon is not None:
            self._flush_soon.cancel()
            self._flush_soon = None
        if self._socket is None or not self._queue:
            return
        try:
            while self._queue and self._write(self._socket):
                pass
        except OSError as error:
            self._on_failed(error)
            return
        self._wait_for_room(bool(self._queue))
        if self._look is None:
            self._look = self._loop.call_later(self._look_s, self._look_at_socket)
        if self._drains:
            self._end_drains(self._queue.done_count)
        if self._full and self._queue.queued_bytes < _LOW_WATER_BYTES:
            self._set_full(False)

    def _write(self, connected: socket.socket) -> bool:
        """Write once; return whether the socket took all of it."""
        data, fds = self._queue.next_write()
        try:
            if fds:
                rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", fds))
                count = connected.sendmsg([data], [rights])
            else:
                count = connected.send(data)
        except (BlockingIOError, InterruptedError):
            return False
        self._written += count
        self._queue.sent(count)
        return count == len(data)

    def _flush_later(self) -> None:
        if self._flush_soon is None and not self._waiting and self._socket is not None:
            self._flush_soon = self._loop.call_soon(self.flush)

    def _wait_for_room(self, wait: bool) -> None:
        if wait is not self._waiting and self._socket is not None:
            self._waiting = wait
            if wait:
                self._loop.add_writer(self._socket, self.flush)
            else:
                self._loop.remove_writer(self._socket)

    def _look_at_socket(self) -> None:
        """See whether the bus has read something since the last look; give up after `stall_s`.

        What the kernel reports has its own overhead on top of the bytes written, so a queue that
        grew by less than was written shows that the bus reads; in a queue that grew by more it
        may still, but not five times in a row.
        """
        self._look = None
        if self._socket is None:
            return
        (unread,) = struct.unpack("i", fcntl.ioctl(self._socket, termios.TIOCOUTQ, bytes(4)))
        if unread == 0 and not self._queue:
            self._looks_in_vain = self._unread = self._written = 0
            return
        in_vain = unread and unread >= self._unread + self._written
        self._looks_in_vain = self._looks_in_vain + 1 if in_vain else 0
        self._unread, self._written = unread, 0
        if self._looks_in_vain >= _LOOKS:
            self._on_failed(TimeoutError(f"the bus took nothing for {self._look_s * _LOOKS:g} s"))
        else:
            self._look = self._loop.call_later(self._look_s, self._look_at_socket)

    def _end_drains(self, done_count: int) -> None:
        while self._drains and self._drains[0][0] <= done_count:
            done = self._drains.popleft()[1]
            if not done.done():
                done.set_result(None)

    def _set_full(self, full: bool) -> None:
        if full is not self._full:
            self._full = full
            self._on_full(full)
