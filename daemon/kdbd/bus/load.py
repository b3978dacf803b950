"""What calls that wait for their answer hold of memory, and the bounds of it."""

from __future__ import annotations

import os

from kdb.model.errors import LimitsExceeded
from kdb.protocol import MAX_BLOCK_BYTES
from kdbd.bus.calls import Call

__all__ = ["MAX_CALLS", "MAX_CLIENT_BYTES", "MAX_WAITING_BYTES", "Load"]

# Of one client. The system bus allows a client 128 calls in flight, our own libraries use 100.
MAX_CALLS = 1_024
# Of all clients: two of the largest key sets. A waiting call costs about three times its size.
MAX_WAITING_BYTES = 128 * 1024 * 1024
# Of one client, unless it is one call: so one alone leaves room for others.
MAX_CLIENT_BYTES = MAX_WAITING_BYTES // 4


class Load:
    """The calls that wait: how many of each client, and how many bytes in all."""

    def __init__(self) -> None:
        self._calls: dict[str, int] = {}
        self._bytes: dict[str, int] = {}
        self._all_bytes = 0

    def take_on(self, call: Call) -> int:
        """Count a call that is to wait, if there is room; answer its bytes, to be given back.

        Raises LimitsExceeded.
        """
        # Of what a descriptor holds no more than a block is ever read.
        size = call.size
        if call.fds:
            size += sum(min(os.fstat(fd).st_size, MAX_BLOCK_BYTES) for fd in call.fds)
        waiting = self._calls.get(call.sender, 0)
        if waiting >= MAX_CALLS:
            raise LimitsExceeded(
                f"{MAX_CALLS} of your calls are not answered yet. Wait for some of the answers"
            )
        its_bytes = self._bytes.get(call.sender, 0)
        if its_bytes and its_bytes + size > MAX_CLIENT_BYTES:
            raise LimitsExceeded(
                f"{its_bytes} bytes of your calls are not answered yet. Wait for some of the"
                " answers"
            )
        if self._all_bytes and self._all_bytes + size > MAX_WAITING_BYTES:
            raise LimitsExceeded("Too much waits to be stored. Try again in a moment")
        self._calls[call.sender] = waiting + 1
        self._bytes[call.sender] = its_bytes + size
        self._all_bytes += size
        return size

    def give_back(self, call: Call, size: int) -> None:
        """Count a call no longer."""
        self._all_bytes -= size
        waiting = self._calls.pop(call.sender) - 1
        its_bytes = self._bytes.pop(call.sender) - size
        if waiting:
            self._calls[call.sender] = waiting
            self._bytes[call.sender] = its_bytes
