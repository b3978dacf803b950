"""Making a batch of commits durable: files of mountpoints, journal, files in place.

1. Each mountpoint's file is staged beside the one it replaces, and synced.
2. One transaction of the journal takes the commits and notes what is about to replace what.
3. The staged files are renamed into place.

A failure before 2 leaves everything as it was. After 2 the commits stand; a rename that did not
take place is finished at the next start from the journal's note, or by the next rewrite.

A staged file that the journal names is removed only once the journal names it no more. So a file
that is neither as before nor as it was to become tells what happened: while the staged file is
there, it was edited before it could be replaced; once that is gone, it was edited afterwards. A
file that is as before is written anew, whatever became of the staged one: somebody may have undone
the rename by hand, but what was acknowledged must not be lost where it is only the rename that was.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import sha256

from kdbd.core.commit import Commit
from kdbd.store.disk import Disk, FileStat
from kdbd.store.journal import BackendRow, Journal, finished

__all__ = ["FileEdited", "FileRefused", "FileWrite", "Persistence", "Replaced", "digest_of"]


@dataclass(frozen=True, slots=True)
class FileWrite:
    """A file to replace: what the journal and the loop know of it, and what it will hold.

    No ``chunks`` means no keys: then the file goes.
    """

    row: BackendRow
    stat: FileStat | None
    chunks: Sequence[bytes]
    revision: int
    private: bool


@dataclass(frozen=True, slots=True)
class Replaced:
    """What became of a FileWrite; where it is not in place, ``error`` tells why."""

    row: BackendRow
    stat: FileStat | None
    error: OSError | FileEdited | None = None


class FileEdited(Exception):  # a fact for the pipeline, no failure
    """Somebody changed a file since it was last written or read."""

    def __init__(self, identity: int) -> None:
        super().__init__(identity)
        self.identity = identity


class FileRefused(Exception):  # a fact for the pipeline
    """A file could not be staged."""

    def __init__(self, row: BackendRow, error: OSError) -> None:
        super().__init__(row, error)
        self.row = row
        self.error = error


class Persistence:
    """Disk and journal, together. One thread at a time calls it."""

    def __init__(self, disk: Disk, journal: Journal) -> None:
        self.disk = disk
        self.journal = journal
        # The staged files that the journal names, by backend.
        self._noted: dict[int, str] = {}

    def persist(
        self,
        commits: Sequence[Commit],
        writes: Sequence[FileWrite],
        *,
        time: float,
        announced: int,
        rows: Sequence[BackendRow] = (),
    ) -> list[Replaced]:
        """Make commits durable, and write these files with them.

        ``rows`` is other news of files for the journal. Raises FileEdited, FileRefused or
        sqlite3.Error; then nothing took place.
        """
        staged: list[BackendRow] = []
        try:
            for write in writes:
                staged.append(self.stage(write))  # noqa: PERF401  # what was staged must be known
            notes = [*rows, *staged]
            self._commit(commits, time, announced, notes)
        except BaseException:
            for row in staged:
                self._discard(row)
            raise
        return [self._replace(row, write.stat) for row, write in zip(staged, writes, strict=True)]

    def stage(self, write: FileWrite) -> BackendRow:
        """Stage a file; answer the journal's note of it. Raises FileEdited and FileRefused."""
        row = write.row
        try:
            if self.disk.stat(row.path) != write.stat:
                raise FileEdited(row.identity)
            temporary = ""
            if write.chunks or write.stat is not None:
                # Also where the file is to go: that it may is known before the journal says so, and
                # the empty file beside it tells afterwards whether it went.
                temporary = self.disk.stage(row.path, write.chunks, private=write.private)
        except OSError as error:
            raise FileRefused(row, error) from error
        return replace(
            row,
            next_digest=digest_of(write.chunks),
            next_written=write.revision,
            next_temporary=temporary,
        )

    def replace_staged(
        self, row: BackendRow, stat: FileStat | None, *, time: float, announced: int
    ) -> Replaced:
        """Note a staged file in the journal and put it in its place, unless that was edited.

        Raises sqlite3.Error; then nothing took place.
        """
        try:
            self._commit((), time, announced, [row])
        except BaseException:
            self._discard(row)
            raise
        return self._replace(row, stat)

    def _commit(
        self, commits: Sequence[Commit], time: float, announced: int, rows: Sequence[BackendRow]
    ) -> None:
        try:
            self.journal.commit(commits, time=time, announced=announced, files=rows)
        except sqlite3.OperationalError:
            # A full disk: what the log holds twice can be given back, which may make room.
            self.journal.shrink()
            self.journal.commit(commits, time=time, announced=announced, files=rows)
        for row in rows:
            self._note(row.identity, row.next_temporary)
        for commit in commits:
            if commit.structure is not None:
                for backend in commit.structure.unmounted:
                    self._note(backend.identity, None)

    def _note(self, identity: int, temporary: str | None) -> None:
        """Remember what the journal names now; what it named before is of no use any more."""
        before = self._noted.pop(identity, "")
        if before and before != temporary:
            self.disk.discard(before)
        if temporary:
            self._noted[identity] = temporary

    def finish(self, row: BackendRow) -> BackendRow:
        """Finish or drop what a crash left between a file's staging and its place.

        Raises OSError where that cannot be told now.
        """
        self.disk.sweep(row.path, keep=row.next_temporary)
        if row.next_digest is None:
            return row
        if row.next_temporary:
            self._noted[row.identity] = row.next_temporary
        found = self.disk.read(row.path)
        digest = digest_of([found[1]]) if found is not None else b""
        if digest != row.digest or digest == row.next_digest:
            after = self.settled(row, digest)
            if after.next_digest is None:
                self._discard(row)
            return after
        if not self._staged_whole(row):
            return replace(row, next_digest=None, next_written=None, next_temporary=None)
        try:
            self._replace_now(row)
        except OSError:
            return row
        return finished(row)

    def settled(self, row: BackendRow, digest: bytes) -> BackendRow:
        """Answer what is known of a file, which has this digest now, if it was to be replaced."""
        if row.next_digest is None or digest == row.next_digest:
            return row if row.next_digest is None else finished(row)
        if digest == row.digest:
            return row
        if row.next_temporary and self.disk.stat(row.next_temporary) is not None:
            return row
        return finished(row)

    def _staged_whole(self, row: BackendRow) -> bool:
        if not row.next_temporary:
            return True
        staged = self.disk.read(row.next_temporary)
        # The empty file beside one that is to go has nothing to be whole for.
        return staged is not None and row.next_digest in (b"", digest_of([staged[1]]))

    def _replace(self, row: BackendRow, stat: FileStat | None) -> Replaced:
        try:
            if self.disk.stat(row.path) != stat:
                return Replaced(row, None, FileEdited(row.identity))
            return Replaced(finished(row), self._replace_now(row))
        except OSError as error:
            return Replaced(row, None, error)

    def _replace_now(self, row: BackendRow) -> FileStat | None:
        if row.next_digest and row.next_temporary:
            return self.disk.replace(row.next_temporary, row.path)
        self.disk.remove(row.path)
        self._discard(row)
        return None

    def _discard(self, row: BackendRow) -> None:
        if row.next_temporary:
            self.disk.discard(row.next_temporary)


def digest_of(chunks: Sequence[bytes]) -> bytes:
    """Answer what tells a file's content from another: SHA-256; empty where there is no file."""
    if not chunks:
        return b""
    digest = sha256()
    for chunk in chunks:
        digest.update(chunk)
    return digest.digest()
