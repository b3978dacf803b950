"""Telling what changed: signals, the log, and libelektra's logchange.

Commits are announced in their order, in slices, so that a commit of 100,000 keys does not keep
others waiting. What was announced is noted with the next transaction of the journal; what was not
is announced at the next start.
"""

from __future__ import annotations

import asyncio
import sys
from collections import deque
from collections.abc import Callable, Iterator
from time import monotonic
from typing import Any, Protocol

from kdb.model.names import escape, unescape
from kdb.protocol import INTERFACE, OBJECT_PATH, SIGNAL_INTERFACE, SIGNAL_PATH
from kdbd.core.commit import Commit
from kdbd.core.database import Database

__all__ = ["MAX_TOLD_NAMES", "Announcer"]

# Above this Committed tells no names: 1,000 of them are about 50 kB.
MAX_TOLD_NAMES = 1_000
_SLICE_S = 0.005
_SLICE_SIGNALS = 64

_MEMBERS = ("KeyAdded", "KeyChanged", "KeyDeleted")
_LOGCHANGE = ("added key: ", "changed key: ", "removed key: ")
# Where libelektra's tools declare who is told of changes.
_HOOKS = unescape("system:/elektra/hook/notification/send/plugins")


class Signals(Protocol):
    """What the announcer needs of the bus."""

    def signal(
        self, path: str, interface: str, member: str, signature: str, body: list[Any]
    ) -> None: ...

    async def drain(self) -> None: ...


class Announcer:
    """Announces commits, one after the other. ``announced`` is told each revision."""

    def __init__(
        self,
        database: Database,
        signals: Signals,
        announced: Callable[[int], None],
        log: Any,
    ) -> None:
        self._database = database
        self._signals = signals
        self._announced = announced
        self._log = log
        self._queue: deque[Commit] = deque()
        self._more = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()

    def announce(self, commit: Commit) -> None:
        """Announce a commit after all before it; a small one at once."""
        if not self._queue and self._idle.is_set() and len(commit.changes) <= _SLICE_SIGNALS:
            for _ in self._tell(commit):
                pass
            return
        self._queue.append(commit)
        self._idle.clear()
        self._more.set()

    async def run(self) -> None:
        """Announce what is queued, until cancelled."""
        while True:
            await self._more.wait()
            self._more.clear()
            while self._queue:
                await self._slices(self._queue.popleft())
            self._idle.set()

    async def drain(self) -> None:
        """Wait until everything so far is announced."""
        await self._idle.wait()
        await self._signals.drain()

    async def _slices(self, commit: Commit) -> None:
        until = monotonic() + _SLICE_S
        for _ in self._tell(commit):
            if monotonic() >= until:
                # What the bus has not taken must not pile up beyond what may be queued.
                await self._signals.drain()
                await asyncio.sleep(0)
                until = monotonic() + _SLICE_S

    def _tell(self, commit: Commit) -> Iterator[None]:
        names = commit.names()
        texts = [[escape(name) for name in each] for each in names]
        for mountpoint in self._told_once(commit):
            self._signals.signal(SIGNAL_PATH, SIGNAL_INTERFACE, "Commit", "s", [mountpoint])
        quiet = self._quiet(commit)
        for member, kind, each in zip(_MEMBERS, names, texts, strict=True):
            for count, (name, text) in enumerate(zip(kind, each, strict=True)):
                if name not in quiet:
                    self._signals.signal(SIGNAL_PATH, SIGNAL_INTERFACE, member, "s", [text])
                if count % _SLICE_SIGNALS == 0:
                    yield
        complete = sum(map(len, texts)) <= MAX_TOLD_NAMES
        self._signals.signal(
            OBJECT_PATH,
            INTERFACE,
            "Committed",
            "tasasasb",
            [commit.revision, *(texts if complete else ([], [], [])), complete],
        )
        self._signals.signal(
            OBJECT_PATH,
            "org.freedesktop.DBus.Properties",
            "PropertiesChanged",
            "sa{sv}as",
            [INTERFACE, {}, ["Revision"]],
        )
        self._write_log(commit, texts)
        self._announced(commit.revision)

    def _told_once(self, commit: Commit) -> list[str]:
        backends = {
            change.backend.mountpoint
            for change in commit.changes
            if change.announced and change.backend.announce_once
        }
        return [escape(mountpoint) for mountpoint in sorted(backends)]

    def _quiet(self, commit: Commit) -> frozenset[bytes]:
        """Answer the names for which the one signal of their mountpoint stands."""
        return frozenset(change.name for change in commit.changes if change.backend.announce_once)

    def _write_log(self, commit: Commit, texts: list[list[str]]) -> None:
        added, changed, removed = texts
        self._log.info(
            "commit",
            revision=commit.revision,
            origin=commit.origin,
            caller=commit.caller.sender,
            program=commit.caller.program,
            pid=commit.caller.pid,
            uid=commit.caller.uid,
            added=len(added),
            changed=len(changed),
            removed=len(removed),
        )
        if self._logs_changes():
            lines = [
                f"{prefix}{text}\n"
                for prefix, each in zip(_LOGCHANGE, texts, strict=True)
                for text in each
            ]
            sys.stdout.write("".join(lines).encode("utf-8", "replace").decode())
            sys.stdout.flush()

    def _logs_changes(self) -> bool:
        backend = self._database.view.backend(_HOOKS)
        return any(
            backend.tree[name].value == "logchange"
            for name in backend.names(_HOOKS + b"\0", _HOOKS + b"\x01")
        )
