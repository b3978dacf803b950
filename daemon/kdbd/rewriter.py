"""Files that follow in the background: default files, and mountpoints' above 256 KiB.

A rewrite takes the state as it is when it begins, cut into slices of about a millisecond, on at
most a tenth of the time, so that nobody waits for it. What is committed meanwhile leaves its old
content in ``unwritten``, which is thus what the slices still to come have to write of it.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from time import perf_counter, time
from typing import Any

from kdb.formats import dump
from kdb.model.errors import KDBError, ResourceError
from kdbd.core.database import Database
from kdbd.files import SYNCHRONOUS_BYTES, BackendFile
from kdbd.pipeline import Pipeline
from kdbd.store.persist import FileEdited, FileRefused, Persistence
from kdbd.stores import Stores
from kdbd.worker import Worker

__all__ = ["Rewriter"]

# Commits within this time share one rewrite; with the rewrite itself it stays within 5 s.
COALESCE_S = 1.0
# About 1 ms of formatting.
_SLICE_KEYS = 400
# The share of the time that goes to rewriting: a tenth.
_REST = 9
# A file that refuses is tried again after this, doubled up to a minute.
_FIRST_RETRY_S = 5.0
_LAST_RETRY_S = 60.0
# A file that somebody edits again and again is left alone after so many tries, until next time.
_ATTEMPTS = 5


class Rewriter:
    """Writes files that lack something, soon, or at once when asked."""

    def __init__(
        self,
        database: Database,
        stores: Stores,
        pipeline: Pipeline,
        persistence: Persistence,
        worker: Worker,
        unhurried: Worker,
        log: Any,
        *,
        clock: Callable[[], float] = perf_counter,
    ) -> None:
        self._database = database
        self._stores = stores
        self._pipeline = pipeline
        self._persistence = persistence
        self._worker = worker
        self._unhurried = unhurried
        self._log = log
        self._clock = clock
        self._dirty = asyncio.Event()
        self._hurry = asyncio.Event()
        self._rewriting = asyncio.Lock()
        self._hurried = 0

    def notice(self) -> None:
        """Look soon whether files lack something."""
        self._dirty.set()

    async def run(self) -> None:
        """Follow, until cancelled."""
        retry_s = _FIRST_RETRY_S
        while True:
            await self._dirty.wait()
            self._dirty.clear()
            await self._rest(COALESCE_S)
            if await self._rewrite_all():
                retry_s = _FIRST_RETRY_S
            else:
                await self._rest(retry_s)
                retry_s = min(2 * retry_s, _LAST_RETRY_S)
                self._dirty.set()

    async def sync(self) -> None:
        """Write every file that lacks something, at once; raise the first error."""
        with self._hurrying():
            await self._rewrite_all(strict=True)

    async def flush(self, files: Iterable[BackendFile]) -> bool:
        """Write these files at once, if they lack something; tell whether they are whole."""
        with self._hurrying():
            async with self._rewriting:
                done = [await self._rewrite(file) for file in list(files) if file.dirty]
        return all(done)

    @contextmanager
    def _hurrying(self) -> Iterator[None]:
        self._hurried += 1
        self._hurry.set()
        try:
            yield
        finally:
            self._hurried -= 1
            if not self._hurried:
                self._hurry.clear()

    async def _rewrite_all(self, *, strict: bool = False) -> bool:
        done = True
        async with self._rewriting:
            for file in list(self._stores.files.values()):
                if file.dirty:
                    done = await self._rewrite(file, strict=strict) and done
        return done

    async def _rewrite(self, file: BackendFile, *, strict: bool = False) -> bool:
        """Write one file; tell whether it is whole."""
        for _ in range(_ATTEMPTS):
            try:
                await self._stores.edits.refresh(file, self._pipeline)
                async with file.rewriting:
                    if not self._stores.edits.holds(file) or not file.dirty or file.in_batch:
                        return not file.dirty
                    await self._attempt(file)
            except KDBError as error:
                self._log.error("file.refused", file=file.path, reason=str(error))
                if strict:
                    raise
                return False
            except FileEdited:
                continue
            except FileRefused as refused:
                self._log.error("file.refused", file=file.path, reason=str(refused.error))
                if strict:
                    raise _unwritten(file, refused.error) from refused
                return False
            except (sqlite3.Error, OSError) as error:
                self._log.error("file.refused", file=file.path, reason=str(error))
                if strict:
                    raise _unwritten(file, error) from error
                return False
            return True
        self._log.warning("file.restless", file=file.path)
        return False

    async def _attempt(self, file: BackendFile) -> None:
        file.writing, file.unwritten = file.unwritten, {}
        written = False
        try:
            revision = self._database.revision
            write = file.write(await self._chunks(file), revision=revision)
            row = await self._unhurried.run(self._persistence.stage, write)
            replaced = await self._worker.run(
                self._persistence.replace_staged,
                row,
                write.stat,
                time=time(),
                announced=self._pipeline.announced,
            )
            file.replaced(replaced)
            if replaced.error is not None:
                raise replaced.error
            file.large = sum(map(len, write.chunks)) > SYNCHRONOUS_BYTES
            written = True
        finally:
            if not written:
                # What was unwritten before is older than what came since.
                file.unwritten.update(file.writing)
            file.writing = None

    async def _chunks(self, file: BackendFile) -> list[bytes]:
        """Format the state as it was when this began."""
        writer = dump.Writer(file.backend.mountpoint)
        chunks: list[bytes] = []
        # Of each of these names the state then is here, or in what was changed since.
        names = list(file.backend.tree)
        for at in range(0, len(names), _SLICE_KEYS):
            began = self._clock()
            tree, since = file.backend.tree, file.unwritten
            records = []
            for name in names[at : at + _SLICE_KEYS]:
                content = since[name] if name in since else tree[name]
                assert content is not None
                records.append(writer.entry_bytes(name, content))
            chunks.append(b"".join(records))
            await self._rest(_REST * (self._clock() - began))
        return [dump.HEADER, *chunks, dump.END] if chunks else []

    async def _rest(self, seconds: float) -> None:
        """Wait, or give others a turn where somebody is in a hurry."""
        if self._hurry.is_set():
            await asyncio.sleep(0)
            return
        try:
            async with asyncio.timeout(seconds):
                await self._hurry.wait()
        except TimeoutError:
            return


def _unwritten(file: BackendFile, error: Exception) -> Exception:
    return ResourceError(
        f"{file.path} cannot be written: {error}. What was set is safe in the journal, and the file"
        " follows as soon as it can be written",
        configfile=file.path,
    )
