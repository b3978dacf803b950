"""The ``kdb`` command's connection to the bus: one socket, one call at a time.

Greeting, Hello and the first call go out in one write, so that a command waits for the bus once
and not four times. The protocol allows it, as the bus answers in order (sd-bus does so too).
"""

from __future__ import annotations

# The C module below `socket`, which costs 2 ms for the enums and selectors that it makes.
import _socket
import os
import struct

from kdb._address import bus_address, socket_paths
from kdb.cli import marshal
from kdb.protocol import BUS_NAME, INTERFACE, OBJECT_PATH

__all__ = ["Bus", "CallError", "NoService"]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# As the libraries'; see kdb.session.
_TIMEOUT_S = 30.0
_RETURN, _ERROR = 2, 3
_NO_REPLY = "org.freedesktop.DBus.Error.NoReply"
_ENDED = "kdbd ended before it answered; what was asked may be done. Look, then try again"
_DBUS = ("/org/freedesktop/DBus", "org.freedesktop.DBus", "org.freedesktop.DBus")
_ROOT = (OBJECT_PATH, INTERFACE, BUS_NAME)


class CallError(Exception):
    """The answer to a call is an error, with a D-Bus name and a text."""

    def __init__(self, name: str, text: str) -> None:
        super().__init__(f"{name}: {text}")
        self.name = name
        self.text = text


class NoService(Exception):
    """There is no bus; the text says why."""


class Bus:
    """Calls to kdbd. With *directory* they go to a handle there, which knows dir:/.

    The connection is made by the first call.
    """

    def __init__(self, directory: str | None = None) -> None:
        self._directory = directory
        self._socket: _socket.socket | None = None
        self._target = _ROOT
        self._serial = 0
        self._data = b""

    def call(self, member: str, signature: str = "", *values: Any) -> list[Any]:
        """Return the answer to a call on kdbd.

        Raises:
            CallError: the answer is an error.
            NoService: there is no bus.
            ValueError: a string cannot be sent.

        """
        if self._directory is not None:
            contract = {"directory": ("s", self._directory)}
            self._directory = None
            (path,) = self._ask(_ROOT, "Open", "a{sv}", (contract,))
            self._target = (path, INTERFACE, BUS_NAME)
        return self._ask(self._target, member, signature, values)

    def root(self, member: str, signature: str = "", *values: Any) -> list[Any]:
        """As :meth:`call`, on the root object, which alone has Mount, Unmount and ListMounts."""
        return self._ask(_ROOT, member, signature, values)

    def revision(self) -> int:
        """Return the revision of the last commit."""
        target = (OBJECT_PATH, "org.freedesktop.DBus.Properties", BUS_NAME)
        ((_, revision),) = self._ask(target, "Get", "ss", (INTERFACE, "Revision"))
        return int(revision)

    def _ask(
        self, target: tuple[str, str, str], member: str, signature: str, values: tuple[Any, ...]
    ) -> list[Any]:
        connection, data = self._socket, b""
        if connection is None:
            connection = self._socket = _connect()
            data = _greeting() + self._message(_DBUS, "Hello", "", ())
        data += self._message(target, member, signature, values)
        serial = self._serial
        try:
            # Without the flag a bus that is gone would end the process, as a closed pipe does.
            connection.sendall(data, _socket.MSG_NOSIGNAL)
            if self._greeted():
                return self._reply(serial)
        except TimeoutError:
            text = f"no answer within {_TIMEOUT_S:.0f} s; what was asked may still be done"
            raise CallError(_NO_REPLY, text) from None
        except OSError as error:
            raise NoService(error.strerror or str(error)) from None
        raise NoService("the bus refuses this user")

    def _message(
        self, target: tuple[str, str, str], member: str, signature: str, values: tuple[Any, ...]
    ) -> bytes:
        self._serial += 1
        path, interface, destination = target
        body = marshal.encode(signature, values)
        fields: list[tuple[int, tuple[str, Any]]] = [
            (1, ("o", path)),
            (2, ("s", interface)),
            (3, ("s", member)),
            (6, ("s", destination)),
        ]
        if signature:
            fields.append((8, ("g", signature)))
        head = (ord("l"), 1, 0, 1, len(body), self._serial, fields)
        header = marshal.encode("yyyyuua(yv)", head)
        return header + bytes(-len(header) % 8) + body

    def _greeted(self) -> bool:
        """Take the bus's answer to the greeting, once; tell whether it lets us in."""
        if self._serial != 2:  # only Hello and the first call come with a greeting
            return True
        while b"\r\n" not in self._data:
            self._read()
        line, _, self._data = self._data.partition(b"\r\n")
        return line.startswith(b"OK ")

    def _reply(self, serial: int) -> list[Any]:
        """Return the body of the reply to the call *serial*; other messages are passed over."""
        while True:
            self._need(16)
            order = "<" if self._data[:1] == b"l" else ">"
            kind = self._data[1]
            body_bytes, _, fields_bytes = struct.unpack_from(order + "III", self._data, 4)
            body_start = 16 + fields_bytes + -fields_bytes % 8
            self._need(body_start + body_bytes)
            (pairs,) = marshal.decode("a(yv)", self._data, order, 12)
            body = self._data[body_start : body_start + body_bytes]
            self._data = self._data[body_start + body_bytes :]
            fields = {code: value for code, (_, value) in pairs}
            if fields.get(5) != serial or kind not in (_RETURN, _ERROR):
                continue
            values = marshal.decode(fields.get(8, ""), body, order)
            if kind == _ERROR:
                name, text = fields.get(4, ""), str(values[0]) if values else ""
                raise CallError(name, _ENDED if name == _NO_REPLY else text)
            return values

    def _need(self, size: int) -> None:
        if len(self._data) >= size:
            return
        pieces, held = [self._data], len(self._data)
        while held < size:
            self._data = b""
            self._read()
            pieces.append(self._data)
            held += len(self._data)
        self._data = b"".join(pieces)

    def _read(self) -> None:
        assert self._socket is not None
        data = self._socket.recv(1 << 18)
        if not data:
            raise ConnectionResetError("the bus closed the connection")
        self._data += data


def _connect() -> _socket.socket:
    address = bus_address("session", os.environ)
    why = f"no socket in the bus address {address!r}" if address else "no bus address is set"
    for path in socket_paths(address):
        connection = _socket.socket(_socket.AF_UNIX)
        connection.settimeout(_TIMEOUT_S)
        try:
            connection.connect(path)
        except OSError as error:
            connection.close()
            why = f"{error.strerror or error}: {os.fsdecode(path)}"
            continue
        return connection
    raise NoService(why)


def _greeting() -> bytes:
    uid = str(os.getuid()).encode().hex()
    return f"\0AUTH EXTERNAL {uid}\r\nBEGIN\r\n".encode()
