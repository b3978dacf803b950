"""The stores: which backends there are, where their files lie, and whether these were edited.

Every access first looks at the state of the files it touches (one stat each, about 1.5 us): a file
that somebody edited is read and merged before the access goes on, a damaged one answers it, a
mended one is picked up. Only what is about to be written, or was never read, is read here; all
reading and writing is the worker's.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import replace
from time import time
from typing import Any, NamedTuple, Protocol

from sortedcontainers import SortedDict

from kdb.model.content import Content
from kdb.model.errors import (
    AccessDenied,
    InstallationError,
    KDBError,
    ResourceError,
    SemanticError,
    SyntacticError,
)
from kdb.model.names import Namespace, escape, in_namespace, namespace, namespace_name, unescape
from kdbd.constants import built_in
from kdbd.core.backend import Backend
from kdbd.core.commit import Commit
from kdbd.core.database import Database, root_name
from kdbd.core.merge import merge_file, unwritten_after
from kdbd.core.mounts import MOUNTPOINTS, MountSpec, declared
from kdbd.core.requests import Request
from kdbd.core.structure import complete, specs_after
from kdbd.core.view import Mounts, View
from kdbd.files import BackendFile
from kdbd.store import dump
from kdbd.store.disk import Disk, FileStat
from kdbd.store.journal import BackendRow, Journal
from kdbd.store.locations import DEFAULT_FILE, ELEKTRA_FILE, Locations
from kdbd.store.persist import FileEdited, FileRefused, Persistence, digest_of
from kdbd.worker import Worker

__all__ = ["Stores"]

ELEKTRA = unescape("system:/elektra")


class Merging(Protocol):
    """What stores need of the commit pipeline."""

    def merge(self, request: Request, row: BackendRow) -> asyncio.Future[Any]:
        """Commit what a file was edited to, before all that waits, noting the file's row."""


class Stores:
    """All backends and their files, on the loop's side."""

    def __init__(
        self, locations: Locations, persistence: Persistence, worker: Worker, log: Any
    ) -> None:
        self.locations = locations
        self.files: dict[int, BackendFile] = {}
        self._persistence = persistence
        self._disk: Disk = persistence.disk
        self._journal: Journal = persistence.journal
        self._worker = worker
        self._log = log
        self._rows: dict[tuple[bytes, str, str], BackendRow] = {}
        self._defaults: dict[Namespace, BackendFile] = {}
        self._elektra: BackendFile | None = None
        self._built_in = built_in()
        self.database: Database
        # Held while what is mounted changes, or a directory comes or goes.
        self.changing = asyncio.Lock()

    # Opening

    async def open(self) -> Database:
        """Load what the journal holds; files are compared at their first access."""
        for row in await self._worker.run(self._journal.backends):
            self._rows[row.mountpoint, row.directory, row.path] = row
        for which in (Namespace.SPEC, Namespace.USER, Namespace.SYSTEM):
            path = self.locations.file(which, DEFAULT_FILE)
            self._defaults[which] = await self._load(bytes([which]), "", path, default=True)
        path = self.locations.file(Namespace.SYSTEM, ELEKTRA_FILE)
        self._elektra = await self._load(ELEKTRA, "", path)
        for file in (*self._defaults.values(), self._elektra):
            self.files[file.row.identity] = file
        revision = await self._worker.run(self._journal.revision)
        declarations = self._elektra.backend.tree
        specs, errors = declared(
            (name, declarations[name])
            for name in self._elektra.backend.names(MOUNTPOINTS, MOUNTPOINTS + b"\x01")
        )
        for error in errors:
            self._log.warning("mountpoint.unusable", reason=error.reason)
        loaded: dict[int, BackendFile] = {}
        roots = await self._roots(specs, (), loaded)
        self.files.update(loaded)
        self.database = Database(revision, roots)
        return self.database

    async def _load(
        self, mountpoint: bytes, directory: str, path: str, *, default: bool = False
    ) -> BackendFile:
        """Answer a backend with the keys that the journal has of it."""
        row = self._rows.get((mountpoint, directory, path))
        which = namespace(mountpoint)
        root = self.locations.root(which, directory)
        writable = self.locations.is_writable(root)
        if row is None:
            row = await self._worker.run(self._journal.add_backend, mountpoint, directory, path)
        else:
            row = await self._worker.run(self._persistence.finish, row)
        self._rows[mountpoint, directory, path] = row
        backend = Backend(row.identity, mountpoint, directory)
        if not writable:
            backend.refusal = AccessDenied(
                f"{root} is read-only for this kdbd, so {namespace_name(which)}:/ cannot be"
                " written here. Ask its owner, or start kdbd as a user who may write there",
                configfile=path,
            )
        keys, unwritten = await self._worker.run(self._read_journal, row)
        backend.tree = SortedDict(keys)
        lacking = {
            name: held
            for name, held in unwritten.items()
            if not _same(held, backend.tree.get(name))
        }
        return BackendFile(backend, row, default, writable, unwritten=lacking, news=True)

    def _read_journal(
        self, row: BackendRow
    ) -> tuple[list[tuple[bytes, Content]], dict[bytes, Content | None]]:
        return (
            list(self._journal.keys(row.identity)),
            self._journal.unwritten(row.identity, row.written),
        )

    # Mountpoints

    async def _roots(
        self,
        specs: Sequence[MountSpec],
        directories: Iterable[str],
        loaded: dict[int, BackendFile],
        *,
        revision: int | None = None,
        strict: bool = False,
    ) -> dict[str, Mounts]:
        """Answer every root's mounts; backends that are new go to ``loaded``.

        With a ``revision`` new backends are filled from their files, as of that revision; without,
        from the journal. Where ``strict``, what kdbd cannot serve is raised.
        """
        roots = {}
        places = [(which, "") for which in self._defaults]
        places += [(Namespace.DIR, directory) for directory in directories]
        for which, directory in places:
            table: dict[bytes, Backend] = {}
            if which is not Namespace.DIR:
                table[bytes([which])] = self._defaults[which].backend
            else:
                path = self.locations.file(which, DEFAULT_FILE, directory)
                file = await self._mounted(bytes([which]), directory, path, loaded, None)
                file.default = True
                table[bytes([which])] = file.backend
            if which is Namespace.SYSTEM:
                assert self._elektra is not None
                table[ELEKTRA] = self._elektra.backend
                table.update((each.mountpoint, each) for each in self._built_in)
            for spec in specs:
                if which not in spec.namespaces:
                    continue
                try:
                    file = await self._declared(which, directory, spec, loaded, revision)
                except KDBError as error:
                    if strict:
                        raise
                    self._log.warning(
                        "mountpoint.unusable", mountpoint=spec.mountpoint, reason=error.reason
                    )
                    continue
                table[file.backend.mountpoint] = file.backend
            roots[root_name(which, directory)] = Mounts(table)
        return roots

    async def _declared(
        self,
        which: Namespace,
        directory: str,
        spec: MountSpec,
        loaded: dict[int, BackendFile],
        revision: int | None,
    ) -> BackendFile:
        name = in_namespace(spec.unescaped, which)
        path = self.locations.file(which, spec.path, directory)
        for other in (*self.files.values(), *loaded.values()):
            if other.path == path and other.backend.mountpoint != name:
                raise SemanticError(
                    f"{path} holds the keys of another mountpoint already. Give each mountpoint a"
                    " file of its own"
                )
        file = await self._mounted(name, directory, path, loaded, revision)
        file.backend.announce_once = spec.announce_once
        if spec.error is not None or isinstance(file.backend.damage, InstallationError):
            file.backend.damage = spec.error
        return file

    async def _mounted(
        self,
        mountpoint: bytes,
        directory: str,
        path: str,
        loaded: dict[int, BackendFile],
        revision: int | None,
    ) -> BackendFile:
        row = self._rows.get((mountpoint, directory, path))
        if row is not None and row.identity in self.files:
            return self.files[row.identity]
        file = await self._load(mountpoint, directory, path)
        if revision is not None:
            await self._fill(file, revision)
        loaded[file.row.identity] = file
        return file

    async def _fill(self, file: BackendFile, revision: int) -> None:
        found = await self._worker.run(self._disk.read, file.path)
        keys: list[tuple[bytes, Content]] = []
        digest = b""
        file.stat = None
        if found is not None:
            file.stat, data = found
            keys = dump.read(data, file.backend.mountpoint, file.path)
            digest = digest_of([data])
        file.backend.tree = SortedDict(
            (name, content._replace(revision=revision)) for name, content in keys
        )
        file.unwritten = {}
        file.row = replace(file.row, digest=digest, written=revision)
        file.news = True

    async def structure(self, commit: Commit) -> tuple[dict[str, Mounts], dict[int, BackendFile]]:
        """Complete a commit that changes what is mounted; answer the roots and files after it.

        Raises what is wrong with a mountpoint that a caller declares. A file that was edited may
        declare what kdbd cannot serve: that mountpoint answers for itself.
        """
        specs, errors = declared(specs_after(self.database.view, commit.changes))
        if errors and commit.origin != "file":
            raise errors[0]
        for error in errors:
            self._log.warning("mountpoint.unusable", reason=error.reason)
        directories = [
            name.partition(":/")[2] for name in self.database.roots if name.startswith("dir:/")
        ]
        loaded: dict[int, BackendFile] = {}
        try:
            roots = await self._roots(
                specs,
                directories,
                loaded,
                revision=commit.revision,
                strict=commit.origin != "file",
            )
        except OSError as error:
            raise ResourceError(f"A mountpoint's file cannot be read: {error}") from error
        permanent = frozenset(file.row.identity for file in self.files.values() if file.default)
        complete(commit, self.database.roots, roots, permanent)
        assert commit.structure is not None
        for backend in commit.structure.unmounted:
            await self._settle(self.files[backend.identity])
        return roots, loaded

    async def _settle(self, file: BackendFile) -> None:
        """Write what a file lacks before its backend goes; raise what keeps it from being whole."""
        async with file.rewriting:
            if not file.unwritten:
                return
            if file.backend.damage is not None:
                raise file.backend.damage
            write = file.write(file.chunks(), revision=self.database.revision)
            name = escape(file.backend.mountpoint)
            try:
                row = await self._worker.run(self._persistence.stage, write)
                replaced = await self._worker.run(
                    self._persistence.replace_staged, row, write.stat, time=time(), announced=0
                )
            except FileEdited as edited:
                raise ResourceError(
                    f"{file.path} was just edited. Try again, so that the edit is seen first"
                ) from edited
            except (FileRefused, sqlite3.Error) as refused:
                raise ResourceError(
                    f"{name} has changes that its file does not hold yet, and {file.path} cannot be"
                    " written. Make room, then unmount again",
                    configfile=file.path,
                ) from refused
            file.replaced(replaced)
            if replaced.error is not None:
                raise ResourceError(f"{file.path} cannot be replaced: {replaced.error}")
            file.unwritten = {}

    def restructured(self, commit: Commit, loaded: dict[int, BackendFile]) -> None:
        """Take in the files of a durable structural commit."""
        self.files.update(loaded)
        if commit.structure is not None:
            for backend in commit.structure.unmounted:
                file = self.files.pop(backend.identity)
                del self._rows[backend.mountpoint, backend.directory, file.path]

    def note(self, commit: Commit) -> None:
        """Remember what files lack after a commit."""
        for identity in {each.backend.identity for each in commit.changes if each.stored}:
            file = self.files.get(identity)
            if file is not None:
                file.note(commit)

    # Directories

    async def load_directory(self, directory: str) -> View:
        """Make a directory's dir:/ part of the database."""
        specs, _ = declared(self.database.view.items(MOUNTPOINTS))
        loaded: dict[int, BackendFile] = {}
        roots = await self._roots(specs, (directory,), loaded)
        self.files.update(loaded)
        name = root_name(Namespace.DIR, directory)
        return self.database.load_directory(directory, roots[name])

    async def unload_directory(self, directory: str) -> None:
        """Forget a directory that nobody has open; its keys are in its files and the journal."""
        for backend in self.database.roots[root_name(Namespace.DIR, directory)]:
            file = self.files.pop(backend.identity)
            self._rows[backend.mountpoint, directory, file.path] = file.row
            if not backend.tree and not file.unwritten:
                await self._worker.run(self._journal.drop_backend, backend.identity)
                del self._rows[backend.mountpoint, directory, file.path]
        self.database.unload_directory(directory)

    # Edited files

    def stale(self, backends: Iterable[Backend]) -> list[BackendFile]:
        """Answer the files, among the backends', that differ from what is known of them."""
        found = []
        for backend in backends:
            file = self.files.get(backend.identity)
            if file is None or file.writing is not None or file.in_batch:
                continue
            if isinstance(backend.damage, InstallationError):
                continue
            try:
                if self._disk.stat(file.path) != file.stat:
                    found.append(file)
            except OSError:
                found.append(file)
        return found

    async def refresh(self, file: BackendFile, pipeline: Merging) -> None:
        """Take in what a file holds now: merge it, or note that it is damaged."""
        async with file.refreshing:
            if self.files.get(file.row.identity) is not file or file.writing is not None:
                return
            if not self.stale([file.backend]):
                return
            try:
                found = await self._worker.run(self._read, file)
            except OSError as error:
                self._damage(file, self._disk_stat(file), ResourceError(_unreadable(file, error)))
                return
            except _Damaged as damaged:
                self._damage(file, damaged.stat, damaged.error)
                return
            if found.keys is not None:
                root = root_name(namespace(file.backend.mountpoint), file.backend.directory)
                request = merge_file(
                    found.keys, file.backend, file.unwritten, self.database.roots[root]
                )
                row = replace(file.row, digest=found.digest)
                await pipeline.merge(request, row)
                file.unwritten = unwritten_after(file.backend, found.keys, file.unwritten)
                file.row = row
                file.news = True
            file.stat = found.stat
            if not isinstance(file.backend.damage, InstallationError):
                file.backend.damage = None

    def _read(self, file: BackendFile) -> _Found:
        found = self._disk.read(file.path)
        if found is None:
            stat, data, digest = None, b"", b""
        else:
            stat, data = found
            digest = digest_of([data])
        if digest == file.row.digest:
            return _Found(stat, digest, None)
        if found is None:
            return _Found(stat, digest, {})
        try:
            keys = dump.read(data, file.backend.mountpoint, file.path)
        except SyntacticError as error:
            raise _Damaged(stat, error) from error
        return _Found(stat, digest, dict(keys))

    def _disk_stat(self, file: BackendFile) -> FileStat | None:
        try:
            return self._disk.stat(file.path)
        except OSError:
            return None

    def _damage(self, file: BackendFile, stat: FileStat | None, error: KDBError) -> None:
        error.mountpoint = escape(file.backend.mountpoint)
        error.configfile = file.path
        file.backend.damage = error
        file.stat = stat
        self._log.error("file.damaged", file=file.path, reason=str(error))


class _Found(NamedTuple):
    """A file as it is now; no ``keys`` where it holds what it did."""

    stat: FileStat | None
    digest: bytes
    keys: dict[bytes, Content] | None


class _Damaged(Exception):  # a fact for the caller
    def __init__(self, stat: FileStat | None, error: SyntacticError) -> None:
        super().__init__(error)
        self.stat = stat
        self.error = error


def _unreadable(file: BackendFile, error: OSError) -> str:
    return (
        f"{file.path} cannot be read: {error.strerror or error}. Let kdbd read it, then try again"
    )


def _same(one: Content | None, other: Content | None) -> bool:
    if one is None or other is None:
        return one is other
    return one.same_as(other)
