"""kdbd's place on the bus: it stays connected, keeps its name, takes calls and answers them.

- Nothing that a caller sends ends the connection: what cannot be understood is answered by an
  error, or passed over. Descriptors that come with a message are closed when it is dealt with.
- What the bus would cut the service off for (a NUL, no UTF-8, more than 8 MiB) is not sent, and
  an exception in the service is logged; their callers get the error Internal, without internals.
- A call to others ends within its time-out and leaves nothing behind.
- A bus that goes away, or takes nothing for 5 s (one subscriber that never reads blocks
  dbus-daemon's delivery for its sender), is connected to anew, for ever. Calls that came in on
  an old connection are answered by nobody; the bus has told their callers.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any, Literal

from kdbd.bus import marshal
from kdbd.bus.address import bus_address, socket_paths
from kdbd.bus.body import Malformed, Unsendable, decode_body
from kdbd.bus.callers import Callers, Credentials, program_of
from kdbd.bus.calls import INTERNAL, INTERNAL_TEXT, Call, Calls
from kdbd.bus.connection import Connection, open_connection
from kdbd.bus.frames import Frame
from kdbd.bus.handshake import BUS, BUS_PATH, BusUnavailable, NameTaken, take_place
from kdbd.bus.replies import CallFailed, Replies
from kdbd.bus.writer import Writer

__all__ = ["BusUnavailable", "Call", "CallFailed", "Credentials", "NameTaken", "Transport"]

_FIRST_PAUSE_S, _LAST_PAUSE_S = 0.05, 2.0
# A connection that lived this long was a good one: the next may be tried at once.
_GOOD_S = 2.0
_MAX_SERIAL = 0xFFFF_FFFF


class Transport:
    """The connection to the bus, made anew as often as it must be."""

    def __init__(
        self,
        *,
        address: str | None,
        bus: Literal["session", "system"],
        name: str,
        dispatch: Callable[[Call], Awaitable[None] | None],
        on_vanished: Callable[[str], None],
        on_reading: Callable[[bool], None] = lambda _: None,
        log: Any,
        stall_s: float = 5.0,
    ) -> None:
        """Take the well-known `name` at `address`, or on the user's or the system's `bus`.

        `on_vanished` is called for each unique name that called and left the bus, also for those
        that left while there was no connection; `on_reading` before (True) and after (False) the
        calls that one read of the bus brought. `stall_s` is how long the bus may take nothing.
        Raises `InvalidAddress`.
        """
        self._paths = socket_paths(address or bus_address(bus, os.environ))
        self._name = name
        self._on_vanished = on_vanished
        self._on_reading = on_reading
        self._log = log
        self._stall_s = stall_s
        self._callers = Callers()
        self._replies = Replies()
        self._calls = Calls(dispatch, self.error, log)
        self._serial = 0
        self._number = 0
        self._connection: Connection | None = None
        self._writer = Writer(
            stall_s=stall_s, on_failed=self._write_failed, on_full=self._full, log=log
        )
        self._tasks: asyncio.TaskGroup | None = None

    async def run(self, ready: Callable[[], None]) -> None:
        """Serve until cancelled; call `ready` once, when the name was taken the first time.

        Raises `BusUnavailable` or `NameTaken` where that fails; later it is tried for ever.
        """
        failure: Exception | None = None
        try:
            async with asyncio.TaskGroup() as tasks:
                self._tasks = tasks
                failure = await self._serve(ready)
        finally:
            self._tasks = None
            if self._connection is not None:
                self._connection.close()
        if failure is not None:
            raise failure

    async def _serve(self, ready: Callable[[], None]) -> Exception | None:
        """Connect again and again; return why the first time failed."""
        loop = asyncio.get_running_loop()
        pause_s = _FIRST_PAUSE_S
        never, said = True, ""
        while True:
            since = loop.time()
            try:
                connection = await self._connect()
            except (BusUnavailable, NameTaken) as error:
                if never:
                    return error
                tell = self._log.debug if str(error) == said else self._log.warning
                tell("bus.unavailable", reason=(said := str(error)), retry_s=pause_s)
            else:
                said = ""
                if never:
                    ready()
                    never = False
                try:
                    # Shielded, since a cancelled future would seem to be lost already.
                    reason = await asyncio.shield(connection.lost)
                finally:
                    connection.close()
                self._log.warning("bus.lost", reason=str(reason))
                if loop.time() - since > _GOOD_S:
                    pause_s = _FIRST_PAUSE_S
                    continue
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, _LAST_PAUSE_S)

    async def _connect(self) -> Connection:
        """Connect, say hello, take the name. Raises `BusUnavailable`, `NameTaken`."""
        try:
            connection = await open_connection(self._paths, timeout_s=self._stall_s)
        except OSError as error:
            reason = error.strerror or error
            raise BusUnavailable(f"no bus at {self._paths[0]} ({reason})") from error
        self._number += 1
        self._connection = connection
        try:
            connection.start(
                on_arrival=lambda: self._on_reading(True),
                on_frame=self._on_frame,
                on_read=self._read,
                on_lost=self._leave,
            )
            # Before the first message is read: another bus gives known names to others.
            for name in self._callers.enter(connection.bus):
                self._on_vanished(name)
            for name in await take_place(self._ask_bus, self._name, self._callers.names()):
                self._vanish(name)
            if connection.lost.done():
                raise connection.lost.result()
        except (OSError, CallFailed, Malformed) as error:
            connection.close()
            raise BusUnavailable(f"the bus at {self._paths[0]} fails: {error}") from error
        except BaseException:
            connection.close()
            raise
        self._writer.attach(connection.socket)
        self._log.info("bus.connected", name=self._name)
        return connection

    async def _ask_bus(self, member: str, signature: str, body: list[Any]) -> list[Any]:
        """Call the bus itself before the writer is attached, so ahead of all that is queued."""
        connection = self._connection
        if connection is None:
            raise BusUnavailable("the bus closed the connection")
        serial = self._next_serial()
        message = marshal.encode_call(serial, BUS, BUS_PATH, BUS, member, signature, body)
        async with self._replies.expect(serial, self._stall_s) as reply:
            await asyncio.get_running_loop().sock_sendall(connection.socket, message)
            return await reply

    def _read(self) -> None:
        self._on_reading(False)
        self._writer.flush()

    def _leave(self) -> None:
        """Give up what belongs to the connection that is lost."""
        self._connection = None
        self._writer.detach()
        self._replies.fail(BusUnavailable("the connection to the bus was lost"))

    def _write_failed(self, error: OSError) -> None:
        if self._connection is not None:
            self._connection.lose(error)

    def _full(self, full: bool) -> None:
        if self._connection is not None:
            (self._connection.pause if full else self._connection.resume)()

    def _on_frame(self, frame: Frame) -> None:
        """Take one message. Nothing in it ends the connection."""
        assert self._tasks is not None
        try:
            if frame.kind == marshal.CALL:
                self._writer.hold()
                self._callers.add(self._calls.take(frame, self._number, self._tasks))
                return
            for fd in frame.fds:
                os.close(fd)
            if frame.kind == marshal.SIGNAL:
                self._take_signal(frame)
            elif frame.kind in {marshal.RETURN, marshal.ERROR}:
                self._replies.take(frame)
        except Malformed as error:
            self._log.warning("bus.malformed", reason=str(error), kind=frame.kind)
        except Exception:  # noqa: BLE001 - the message boundary
            self._log.exception("bus.message_failed", kind=frame.kind)

    def reply(
        self, call: Call, signature: str, body: Sequence[Any], fds: Sequence[int] = ()
    ) -> None:
        """Answer a call. `fds` are duplicated, and stay the caller's.

        What cannot be sent is logged, and answered by the error Internal. Nothing is sent where
        no reply is expected, or the connection is gone that the call came in on.
        """
        if not self._expects_reply(call):
            return
        try:
            message = marshal.encode_return(
                self._next_serial(), call.serial, call.sender, signature, body, len(fds)
            )
            self._writer.put(message, fds)
        except (Unsendable, OSError) as error:
            self._log.error("bus.reply_refused", member=call.member, reason=str(error))
            self.error(call, INTERNAL, INTERNAL_TEXT)

    def error(self, call: Call, name: str, text: str) -> None:
        """Answer a call by an error."""
        if not self._expects_reply(call):
            return
        serial = self._next_serial()
        self._writer.put(marshal.encode_error(serial, call.serial, call.sender, name, text))

    def _expects_reply(self, call: Call) -> bool:
        return (
            call.reply_expected and call.connection == self._number and self._connection is not None
        )

    def signal(
        self, path: str, interface: str, member: str, signature: str, body: Sequence[Any]
    ) -> None:
        """Broadcast a signal. What cannot be sent is logged, and dropped."""
        try:
            message = marshal.encode_signal(
                self._next_serial(), path, interface, member, signature, body
            )
        except Unsendable as error:
            self._log.error("bus.signal_refused", member=member, reason=str(error))
        else:
            self._writer.put(message, is_signal=True)

    async def drain(self) -> None:
        """Wait until all that is queued now was written, or given up as there is no bus."""
        await self._writer.drain()

    async def call(
        self,
        destination: str,
        path: str,
        interface: str,
        member: str,
        signature: str,
        body: Sequence[Any],
        timeout_s: float,
    ) -> list[Any]:
        """Call a method of another service and return what it answers.

        Raises `CallFailed`, TimeoutError, `BusUnavailable` (no connection, or it broke),
        `Unsendable`.
        """
        if self._connection is None:
            raise BusUnavailable("not connected to a bus")
        serial = self._next_serial()
        message = marshal.encode_call(serial, destination, path, interface, member, signature, body)
        async with self._replies.expect(serial, timeout_s) as reply:
            self._writer.put(message)
            return await reply

    def _take_signal(self, frame: Frame) -> None:
        header = marshal.decode_header(frame.fields, little_endian=frame.little_endian)
        if header.sender == BUS and header.member == "NameOwnerChanged":
            name, _, owner = decode_body(
                header.signature, frame.body, little_endian=frame.little_endian
            )
            if not owner:
                # Not before whoever waits for its credentials, which may have just come, has them.
                asyncio.get_running_loop().call_soon(self._vanish, name)

    def _vanish(self, name: str) -> None:
        if self._callers.vanish(name):
            self._on_vanished(name)

    def known(self, unique_name: str) -> Credentials | None:
        """Return who a caller is, if that was asked since it came to the bus."""
        return self._callers.credentials(unique_name)

    async def credentials(self, unique_name: str) -> Credentials:
        """Return who a caller is. Kept until it leaves the bus.

        Raises `CallFailed` where it left already, TimeoutError, `BusUnavailable`.
        """
        known = self.known(unique_name)
        if known is None:
            (values,) = await self.call(
                BUS, BUS_PATH, BUS, "GetConnectionCredentials", "s", [unique_name], self._stall_s
            )
            known = Credentials.from_bus(values)
            known = replace(known, program=program_of(known.pid))
            self._callers.learn(unique_name, known)
        return known

    def _next_serial(self) -> int:
        self._serial = self._serial % _MAX_SERIAL + 1
        return self._serial
