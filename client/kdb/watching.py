"""A watch of a parent key, without any I/O: every change once, in order, across restarts.

How it misses nothing: the signals of the parent's keys only say *that* something changed. What
changed is then asked for, with ``Changes`` since the last revision that was delivered. So it does
not matter whether signals come twice (kdbd announces what was persisted before a crash again), or
not at all (while the bus was away), or many at once (they are one question). After each new
connection, and whenever kdbd's name gets a new owner, the question is asked without a signal.

Like the operations of `kdb.session`, a watch is a generator that yields what is to be done:
besides those ``Deliver(events)``, on
which they are handed to the application.

Where the history was trimmed (``HistoryLost``) the event :data:`LOST` tells to read again; what
changes after that is delivered as ever.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from kdb import protocol
from kdb.match_rules import match_rules
from kdb.model import names
from kdb.model.errors import HistoryLost
from kdb.model.names import Namespace
from kdb.requests import (
    OWNER_RULE,
    PROPERTIES,
    RESTS_S,
    UNKNOWN_OBJECT,
    AwaitSignal,
    Call,
    CallFailed,
    Connect,
    Disconnected,
    Reply,
    Request,
    Rest,
    TimedOut,
    as_error,
    bus_call,
    find_again,
    is_gone,
)

__all__ = [
    "ADDED",
    "CHANGED",
    "LOST",
    "REMOVED",
    "Deliver",
    "Watch",
    "WatchEvent",
    "watch",
]

ADDED: Final = "added"
CHANGED: Final = "changed"
REMOVED: Final = "removed"
LOST: Final = "lost"

# One page of Changes is delivered before the next is asked for; this many names take about 1 MB.
_PAGE: Final = 10_000


class WatchEvent(NamedTuple):
    """One change of one key: the revision, what happened (``ADDED`` …), and the key's name.

    ``LOST`` is no change of a key: more happened than kdbd remembers. Its name is the watched
    parent's, which is to be read again; changes after ``revision`` follow.
    """

    revision: int
    kind: str
    name: str


@dataclass(frozen=True, slots=True)
class Deliver:
    """Hand these events to the application."""

    events: tuple[WatchEvent, ...]


Watch = Generator[Request | Deliver, Reply | None, None]


def watch(parent: bytes, since: int | None, contract: Mapping[str, tuple[str, Any]]) -> Watch:
    """Watch *parent* and the keys below, from revision *since* or from now on; it never ends.

    With *contract* a handle is opened, which knows dir:/.

    Raises:
        KDBError: the first question was refused, or no kdbd answered it.

    """
    return _Watcher(parent, since, contract).run()


class _Watcher:
    def __init__(
        self, parent: bytes, since: int | None, contract: Mapping[str, tuple[str, Any]]
    ) -> None:
        self._parent = names.escape(parent)
        self._rules = [OWNER_RULE, *match_rules(parent)]
        # Only a handle knows dir:/; every other parent is asked for at the root object.
        cares_for_dir = parent[0] in (Namespace.CASCADING, Namespace.DIR)
        self._contract = dict(contract)
        self._path = "" if cares_for_dir else protocol.OBJECT_PATH
        self._since = since
        self._started = False

    def run(self) -> Watch:
        rests = iter(RESTS_S)
        rest_s = 0.0
        while True:
            try:
                yield Connect()
                for rule in self._rules:
                    yield bus_call("AddMatch", "s", rule)
                rests = iter(RESTS_S)
                while True:
                    yield from self._follow()
            except (Disconnected, TimedOut, CallFailed) as failure:
                if not self._started or not (is_gone(failure) or isinstance(failure, TimedOut)):
                    raise as_error(failure) from None
                rest_s = next(rests, rest_s)
                yield Rest(rest_s)

    def _follow(self) -> Watch:
        """Deliver changes until kdbd goes; return when it may be back."""
        try:
            path = yield from self._subject()
            if self._since is None:
                self._since = yield from _revision()
            while True:
                self._started = True
                yield from self._catch_up(path)
                yield AwaitSignal()
        except CallFailed as failure:
            if not self._started or not is_gone(failure):
                raise
            if failure.name == UNKNOWN_OBJECT:
                return  # only the handle is gone
        # The bus says when kdbd's name has an owner again.
        yield AwaitSignal()

    def _subject(self) -> Generator[Request, Reply | None, str]:
        """Return the object to ask: the database, or the handle, opened where it is gone."""
        if self._path == protocol.OBJECT_PATH:
            return self._path
        start_service = not self._started
        if not self._path or not (yield from find_again(self._path, start_service=start_service)):
            reply = yield Call("Open", "a{sv}", (self._contract,), start_service=start_service)
            assert reply is not None
            self._path = str(reply.body[0])
        return self._path

    def _catch_up(self, path: str) -> Watch:
        """Deliver what changed after the last delivered revision."""
        more = True
        while more:
            assert self._since is not None
            try:
                reply = yield Call(
                    "Changes",
                    "tsu",
                    (self._since, self._parent, _PAGE),
                    path=path,
                    start_service=not self._started,
                )
            except CallFailed as failure:
                if not isinstance(as_error(failure), HistoryLost):
                    raise
                # Read first, tell then: what happens in between is delivered, if read already.
                self._since = yield from _revision()
                yield Deliver((WatchEvent(self._since, LOST, self._parent),))
                continue
            assert reply is not None
            entries, more, revision = reply.body
            if revision < self._since:
                # The store was replaced by an older one.
                self._since = revision
                yield Deliver((WatchEvent(revision, LOST, self._parent),))
                continue
            events = tuple(WatchEvent(*entry) for entry in entries if entry[0] > self._since)
            self._since = revision
            if events:
                yield Deliver(events)


def _revision() -> Generator[Call, Reply | None, int]:
    reply = yield Call(
        "Get",
        "ss",
        (protocol.INTERFACE, "Revision"),
        interface=PROPERTIES,
    )
    assert reply is not None
    _, revision = reply.body[0]
    return int(revision)
