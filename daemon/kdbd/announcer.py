"""Telling what changed: signals, the log, and libelektra's logchange.

Commits are announced in their order, in slices, so that a commit of 100,000 keys does not keep
others waiting. What was announced is noted with the next transaction of the journal; what was not
is announced at the next start.
"""

from __future__ import annotations

import asyncio
import sys
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Any, Protocol, Self

from kdb.model.names import escape, unescape
from kdb.protocol import INTERFACE, OBJECT_PATH, SIGNAL_INTERFACE, SIGNAL_PATH
from kdbd.core.commit import Commit
from kdbd.core.database import Database

__all__ = ["MAX_TOLD_NAMES", "Announcer", "Told"]

# Above this Committed tells no names: 1,000 of them are about 50 kB.
MAX_TOLD_NAMES = 1_000
_SLICE_S = 0.005
_SLICE_SIGNALS = 64

_PROPERTIES = "org.freedesktop.DBus.Properties"
_REVISION_CHANGED = [INTERFACE, {}, ["Revision"]]
_MEMBERS = ("KeyAdded", "KeyChanged", "KeyDeleted")
_LOGCHANGE = ("added key: ", "changed key: ", "removed key: ")
# Where libelektra's tools declare who is told of changes.
_HOOKS = unescape("system:/elektra/hook/notification/send/plugins")


class Signals(Protocol):
    """What the announcer needs of the bus."""

    def signal(
        self, path: str, interface: str, member: str, signature: str, body: Sequence[Any]
    ) -> None: ...

    async def drain(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Told:
    """What is said of a commit: its names by kind, mountpoints that stand for theirs, signals."""

    revision: int
    names: tuple[list[str], list[str], list[str]]
    mountpoints: list[str]
    signalled: tuple[list[str], list[str], list[str]]

    @classmethod
    def of(cls, commit: Commit) -> Self:
        """Work out what to say."""
        added, changed, removed = commit.names()
        once = {change.backend for change in commit.changes if change.backend.announce_once}
        names = _texts(added), _texts(changed), _texts(removed)
        if not once:
            return cls(commit.revision, names, [], names)
        quiet = {change.name for change in commit.changes if change.backend in once}
        loud = _texts(added, quiet), _texts(changed, quiet), _texts(removed, quiet)
        mountpoints = _texts(sorted(each.mountpoint for each in once))
        return cls(commit.revision, names, mountpoints, loud)

    @property
    def complete(self) -> bool:
        """Tell whether the names are few enough to be told with Committed."""
        return sum(map(len, self.names)) <= MAX_TOLD_NAMES


class Announcer:
    """Announces commits, one after the other, once ``run``. ``announced`` is told each revision.

    ``work_out`` runs a function beside the loop, for commits of many keys.
    """

    def __init__(
        self,
        database: Database,
        signals: Signals,
        announced: Callable[[int], None],
        work_out: Callable[..., Awaitable[Told]],
        log: Any,
    ) -> None:
        self._database = database
        self._signals = signals
        self._announced = announced
        self._work_out = work_out
        self._log = log
        self._queue: deque[Commit] = deque()
        self._more = asyncio.Event()
        # Until it runs, nobody listens: what is announced waits.
        self._idle = asyncio.Event()

    def announce(self, commit: Commit) -> None:
        """Announce a commit after all before it; a small one at once."""
        if self._idle.is_set() and len(commit.changes) <= _SLICE_SIGNALS:
            for _ in self._tell(commit, Told.of(commit)):
                pass
            return
        self._queue.append(commit)
        self._idle.clear()
        self._more.set()

    async def run(self, before: Sequence[Commit] = ()) -> None:
        """Announce these commits, then what is queued, until cancelled."""
        self._queue.extendleft(reversed(before))
        while True:
            while self._queue:
                await self._announce_slowly(self._queue.popleft())
            self._more.clear()
            self._idle.set()
            await self._more.wait()

    async def drain(self) -> None:
        """Wait until everything so far is announced."""
        await self._idle.wait()
        await self._signals.drain()

    async def _announce_slowly(self, commit: Commit) -> None:
        if len(commit.changes) <= _SLICE_SIGNALS:
            told = Told.of(commit)
        else:
            told = await self._work_out(Told.of, commit)
        until = monotonic() + _SLICE_S
        for _ in self._tell(commit, told):
            if monotonic() >= until:
                # What the bus has not taken must not pile up beyond what may be queued.
                await self._signals.drain()
                await asyncio.sleep(0)
                until = monotonic() + _SLICE_S

    def _tell(self, commit: Commit, told: Told) -> Iterator[None]:
        signal = self._signals.signal
        for mountpoint in told.mountpoints:
            signal(SIGNAL_PATH, SIGNAL_INTERFACE, "Commit", "s", [mountpoint])
        for member, names in zip(_MEMBERS, told.signalled, strict=True):
            for count, name in enumerate(names, start=1):
                signal(SIGNAL_PATH, SIGNAL_INTERFACE, member, "s", [name])
                if count % _SLICE_SIGNALS == 0:
                    yield
        names_told = told.names if told.complete else ([], [], [])
        body = [commit.revision, *names_told, told.complete]
        signal(OBJECT_PATH, INTERFACE, "Committed", "tasasasb", body)
        signal(OBJECT_PATH, _PROPERTIES, "PropertiesChanged", "sa{sv}as", _REVISION_CHANGED)
        self._write_log(commit, told)
        self._announced(commit.revision)

    def _write_log(self, commit: Commit, told: Told) -> None:
        added, changed, removed = map(len, told.names)
        caller = commit.caller
        self._log.info(
            "commit",
            revision=commit.revision,
            origin=commit.origin,
            caller=caller.sender,
            program=caller.program,
            pid=caller.pid,
            uid=caller.uid,
            added=added,
            changed=changed,
            removed=removed,
        )
        if self._logs_changes():
            lines = [
                f"{prefix}{name}\n"
                for prefix, names in zip(_LOGCHANGE, told.names, strict=True)
                for name in names
            ]
            sys.stdout.write("".join(lines).encode("utf-8", "replace").decode())
            sys.stdout.flush()

    def _logs_changes(self) -> bool:
        backend = self._database.view.backend(_HOOKS)
        return any(
            backend.tree[name].value == "logchange"
            for name in backend.names(_HOOKS + b"\0", _HOOKS + b"\x01")
        )


def _texts(names: Iterable[bytes], quiet: Collection[bytes] = ()) -> list[str]:
    return [escape(name) for name in names if name not in quiet]
