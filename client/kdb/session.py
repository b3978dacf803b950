"""What the libraries say to kdbd and what they make of its answers, without any I/O.

Each operation is a generator. It yields what is to be done and gets the outcome sent in, so that
the blocking library and the one for asyncio are thin: each knows only how to do four things.

====================  ==========================================================================
yielded               what the shell does
====================  ==========================================================================
Connect()             have a connection to the bus: if there is none, try once to make one
Call(…)               make the call, send in its Reply
AwaitSignal(seconds)  wait until a signal has come since the last AwaitSignal (at once if one
                      has), at most so long; None: without end
Rest(seconds)         wait so long
====================  ==========================================================================

Failures are thrown in: :class:`Disconnected` where the bus is gone, :class:`CallFailed` with the
name and text of a D-Bus error, :class:`TimedOut`.

**After a restart** of kdbd or of the bus the handle is gone. Calls on a handle go to the unique
name of the kdbd that opened it, so that they never reach another; when that is gone, a new handle
is opened, the parents that the old one got are got again (what has changed does not matter: the
revisions in the set decide), and the call is made again. A set that was done although its answer
got lost finds its keys as asked.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, TypeVar

from kdb import base as bases
from kdb import wire
from kdb.base import Base, Written
from kdb.model import names, tracking
from kdb.model.content import Content
from kdb.model.diff import Change
from kdb.model.errors import KDBError, ResourceError

__all__ = [
    "CALL_TIMEOUT_S",
    "OWNER_RULE",
    "RESTART_WAIT_S",
    "RESTS_S",
    "AwaitSignal",
    "Call",
    "CallFailed",
    "Connect",
    "Disconnected",
    "Got",
    "Operation",
    "Reply",
    "Request",
    "Rest",
    "Session",
    "TimedOut",
    "as_error",
    "bus_call",
    "call_service",
    "is_gone",
]

# Most calls take a millisecond; an import of a million keys some seconds. Polkit may ask a person
# and take 120 s, but only where a caller allows it, which the libraries do not.
CALL_TIMEOUT_S: Final = 30.0
# systemd starts a service again after 100 ms, and kdbd starts in 1.5 s with 100,000 keys.
RESTART_WAIT_S: Final = 10.0
# Before each further try for a bus that is away: soon at first, for a restart takes less than a
# second; together RESTART_WAIT_S.
RESTS_S: Final = (0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 2.0, 2.0, 2.0)
# Each attempt waits for a new kdbd, so this many mean that it dies of what it is asked.
_ATTEMPTS: Final = 4

_DBUS: Final = "org.freedesktop.DBus"
OWNER_RULE: Final = (
    f"type='signal',sender='{_DBUS}',path='/org/freedesktop/DBus',interface='{_DBUS}',"
    f"member='NameOwnerChanged',arg0='{wire.BUS_NAME}'"
)


class Disconnected(Exception):
    """The connection to the bus is lost, or there is no bus."""


class TimedOut(Exception):
    """No answer came in time."""


class CallFailed(Exception):
    """The answer to a call was a D-Bus error."""

    def __init__(self, name: str, text: str) -> None:
        super().__init__(name, text)
        self.name = name
        self.text = text


@dataclass(frozen=True, slots=True)
class Connect:
    """Make sure that there is a connection to the bus."""


@dataclass(frozen=True, slots=True)
class AwaitSignal:
    """Wait until a signal has come since the last AwaitSignal."""

    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Rest:
    """Wait this long."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Call:
    """A method call. A *block* stands for two more arguments ``ayah``, of which it fills one."""

    member: str
    signature: str = ""
    body: tuple[Any, ...] = ()
    block: bytes | None = None
    path: str = wire.OBJECT_PATH
    interface: str = wire.INTERFACE
    destination: str = wire.BUS_NAME
    start_service: bool = True


class Reply(NamedTuple):
    """The answer to a call. Each received descriptor is replaced by the bytes that it held."""

    body: tuple[Any, ...]
    sender: str


T = TypeVar("T")
Request = Connect | Call | AwaitSignal | Rest
Operation = Generator[Request, Reply | None, T]


class Got(NamedTuple):
    """The outcome of a get: 1 or 2, what the key set remembers, what to fill it with (or None)."""

    result: int
    base: Base
    keys: list[tuple[bytes, Content]] | None


class _Handle(NamedTuple):
    path: str
    owner: str


class Session:
    """One open database: its handle, what it has got, and the operations on it.

    *contract* is that of the service's Open: ``directory`` and so on, as D-Bus variants
    ``(signature, value)``.
    """

    def __init__(self, contract: Mapping[str, tuple[str, Any]]) -> None:
        self._contract = dict(contract)
        self._handle: _Handle | None = None
        self._seen = False
        self._got: dict[bytes, Base] = {}

    # --- operations ---------------------------------------------------------------------------

    def open(self) -> Operation[None]:
        """Open the handle.

        Raises:
            InstallationError: no kdbd answers.

        """
        yield from self._retried(self._open)

    def close(self) -> Operation[None]:
        """Close the handle, if it is still there."""
        handle, self._handle = self._handle, None
        self._got.clear()
        if handle is not None:
            try:
                yield _on_handle(handle, "Close")
            except (Disconnected, TimedOut, CallFailed):
                # It goes with the connection anyway.
                return

    def get(self, base: Mapping[bytes, Content] | None, parent: bytes) -> Operation[Got]:
        """Get *parent* for a key set that remembers *base*."""
        base = bases.of(base)
        since = None if base is None else base.since(parent)
        arguments = (names.escape(parent), since or 0)
        changed, data, files, revision = yield from self._on_handle("Get", "st", arguments)
        # Revision 0, that of a new store, cannot be asked for: its answer is always full.
        if since is not None and (not changed or revision == since):
            base = bases.after_get(base, parent, revision, None)
            self._remember(parent, base, None)
            return Got(2, base, None)
        keys = wire.unpack_keys(_block(data, files)) if changed else []
        base = bases.after_get(base, parent, revision, keys)
        self._remember(parent, base, keys)
        return Got(1, base, keys)

    def set(
        self, base: Mapping[bytes, Content] | None, parent: bytes, keys: Mapping[bytes, Content]
    ) -> Operation[tuple[int, Base]]:
        """Set *keys*; the outcome is 1 (something changed) or 0, and what the key set remembers."""
        known = self._base(base, parent)
        asked = _changes(known, parent, keys)
        arguments = (names.escape(parent),)
        block = wire.pack_changes(asked)
        revision, data = yield from self._on_handle("Set", "s", arguments, block)
        if asked:
            known = self._written(known, asked, revision, wire.unpack_present(data))
        return int(revision != 0), known

    def diff(
        self, base: Mapping[bytes, Content] | None, parent: bytes, keys: Mapping[bytes, Content]
    ) -> Operation[dict[bytes, Change]]:
        """Return what a set of *keys* would change, by unescaped name."""
        block = wire.pack_changes(_changes(self._base(base, parent), parent, keys))
        arguments = (names.escape(parent),)
        data, files = yield from self._on_handle("Diff", "s", arguments, block)
        return wire.unpack_diff(_block(data, files))

    def one_key(self, member: str, signature: str, body: tuple[Any, ...]) -> Operation[Any]:
        """Call a one-key method on the handle, which knows dir:/."""
        return self._on_handle(member, signature, body, interface=wire.INTERFACE)

    # --- what was got -------------------------------------------------------------------------

    def _base(self, base: Mapping[bytes, Content] | None, parent: bytes) -> Base:
        """Return what a key set remembers; of one that no get filled, what the handle does."""
        known = bases.of(base)
        if known is None:
            known = bases.nearest(self._got, parent)
        return bases.NOTHING if known is None else known

    def _remember(
        self, parent: bytes, base: Base, keys: list[tuple[bytes, Content]] | None
    ) -> None:
        """Keep this get for key sets that no get fills; narrower, older ones go."""
        old = self._got.get(parent)
        for got in [got for got in self._got if bases.covers(parent, got)]:
            del self._got[got]
        if len(base.gets) == 1:
            self._got[parent] = base
            return
        if keys is None:
            mine = Base(old if old is not None else bases.within(base, parent))
        else:
            mine = Base(keys)
        mine.gets = {parent: base.gets[parent]}
        self._got[parent] = mine

    def _written(
        self, base: Base, asked: list[Written], revision: int, present: Mapping[bytes, int]
    ) -> Base:
        after = bases.after_set(base, asked, revision, present)
        for parent, got in self._got.items():
            inside = [put for put in asked if bases.covers(parent, put[0])]
            if got is base:
                self._got[parent] = after
            elif inside:
                self._got[parent] = bases.after_set(got, inside, revision, present)
        return after

    # --- the handle ---------------------------------------------------------------------------

    def _open(self) -> Operation[_Handle]:
        yield Connect()
        reply = yield Call("Open", "a{sv}", (self._contract,))
        assert reply is not None
        handle = _Handle(reply.body[0], reply.sender)
        self._seen = True
        for parent, base in self._got.items():
            arguments = (names.escape(parent), base.gets[parent])
            try:
                yield _on_handle(handle, "Get", "st", arguments)
            except CallFailed as error:
                if is_gone(error):
                    raise
                # What makes this parent unreadable is the answer to the call that needs it.
        self._handle = handle
        return handle

    def _on_handle(
        self,
        member: str,
        signature: str,
        body: tuple[Any, ...],
        block: bytes | None = None,
        interface: str = wire.HANDLE_INTERFACE,
    ) -> Operation[tuple[Any, ...]]:
        def attempt() -> Operation[tuple[Any, ...]]:
            handle = self._handle or (yield from self._open())
            reply = yield _on_handle(handle, member, signature, body, block, interface)
            assert reply is not None
            return reply.body

        return (yield from self._retried(attempt))

    def _retried(self, attempt: Callable[[], Operation[T]]) -> Operation[T]:
        """Make an attempt, and again when kdbd or the bus is gone and comes back."""
        tries = 0
        while True:
            tries += 1
            try:
                return (yield from attempt())
            except (Disconnected, CallFailed, TimedOut) as error:
                known = self._seen
                if not is_gone(error) or not known or tries == _ATTEMPTS:
                    raise as_error(error) from None
            self._handle = None
            try:
                yield from _await_service()
            except (Disconnected, CallFailed, TimedOut) as error:
                raise as_error(error) from None


def _changes(base: Base, parent: bytes, keys: Mapping[bytes, Content]) -> list[Written]:
    put, removed = tracking.changes(keys, base, parent)
    return [*put, *((name, None, revision) for name, revision in removed)]


def _block(data: bytes, files: list[bytes]) -> bytes:
    return files[0] if files else data


def call_service(member: str, signature: str = "", body: tuple[Any, ...] = ()) -> Operation[Any]:
    """Call a method of the root object once; the outcome is the answer's arguments."""
    try:
        yield Connect()
        reply = yield Call(member, signature, body)
    except (Disconnected, CallFailed, TimedOut) as error:
        raise as_error(error) from None
    assert reply is not None
    return reply.body


def _await_service() -> Operation[None]:
    """Wait for the bus, then for kdbd, to be there again; kdbd is started if the bus can."""
    for seconds in RESTS_S:
        try:
            yield Connect()
            break
        except Disconnected:
            yield Rest(seconds)
    else:
        yield Connect()
    yield bus_call("AddMatch", "s", OWNER_RULE)
    while True:
        try:
            yield bus_call("StartServiceByName", "su", wire.BUS_NAME, 0)
            break
        except CallFailed as failure:
            if not is_gone(failure):
                raise
        try:
            yield AwaitSignal(RESTART_WAIT_S)
        except TimedOut:
            raise Disconnected(f"kdbd was gone for {RESTART_WAIT_S:.0f} s") from None
    yield bus_call("RemoveMatch", "s", OWNER_RULE)


def bus_call(member: str, signature: str, *body: Any) -> Call:
    """Return a call to the bus itself."""
    return Call(member, signature, body, None, "/org/freedesktop/DBus", _DBUS, _DBUS)


def as_error(failure: Disconnected | CallFailed | TimedOut) -> KDBError:
    """Return the key database's error for a failure that the shell threw in."""
    if isinstance(failure, CallFailed):
        return wire.from_dbus_error(failure.name, failure.text)
    if isinstance(failure, Disconnected):
        return wire.no_service(str(failure))
    return ResourceError(
        f"kdbd did not answer within {CALL_TIMEOUT_S:.0f} s; what was asked may still be done, "
        "so get again to see",
        module="kdb",
    )


_GONE: Final = frozenset(
    f"org.freedesktop.DBus.Error.{name}"
    for name in ("ServiceUnknown", "NameHasNoOwner", "NoReply", "UnknownObject", "Disconnected")
)


def is_gone(failure: Exception) -> bool:
    """Tell whether the kdbd of the handle, or the bus, went away."""
    return isinstance(failure, Disconnected) or (
        isinstance(failure, CallFailed) and failure.name in _GONE
    )


def _on_handle(
    handle: _Handle,
    member: str,
    signature: str = "",
    body: tuple[Any, ...] = (),
    block: bytes | None = None,
    interface: str = wire.HANDLE_INTERFACE,
) -> Call:
    return Call(
        member, signature, body, block, handle.path, interface, handle.owner, start_service=False
    )
