"""Telling what changed: signals, the log, and libelektra's logchange.

Commits are announced in their order, in slices, so that a commit of 100,000 keys does not keep
others waiting. What was announced is noted with the next transaction of the journal; what was not
is announced at the next start.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Sequence
from time import monotonic
from typing import Any, NamedTuple, Protocol, Self

from kdb.model.content import is_utf8
from kdb.model.names import escape, unescape
from kdb.protocol import INTERFACE, OBJECT_PATH, SIGNAL_INTERFACE, SIGNAL_PATH
from kdbd.core.commit import Commit
from kdbd.core.database import Database

__all__ = ["MAX_TOLD_NAMES", "Announcer", "Told"]

# Above this Committed tells no names: 1,000 of them are about 50 kB.
MAX_TOLD_NAMES = 1_000
# At most 4 MiB, half of what may be sent: a name may have 64 KiB.
_MAX_TOLD_CHARACTERS = 1 << 20
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


class Told(NamedTuple):
    """What is said of a commit: its names by kind, mountpoints that stand for theirs, signals.

    Names of files that are no UTF-8 fit in no D-Bus string; ``counts`` has them too.
    """

    revision: int
    counts: tuple[int, int, int]
    names: tuple[list[str], list[str], list[str]]
    mountpoints: list[str]
    signalled: tuple[list[str], list[str], list[str]]

    @classmethod
    def of(cls, commit: Commit) -> Self:
        """Work out what to say."""
        added, changed, removed = commit.names()
        once = {
            change.backend
            for change in commit.changes
            if change.announced and change.backend.announce_once
        }
        counts = len(added), len(changed), len(removed)
        names = _texts(added), _texts(changed), _texts(removed)
        if not once:
            return cls(commit.revision, counts, names, [], names)
        quiet = {change.name for change in commit.changes if change.backend in once}
        loud = _texts(added, quiet), _texts(changed, quiet), _texts(removed, quiet)
        mountpoints = _texts(sorted({each.mountpoint for each in once}))
        return cls(commit.revision, counts, names, mountpoints, loud)

    @property
    def complete(self) -> bool:
        """Tell whether all names are told with Committed: few enough, and short enough."""
        if sum(self.counts) > MAX_TOLD_NAMES or self.counts != tuple(map(len, self.names)):
            return False
        return sum(len(name) for names in self.names for name in names) <= _MAX_TOLD_CHARACTERS


class Announcer:
    """Announces commits, one after the other, once ``run``.

    ``announced`` is told the last revision whose signals the bus has: only what left this process
    survives its end. ``work_out`` runs a function beside the loop, for commits of many keys.
    ``logchange`` gets the lines of libelektra's plugin of that name, where it is turned on.
    """

    def __init__(
        self,
        database: Database,
        signals: Signals,
        announced: Callable[[int], None],
        work_out: Callable[..., Awaitable[Told]],
        log: Any,
        logchange: Callable[[str], object],
        *,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._database = database
        self._logchange = logchange
        self._signals = signals
        self._announced = announced
        self._work_out = work_out
        self._log = log
        self._clock = clock
        self._queue: deque[Commit] = deque()
        self._more = asyncio.Event()
        # Until it runs, nobody listens: what is announced waits.
        self._idle = asyncio.Event()
        self._told = 0
        self._newly_told = asyncio.Event()

    def announce(self, commits: Iterable[Commit]) -> None:
        """Announce commits after all before them, once the replies that wait have left."""
        self._queue.extend(commits)
        self._idle.clear()
        self._more.set()

    async def run(self, before: Sequence[Commit] = ()) -> None:
        """Announce these commits, then what is queued, until cancelled."""
        self._queue.extendleft(reversed(before))
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._note())
            while True:
                if self._queue:
                    await self._announce_queued()
                self._more.clear()
                self._idle.set()
                await self._more.wait()
                # Meanwhile replies leave, so that bus and callers go on beside the announcing,
                # which takes a third of a small commit's time (measured).
                await asyncio.sleep(0)

    async def drain(self) -> None:
        """Wait until everything so far is announced."""
        await self._idle.wait()
        await self._note_told()

    async def _note(self) -> None:
        while True:
            await self._newly_told.wait()
            self._newly_told.clear()
            await self._note_told()

    async def _note_told(self) -> None:
        told = self._told
        await self._signals.drain()
        if told:
            self._announced(told)

    async def _announce_queued(self) -> None:
        until = self._clock() + _SLICE_S
        while self._queue:
            commit = self._queue.popleft()
            if len(commit.changes) <= _SLICE_SIGNALS:
                told = Told.of(commit)
            else:
                told = await self._work_out(Told.of, commit)
            for _ in self._tell(commit, told):
                if self._clock() >= until:
                    # What the bus has not taken must not pile up beyond what may be queued.
                    await self._signals.drain()
                    await asyncio.sleep(0)
                    until = self._clock() + _SLICE_S
        # It says of all these commits what it would say of each.
        body = _REVISION_CHANGED
        self._signals.signal(OBJECT_PATH, _PROPERTIES, "PropertiesChanged", "sa{sv}as", body)

    def _tell(self, commit: Commit, told: Told) -> Iterator[None]:
        signal = self._signals.signal
        for mountpoint in told.mountpoints:
            signal(SIGNAL_PATH, SIGNAL_INTERFACE, "Commit", "s", [mountpoint])
        for member, names in zip(_MEMBERS, told.signalled, strict=True):
            for count, name in enumerate(names, start=1):
                signal(SIGNAL_PATH, SIGNAL_INTERFACE, member, "s", [name])
                if count % _SLICE_SIGNALS == 0:
                    yield
        complete = told.complete
        body = [commit.revision, *(told.names if complete else ([], [], [])), complete]
        signal(OBJECT_PATH, INTERFACE, "Committed", "tasasasb", body)
        self._write_log(commit, told)
        self._told = commit.revision
        self._newly_told.set()
        yield

    def _write_log(self, commit: Commit, told: Told) -> None:
        added, changed, removed = told.counts
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
            self._logchange("".join(lines))

    def _logs_changes(self) -> bool:
        backend = self._database.view.backend(_HOOKS)
        return any(
            backend.tree[name].value == "logchange"
            for name in backend.names(_HOOKS + b"\0", _HOOKS + b"\x01")
        )


def _texts(names: Collection[bytes], quiet: Collection[bytes] = ()) -> list[str]:
    if not names:
        return []
    texts = (escape(name) for name in names if name not in quiet)
    return [text for text in texts if is_utf8(text)]
