"""What the libraries say to kdbd and what they make of its answers, without any I/O.

Each operation is a generator of requests; see :mod:`kdb.requests`.

**After a restart** of kdbd or of the bus the handle is gone. Calls on a handle go to the unique
name of the kdbd that opened it, so that they never reach another; when that is gone, a new handle
is opened, the parents that the old one got are got again (what has changed does not matter: the
revisions in the set decide), and the call is made again. A set that was done although its answer
got lost finds its keys as asked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, NamedTuple, TypeVar

from kdb import base as bases
from kdb import wire
from kdb.base import Base, Written
from kdb.model import names, tracking
from kdb.model.content import Content
from kdb.model.diff import Change
from kdb.requests import (
    PROPERTIES,
    Call,
    CallFailed,
    Connect,
    Disconnected,
    GivenUp,
    Operation,
    TimedOut,
    as_error,
    await_service,
    is_gone,
)

__all__ = ["Done", "Got", "Session"]

# Each attempt waits for a new kdbd, so this many mean that it dies of what it is asked.
_ATTEMPTS: Final = 4

T = TypeVar("T")


class Got(NamedTuple):
    """The outcome of a get: 1 or 2, what the key set remembers, what to fill it with (or None)."""

    result: int
    base: Base
    keys: list[tuple[bytes, Content]] | None


class Done(NamedTuple):
    """The outcome of a set: 1 or 0, what the key set remembers, the names of the keys asked for."""

    result: int
    base: Base
    names: list[bytes]


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
        if base is not None and since is not None and (not changed or revision == since):
            base.gets[parent] = revision
            self._remember_unchanged(parent, base, since)
            return Got(2, base, None)
        keys = wire.unpack_keys(_block(data, files)) if changed else []
        base = bases.after_get(base, parent, revision, keys)
        self._remember(parent, base, keys)
        return Got(1, base, keys)

    def set(
        self, base: Mapping[bytes, Content] | None, parent: bytes, keys: Mapping[bytes, Content]
    ) -> Operation[Done]:
        """Set *keys* of a key set that remembers *base*."""
        known = self._base(base, parent)
        asked = _changes(known, parent, keys)
        arguments = (names.escape(parent),)
        block = wire.pack_changes(asked)
        revision, data = yield from self._on_handle("Set", "s", arguments, block)
        if asked:
            known = self._written(known, asked, revision, wire.unpack_present(data))
        return Done(int(revision != 0), known, [name for name, _, _ in asked])

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

    def apply(
        self,
        put: Iterable[tuple[bytes, Content]],
        remove: Iterable[bytes],
        expected: int,
        reason: str,
    ) -> Operation[int]:
        """Put and remove keys, all or nothing; return the revision, 0 where nothing was to do."""
        entries = [
            (names.escape(name), _value(content), dict(content.meta)) for name, content in put
        ]
        options = {"reason": ("s", reason)} if reason else {}
        body = (entries, [names.escape(name) for name in remove], expected, options)
        (revision,) = yield from self.one_key("Apply", "a(saya{ss})asta{sv}", body)
        return int(revision)

    def revision(self) -> Operation[int]:
        """Return the revision of the last commit."""
        arguments = (wire.INTERFACE, "Revision")
        ((_, revision),) = yield from self._on_handle("Get", "ss", arguments, interface=PROPERTIES)
        return int(revision)

    # --- what was got -------------------------------------------------------------------------

    def _base(self, base: Mapping[bytes, Content] | None, parent: bytes) -> Base:
        """Return what a key set remembers; of one that no get filled, what the handle does."""
        known = bases.of(base)
        if known is None:
            known = bases.nearest(self._got, parent)
        return bases.NOTHING if known is None else known

    def _remember(self, parent: bytes, base: Base, keys: list[tuple[bytes, Content]]) -> None:
        """Keep this get for key sets that no get fills; narrower, older ones go."""
        for got in [got for got in self._got if bases.covers(parent, got)]:
            del self._got[got]
        if len(base.gets) == 1:
            self._got[parent] = base
            return
        mine = self._got[parent] = Base(keys)
        mine.gets[parent] = base.gets[parent]

    def _remember_unchanged(self, parent: bytes, base: Base, since: int) -> None:
        mine = self._got.get(parent)
        if mine is None or mine.gets[parent] < since:
            self._remember(parent, base, list(bases.within(base, parent).items()))
        else:
            mine.gets[parent] = base.gets[parent]

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
        # Other tasks may get meanwhile.
        for parent, base in list(self._got.items()):
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
            try:
                if tries:
                    yield from await_service()
                return (yield from attempt())
            except (Disconnected, CallFailed, TimedOut) as error:
                tries += 1
                lost = is_gone(error) and not isinstance(error, GivenUp)
                if not lost or not self._seen or tries == _ATTEMPTS:
                    raise as_error(error) from None
            self._handle = None


def _changes(base: Base, parent: bytes, keys: Mapping[bytes, Content]) -> list[Written]:
    put, removed = tracking.changes(keys, base, parent)
    return [*put, *((name, None, revision) for name, revision in removed)]


def _value(content: Content) -> bytes:
    value = content.value
    return value if isinstance(value, bytes) else value.encode(errors="surrogateescape")


def _block(data: bytes, files: list[bytes]) -> bytes:
    return files[0] if files else data


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
