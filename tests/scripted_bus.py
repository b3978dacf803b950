"""A bus without I/O: it does what the generators of kdb.session and kdb.watching ask for.

Its kdbd holds one dictionary and keeps the rules of a handle's get and set in their simplest form.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from kdb import wire
from kdb.base import covers
from kdb.model import names
from kdb.model.content import Content
from kdb.model.diff import Change
from kdb.model.errors import Conflict, ConflictError, HistoryLost, InterfaceError, KDBError
from kdb.requests import (
    AwaitSignal,
    Call,
    CallFailed,
    Connect,
    Disconnected,
    NotSent,
    Reply,
    Rest,
    TimedOut,
)

__all__ = ["Service", "run"]

DBUS = "org.freedesktop.DBus.Error."


@dataclass
class Service:
    """A bus and a kdbd, of which each can be away.

    ``lost`` counts answers that get lost: the call is done, then the connection breaks.
    ``dies_at`` names calls, in order, at which kdbd ends, and comes back: ``"Set"`` before it is
    done, ``"Set done"`` after it; ``meanwhile`` is what others do until it is asked again.
    ``breaks_at`` names calls, in order, at which the bus restarts before they are sent. ``revive``
    is what happens while a client waits.
    """

    keys: dict[bytes, Content] = field(default_factory=dict)
    revision: int = 1
    history: list[tuple[int, str, str]] = field(default_factory=list)
    trimmed: int = 0
    owner: str | None = ":1.1"
    bus: bool = True
    connected: bool = False
    signalled: bool = False
    activatable: bool = False
    unstartable: bool = False
    lost: int = 0
    dies_at: list[str] = field(default_factory=list)
    meanwhile: list[Any] = field(default_factory=list)
    breaks_at: list[str] = field(default_factory=list)
    revive: list[Any] = field(default_factory=list)
    handles: dict[str, set[bytes]] = field(default_factory=dict)
    done: list[str] = field(default_factory=list)
    page: int = 10_000

    # --- what others do

    def put(self, name: str, value: str | None) -> None:
        unescaped = names.unescape(name)
        self._commit({unescaped: None if value is None else Content(value)})

    def restart(self) -> None:
        number = int((self.owner or ":1.1")[3:])
        self.owner = f":1.{number + 1}"
        self.handles.clear()
        self.signalled = True

    def reconnect(self) -> None:
        """Come back to the bus under another name, with all handles."""
        handles = dict(self.handles)
        self.restart()
        self.handles.update(handles)

    def restart_bus(self) -> None:
        self.bus, self.connected = True, False
        self.restart()

    # --- what is asked for

    def do(self, request: Any) -> Reply | None:
        if isinstance(request, Connect):
            if not self.bus:
                raise Disconnected("no bus")
            self.connected = True
            return None
        if isinstance(request, AwaitSignal):
            return self._await_signal()
        if isinstance(request, Rest):
            self.done.append("Rest")
            self._revive()
            return None
        return self._call(request)

    def _await_signal(self) -> None:
        while not self.signalled:
            if not self._revive():
                raise TimedOut
            if not self.connected:
                raise NotSent("it broke")
        self.signalled = False

    def _revive(self) -> bool:
        if not self.revive:
            return False
        self.revive.pop(0)()
        return True

    def _call(self, call: Call) -> Reply:
        self.done.append(call.member)
        if self.breaks_at and self.breaks_at[0] == call.member:
            self.breaks_at.pop(0)
            self.restart_bus()
        if not self.connected or not self.bus:
            self.connected = False
            raise NotSent("it broke")
        if call.destination == "org.freedesktop.DBus":
            return self._bus(call)
        if call.destination == wire.BUS_NAME and self.owner is None:
            if not (self.activatable and call.start_service):
                raise CallFailed(DBUS + "ServiceUnknown", "nobody has it")
            self.owner = ":1.1"
        elif call.destination not in (wire.BUS_NAME, self.owner):
            raise CallFailed(DBUS + "NameHasNoOwner", "it is gone")
        self._die(call.member)
        if call.path.startswith("/handle/") and call.path not in self.handles:
            raise CallFailed(DBUS + "UnknownObject", "no such handle")
        try:
            body = getattr(self, f"_{call.member.lower()}")(call, *call.body)
        except KDBError as error:
            raise CallFailed(error.dbus_name, str(error)) from None
        self._die(f"{call.member} done")
        if self.lost:
            self.lost -= 1
            self.restart_bus()
            raise Disconnected("it broke")
        return Reply(body, self.owner or "")

    def _die(self, at: str) -> None:
        if self.dies_at and self.dies_at[0] == at:
            self.dies_at.pop(0)
            self.restart()
            for each in self.meanwhile:
                each()
            raise CallFailed(DBUS + "NoReply", "it died")

    def _bus(self, call: Call) -> Reply:
        if call.member == "NameHasOwner":
            return Reply((self.owner is not None,), "org.freedesktop.DBus")
        if call.member == "StartServiceByName" and self.unstartable:
            raise CallFailed(DBUS + "Spawn.ExecFailed", "not allowed")
        if call.member == "StartServiceByName":
            if not self.activatable:
                raise CallFailed(DBUS + "ServiceUnknown", "no file")
            self.owner = ":1.9"
        return Reply((), "org.freedesktop.DBus")

    # --- kdbd's methods

    def _open(self, call: Call, contract: Any) -> tuple[Any, ...]:
        path = f"/handle/{len(self.handles) + 1}"
        self.handles[path] = set()
        return (path,)

    def _ping(self, call: Call) -> tuple[Any, ...]:
        return ()

    def _close(self, call: Call) -> tuple[Any, ...]:
        del self.handles[call.path]
        return ()

    def _get(self, call: Call, parent: str, since: Any) -> tuple[Any, ...]:
        if call.interface == "org.freedesktop.DBus.Properties":
            return (("t", self.revision),)
        above = names.unescape(parent)
        if above[0] == 2:
            raise InterfaceError("no parent")
        self.handles[call.path].add(above)
        found = [(name, key) for name, key in sorted(self.keys.items()) if covers(above, name)]
        if since and not any(at > since and covers(above, name) for at, name in self._changed()):
            return (False, b"", [], self.revision)
        # As if the block were large, each second time.
        data = wire.pack_keys(found)
        return (True, *((data, []) if self.revision % 2 else (b"", [data])), self.revision)

    def _set(self, call: Call, parent: str) -> tuple[Any, ...]:
        changes, present = self._asked(call, parent)
        revision = self._commit(changes) if changes else 0
        return (revision, wire.pack_present(present) if present else b"")

    def _diff(self, call: Call, parent: str) -> tuple[Any, ...]:
        changes, _ = self._asked(call, parent)
        diff = {name: Change(self.keys.get(name), new) for name, new in sorted(changes.items())}
        return (wire.pack_diff(diff), [])

    def _getstring(self, call: Call, name: str) -> tuple[Any, ...]:
        return (self.keys[names.unescape(name)].value,)

    def _setstring(self, call: Call, name: str, value: str) -> tuple[Any, ...]:
        return (self._commit({names.unescape(name): Content(value)}),)

    def _apply(self, call: Call, put: Any, *_: Any) -> tuple[Any, ...]:
        new = {names.unescape(name): Content(value.decode()) for name, value, _ in put}
        return (self._commit({**new}),)

    def _changes(self, call: Call, since: int, parent: str, limit: int) -> tuple[Any, ...]:
        if since < self.trimmed:
            raise HistoryLost("too old")
        above = names.unescape(parent)
        found = [
            row for row in self.history if row[0] > since and covers(above, names.unescape(row[2]))
        ]
        if len(found) > self.page:
            found = found[: self.page]
            return (found, True, found[-1][0])
        return (found, False, self.revision)

    def _changed(self) -> list[tuple[int, bytes]]:
        return [(at, names.unescape(name)) for at, _, name in self.history]

    def _asked(
        self, call: Call, parent: str
    ) -> tuple[dict[bytes, Content | None], dict[bytes, int]]:
        if not any(covers(got, names.unescape(parent)) for got in self.handles[call.path]):
            raise InterfaceError(f"{parent} was not got")
        changes: dict[bytes, Content | None] = {}
        present: dict[bytes, int] = {}
        conflicts = []
        for name, new, base in wire.unpack_changes(call.block or b""):
            old = self.keys.get(name)
            if (old is None and new is None) or (old and new and old.same_as(new)):
                if old is not None:
                    present[name] = old.revision
            elif (old.revision if old else 0) != base:
                conflicts.append(Conflict(names.escape(name), base, "ours", "theirs"))
            else:
                changes[name] = new
        if conflicts:
            raise ConflictError("conflict", conflicts=tuple(conflicts))
        return changes, present

    def _commit(self, changes: dict[bytes, Content | None]) -> int:
        self.revision += 1
        for name, new in changes.items():
            old = self.keys.pop(name, None)
            kind = "removed" if new is None else "changed" if old else "added"
            self.history.append((self.revision, kind, names.escape(name)))
            if new is not None:
                self.keys[name] = new._replace(revision=self.revision)
        self.signalled = True
        return self.revision


def run(service: Service, operation: Any) -> Any:
    """Bring an operation to its end on this bus."""
    outcome, failure = None, None
    try:
        while True:
            request = operation.throw(failure) if failure else operation.send(outcome)
            try:
                outcome, failure = service.do(request), None
            except (Disconnected, CallFailed, TimedOut) as caught:
                failure = caught
    except StopIteration as stop:
        return stop.value
