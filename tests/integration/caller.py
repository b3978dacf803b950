"""A real client of a running kdbd: any call, with descriptors, and the exact name of an error."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgpack
from blocks import pack_block
from daemon_process import DaemonProcess
from jeepney import DBusAddress, HeaderFields, Message, MessageFlag, MessageType, new_method_call
from jeepney.bus_messages import message_bus
from jeepney.io.blocking import DBusConnection, open_dbus_connection

from kdb import memfd
from kdb.model.errors import ERROR_PREFIX
from kdb.wire import BUS_NAME, HANDLE_INTERFACE, INTERFACE, OBJECT_PATH, unpack_block

__all__ = ["Caller", "Refused", "unaffected"]

WAIT_S = 30.0


class Refused(Exception):
    """The reply is an error; `name` comes without kdbd's own prefix."""

    def __init__(self, name: str, text: str) -> None:
        super().__init__(f"{name}: {text}")
        self.name = name.removeprefix(ERROR_PREFIX)
        self.text = text


class Caller:
    """One connection to the bus that calls kdbd; `handle` is opened by `open`."""

    def __init__(self, address: str) -> None:
        self.connection: DBusConnection = open_dbus_connection(address, enable_fds=True)
        self.name: str = self.connection.unique_name
        self.handle = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.connection.close()

    def message(
        self,
        member: str,
        signature: str = "",
        *body: Any,
        path: str = OBJECT_PATH,
        interface: str | None = INTERFACE,
        reply: bool = True,
    ) -> Message:
        """Make a call's message."""
        address = DBusAddress(path, BUS_NAME, interface)
        message = new_method_call(address, member, signature or None, body)
        if not reply:
            message.header.flags |= MessageFlag.no_reply_expected
        return message

    def call(self, member: str, signature: str = "", *body: Any, **where: Any) -> tuple[Any, ...]:
        """Call a method; answer the reply's body, or raise Refused."""
        return self.answer(self.message(member, signature, *body, **where))

    def answer(self, message: Message) -> tuple[Any, ...]:
        """Send a call and wait for what it answers."""
        reply = self.connection.send_and_get_reply(message, timeout=WAIT_S)
        body: tuple[Any, ...] = reply.body
        if reply.header.message_type is MessageType.error:
            raise Refused(reply.header.fields[HeaderFields.error_name], body[0] if body else "")
        return body

    def error(self, member: str, signature: str = "", *body: Any, **where: Any) -> Refused:
        """Answer the error that a call gets."""
        try:
            answer = self.call(member, signature, *body, **where)
        except Refused as refused:
            return refused
        raise AssertionError(f"{member} answered {answer}")

    def owner(self) -> str:
        """Ask the bus for kdbd's unique name; it has then seen all that was sent before."""
        reply = self.connection.send_and_get_reply(
            message_bus.GetNameOwner(BUS_NAME), timeout=WAIT_S
        )
        return str(reply.body[0])

    # The handle

    def open(self, directory: Path | None = None) -> Self:
        """Open a handle, and use it from here on."""
        contract = {} if directory is None else {"directory": ("s", str(directory))}
        (self.handle,) = self.call("Open", "a{sv}", contract)
        return self

    def on_handle(self, member: str, signature: str = "", *body: Any) -> tuple[Any, ...]:
        """Call a method of the handle's own interface."""
        return self.call(member, signature, *body, path=self.handle, interface=HANDLE_INTERFACE)

    def handle_error(self, member: str, signature: str = "", *body: Any) -> Refused:
        """Answer the error that a call on the handle gets."""
        return self.error(member, signature, *body, path=self.handle, interface=HANDLE_INTERFACE)

    def get(self, parent: str, since: int = 0) -> dict[str, Any]:
        """Get all keys at or below a parent on the handle; answer their values."""
        _, data, fds, _ = self.on_handle("Get", "st", parent, since)
        assert bool(fds) is (len(data) == 0)
        block = memfd.read(fds[0].to_raw_fd()) if fds else data
        return {name: value for name, value, _, _ in unpack_block(block)}

    def put(self, parent: str, *entries: list[Any]) -> tuple[int, dict[str, int]]:
        """Set entries `[name, value, metadata, base]` on the handle."""
        revision, present = self.on_handle("Set", "sayah", parent, pack_block(entries), [])
        return revision, msgpack.unpackb(present) if present else {}

    # The whole state

    def state(self) -> tuple[int, list[Any]]:
        """Answer the revision and all keys."""
        keys, more, revision = self.call("GetAll", "ssu", "/", "", 0)
        assert not more
        return revision, keys


@contextmanager
def unaffected(kdbd: DaemonProcess, caller: Caller) -> Iterator[None]:
    """Check that the block leaves state, descriptors and the caller's connection as they were."""
    caller.call("Sync")  # so that no file is written meanwhile
    before, fds = caller.state(), open_fds(kdbd.pid)
    yield
    assert caller.state() == before
    assert open_fds(kdbd.pid) == fds


def open_fds(pid: int) -> list[str]:
    """Answer what a process has open, without the numbers."""
    found = []
    for each in Path(f"/proc/{pid}/fd").iterdir():
        try:
            found.append(str(each.readlink()))
        except FileNotFoundError:
            continue
    return sorted(found)
