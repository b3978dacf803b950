"""The stores: which backends there are, and where their files lie.

Whether somebody edited these is seen by ``Stores.edits``; all reading and writing is the worker's.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from time import time
from typing import Any, ParamSpec, TypeVar

from sortedcontainers import SortedDict

from kdb.model.content import Content
from kdb.model.errors import (
    AccessDenied,
    InterfaceError,
    KDBError,
    ResourceError,
    SemanticError,
)
from kdb.model.names import (
    Namespace,
    end_of_subtree,
    escape,
    in_namespace,
    namespace,
    namespace_name,
    unescape,
)
from kdbd.constants import built_in
from kdbd.core.backend import Backend
from kdbd.core.commit import Commit, KeyChange
from kdbd.core.database import Database
from kdbd.core.merge import same
from kdbd.core.mounts import MOUNTPOINTS, MountSpec, declared
from kdbd.core.structure import complete, specs_after
from kdbd.core.view import Mounts, View, root_name
from kdbd.edits import Damaged, Edits, Found, lacking, unreadable
from kdbd.files import BackendFile
from kdbd.store.journal import BackendRow, Journal
from kdbd.store.locations import DEFAULT_FILE, ELEKTRA_FILE, Locations
from kdbd.store.persist import FileEdited, FileRefused, Persistence
from kdbd.worker import Worker

__all__ = ["Stores"]

P = ParamSpec("P")
T = TypeVar("T")

ELEKTRA = unescape("system:/elektra")


class Stores:
    """All backends and their files, on the loop's side."""

    def __init__(
        self,
        locations: Locations,
        persistence: Persistence,
        worker: Worker,
        unhurried: Worker,
        log: Any,
    ) -> None:
        self.locations = locations
        self.files: dict[int, BackendFile] = {}
        self.edits = Edits(self.files, persistence, worker, log)
        self._ask = self.edits.ask
        self._persistence = persistence
        self._journal: Journal = persistence.journal
        self._worker = worker
        self._unhurried = unhurried
        self._log = log
        self._rows: dict[tuple[bytes, str, str], BackendRow] = {}
        self._defaults: dict[Namespace, BackendFile] = {}
        self._elektra: BackendFile | None = None
        self._built_in = built_in()
        # What a directory's .dir may hold, any of which makes it one that has the file.
        self.directory_files: Sequence[str] = (DEFAULT_FILE,)
        self.database: Database
        # Writes files that lack something; tells whether they are whole.
        self.flush: Callable[[Iterable[BackendFile]], Awaitable[bool]]
        # Of mountpoints that are about to come, what their files were found to hold.
        self._read_before: dict[tuple[bytes, str], Found] = {}
        # Held while what is mounted changes, or a directory comes or goes.
        self.changing = asyncio.Lock()

    # Opening

    async def open(self) -> Database:
        """Load what the journal holds; files are compared at their first access.

        Raises ResourceError where the journal refuses.
        """
        for row in await self._ask(self._journal.backends):
            self._rows[row.mountpoint, row.directory, row.path] = row
        for which in (Namespace.SPEC, Namespace.USER, Namespace.SYSTEM):
            path = self.locations.file(which, DEFAULT_FILE)
            self._defaults[which] = await self._load(bytes([which]), "", path, default=True)
        path = self.locations.file(Namespace.SYSTEM, ELEKTRA_FILE)
        self._elektra = await self._load(ELEKTRA, "", path)
        for file in (*self._defaults.values(), self._elektra):
            self.files[file.row.identity] = file
        revision = await self._ask(self._journal.revision)
        specs, errors = self._declarations()
        for error in errors:
            self._log.warning("mountpoint.unusable", reason=error.reason)
        loaded: dict[int, BackendFile] = {}
        roots = await self._roots(specs, (), loaded)
        self.files.update(loaded)
        self.directory_files = _directory_files(specs)
        self.database = self.edits.database = Database(revision, roots)
        return self.database

    async def _load(
        self, mountpoint: bytes, directory: str, path: str, *, default: bool = False
    ) -> BackendFile:
        """Answer a backend with the keys that the journal has of it."""
        row = self._rows.get((mountpoint, directory, path))
        if row is None:
            row = await self._ask(self._journal.add_backend, mountpoint, directory, path)
        else:
            try:
                row = await self._worker.run(self._persistence.finish, row)
            except OSError as error:
                # It is settled as soon as the file can be read.
                self._log.warning("file.unsettled", file=path, reason=str(error))
        self._rows[mountpoint, directory, path] = row
        backend = Backend(row.identity, mountpoint, directory)
        keys, unwritten = await self._ask(self._read_journal, row)
        backend.tree = keys
        unwritten = lacking(backend, unwritten)
        file = BackendFile(backend, row, default, writable=True, unwritten=unwritten, news=True)
        self._judge(file)
        return file

    def _judge(self, file: BackendFile) -> None:
        """See whether a file's root may be written."""
        which = namespace(file.backend.mountpoint)
        root = self.locations.root(which, file.backend.directory)
        file.writable = self.locations.is_writable(root)
        file.backend.refusal = None
        if not file.writable:
            file.backend.refusal = AccessDenied(
                f"{root} is read-only for this kdbd, so {namespace_name(which)}:/ cannot be"
                " written here. Ask its owner, or start kdbd as a user who may write there",
                configfile=file.path,
            )

    def judge_directory(self, directory: str) -> None:
        """See anew whether a loaded directory may be written: its owner may have changed."""
        for file in self.files.values():
            if file.backend.directory == directory:
                self._judge(file)

    def _declarations(self) -> tuple[list[MountSpec], list[KDBError]]:
        """Answer the mountpoints that are declared, also while the file of that is damaged."""
        assert self._elektra is not None
        backend = self._elektra.backend
        names = backend.names(MOUNTPOINTS, end_of_subtree(MOUNTPOINTS))
        return declared((name, backend.tree[name]) for name in names)

    def _read_journal(
        self, row: BackendRow
    ) -> tuple[SortedDict[bytes, Content], dict[bytes, Content | None]]:
        return SortedDict(self._journal.keys(row.identity)), self._journal.unwritten(row)

    # Mountpoints

    @property
    def declarations(self) -> Backend:
        """The keys that declare what is mounted, and the others below system:/elektra."""
        assert self._elektra is not None
        return self._elektra.backend

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
                file = await self._mounted(bytes([which]), directory, path, loaded)
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
                    file = await self._declared(
                        which, directory, spec, loaded, revision=revision, strict=strict
                    )
                except (InterfaceError, SemanticError) as error:
                    # What is declared is wrong; what fails now (C01100) would come back.
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
        *,
        revision: int | None,
        strict: bool,
    ) -> BackendFile:
        name = in_namespace(spec.unescaped, which)
        path = self.locations.file(which, spec.path, directory)
        for other in (*self.files.values(), *loaded.values()):
            if other.path == path and other.backend.mountpoint != name:
                raise SemanticError(
                    f"{path} holds the keys of another mountpoint already. Give each mountpoint a"
                    " file of its own"
                )
        file = await self._mounted(name, directory, path, loaded)
        if file.row.identity in loaded:
            file.obey(spec)
            if revision is not None and spec.error is None:
                await self._fill(file, revision, strict=strict)
        return file

    async def _mounted(
        self,
        mountpoint: bytes,
        directory: str,
        path: str,
        loaded: dict[int, BackendFile],
    ) -> BackendFile:
        row = self._rows.get((mountpoint, directory, path))
        if row is not None and row.identity in self.files:
            return self.files[row.identity]
        file = await self._load(mountpoint, directory, path)
        loaded[file.row.identity] = file
        return file

    async def _fill(self, file: BackendFile, revision: int, *, strict: bool) -> None:
        """Fill a new backend with its file's keys, as of a revision.

        Raises what is wrong with the file where ``strict``; else it is damage.
        """
        empty = replace(
            file.row, digest=b"", next_digest=None, next_written=None, next_temporary=None, held={}
        )
        file.backend.tree = SortedDict()
        digest = b""
        try:
            found, tree = await self._unhurried.run(self._read_new, empty, file.backend, revision)
            file.stat, digest, file.backend.tree = found.stat, found.digest, tree
            file.judge_size(found.stat)
        except OSError as error:
            if strict:
                raise ResourceError(unreadable(file, error), configfile=file.path) from error
            self.edits.cannot_read(file, error)
        except Damaged as damaged:
            if strict:
                raise damaged.error from None
            self.edits.damage(file, damaged.stat, damaged.error)
        file.unwritten = {}
        # The commit itself may change some of these keys.
        file.row = replace(empty, digest=digest, written=revision - 1)
        file.news = True

    def _read_new(
        self, row: BackendRow, backend: Backend, revision: int
    ) -> tuple[Found, SortedDict[bytes, Content]]:
        """Read the file of a backend that is to come, beside the writer; as ``Edits.read``."""
        found = self._read_before.get((backend.mountpoint, row.path))
        if found is None or found.stat != self._persistence.disk.stat(row.path):
            found = self.edits.read(row, backend.mountpoint)
        keys = found.keys or {}
        return found, SortedDict(
            {name: content._replace(revision=revision) for name, content in keys.items()}
        )

    async def get_ready(self, changes: Sequence[KeyChange]) -> None:
        """Read the files of mountpoints that are about to come, and write those that are to go.

        So that the commit itself, which all others wait for, need not. What fails here, fails there
        again, or is done there.
        """
        try:
            specs, _ = declared(specs_after(self.database.view, changes))
            places = [
                (in_namespace(spec.unescaped, which), self.locations.file(which, spec.path))
                for spec in specs
                for which in spec.namespaces
                if which is not Namespace.DIR and spec.error is None
            ]
        except KDBError:
            return
        known = {(file.backend.mountpoint, file.path) for file in self.files.values()}
        for mountpoint, path in places:
            if (mountpoint, path) not in known:
                row = BackendRow(0, mountpoint, "", path)
                with suppress(OSError, Damaged):
                    found = await self._unhurried.run(self.edits.read, row, mountpoint)
                    self._read_before[mountpoint, path] = found
        staying = set(places)
        await self.flush(
            file
            for file in list(self.files.values())
            if not (file.default or file is self._elektra or file.backend.directory)
            and (file.backend.mountpoint, file.path) not in staying
        )

    def forget_read(self) -> None:
        """Forget what was read for mountpoints to come."""
        self._read_before.clear()

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
        if commit.origin != "file":
            for spec in specs:
                if Namespace.DIR in spec.namespaces:
                    self.locations.file(Namespace.DIR, spec.path)
        directories = [
            name.partition(":/")[2] for name in self.database.roots if name.startswith("dir:/")
        ]
        loaded: dict[int, BackendFile] = {}
        roots = await self._roots(
            specs, directories, loaded, revision=commit.revision, strict=commit.origin != "file"
        )
        permanent = frozenset(file.row.identity for file in self.files.values() if file.default)
        # Nothing else changes meanwhile, so that slices see one state.
        for _ in complete(commit, self.database.roots, roots, permanent):
            await asyncio.sleep(0)
        for _ in self.database.readmit(commit):
            await asyncio.sleep(0)
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
            chunks = await self._unhurried.run(file.chunks)
            write = file.write(chunks, revision=self.database.revision)
            name = escape(file.backend.mountpoint)
            try:
                row = await self._worker.run(self._persistence.stage, write)
                replaced = await self._worker.run(
                    self._persistence.replace_staged, row, write.stat, time=time(), announced=0
                )
                file.replaced(replaced)
                if replaced.error is not None:
                    raise replaced.error
            except FileEdited as edited:
                raise ResourceError(
                    f"{file.path} was just edited. Try again, so that the edit is seen first"
                ) from edited
            except (FileRefused, OSError, sqlite3.Error) as refused:
                raise ResourceError(
                    f"{name} has changes that its file does not hold yet, and {file.path} cannot be"
                    " written. Make room, then unmount again",
                    configfile=file.path,
                ) from refused
            file.unwritten = {}

    def restructured(self, commit: Commit, loaded: dict[int, BackendFile]) -> None:
        """Take in the files of a durable structural commit."""
        self.files.update(loaded)
        if commit.structure is not None:
            for backend in commit.structure.unmounted:
                file = self.files.pop(backend.identity)
                del self._rows[backend.mountpoint, backend.directory, file.path]
        declared_now, _ = self._declarations()
        self.directory_files = _directory_files(declared_now)
        specs = {
            in_namespace(spec.unescaped, which): spec
            for spec in declared_now
            for which in spec.namespaces
        }
        for file in self.files.values():
            spec = specs.get(file.backend.mountpoint)
            if spec is not None and not file.default:
                file.obey(spec)

    def note(self, commit: Commit) -> None:
        """Remember what files lack after a commit."""
        for identity in {each.backend.identity for each in commit.changes if each.stored}:
            file = self.files.get(identity)
            if file is not None:
                file.note(commit)

    # Directories

    async def directories_behind(self) -> list[str]:
        """Answer the directories whose files lack what the journal has: kdbd did not end itself."""
        behind = set()
        for row in self._rows.values():
            if row.directory and row.directory not in behind:
                keys, unwritten = await self._ask(self._read_journal, row)
                if any(not same(held, keys.get(name)) for name, held in unwritten.items()):
                    behind.add(row.directory)
        return sorted(behind)

    async def load_directory(self, directory: str) -> View:
        """Make a directory's dir:/ part of the database."""
        specs, _ = self._declarations()
        loaded: dict[int, BackendFile] = {}
        roots = await self._roots(specs, (directory,), loaded)
        self.files.update(loaded)
        name = root_name(Namespace.DIR, directory)
        return self.database.load_directory(directory, roots[name])

    async def unload_directory(self, directory: str) -> None:
        """Forget a directory that nobody has open; its keys are in its files and the journal."""
        # At once: whoever opens the directory from here on waits until it can be loaded anew.
        self.database.unload_directory(directory)
        # Also the default file's, where another is mounted in its place.
        files = [file for file in self.files.values() if file.backend.directory == directory]
        for file in files:
            backend = self.files.pop(file.row.identity).backend
            self._rows[backend.mountpoint, directory, file.path] = file.row
            if not backend.tree and not file.unwritten:
                try:
                    await self._ask(self._journal.drop_backend, backend.identity)
                except ResourceError as error:
                    self._log.error("journal.refused", reason=error.reason)
                else:
                    del self._rows[backend.mountpoint, directory, file.path]


def _directory_files(specs: Iterable[MountSpec]) -> Sequence[str]:
    mounted = {spec.path for spec in specs if Namespace.DIR in spec.namespaces}
    return (DEFAULT_FILE, *sorted(path for path in mounted if not os.path.isabs(path)))
