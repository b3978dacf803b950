"""Files that people edit: noticed at every access, read, and merged.

Every access first looks at the state of the files it touches (one stat each, about 1.5 us): a file
that somebody edited is read and merged before the access goes on, a damaged one answers it, a
mended one is picked up.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple, ParamSpec, Protocol, TypeVar

from kdb.formats import dump
from kdb.model.content import Content
from kdb.model.errors import InstallationError, KDBError, ResourceError, SyntacticError
from kdb.model.names import escape, namespace
from kdbd.core.backend import Backend
from kdbd.core.commit import Draft
from kdbd.core.database import Database
from kdbd.core.merge import merge_file, same, unwritten_after
from kdbd.core.requests import Request, Slices
from kdbd.core.view import root_name
from kdbd.files import BackendFile
from kdbd.store.disk import Disk, FileStat
from kdbd.store.journal import BackendRow, Journal
from kdbd.store.persist import Persistence, digest_of
from kdbd.store.refusal import refusal
from kdbd.worker import Worker

__all__ = ["Damaged", "Edits", "Found", "Merging", "lacking", "unreadable"]

P = ParamSpec("P")
T = TypeVar("T")

# A file that could not be read, though it did not change, is tried again after this.
READ_AGAIN_S = 1.0


class Merging(Protocol):
    """What stores need of the commit pipeline."""

    def merge(
        self,
        request: Request,
        note: Callable[[Draft, int], BackendRow],
        taken_in: Callable[[BackendRow], None],
    ) -> asyncio.Future[Any]:
        """Commit what a file was edited to, before all that waits.

        ``note`` answers what the journal is to know of the file after the draft is committed as
        that revision, or after that revision where the draft is empty. ``taken_in`` gets this as
        soon as readers see it, before anything else goes on.
        """


class Edits:
    """What becomes of the files of mounted backends, by identity, while others may edit them."""

    def __init__(
        self,
        files: Mapping[int, BackendFile],
        persistence: Persistence,
        worker: Worker,
        log: Any,
    ) -> None:
        self._files = files
        self._persistence = persistence
        self._disk: Disk = persistence.disk
        self._journal: Journal = persistence.journal
        self._worker = worker
        self._log = log
        self._loop = asyncio.get_running_loop()
        # Of the calls that one read of the bus brought, the files that were looked at already.
        self._looked_at: set[int] | None = None
        self.database: Database

    def holds(self, file: BackendFile) -> bool:
        """Tell whether the file is still that of a backend."""
        return self._files.get(file.row.identity) is file

    async def ask(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Ask the journal; raise ResourceError where it refuses."""
        try:
            return await self._worker.run(function, *args, **kwargs)
        except sqlite3.Error as error:
            raise refusal(error, self._journal.path) from error

    def reading(self, begins: bool) -> None:
        """Look at each file once until this ends: all these calls were sent before that look."""
        self._looked_at = set() if begins else None

    def stale(self, backends: Iterable[Backend]) -> list[BackendFile]:
        """Answer the files, among the backends', that differ from what is known of them."""
        found = []
        for backend in backends:
            if self._looked_at is not None and backend.identity in self._looked_at:
                continue
            file = self._files.get(backend.identity)
            if file is None or file.writing is not None or file.in_batch:
                continue
            if isinstance(backend.damage, InstallationError):
                continue
            try:
                changed = self._disk.stat(file.path) != file.stat
            except OSError:
                changed = file.retry_at is None
            if changed or (file.retry_at is not None and self._loop.time() >= file.retry_at):
                found.append(file)
            elif self._looked_at is not None:
                self._looked_at.add(backend.identity)
        return found

    async def refresh(self, file: BackendFile, pipeline: Merging) -> None:
        """Take in what a file holds now: merge it, or note that it is damaged.

        Raises ResourceError where what it holds cannot be stored now.
        """
        async with file.refreshing:
            if not self.holds(file) or file.writing is not None:
                return
            if not self.stale([file.backend]):
                return
            try:
                found = await self.ask(self.read, file.row, file.backend.mountpoint)
            except OSError as error:
                self.cannot_read(file, error)
                return
            except Damaged as damaged:
                self.damage(file, damaged.stat, damaged.error)
                return
            if found.unwritten is not None:
                file.row = found.row
                file.news = True
                file.unwritten = lacking(file.backend, found.unwritten)
            if found.keys is None:
                self._taken_in(file, found)
                return
            keys = found.keys

            def note(draft: Draft, revision: int) -> BackendRow:
                merged = {change.name for change in draft.changes}
                return replace(
                    found.row,
                    digest=found.digest,
                    written=revision,
                    next_digest=None,
                    next_written=None,
                    next_temporary=None,
                    held={
                        name: held
                        for name, held in unwritten_after(
                            file.backend, keys, file.unwritten
                        ).items()
                        if name not in merged
                    },
                )

            def taken_in(row: BackendRow) -> None:
                file.unwritten = unwritten_after(file.backend, keys, file.unwritten)
                file.row = row
                file.news = True
                self._taken_in(file, found)

            await pipeline.merge(partial(self._merge, file, keys), note, taken_in)

    def _merge(
        self, file: BackendFile, keys: Mapping[bytes, Content], revision: int
    ) -> Draft | Slices:
        """Draft a merge against what is mounted when its turn has come."""
        mountpoint, directory = file.backend.mountpoint, file.backend.directory
        mounts = self.database.roots.get(root_name(namespace(mountpoint), directory))
        if mounts is None or not self.holds(file):
            return Draft([])
        return merge_file(keys, file.backend, file.unwritten, mounts)(revision)

    def _taken_in(self, file: BackendFile, found: Found) -> None:
        file.stat = found.stat
        file.judge_size(found.stat)
        file.retry_at = None
        if not isinstance(file.backend.damage, InstallationError):
            file.backend.damage = None

    def read(self, row: BackendRow, mountpoint: bytes) -> Found:
        """Read a file, in the writer's thread. Raises OSError, Damaged and sqlite3.Error."""
        found = self._disk.read(row.path)
        stat, data = (None, b"") if found is None else found
        digest = b"" if found is None else digest_of([data])
        settled = self._persistence.settled(row, digest)
        keys: dict[bytes, Content] | None = None
        if digest != settled.digest:
            try:
                keys = {} if found is None else dict(dump.read(data, mountpoint, row.path))
            except SyntacticError as error:
                raise Damaged(stat, error) from error
        unwritten = None
        if settled is not row:
            unwritten = self._journal.unwritten(settled)
        return Found(stat, digest, keys, settled, unwritten)

    def cannot_read(self, file: BackendFile, error: OSError) -> None:
        """Let a file answer that it cannot be read, and try again soon."""
        try:
            stat = self._disk.stat(file.path)
        except OSError:
            stat = None
        self.damage(file, stat, ResourceError(unreadable(file, error)))
        file.retry_at = self._loop.time() + READ_AGAIN_S

    def damage(self, file: BackendFile, stat: FileStat | None, error: KDBError) -> None:
        """Let a file answer what is wrong with it, until it changes."""
        error.mountpoint = escape(file.backend.mountpoint)
        error.configfile = file.path
        file.backend.damage = error
        file.stat = stat
        file.retry_at = None
        self._log.error("file.damaged", file=file.path, reason=str(error))


class Found(NamedTuple):
    """A file as it is now; no ``keys`` where it holds what it did.

    ``unwritten`` is told anew where it turned out that the file had been replaced.
    """

    stat: FileStat | None
    digest: bytes
    keys: dict[bytes, Content] | None
    row: BackendRow
    unwritten: dict[bytes, Content | None] | None


class Damaged(Exception):  # a fact for the caller
    """A file is not in the dump format."""

    def __init__(self, stat: FileStat | None, error: SyntacticError) -> None:
        super().__init__(error)
        self.stat = stat
        self.error = error


def unreadable(file: BackendFile, error: OSError) -> str:
    """Answer what is wrong with a file that cannot be read, and what to do."""
    return (
        f"{file.path} cannot be read: {error.strerror or error}. Let kdbd read it, then try again"
    )


def lacking(
    backend: Backend, unwritten: Mapping[bytes, Content | None]
) -> dict[bytes, Content | None]:
    """Answer what of that a file holds otherwise than the backend."""
    return {
        name: held for name, held in unwritten.items() if not same(held, backend.tree.get(name))
    }
