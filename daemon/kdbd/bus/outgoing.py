"""The queue of outgoing messages: bounded, in order, and each message whole.

- Of signals more than `MAX_SIGNAL_BYTES` are not kept: the oldest are dropped. Those who follow
  them see the gap in the revisions of `Committed`.
- Of replies more than `MAX_REPLY_BYTES` are not kept. No more calls are read long before (see
  `Writer`), so only calls that were answered late and all at once come that far; the oldest are
  dropped, and their callers run into their time-out.
- The newest message always stays, and one that is half sent.
- Signals outlive the connection that they were put on; replies and calls go with it, since a bus
  passes a reply on only from the connection that got the call.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Sequence
from typing import NamedTuple

__all__ = ["MAX_REPLY_BYTES", "MAX_SIGNAL_BYTES", "Message", "Outgoing"]

# About 50,000 signals of one key each; and four replies of the largest size.
MAX_SIGNAL_BYTES = 8 << 20
MAX_REPLY_BYTES = 32 << 20
# What one write carries at most; a Unix socket takes about 200 KiB before it is full.
_BATCH_BYTES = 128 << 10


class Message(NamedTuple):
    """A message and the descriptors that go with it, owned by the queue."""

    data: bytes
    fds: tuple[int, ...]
    is_signal: bool


class Outgoing:
    """Messages in the order in which they were put; of the first a part may be sent."""

    def __init__(
        self,
        *,
        max_signal_bytes: int = MAX_SIGNAL_BYTES,
        max_reply_bytes: int = MAX_REPLY_BYTES,
    ) -> None:
        self.queued_bytes = 0
        # Of all messages ever put, how many there were, and how many are sent or dropped.
        self.put_count = self.done_count = 0
        self._messages: deque[Message] = deque()
        self._sent_of_first = 0
        self._signal_bytes = 0
        self._max_signal_bytes = max_signal_bytes
        self._max_reply_bytes = max_reply_bytes

    def __bool__(self) -> bool:
        return bool(self._messages)

    def put(self, data: bytes, fds: Sequence[int] = (), *, is_signal: bool = False) -> None:
        """Append a message. `fds` are duplicated; they stay the caller's. Raises OSError."""
        own = tuple([os.dup(fd) for fd in fds]) if fds else ()
        self._messages.append(Message(data, own, is_signal))
        self.queued_bytes += len(data)
        if is_signal:
            self._signal_bytes += len(data)
        self.put_count += 1

    def next_write(self) -> tuple[bytes | memoryview, tuple[int, ...]]:
        """Return what to write next, and the descriptors that must go with its first byte.

        Small messages are joined. The queue must not be empty.
        """
        first = self._messages[0]
        if self._sent_of_first:
            data: bytes | memoryview = memoryview(first.data)[self._sent_of_first :]
        elif first.fds:
            return first.data, first.fds
        else:
            data = first.data
        if len(self._messages) == 1 or len(data) >= _BATCH_BYTES:
            return data, ()
        parts, size = [data], len(data)
        following = iter(self._messages)
        next(following)
        for message in following:
            size += len(message.data)
            if message.fds or size > _BATCH_BYTES:
                break
            parts.append(message.data)
        return b"".join(parts), ()

    def sent(self, count: int) -> None:
        """Note that `count` bytes of `next_write` are sent."""
        count += self._sent_of_first
        while self._messages and count >= len(self._messages[0].data):
            message = self._messages.popleft()
            count -= len(message.data)
            self._forget(message)
        self._sent_of_first = count

    def bound(self) -> tuple[int, int]:
        """Drop what is too much; return how many signals and how many others were dropped."""
        too_many_signals = self._signal_bytes - self._max_signal_bytes
        too_many_replies = self.queued_bytes - self._signal_bytes - self._max_reply_bytes
        # A quarter more than must be, so that a full queue is not walked for every message.
        return (
            self._drop(too_many_signals + self._max_signal_bytes // 4, signals=True)
            if too_many_signals > 0
            else 0,
            self._drop(too_many_replies + self._max_reply_bytes // 4, signals=False)
            if too_many_replies > 0
            else 0,
        )

    def leave_connection(self) -> None:
        """Drop all but the signals; a half-sent one is to be sent again from its start."""
        self._sent_of_first = 0
        self._keep(lambda message: message.is_signal)

    def _drop(self, excess: int, *, signals: bool) -> int:
        """Drop the oldest of a kind, `excess` bytes at least; return how many."""
        before, target = self.done_count, self.queued_bytes - excess
        last = self._messages[-1]
        half_sent = self._messages[0] if self._sent_of_first else None
        self._keep(
            lambda message: (
                self.queued_bytes <= target
                or message is last
                or message is half_sent
                or message.is_signal is not signals
            )
        )
        return self.done_count - before

    def _keep(self, stays: Callable[[Message], bool]) -> None:
        kept: deque[Message] = deque()
        for message in self._messages:
            if stays(message):
                kept.append(message)
            else:
                self._forget(message)
        self._messages = kept

    def _forget(self, message: Message) -> None:
        self.queued_bytes -= len(message.data)
        if message.is_signal:
            self._signal_bytes -= len(message.data)
        self.done_count += 1
        for fd in message.fds:
            os.close(fd)
