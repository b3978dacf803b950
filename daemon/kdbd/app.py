"""The composition root: every part, made, started and ended in order."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import suppress
from time import monotonic, time
from typing import Any

from kdb.model.content import Content
from kdb.model.errors import KDBError, ResourceError
from kdb.model.names import Namespace, namespace
from kdb.protocol import BUS_NAME
from kdbd.allocator import give_back_large_values
from kdbd.announcer import Announcer
from kdbd.bus.context import Context
from kdbd.bus.dispatch import Dispatcher
from kdbd.bus.service import Service
from kdbd.bus.transport import Call, Transport
from kdbd.configuration import Configuration
from kdbd.core.backend import Backend
from kdbd.core.commit import Commit, KeyChange
from kdbd.garbage import Garbage
from kdbd.notify import notify
from kdbd.pipeline import Pipeline
from kdbd.rewriter import Rewriter
from kdbd.store.disk import Disk, RealDisk
from kdbd.store.history import HistoryChange, JournalReader
from kdbd.store.journal import Journal
from kdbd.store.locations import DEFAULT_FILE, nearest_directory
from kdbd.store.ownership import LOCK_FILE, Ownership
from kdbd.store.persist import Persistence
from kdbd.store.refusal import is_damage, refusal
from kdbd.stores import Stores
from kdbd.worker import Worker

__all__ = ["App"]

JOURNAL_FILE = "journal.sqlite"
# Changes deleted in one step of trimming: a few milliseconds of the writer's time. Where the
# history is too large, a step takes turns with each batch, which mostly brings less than that.
_TRIM_CHANGES = 256
_TRIM_PAUSE_S = 0.1
# Trimming goes on until so much of the bound is free again, so that not every batch begins it anew.
_TRIM_FREE = 1 / 16
# systemd waits 90 s for a service to end; commits on their way take a second at most.
_FINISH_S = 5.0
# Calls that waited for something when the end began may still be stored while files are written.
_FINISH_ROUNDS = 5
_TRIM_EVERY_S = 3600.0
# A directory whose last handle closed, but with commits or files still on their way.
_RETIRE_AGAIN_S = 1.0


class App:
    """One kdbd. What it needs of the world are ports: disk, journal, bus, threads, clock."""

    def __init__(
        self,
        configuration: Configuration,
        log: Any,
        logchange: Callable[[str], object],
        *,
        disk: Disk | None = None,
        open_journal: Callable[[str], Journal] = Journal,
        transport: Callable[..., Transport] = Transport,
        make_worker: Callable[[str], Worker] = Worker,
        clock: Callable[[], float] = monotonic,
        garbage: Garbage | None = None,
    ) -> None:
        self._configuration = configuration
        self._log = log
        self._logchange = logchange
        self._disk = disk if disk is not None else RealDisk()
        self._open_journal = open_journal
        self._make_transport = transport
        self._make_worker = make_worker
        self._clock = clock
        self._garbage = garbage if garbage is not None else Garbage()
        self._ownership = Ownership()
        self._stopping = asyncio.Event()
        self._retiring = asyncio.Event()
        self._finishing = False
        self._trimming = asyncio.Event()

    async def run(self) -> None:
        """Serve until SIGTERM or SIGINT; raise KDBError where it cannot begin."""
        give_back_large_values()
        loop = asyncio.get_running_loop()
        for each in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(each, self._stopping.set)
        try:
            await self._serve()
        finally:
            self._ownership.release_all()

    async def _serve(self) -> None:
        self._lock_roots()
        path = self._journal_path()
        try:
            self._journal = self._open_journal(path)
            self._reader = JournalReader(path)
        except sqlite3.Error as error:
            if is_damage(error):
                raise refusal(error, path) from error
            raise ResourceError(f"The journal {path} cannot be used: {error}") from error
        self._worker = self._make_worker("kdbd-writer")
        self._unhurried = self._make_worker("kdbd-unhurried")
        self._reading = self._make_worker("kdbd-reader")
        try:
            async with asyncio.TaskGroup() as tasks:
                await self._compose(tasks)
                await self._live(tasks)
        finally:
            for worker in (self._unhurried, self._reading, self._worker):
                worker.close()
            self._reader.close()
            self._journal.close()

    def _lock_roots(self) -> None:
        locations = self._configuration.locations
        locations.require_apart()
        self._ownership.acquire(locations.state, private=True)
        for which in (Namespace.SPEC, Namespace.USER, Namespace.SYSTEM):
            root = locations.root(which)
            if locations.is_writable(root):
                self._ownership.acquire(root, private=locations.is_private(which))

    def _journal_path(self) -> str:
        state = self._configuration.locations.state
        with suppress(OSError):
            os.chmod(state, 0o700)
        return os.path.join(state, JOURNAL_FILE)

    async def _compose(self, tasks: asyncio.TaskGroup) -> None:
        configuration, log = self._configuration, self._log
        persistence = Persistence(self._disk, self._journal)
        self._stores = Stores(
            configuration.locations, persistence, self._worker, self._unhurried, log
        )
        self._database = await self._stores.open()
        self._pipeline = Pipeline(
            self._database,
            self._stores,
            persistence,
            self._worker,
            self._announce,
            tasks,
            log,
            clock=self._clock,
        )
        self._rewriter = Rewriter(
            self._database,
            self._stores,
            self._pipeline,
            persistence,
            self._worker,
            self._unhurried,
            log,
            clock=self._clock,
        )
        self._stores.flush = self._rewriter.flush
        self._transport = self._make_transport(
            address=configuration.address,
            bus=configuration.bus,
            name=BUS_NAME,
            dispatch=self._dispatch,
            on_vanished=self._vanished,
            on_reading=self._stores.edits.reading,
            log=log,
        )
        self._announcer = Announcer(
            self._database,
            self._transport,
            self._announced,
            self._unhurried.run,
            log,
            self._logchange,
            clock=self._clock,
        )
        context = Context(
            self._database,
            self._stores,
            self._pipeline,
            self._unhurried,
            configuration.locations,
            self._ownership,
            self._transport,
            is_shared=configuration.bus == "system",
        )
        self._service = Service(
            context, self._rewriter, self._reader, self._reading, self._retiring.set
        )
        self._dispatcher = Dispatcher(self._service, self._transport, log)

    async def _live(self, tasks: asyncio.TaskGroup) -> None:
        try:
            self._pipeline.announced = self._journal.announced()
            unannounced = self._unannounced()
        except sqlite3.Error as error:
            raise refusal(error, self._journal.path) from error
        for file in list(self._stores.files.values()):
            try:
                await self._stores.edits.refresh(file, self._pipeline)
            except KDBError as error:
                # What was edited cannot be stored now: whoever needs that file is told so.
                self._log.error("file.refused", file=file.path, reason=error.reason)
        await self._catch_up()
        self._rewriter.notice()
        self._garbage.started()
        ready = asyncio.Event()
        serving = [
            tasks.create_task(self._transport.run(ready.set)),
            tasks.create_task(self._rewriter.run()),
            tasks.create_task(self._trim()),
            tasks.create_task(self._retire()),
        ]
        waiting = tasks.create_task(ready.wait())
        stopping = tasks.create_task(self._stopping.wait())
        await asyncio.wait([waiting, stopping], return_when=asyncio.FIRST_COMPLETED)
        serving.append(tasks.create_task(self._announcer.run(unannounced)))
        if ready.is_set():
            self._log.info("ready", revision=self._database.revision, pid=os.getpid())
            notify("READY=1")
        await stopping
        notify("STOPPING=1")
        self._log.info("stopping")
        await self._finish()
        for task in (*serving, waiting):
            task.cancel()

    async def _finish(self) -> None:
        """Finish what was begun, and write what is left; the journal has it in any case."""
        self._finishing = True
        with suppress(TimeoutError):
            async with asyncio.timeout(_FINISH_S):
                await self._pipeline.settled()
        with suppress(TimeoutError):
            async with asyncio.timeout(5):
                await self._announcer.drain()
        try:
            for _ in range(_FINISH_ROUNDS):
                await self._rewriter.sync()
                if self._pipeline.idle and not any(f.dirty for f in self._stores.files.values()):
                    break
                await self._pipeline.settled()
        except KDBError as error:
            self._log.error("files.behind", reason=error.reason)
        rows = [file.row for file in self._stores.files.values() if file.news]
        try:
            await self._worker.run(
                self._journal.commit,
                (),
                time=time(),
                announced=self._pipeline.announced,
                files=rows,
            )
        except sqlite3.Error as error:
            self._log.error("journal.refused", reason=str(error))

    # Between the parts

    def _dispatch(self, call: Call) -> Any:
        # What comes at the end is left to whoever takes the name next: the bus tells the caller.
        return None if self._finishing else self._dispatcher(call)

    def _announce(self, commits: Sequence[Commit]) -> None:
        self._announcer.announce(commits)
        self._rewriter.notice()
        self._garbage.changed(sum(len(commit.changes) for commit in commits))

    def _announced(self, revision: int) -> None:
        self._pipeline.announced = revision
        # What is not announced yet cannot be trimmed, so it is looked at here.
        if self._history_too_large:
            self._trimming.set()

    @property
    def _history_too_large(self) -> bool:
        return self._journal.history_bytes > self._configuration.history_bytes

    def _vanished(self, sender: str) -> None:
        self._service.handling.vanished(sender)

    def _unannounced(self) -> list[Commit]:
        """Answer the commits that a crash kept from being announced."""
        since, until = self._journal.announced(), self._database.revision
        if since >= until:
            return []
        parents = [bytes([which]) for which in Namespace if which is not Namespace.NONE]
        changes: dict[int, list[KeyChange]] = {}
        for change in self._reader.changes(since=since, until=until, parents=parents, limit=-1):
            changes.setdefault(change.revision, []).append(self._told(change))
        return [
            Commit(each.revision, changes.get(each.revision, []), each.caller, "client")
            for each in self._reader.commits(since=since, until=until)
        ]

    def _told(self, change: HistoryChange) -> KeyChange:
        """Answer a change as far as it is announced: its name, its kind, where it is mounted."""
        there = Content("")
        mounts = self._database.view.mounts.get(namespace(change.name))
        return KeyChange(
            Backend(0, change.name, change.directory)
            if mounts is None
            else mounts.responsible(change.name),
            change.name,
            None if change.kind == "added" else there,
            None if change.kind == "removed" else there,
        )

    async def _catch_up(self) -> None:
        """Let the files of directories follow whose commits a crash kept from them."""
        for directory in await self._stores.directories_behind():
            root = self._configuration.locations.root(Namespace.DIR, directory)
            try:
                # A directory that is gone is not made anew, and one that is not trusted not used.
                os.stat(directory)
                nearest_directory(directory, [LOCK_FILE, DEFAULT_FILE])
                self._ownership.acquire(root, private=True)
                async with self._stores.changing:
                    await self._stores.load_directory(directory)
            except (KDBError, OSError) as error:
                self._log.warning("directory.behind", directory=directory, reason=str(error))
            else:
                self._retiring.set()

    # In the background

    async def _trim(self) -> None:
        """Keep the history within its bounds: looked at hourly, and where it grew too large."""
        configuration = self._configuration
        keep_bytes = int(configuration.history_bytes * (1 - _TRIM_FREE))
        trimmed = False
        while True:
            self._trimming.clear()
            hurried = self._history_too_large
            try:
                more = await self._worker.run(
                    self._journal.trim,
                    keep_bytes=keep_bytes,
                    keep_since=time() - configuration.history_s,
                    limit=_TRIM_CHANGES,
                    announced=self._pipeline.announced,
                )
            except sqlite3.Error as error:
                self._log.error("journal.refused", reason=str(error))
                more = False
            if trimmed and not more:
                self._log.info("history.trimmed")
            trimmed = more
            if more and hurried:
                continue
            with suppress(TimeoutError):
                async with asyncio.timeout(_TRIM_PAUSE_S if more else _TRIM_EVERY_S):
                    await self._trimming.wait()

    async def _retire(self) -> None:
        """Give up the directories that no handle shows any more."""
        while True:
            await self._retiring.wait()
            self._retiring.clear()
            for root in [name for name in self._database.roots if name.startswith("dir:/")]:
                directory = root.removeprefix("dir:/")
                if directory not in self._service.handles.roots():
                    await self._retire_one(directory)

    async def _retire_one(self, directory: str) -> None:
        files = [
            file for file in self._stores.files.values() if file.backend.directory == directory
        ]
        # Before the lock: writing a file may have to wait for a merge, that for a commit which
        # changes what is mounted, and that for the lock.
        await self._rewriter.flush(files)
        async with self._stores.changing:
            if directory in self._service.handles.roots():
                return
            if not self._pipeline.idle or any(file.unwritten for file in files):
                asyncio.get_running_loop().call_later(_RETIRE_AGAIN_S, self._retiring.set)
                return
            await self._stores.unload_directory(directory)
            root = self._configuration.locations.root(Namespace.DIR, directory)
            self._ownership.release(root)
