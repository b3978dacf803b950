"""What the libraries say to kdbd and what they make of its answers, without any I/O.

Each operation is a generator of requests; see :mod:`kdb.requests`.

**After a restart** of kdbd or of the bus the handle is gone. Calls on a handle go to the unique
name of the kdbd that opened it, so that they never reach another; when that is gone, the handle is
looked for at the kdbd that is there now (which may be the old one under a new name), or a new one
is opened; the parents that were got are got again (what has changed does not matter: the revisions
in the set decide), and the call is made again.

**Where the answer is lost** what was asked may be done:

* What reads is asked again.
* A set is made again, for the revisions in it tell whether it can be: where it finds all keys as
  asked it counts as stored (by itself, or by another that made the very same change). A key that
  the set adds has no revision that could tell, so the history is asked first, lest a removal be
  undone that somebody else made meanwhile. Anything else leaves open what came of the first time:
  :class:`~kdb.model.errors.OutcomeUnknown`.
* Other calls have no revisions, so making them again could undo what others did meanwhile:
  OutcomeUnknown.
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
from kdb.model.errors import KDBError, OutcomeUnknown
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
    find_again,
    is_gone,
    may_be_done,
)

__all__ = ["Done", "Got", "Session"]

# Each attempt waits for a new kdbd, so this many mean that it dies of what it is asked.
_ATTEMPTS: Final = 4
# That of no key: to replace it is a conflict, unless the key is as asked.
_NO_REVISION: Final = (1 << 63) - 1
# What can be asked again whatever became of it; every other call on a handle writes.
_READING: Final = frozenset(("Changes", "Diff", "Get", "GetAll", "GetString", "List", "ListMounts"))

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


class _Unanswered(Exception):
    """What writes was asked, and may be done; why no answer came."""

    def __init__(self, failure: Disconnected | CallFailed | TimedOut) -> None:
        super().__init__(failure)
        self.failure = failure


class Session:
    """One open database: its handle, what it has got, and the operations on it.

    *contract* is that of the service's Open: ``directory`` and so on, as D-Bus variants
    ``(signature, value)``.
    """

    def __init__(self, contract: Mapping[str, tuple[str, Any]]) -> None:
        self._contract = dict(contract)
        self._handle: _Handle | None = None
        self._lost: _Handle | None = None
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
        handle, self._handle, self._lost = self._handle, None, None
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
        """Set *keys* of a key set that remembers *base*.

        Raises:
            OutcomeUnknown: whether it was stored cannot be told.

        """
        known = self._base(base, parent)
        asked = _changes(known, parent, keys)
        try:
            revision, data = yield from self._set(parent, asked)
            done = revision != 0
        except _Unanswered as unanswered:
            revision, data = yield from self._set_again(known, parent, asked, unanswered.failure)
            done = bool(asked)
        if asked:
            known = self._written(known, asked, revision, wire.unpack_present(data))
        return Done(int(done), known, [name for name, _, _ in asked])

    def _set(self, parent: bytes, asked: list[Written]) -> Operation[tuple[int, bytes]]:
        block = wire.pack_changes(asked)
        revision, data = yield from self._on_handle("Set", "s", (names.escape(parent),), block)
        return revision, data

    def _set_again(
        self,
        base: Base,
        parent: bytes,
        asked: list[Written],
        failure: Disconnected | CallFailed | TimedOut,
    ) -> Operation[tuple[int, bytes]]:
        """Make a set again whose answer was lost; that answer may be lost, too, a few times."""
        for _ in range(1, _ATTEMPTS):
            if isinstance(failure, TimedOut):
                break  # it is busy, or stopped
            try:
                judged = yield from self._judged(base, parent, asked)
                return (yield from self._set(parent, judged))
            except _Unanswered as unanswered:
                failure = unanswered.failure
            except KDBError:
                break  # a conflict, or whatever else says nothing of the first time
        raise _unknown(failure)

    def _judged(self, base: Base, parent: bytes, asked: list[Written]) -> Operation[list[Written]]:
        """Return what is asked, so that no added key which came or went since is put again."""
        added = {names.escape(name) for name, new, seen in asked if new is not None and not seen}
        changed: set[str] = set()
        since, more = base.since(parent) or 0, bool(added)
        while more:
            body = (since, names.escape(parent), 0)
            rows, more, since = yield from self.one_key("Changes", "tsu", body)
            changed.update(name for _, _, name in rows if name in added)
        return [
            (name, new, _NO_REVISION if names.escape(name) in changed else seen)
            for name, new, seen in asked
        ]

    def diff(
        self, base: Mapping[bytes, Content] | None, parent: bytes, keys: Mapping[bytes, Content]
    ) -> Operation[dict[bytes, Change]]:
        """Return what a set of *keys* would change, by unescaped name."""
        block = wire.pack_changes(_changes(self._base(base, parent), parent, keys))
        arguments = (names.escape(parent),)
        data, files = yield from self._on_handle("Diff", "s", arguments, block)
        return wire.unpack_diff(_block(data, files))

    def one_key(self, member: str, signature: str, body: tuple[Any, ...]) -> Operation[Any]:
        """Call a one-key method on the handle, which knows dir:/.

        Raises:
            OutcomeUnknown: it writes, and whether it was done cannot be told.

        """
        try:
            return (yield from self._on_handle(member, signature, body, interface=wire.INTERFACE))
        except _Unanswered as unanswered:
            raise _unknown(unanswered.failure) from None

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
        handle = yield from self._found_again()
        if handle is None:
            reply = yield Call("Open", "a{sv}", (self._contract,))
            assert reply is not None
            handle = _Handle(reply.body[0], reply.sender)
        # To be found again, should kdbd go before the gets are done.
        self._lost = handle
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
        self._handle, self._lost = handle, None
        return handle

    def _found_again(self) -> Operation[_Handle | None]:
        """Return the lost handle where kdbd has it still; a client may have so many handles."""
        lost = self._lost
        owner = "" if lost is None else (yield from find_again(lost.path))
        return _Handle(lost.path, owner) if lost is not None and owner else None

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
            try:
                reply = yield _on_handle(handle, member, signature, body, block, interface)
            except (Disconnected, CallFailed, TimedOut) as failure:
                if member in _READING or not may_be_done(failure):
                    raise
                raise _Unanswered(failure) from None
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
            self._lost, self._handle = self._handle or self._lost, None


def _changes(base: Base, parent: bytes, keys: Mapping[bytes, Content]) -> list[Written]:
    put, removed = tracking.changes(keys, base, parent)
    return [*put, *((name, None, revision) for name, revision in removed)]


def _unknown(failure: Disconnected | CallFailed | TimedOut) -> OutcomeUnknown:
    why = "did not answer in time" if isinstance(failure, TimedOut) else "ended before it answered"
    return OutcomeUnknown(
        f"kdbd {why}, and whether this was stored is not known. Get again and look", module="kdb"
    )


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
