"""The files of mounted backends, as the loop knows them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from kdb.formats import dump
from kdb.model.content import Content
from kdb.model.errors import InstallationError
from kdb.model.names import Namespace, namespace
from kdbd.core.backend import Backend
from kdbd.core.commit import Commit
from kdbd.core.mounts import MountSpec
from kdbd.store.disk import FileStat
from kdbd.store.journal import BackendRow
from kdbd.store.persist import FileWrite, Replaced

__all__ = ["SYNCHRONOUS_BYTES", "UNKNOWN", "BackendFile"]

# A mountpoint's file up to this size is written before the reply: about 5,000 keys, 5 ms.
SYNCHRONOUS_BYTES = 256 * 1024
# As many as fit, where each takes what its record takes at least.
_SYNCHRONOUS_KEYS = SYNCHRONOUS_BYTES // len(b"$key string 0 0\n\n\n")

# No file has this state: what was never looked at differs from it.
UNKNOWN = FileStat(-1, -1, -1, -1, -1)


@dataclass(slots=True, eq=False)
class BackendFile:
    """One backend's file: what it held when last written or read, and what it lacks since.

    ``unwritten`` holds, of each key that changed since, what the file has of it. While a rewrite
    is under way, ``writing`` is what was unwritten when it began; ``in_batch`` tells that it is
    being written with a batch of commits. ``news`` tells that ``row`` is not in the journal yet.
    A file that could not be read is tried again at ``retry_at``, by the loop's clock.
    """

    backend: Backend
    row: BackendRow
    default: bool
    writable: bool
    stat: FileStat | None = UNKNOWN
    unwritten: dict[bytes, Content | None] = field(default_factory=dict)
    writing: dict[bytes, Content | None] | None = None
    news: bool = False
    large: bool = False
    retry_at: float | None = None
    in_batch: bool = False
    refreshing: asyncio.Lock = field(default_factory=asyncio.Lock)
    rewriting: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def path(self) -> str:
        """The file, absolute."""
        return self.row.path

    @property
    def private(self) -> bool:
        """New files of user:/ and dir:/ are for their owner only."""
        return namespace(self.backend.mountpoint) in (Namespace.USER, Namespace.DIR)

    @property
    def synchronous(self) -> bool:
        """Tell whether the file is written before the reply."""
        return not (self.default or self.large or self.unwritten or self.writing is not None)

    @property
    def dirty(self) -> bool:
        """Tell whether the file lacks something that it can be given."""
        return self.writable and self.backend.damage is None and bool(self.unwritten)

    def obey(self, spec: MountSpec) -> None:
        """Take over what the file's declaration says."""
        backend = self.backend
        backend.announce_once = spec.announce_once
        if spec.error is not None or isinstance(backend.damage, InstallationError):
            backend.damage = spec.error

    def note(self, commit: Commit) -> None:
        """Remember what the file lacks after a commit; a file written with it lacks nothing."""
        if self.row.written >= commit.revision:
            return
        for change in commit.changes:
            if change.stored and change.backend is self.backend:
                self.unwritten.setdefault(change.name, change.old)

    def chunks(self) -> list[bytes]:
        """Answer the file as after all prepared commits; nothing where no key is left."""
        return list(self._formatted())

    def small_chunks(self) -> list[bytes] | None:
        """Answer ``chunks``, or None where these are too many to be written before the reply."""
        if len(self.backend.tree) > _SYNCHRONOUS_KEYS:
            return None
        chunks = []
        size = 0
        for chunk in self._formatted():
            size += len(chunk)
            if size > SYNCHRONOUS_BYTES:
                return None
            chunks.append(chunk)
        return chunks

    def _formatted(self) -> Iterator[bytes]:
        backend = self.backend
        names = backend.future_names(backend.mountpoint, backend.end)
        entries = (
            (name, content) for name in names if (content := backend.future(name)) is not None
        )
        return dump.write(backend.mountpoint, entries) if names else iter(())

    def judge_size(self, stat: FileStat | None) -> None:
        """See by the size of what lies there whether the file is written before the reply."""
        self.large = stat is not None and stat.size > SYNCHRONOUS_BYTES

    def write(self, chunks: Iterable[bytes], *, revision: int) -> FileWrite:
        """Answer a write of this file."""
        return FileWrite(self.row, self.stat, list(chunks), revision, self.private)

    def replaced(self, replaced: Replaced) -> None:
        """Take in what became of a write; a rename that failed is tried again in the background."""
        self.row = replaced.row
        if replaced.error is None:
            self.stat = replaced.stat
            self.news = True
