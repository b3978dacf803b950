"""Clients that cost next to nothing: sockets, and messages that are built once.

A message is built with a placeholder where the value goes; for each call its serial number and its
value are written over it in place. A call then costs about two system calls.
"""

from __future__ import annotations

import select
import socket
import time
from pathlib import Path
from struct import Struct
from typing import Any

from jeepney import MessageType, message_bus
from jeepney.io.blocking import prep_socket

__all__ = ["PLACEHOLDER", "CallRefused", "Caller", "checked", "swarm"]

PLACEHOLDER = "@" * 12
_UINT32 = Struct("<I")
_LENGTHS = Struct("<4xI4xI")
_SERIAL_AT = 8
_TYPE_AT = 1
_RETURN, _ERROR = 2, 3
_WAIT_S = 120.0


class CallRefused(Exception):
    """A call was answered by an error."""


class Caller:
    """One connection. `message` is a call whose body has the placeholder."""

    def __init__(self, path: Path, message: Any = None) -> None:
        self.socket: socket.socket = prep_socket(str(path))
        self.socket.settimeout(_WAIT_S)
        self._serial = 1
        self._rest = b""
        self.ask(message_bus.Hello())
        if message is not None:
            self._template = bytearray(message.serialise(serial=1))
            self._value_at = self._template.index(PLACEHOLDER.encode())

    def fileno(self) -> int:
        """Return the socket's descriptor."""
        return self.socket.fileno()

    def close(self) -> None:
        """Close the connection."""
        self.socket.close()

    def ask(self, message: Any) -> None:
        """Make any call and wait for its return, passing over signals."""
        self._serial += 1
        self.socket.sendall(message.serialise(serial=self._serial))
        while not self.receive():
            pass

    def call(self, value: int) -> None:
        """Send the call with this value."""
        self._serial += 1
        template, at = self._template, self._value_at
        _UINT32.pack_into(template, _SERIAL_AT, self._serial)
        template[at : at + len(PLACEHOLDER)] = b"%012d" % value
        self.socket.sendall(template)

    def receive(self) -> int:
        """Read once; return how many returns came. Raises CallRefused for an error."""
        data = self._rest + self.socket.recv(65536)
        if not data:
            raise ConnectionError("the bus closed the connection")
        at = returned = 0
        while len(data) - at >= 16:
            body, fields = _LENGTHS.unpack_from(data, at)
            end = at + 16 + (fields + 7 & ~7) + body
            if end > len(data):
                break
            if data[at + _TYPE_AT] == _RETURN:
                returned += 1
            elif data[at + _TYPE_AT] == _ERROR:
                raise CallRefused(data[at:end].decode(errors="replace"))
            at = end
        self._rest = data[at:]
        return returned


def swarm(callers: list[Caller], seconds: float, first_value: int) -> tuple[int, float]:
    """Let every caller call again as soon as it is answered.

    Returns how many calls were answered, and in how many seconds.
    """
    value = first_value
    by_descriptor = {caller.fileno(): caller for caller in callers}
    poll = select.epoll()
    for descriptor in by_descriptor:
        poll.register(descriptor, select.EPOLLIN)
    try:
        done = 0
        began = now = time.perf_counter()
        until = began + seconds
        for caller in callers:
            value += 1
            caller.call(value)
        while now < until:
            for descriptor, _ in poll.poll(_WAIT_S):
                caller = by_descriptor[descriptor]
                if caller.receive():
                    done += 1
                    value += 1
                    caller.call(value)
            now = time.perf_counter()
        for caller in callers:
            while not caller.receive():
                pass
    finally:
        poll.close()
    return done, now - began


def checked(message: Any) -> Any:
    """Return a reply's body. Raises CallRefused where it is an error."""
    if message.header.message_type is MessageType.error:
        raise CallRefused(str(message.body))
    return message.body
