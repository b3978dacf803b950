"""A connection to the bus that has many calls in flight and never waits for one of them."""

from __future__ import annotations

import select
import socket
from collections.abc import Sequence
from time import monotonic
from typing import Any, NamedTuple

from jeepney import DBusAddress, HeaderFields, Message, MessageFlag, MessageType, new_method_call
from jeepney.bus_messages import MatchRule, message_bus
from jeepney.io.blocking import open_dbus_connection

from kdb.protocol import BUS_NAME, INTERFACE, OBJECT_PATH

__all__ = ["Answer", "Peer", "Request", "wait_for_any"]

WAIT_S = 30.0
_READ_BYTES = 1 << 16
# What the bus says of a call to a name that nobody owns.
_NOBODY = {f"org.freedesktop.DBus.Error.{each}" for each in ("ServiceUnknown", "NameHasNoOwner")}


class Request(NamedTuple):
    """A method call to kdbd."""

    member: str
    signature: str = ""
    body: tuple[Any, ...] = ()
    path: str = OBJECT_PATH
    interface: str = INTERFACE


class Answer(NamedTuple):
    """A reply: the error's name, empty for none, and the values."""

    error: str
    body: tuple[Any, ...]

    @property
    def lost(self) -> bool:
        """Tell whether kdbd died over the call: it may be done or not."""
        return self.error == "org.freedesktop.DBus.Error.NoReply"

    @property
    def undelivered(self) -> bool:
        """Tell whether kdbd was dead before the call, which is thus not done."""
        return self.error in _NOBODY


class Peer:
    """One connection. ``signals`` are all that came, in their order."""

    def __init__(self, address: str) -> None:
        self._connection = open_dbus_connection(address)
        self._socket: socket.socket = self._connection.sock
        self._socket.settimeout(None)
        self._parser = self._connection.parser
        self._answers: dict[int, Answer] = {}
        self.signals: list[Message] = []

    def fileno(self) -> int:
        """Answer the socket, for select."""
        return self._socket.fileno()

    def close(self) -> None:
        """Leave the bus."""
        self._connection.close()

    def subscribe(self, rule: MatchRule) -> None:
        """Get the signals of a rule."""
        self._connection.send_and_get_reply(message_bus.AddMatch(rule), timeout=WAIT_S)

    def ask_bus(self) -> None:
        """Ask the bus itself something: it has then seen all that was sent before."""
        self._connection.send_and_get_reply(message_bus.GetId(), timeout=WAIT_S)

    def send(self, request: Request) -> int:
        """Send a call; answer its serial number."""
        address = DBusAddress(request.path, BUS_NAME, request.interface)
        message = new_method_call(
            address, request.member, request.signature or None, tuple(request.body)
        )
        message.header.flags |= MessageFlag.no_auto_start
        serial: int = next(self._connection.outgoing_serial)
        self._socket.settimeout(WAIT_S)
        self._socket.sendall(message.serialise(serial=serial))
        self._socket.settimeout(None)
        return serial

    def answers(self) -> dict[int, Answer]:
        """Answer the replies that have come since the last time, by serial number."""
        self._read()
        answers, self._answers = self._answers, {}
        return answers

    def call(self, request: Request) -> Answer:
        """Make a call and wait for its reply. No other calls may be in flight."""
        serial = self.send(request)
        while not (answers := self.answers()):
            self.wait()
        assert set(answers) == {serial}, "a call was in flight"
        return answers[serial]

    def wait(self) -> None:
        """Wait until something comes."""
        assert select.select([self], [], [], WAIT_S)[0], "nothing comes from the bus"

    def _read(self) -> None:
        while True:
            try:
                data = self._socket.recv(_READ_BYTES, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return
            assert data, "the bus closed the connection"
            self._parser.add_data(data)
            while (message := self._parser.get_next_message()) is not None:
                self._sort(message)

    def _sort(self, message: Message) -> None:
        fields = message.header.fields
        if message.header.message_type is MessageType.signal:
            # The bus greets every connection with a signal to it alone.
            if HeaderFields.destination not in fields:
                self.signals.append(message)
        elif HeaderFields.reply_serial in fields:
            error = fields.get(HeaderFields.error_name, "")
            self._answers[fields[HeaderFields.reply_serial]] = Answer(error, message.body)


def wait_for_any(peers: Sequence[Peer], deadline_s: float | None) -> bool:
    """Wait until something comes for one of the peers; tell whether it did before the deadline."""
    ends_s = WAIT_S if deadline_s is None else max(deadline_s - monotonic(), 0.0)
    came = bool(select.select(list(peers), [], [], ends_s)[0])
    assert came or deadline_s is not None, "nothing comes from the bus"
    return came
