"""The replies that kdbd waits for: each wait ends, and leaves nothing behind.

dbus-next keeps the handler of a call that was cancelled, and a call after the bus died hangs.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from kdbd.bus import marshal
from kdbd.bus.body import Malformed, decode_body
from kdbd.bus.frames import Frame

__all__ = ["CallFailed", "Replies"]


class CallFailed(Exception):
    """A call to another service was answered by an error."""

    def __init__(self, name: str, text: str) -> None:
        self.name, self.text = name, text
        super().__init__(f"{name}: {text}")


class Replies:
    """The calls in flight, by their serial numbers."""

    def __init__(self) -> None:
        self._expected: dict[int, asyncio.Future[list[object]]] = {}

    def __len__(self) -> int:
        return len(self._expected)

    @asynccontextmanager
    async def expect(
        self, serial: int, timeout_s: float
    ) -> AsyncIterator[asyncio.Future[list[object]]]:
        """Give the future of a reply, for at most `timeout_s`. Raises TimeoutError."""
        reply: asyncio.Future[list[object]] = asyncio.get_running_loop().create_future()
        self._expected[serial] = reply
        try:
            async with asyncio.timeout(timeout_s):
                yield reply
        finally:
            del self._expected[serial]
            reply.cancel()

    def take(self, frame: Frame) -> None:
        """Settle the call that a message answers; pass over what nobody waits for.

        Raises `Malformed` where it does not say which.
        """
        header = marshal.decode_header(frame.fields, little_endian=frame.little_endian)
        reply = self._expected.get(header.reply_serial)
        if reply is None or reply.done():
            return
        try:
            body = decode_body(header.signature, frame.body, little_endian=frame.little_endian)
        except Malformed as error:
            reply.set_exception(error)
            return
        if frame.kind == marshal.RETURN:
            reply.set_result(body)
        else:
            text = body[0] if body and isinstance(body[0], str) else ""
            reply.set_exception(CallFailed(header.error_name, text))

    def fail(self, error: OSError) -> None:
        """End all waits with `error`."""
        for reply in self._expected.values():
            if not reply.done():
                reply.set_exception(error)
