"""The calls of others: from a message to the service, and to the end of its answer."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, NamedTuple

from kdbd.bus import marshal
from kdbd.bus.body import Malformed, decode_body, is_plain
from kdbd.bus.frames import MAX_MESSAGE_BYTES, Frame

__all__ = ["AT_ONCE_BYTES", "INTERNAL", "INTERNAL_TEXT", "Call", "Calls"]

INTERNAL = "org.libelektra.KDB1.Error.Internal"
INTERNAL_TEXT = "kdbd met an error of its own; its log tells more"
_LIMITS = "org.libelektra.KDB1.Error.LimitsExceeded"
_INVALID = "org.freedesktop.DBus.Error.InvalidArgs"

# Above this size what takes long is done beside the loop, so that others are answered meanwhile.
AT_ONCE_BYTES = 64 * 1024
# What waits to be taken apart: one largest message, while another is at it.
_MAX_APART_BYTES = 2 * MAX_MESSAGE_BYTES

# Of so many the fields are kept that are the same in call after call; about 1 MiB at most.
_MAX_HEADERS = 1024
_MAX_HEADER_BYTES = 512


class Call(NamedTuple):
    """A method call that came in.

    `fds` are closed when the call is dealt with: whoever wants to keep one duplicates it.
    `connection` numbers the connection that it came in on; `size` is the body's, in bytes.
    """

    sender: str
    path: str
    interface: str | None
    member: str
    signature: str
    body: list[Any]
    fds: tuple[int, ...]
    serial: int
    reply_expected: bool
    interactive: bool
    connection: int = 0
    size: int = 0


class Calls:
    """Hands calls to the service, which answers them now or later."""

    def __init__(
        self,
        dispatch: Callable[[Call], Awaitable[None] | None],
        error: Callable[[Call, str, str], None],
        log: Any,
    ) -> None:
        """Give each call to `dispatch`; `error` answers what does not get that far."""
        self._dispatch = dispatch
        self._error = error
        self._log = log
        self._headers: dict[bytes, marshal.Header] = {}
        self._taking_apart = asyncio.Lock()
        self._apart_bytes = 0

    def take(self, frame: Frame, connection: int, tasks: asyncio.TaskGroup) -> str:
        """Deal with one call, in a task of `tasks` where it takes time; return the sender.

        The descriptors are closed at the end, whatever it is. Raises `Malformed` where nobody
        can be answered.
        """
        fds = frame.fds
        try:
            header = self._header(frame)
            call = Call(
                header.sender,
                header.path,
                header.interface,
                header.member,
                header.signature,
                [],
                fds,
                frame.serial,
                not frame.flags & marshal.NO_REPLY_EXPECTED,
                frame.flags & marshal.ALLOW_INTERACTIVE_AUTHORIZATION != 0,
                connection,
                len(frame.body),
            )
            pending = self._begin(call, frame)
            if pending is not None:
                self._follow(call, pending, tasks)
                fds = ()
            return header.sender
        finally:
            for fd in fds:
                os.close(fd)

    def _header(self, frame: Frame) -> marshal.Header:
        if not frame.little_endian:
            return marshal.decode_header(frame.fields, little_endian=False)
        header = self._headers.get(frame.fields)
        if header is None:
            header = marshal.decode_header(frame.fields)
            if len(frame.fields) <= _MAX_HEADER_BYTES:
                if len(self._headers) >= _MAX_HEADERS:
                    self._headers.clear()
                self._headers[frame.fields] = header
        return header

    def _begin(self, call: Call, frame: Frame) -> Awaitable[None] | None:
        if frame.too_large:
            self._error(call, _LIMITS, f"a message may have at most {MAX_MESSAGE_BYTES} bytes")
            return None
        if len(frame.body) > AT_ONCE_BYTES and not is_plain(call.signature):
            return self._begin_large(call, frame)
        try:
            call.body.extend(
                decode_body(call.signature, frame.body, little_endian=frame.little_endian)
            )
        except Malformed as error:
            self._error(call, _INVALID, str(error))
            return None
        try:
            return self._dispatch(call)
        except Exception:  # noqa: BLE001 - the message boundary
            self._failed(call)
            return None

    async def _begin_large(self, call: Call, frame: Frame) -> None:
        """Take a large body apart in a thread, which needs a second for 100,000 keys."""
        size = len(frame.body)
        if self._apart_bytes + size > _MAX_APART_BYTES:
            self._error(call, _LIMITS, "Too much waits to be taken in. Try again in a moment")
            return
        self._apart_bytes += size
        try:
            async with self._taking_apart:
                body = await asyncio.to_thread(
                    decode_body, call.signature, frame.body, little_endian=frame.little_endian
                )
        except Malformed as error:
            self._error(call, _INVALID, str(error))
            return
        finally:
            self._apart_bytes -= size
        call.body.extend(body)
        # The answer may take long, and this holds it all once more.
        del frame, body
        pending = self._dispatch(call)
        if pending is not None:
            await pending

    def _follow(self, call: Call, pending: Awaitable[None], tasks: asyncio.TaskGroup) -> None:
        async def answer() -> None:
            try:
                await pending
            except Exception:  # noqa: BLE001 - the message boundary
                self._failed(call)

        def done(_: asyncio.Task[None]) -> None:
            # Not in `answer`: a task that is cancelled before its first step never enters it.
            if isinstance(pending, Coroutine):
                pending.close()
            for fd in call.fds:
                os.close(fd)

        tasks.create_task(answer()).add_done_callback(done)

    def _failed(self, call: Call) -> None:
        self._log.exception("bus.call_failed", interface=call.interface, member=call.member)
        self._error(call, INTERNAL, INTERNAL_TEXT)
