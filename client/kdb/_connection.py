"""A blocking connection to the bus over jeepney: calls with time-outs, descriptors, signals.

What jeepney's own connection lacks is here: every wait has an end (a stopped bus must not hang the
application), received descriptors are read and closed at once, a call that timed out leaves
nothing behind, and reading need not block, so that an event loop can drive a watch.
"""

from __future__ import annotations

import array
import socket
import time
from typing import Any, Final

from jeepney import DBusAddress, HeaderFields, Message, MessageFlag, MessageType, new_method_call
from jeepney.fds import FileDescriptor, fds_buf_size
from jeepney.io.blocking import prep_socket
from jeepney.low_level import Parser

from kdb import memfd
from kdb._address import socket_paths
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

# A small message takes 200 bytes; of a large one, all that is missing is asked for.
_READ_BYTES: Final = 16 * 1024

_HELLO: Final = Call(
    "Hello",
    path="/org/freedesktop/DBus",
    interface="org.freedesktop.DBus",
    destination="org.freedesktop.DBus",
)


class Connection:
    """One connection, made by the constructor. Not for several threads at once.

    ``signalled`` is set by each signal that comes; whoever waits for signals clears it.

    Raises:
        Disconnected: there is no bus at *address*.

    """

    def __init__(self, address: str, connect_timeout_s: float = CONNECT_TIMEOUT_S) -> None:
        self.signalled = False
        self._parser = Parser()
        self._serial = 0
        self._replies: dict[int, Message | None] = {}
        self._socket = _connect(address, connect_timeout_s)
        try:
            self.call(_HELLO, connect_timeout_s)
        except (TimedOut, CallFailed) as error:
            self.close()
            raise Disconnected(f"the bus does not say hello: {error}") from None

    def close(self) -> None:
        """Close the connection; what is under way is lost."""
        self._socket.close()
        for message in self._replies.values():
            _drop(message)
        self._replies.clear()

    @property
    def closed(self) -> bool:
        """Whether the connection was closed or lost."""
        return self._socket.fileno() < 0

    def fileno(self) -> int:
        """Return the socket's descriptor, readable when a message came; -1 when closed."""
        return self._socket.fileno()

    def call(self, call: Call, timeout_s: float = CALL_TIMEOUT_S) -> Reply:
        """Make a call and wait for its reply.

        Raises:
            CallFailed, TimedOut, Disconnected: as their names say.
            InvalidValue: a string that no D-Bus message may hold.

        """
        deadline_s = time.monotonic() + timeout_s
        serial = self.send(call, timeout_s)
        try:
            while (reply := self.take(serial)) is None:
                self.read(max(deadline_s - time.monotonic(), 0.0))
        except TimedOut:
            del self._replies[serial]
            raise
        return reply

    def send(self, call: Call, timeout_s: float = CALL_TIMEOUT_S) -> int:
        """Send a call; return the serial by which :meth:`take` gives its reply.

        Raises:
            NotSent: the connection is lost, or the bus takes nothing.
            InvalidValue: a string that no D-Bus message may hold.

        """
        self._serial += 1
        memfds = []
        signature, body = call.signature, call.body
        if call.block is not None:
            signature += "ayah"
            if len(call.block) < INLINE_BLOCK_BYTES:
                body = (*body, call.block, [])
            else:
                memfds.append(memfd.seal(call.block))
                body = (*body, b"", memfds)
        try:
            self._write(_message(call, signature, body), memfds, timeout_s)
        finally:
            for fd in memfds:
                memfd.close(fd)
        self._replies[self._serial] = None
        return self._serial

    def take(self, serial: int) -> Reply | None:
        """Return the reply to a call, or None as long as there is none.

        Raises:
            CallFailed: the reply is an error.

        """
        message = self._replies[serial]
        if message is None:
            return None
        del self._replies[serial]
        return _reply(message)

    def read(self, timeout_s: float | None) -> None:
        """Take in what the bus has sent; if that is nothing yet, wait for it.

        Without a time-out it waits without end.

        Raises:
            TimedOut: nothing came.
            Disconnected: the connection is lost.

        """
        try:
            self._socket.settimeout(timeout_s)
            data, ancillary, flags, _ = self._socket.recvmsg(
                max(_READ_BYTES, self._parser.bytes_desired()),
                fds_buf_size(),
                socket.MSG_CMSG_CLOEXEC,
            )
        except (TimeoutError, BlockingIOError):
            raise TimedOut from None
        except OSError as error:
            raise self._lost(str(error)) from None
        fds = FileDescriptor.from_ancdata(ancillary)
        try:
            if not data or flags & socket.MSG_CTRUNC:
                raise self._lost("the bus closed it")
            self._parser.add_data(data, fds=fds)
            fds = []
            while (message := self._next()) is not None:
                self._sort(message)
        finally:
            _close(fds)

    def await_signal(self, timeout_s: float | None) -> None:
        """Wait until :attr:`signalled` is set, and clear it. Raises TimedOut, Disconnected."""
        deadline_s = None if timeout_s is None else time.monotonic() + timeout_s
        while not self.signalled:
            self.read(None if deadline_s is None else max(deadline_s - time.monotonic(), 0.0))
        self.signalled = False

    def _next(self) -> Message | None:
        try:
            return self._parser.get_next_message()
        except Exception as error:  # noqa: BLE001 - whatever jeepney raises for what it cannot read
            raise self._lost(f"a message could not be read: {error!r}") from None

    def _sort(self, message: Message) -> None:
        serial = message.header.fields.get(HeaderFields.reply_serial)
        if serial in self._replies:
            self._replies[serial] = message
            return
        if message.header.message_type is MessageType.signal:
            self.signalled = True
        _drop(message)

    def _write(self, message: Message, memfds: list[int], timeout_s: float) -> None:
        fds = array.array("i")
        data = memoryview(message.serialise(serial=self._serial, fds=fds))
        try:
            self._socket.settimeout(timeout_s)
            # A bus that is gone must not end programs that do not ignore SIGPIPE.
            if fds:
                ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fds)]
                data = data[self._socket.sendmsg([data], ancillary, socket.MSG_NOSIGNAL) :]
            self._socket.sendall(data, socket.MSG_NOSIGNAL)
        except OSError as error:
            # The bus passes on whole messages only.
            raise NotSent(str(self._lost(str(error)))) from None

    def _lost(self, why: str) -> Disconnected:
        self.close()
        return Disconnected(f"the connection to the bus is lost: {why}")


def _connect(address: str, timeout_s: float) -> socket.socket:
    why = "no bus address is set" if not address else f"no socket in the bus address {address!r}"
    for path in socket_paths(address):
        try:
            found: socket.socket = prep_socket(path, enable_fds=True, timeout=timeout_s)
            return found
        except OSError as error:
            why = f"{error.strerror or error}"
        except Exception as error:  # noqa: BLE001 - jeepney's authentication errors have no base
            why = f"{error}"
    raise Disconnected(why)


def _message(call: Call, signature: str, body: tuple[Any, ...]) -> Message:
    _check(body)
    address = DBusAddress(call.path, call.destination, call.interface)
    message = new_method_call(address, call.member, signature or None, body)
    if not call.start_service:
        message.header.flags |= MessageFlag.no_auto_start
    return message


def _check(value: object) -> None:
    """Refuse what the bus would cut the sender off for."""
    if isinstance(value, str):
        check_sendable(value)
    elif isinstance(value, dict):
        for pair in value.items():
            _check(pair)
    elif isinstance(value, list | tuple):
        for each in value:
            _check(each)


def _reply(message: Message) -> Reply:
    fields = message.header.fields
    if message.header.message_type is MessageType.error:
        text = message.body[0] if message.body and isinstance(message.body[0], str) else ""
        _drop(message)
        raise CallFailed(fields.get(HeaderFields.error_name, ""), text)
    try:
        body = tuple(_without_descriptors(value) for value in message.body)
    finally:
        _drop(message)
    return Reply(body, fields.get(HeaderFields.sender, ""))


def _without_descriptors(value: Any) -> Any:
    """Return an argument with each received descriptor replaced by what it held."""
    if isinstance(value, list) and value and isinstance(value[0], FileDescriptor):
        return [memfd.read(descriptor.to_raw_fd()) for descriptor in value]
    return value


def _drop(message: Message | None) -> None:
    """Close the descriptors of a message that were not taken."""
    if message is not None and HeaderFields.unix_fds in message.header.fields:
        _close(message.body)


def _close(value: object) -> None:
    if isinstance(value, FileDescriptor):
        if value._fd >= 0:  # noqa: SLF001 - jeepney has no question "still open?"
            value.close()
    elif isinstance(value, list | tuple | dict):
        for each in value.values() if isinstance(value, dict) else value:
            _close(each)
