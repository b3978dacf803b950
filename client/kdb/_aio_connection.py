"""A connection to the bus for asyncio, over dbus-next or dbus-fast.

What the libraries do to a long-running program is kept from it here (measured on dbus-next 0.2.3
and dbus-fast 5.2.0): a socket that takes nothing for a moment is fatal to their writers, so one
message is written at a time, when there is room; a call that is cancelled leaves a handler behind,
and one made after the bus died never returns, so replies are matched here; received descriptors
are never closed; a bus that closes during authentication keeps dbus-next busy for ever.
"""

from __future__ import annotations

import asyncio
import os
import select
import socket
from contextlib import suppress
from typing import Any, Final
from urllib.parse import quote

from kdb import memfd
from kdb._address import socket_paths
from kdb._dbus_library import Message, MessageBus, MessageFlag, MessageType, Variant
from kdb.dbus_errors import check_sendable
from kdb.protocol import INLINE_BLOCK_BYTES
from kdb.requests import (
    CALL_TIMEOUT_S,
    CONNECT_TIMEOUT_S,
    Call,
    CallFailed,
    Disconnected,
    NotSent,
    Reply,
    TimedOut,
)

__all__ = ["Connection"]

# A system bus allows 128 unanswered calls, and refuses the next.
_CALLS_IN_FLIGHT: Final = 100


class _Bus(MessageBus):  # type: ignore[misc]  # either library's class, which mypy cannot know
    async def _auth_readline(self) -> str:
        """Read a line of the greeting; unlike dbus-next's own, end when the bus does."""
        line = b""
        while not line.endswith(b"\r\n"):
            byte = await asyncio.get_running_loop().sock_recv(self._sock, 1)
            if not byte:
                raise ConnectionResetError("the bus closed the connection")
            line += byte
        return line[:-2].decode()


class Connection:
    """One connection; :meth:`connect` makes it. ``signalled`` is set by each signal that comes."""

    def __init__(self, address: str, connect_timeout_s: float = CONNECT_TIMEOUT_S) -> None:
        self.signalled = asyncio.Event()
        self._address = address
        self._connect_timeout_s = connect_timeout_s
        self._bus: Any = None
        self._replies: dict[int, asyncio.Future[Any]] = {}
        self._writing = asyncio.Lock()
        self._in_flight = asyncio.Semaphore(_CALLS_IN_FLIGHT)
        self._writes: set[asyncio.Task[bool]] = set()
        self._end: asyncio.Task[None] | None = None

    async def connect(self) -> None:
        """Connect. Raises Disconnected where there is no bus."""
        try:
            async with asyncio.timeout(self._connect_timeout_s):
                address = _reachable(self._address, self._connect_timeout_s)
                self._bus = _Bus(bus_address=address, negotiate_unix_fd=True)
                self._bus.add_message_handler(self._receive)
                await self._bus.connect()
        except Disconnected:
            raise
        except Exception as error:  # noqa: BLE001 - the libraries raise whatever goes wrong inside
            self._close_socket()
            raise Disconnected(f"the bus does not say hello: {error!r}") from None
        except BaseException:
            self._close_socket()
            raise
        self._end = asyncio.ensure_future(self._bus.wait_for_disconnect())
        self._end.add_done_callback(self._ended)

    @property
    def closed(self) -> bool:
        """Whether the connection was closed or lost."""
        return self._end is None or self._end.done()

    async def close(self) -> None:
        """Close the connection; what is under way fails."""
        if self._end is not None and not self._end.done():
            self._bus.disconnect()
            # The library ends by itself; what it says of the end is of no use.
            await asyncio.wait([self._end], timeout=self._connect_timeout_s)
        self._close_socket()

    async def call(self, call: Call, timeout_s: float = CALL_TIMEOUT_S) -> Reply:
        """Make a call and wait for its reply.

        Raises:
            CallFailed, TimedOut, Disconnected, NotSent: as their names say.
            InvalidValue: a string that no D-Bus message may hold.

        """
        async with self._in_flight:
            if self.closed:
                raise NotSent("the connection to the bus is lost")
            serial = self._bus.next_serial()
            reply = self._replies[serial] = asyncio.get_running_loop().create_future()
            try:
                async with asyncio.timeout(timeout_s):
                    if not await self._send(serial, call):
                        raise NotSent("the connection to the bus is lost")
                    message = await reply
            except TimeoutError:
                raise TimedOut from None
            finally:
                del self._replies[serial]
                if not reply.cancel():
                    _seen(reply)
        return _reply(message)

    async def _send(self, serial: int, call: Call) -> bool:
        """Send a call; tell whether all of it was sent before the connection was lost."""
        signature, body = call.signature, list(call.body)
        memfds: list[int] = []
        if call.block is not None:
            signature += "ayah"
            if len(call.block) < INLINE_BLOCK_BYTES:
                body += [call.block, []]
            else:
                memfds.append(memfd.seal(call.block))
                body += [b"", [0]]
        message = Message(
            destination=call.destination,
            path=call.path,
            interface=call.interface,
            member=call.member,
            signature=signature,
            body=[_to_library(value) for value in body],
            unix_fds=memfds,
            serial=serial,
            flags=MessageFlag.NONE if call.start_service else MessageFlag.NO_AUTOSTART,
        )
        # A message that is half written must be finished, so a cancelled call leaves it alone.
        write = asyncio.ensure_future(self._write(message, memfds))
        self._writes.add(write)
        write.add_done_callback(self._writes.discard)
        return await asyncio.shield(write)

    async def _write(self, message: Any, memfds: list[int]) -> bool:
        try:
            async with self._writing:
                await self._room()
                if self.closed:
                    return False
                sent = self._bus.send(message)
                sent.add_done_callback(_seen)
                await asyncio.wait([sent, self._end], return_when=asyncio.FIRST_COMPLETED)
                return sent.done() and sent.exception() is None
        except OSError:
            # dbus-fast stumbles over the socket that it has just found broken and closed.
            self._bus.disconnect()
            return False
        finally:
            for fd in memfds:
                memfd.close(fd)

    async def _room(self) -> None:
        """Wait until the socket takes something; the libraries end the connection otherwise."""
        writable = select.poll()
        try:
            writable.register(self._bus._sock, select.POLLOUT)  # noqa: SLF001 - nothing else has it
            if writable.poll(0):
                return
            own = os.dup(self._bus._sock.fileno())  # noqa: SLF001 - the library uses its own
        except (OSError, ValueError):
            return  # closed meanwhile
        loop = asyncio.get_running_loop()
        ready = asyncio.Event()
        loop.add_writer(own, ready.set)
        try:
            await ready.wait()
        finally:
            loop.remove_writer(own)
            os.close(own)

    def _receive(self, message: Any) -> bool | None:
        """Take a message from the library; true means that it is dealt with."""
        if message.message_type is MessageType.METHOD_CALL:
            _close(message.unix_fds)
            return None
        if message.message_type is MessageType.SIGNAL:
            self.signalled.set()
        else:
            reply = self._replies.get(message.reply_serial)
            if reply is not None and not reply.done():
                reply.set_result(message)
                return True
        _close(message.unix_fds)
        # The library's own Hello is a call, too, and is answered through it.
        return bool(message.reply_serial != 1)

    def _ended(self, end: asyncio.Task[None]) -> None:
        why = None if end.cancelled() else end.exception()
        for reply in self._replies.values():
            if not reply.done():
                reply.set_exception(Disconnected(f"the connection to the bus is lost: {why!r}"))
        self.signalled.set()

    def _close_socket(self) -> None:
        for name in ("_stream", "_sock"):
            part = getattr(self._bus, name, None)
            if part is not None:
                with suppress(OSError, ValueError):
                    part.close()


def _reachable(address: str, timeout_s: float) -> str:
    """Return the address of the first socket that answers: dbus-next leaks those that do not."""
    why = "no bus address is set" if not address else f"no socket in the bus address {address!r}"
    for path in socket_paths(address):
        with socket.socket(socket.AF_UNIX) as trial:
            trial.settimeout(timeout_s)
            try:
                trial.connect(path)
            except OSError as error:
                why = f"{error.strerror or error}: {os.fsdecode(path)}"
                continue
        if isinstance(path, bytes):
            return f"unix:abstract={quote(path[1:])}"
        return f"unix:path={quote(path)}"
    raise Disconnected(why)


def _to_library(value: Any) -> Any:
    """Return an argument as the libraries take it, after a check of its strings."""
    if isinstance(value, str):
        check_sendable(value)
    elif isinstance(value, dict):
        return {
            check_sendable(key): Variant(each[0], _to_library(each[1]))
            if isinstance(each, tuple)
            else _to_library(each)
            for key, each in value.items()
        }
    elif isinstance(value, list | tuple):
        return [_to_library(each) for each in value]
    return value


def _reply(message: Any) -> Reply:
    if message.message_type is MessageType.ERROR:
        _close(message.unix_fds)
        text = message.body[0] if message.body and isinstance(message.body[0], str) else ""
        raise CallFailed(message.error_name or "", text)
    body = [
        (value.signature, value.value) if isinstance(value, Variant) else value
        for value in message.body
    ]
    if message.unix_fds:
        blocks = _read(message.unix_fds)
        for place, kind in enumerate(message.signature_tree.types):
            if kind.signature == "ah":
                body[place] = [blocks[index] for index in body[place]]
    return Reply(tuple(body), message.sender or "")


def _read(fds: list[int]) -> list[bytes]:
    rest = list(fds)
    try:
        return [memfd.read(rest.pop(0)) for _ in fds]
    finally:
        _close(rest)


def _seen(future: asyncio.Future[Any]) -> None:
    """Look at a future's exception, which the loop otherwise complains about."""
    if not future.cancelled():
        future.exception()


def _close(fds: list[int]) -> None:
    for fd in fds:
        memfd.close(fd)
