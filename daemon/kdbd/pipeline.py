"""The commit pipeline: prepare, persist, apply, reply, announce, in that order.

Requests are prepared one after the other, each against the state that all before it will have
made. What is prepared while the writer is busy goes to the disk together, in one transaction
(group commit). Readers see a commit, its caller is answered, and it is announced, only after that
transaction returned.

A batch that fails never was. Those whose fault it was get their error; the others, and what was
prepared on top, are prepared anew, in their order. A request that changes what is mounted, and the
merge of an edited file, run alone.
"""

from __future__ import annotations

import asyncio
import errno
import sqlite3
from collections import deque
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass, field
from time import monotonic, time
from typing import Any

from kdb.model.errors import AccessDenied, InternalError, KDBError, LimitsExceeded, ResourceError
from kdbd.core.commit import Caller, Commit, Draft, Origin
from kdbd.core.database import Database
from kdbd.core.requests import Request
from kdbd.core.structure import is_structural
from kdbd.core.view import Mounts
from kdbd.files import SYNCHRONOUS_BYTES, BackendFile
from kdbd.store.journal import BackendRow
from kdbd.store.persist import FileEdited, FileRefused, FileWrite, Persistence, Replaced
from kdbd.stores import Stores
from kdbd.worker import Worker

__all__ = ["MAX_WAITING", "SLICE_S", "Outcome", "Pipeline"]

# Long work lets others go on after this time.
SLICE_S = 0.005

# Requests that wait; each holds its caller's keys. A client has about 100 calls in flight.
MAX_WAITING = 10_000


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a request came to: its revision (of an empty change set the one it told), its answer."""

    revision: int
    answer: Any
    commit: Commit | None


@dataclass(slots=True, eq=False)
class _Job:
    request: Request
    caller: Caller
    origin: Origin
    reason: str
    alone: bool
    future: asyncio.Future[Outcome]
    rows: tuple[BackendRow, ...] = ()
    draft: Draft | None = None
    commit: Commit | None = None
    structure: tuple[dict[str, Mounts], dict[int, BackendFile]] | None = None

    def finish(self, outcome: Outcome) -> None:
        """Answer the caller, who may have gone meanwhile."""
        if not self.future.done():
            self.future.set_result(outcome)

    def fail(self, error: KDBError) -> None:
        """Answer the caller with an error."""
        if not self.future.done():
            self.future.set_exception(error)


@dataclass(slots=True)
class _Flight:
    """A batch on its way to the disk."""

    jobs: list[_Job] = field(default_factory=list)
    files: list[BackendFile] = field(default_factory=list)


class Pipeline:
    """Turns requests into durable, announced commits. ``announce`` gets each applied commit."""

    def __init__(
        self,
        database: Database,
        stores: Stores,
        persistence: Persistence,
        worker: Worker,
        announce: Callable[[Commit], None],
        tasks: asyncio.TaskGroup,
        log: Any,
    ) -> None:
        self._database = database
        self._stores = stores
        self._persistence = persistence
        self._worker = worker
        self._announce = announce
        self._tasks = tasks
        self._log = log
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[_Job] = deque()
        self._slicing: tuple[_Job, Generator[None, None, None]] | None = None
        self._prepared: list[_Job] = []
        self._flight: _Flight | None = None
        self._alone: _Job | None = None
        self._refreshing = 0
        self.announced = 0

    # Asking

    def submit(
        self,
        request: Request,
        caller: Caller,
        *,
        origin: Origin = "client",
        reason: str = "",
        alone: bool = False,
    ) -> asyncio.Future[Outcome]:
        """Queue a request; its future has the outcome once it is durable, or the error."""
        if len(self._waiting) >= MAX_WAITING:
            raise LimitsExceeded("Too many writes wait to be stored. Try again in a moment")
        job = _Job(request, caller, origin, reason, alone, self._loop.create_future())
        self._waiting.append(job)
        self._advance()
        return job.future

    def merge(self, request: Request, row: BackendRow) -> asyncio.Future[Outcome]:
        """Commit what a file was edited to, before all that waits, noting the file's row."""
        job = _Job(request, Caller(), "file", "", True, self._loop.create_future(), rows=(row,))
        self._waiting.appendleft(job)
        self._advance()
        return job.future

    @property
    def idle(self) -> bool:
        """Tell whether nothing is on its way."""
        return not (
            self._waiting
            or self._slicing
            or self._prepared
            or self._flight
            or self._alone
            or self._refreshing
        )

    # Preparing

    def _advance(self) -> None:
        while self._waiting and self._slicing is None and self._alone is None:
            job = self._waiting[0]
            if job.alone and (self._prepared or self._flight is not None):
                break
            if self._refreshing and not job.rows:
                break
            self._waiting.popleft()
            if job.future.cancelled():
                continue
            self._slicing = (job, self._prepare(job))
            self._run_slice()
        self._take_off()

    def _run_slice(self) -> None:
        """Prepare for at most a slice's time; the rest when others had their turn."""
        assert self._slicing is not None
        job, steps = self._slicing
        until = monotonic() + SLICE_S
        try:
            while monotonic() < until:
                next(steps)
        except StopIteration:
            self._slicing = None
        except KDBError as error:
            self._slicing = None
            job.fail(error)
        except Exception:  # noqa: BLE001  # the boundary: one request fails, the others go on
            self._slicing = None
            self._log.exception("request.failed")
            job.fail(InternalError("kdbd failed on this request; its log tells more"))
        else:
            self._loop.call_soon(self._continue)

    def _continue(self) -> None:
        if self._slicing is not None:
            self._run_slice()
        if self._slicing is None:
            self._advance()

    def _prepare(self, job: _Job) -> Generator[None, None, None]:
        job.draft = draft = yield from self._database.draft(job.request)
        if not draft.changes:
            job.finish(Outcome(draft.unchanged_revision, draft.answer, None))
            return
        structural = is_structural(draft.changes)
        if structural and not job.alone:
            job.alone = True
            self._waiting.appendleft(job)
            return
        job.commit = yield from self._database.admit(draft, job.caller, job.origin, job.reason)
        if job.alone:
            self._alone = job
        if structural:
            self._tasks.create_task(self._restructure(job))
        else:
            self._prepared.append(job)

    async def _restructure(self, job: _Job) -> None:
        """Complete a commit that changes what is mounted, then send it on its way."""
        assert job.commit is not None
        try:
            async with self._stores.changing:
                job.structure = await self._stores.structure(job.commit)
        except KDBError as error:
            self._give_up(job, error)
        except Exception:  # noqa: BLE001  # the boundary, as above
            self._log.exception("request.failed")
            self._give_up(job, InternalError("kdbd failed on this request; its log tells more"))
        else:
            self._prepared.append(job)
            self._take_off()

    def _give_up(self, job: _Job, error: KDBError) -> None:
        self._database.forget()
        self._alone = None
        job.fail(error)
        self._advance()

    # Persisting

    def _take_off(self) -> None:
        if self._flight is not None or not self._prepared:
            return
        jobs, self._prepared = self._prepared, []
        commits = [job.commit for job in jobs if job.commit is not None]
        files, writes = self._writes(commits)
        rows = [row for job in jobs for row in job.rows]
        rows += self._news(rows, files, jobs)
        self._flight = _Flight(jobs, files)
        landing = self._worker.run(self._persist, commits, writes, rows)
        landing.add_done_callback(self._landed)

    def _persist(
        self, commits: list[Commit], writes: list[FileWrite], rows: list[BackendRow]
    ) -> list[Replaced]:
        """Make a batch durable, in the writer's thread."""
        replaced = self._persistence.persist(
            commits, writes, time=time(), announced=self.announced, rows=rows
        )
        for commit in commits:
            commit.rebuild()
        return replaced

    def _writes(self, commits: Iterable[Commit]) -> tuple[list[BackendFile], list[FileWrite]]:
        """Answer the files that are written with the batch, each as after all its commits."""
        last: dict[int, int] = {}
        for commit in commits:
            for change in commit.changes:
                if change.stored:
                    last[change.backend.identity] = commit.revision
        files, writes = [], []
        for identity, revision in last.items():
            file = self._stores.files.get(identity)
            if file is None or not file.synchronous or not file.writable:
                continue
            chunks = file.chunks()
            if sum(map(len, chunks)) > SYNCHRONOUS_BYTES:
                file.large = True
                continue
            file.in_batch = True
            files.append(file)
            writes.append(file.write(chunks, revision=revision))
        return files, writes

    def _news(
        self, rows: list[BackendRow], files: list[BackendFile], jobs: list[_Job]
    ) -> list[BackendRow]:
        told = {row.identity for row in rows} | {file.row.identity for file in files}
        news = []
        for file in self._stores.files.values():
            if file.news and file.row.identity not in told:
                file.news = False
                news.append(file.row)
        for job in jobs:
            if job.structure is not None:
                news += [file.row for file in job.structure[1].values()]
        return news

    def _landed(self, landing: asyncio.Future[list[Replaced]]) -> None:
        flight, self._flight = self._flight, None
        assert flight is not None
        for file in flight.files:
            file.in_batch = False
        try:
            replaced = landing.result()
        except FileEdited as edited:
            self._anew(flight.jobs)
            self._refreshing += 1
            self._tasks.create_task(self._refresh(edited.identity))
        except FileRefused as refused:
            error = _refusal(refused)
            self._fail(flight.jobs, error, refused.row.identity)
        except sqlite3.Error as failure:
            self._log.error("journal.refused", reason=str(failure))
            reason = f"The journal refused: {failure}. Nothing was stored; make room, try again"
            self._fail(flight.jobs, ResourceError(reason, configfile=self._journal_path), None)
        except Exception:  # noqa: BLE001  # the boundary: this batch fails, the others go on
            self._log.exception("batch.failed")
            self._fail(
                flight.jobs, InternalError("kdbd failed to store this; its log tells more"), None
            )
        else:
            self._apply(flight, replaced)
        self._advance()

    @property
    def _journal_path(self) -> str:
        return self._persistence.journal.path

    def _fail(self, jobs: list[_Job], error: KDBError, identity: int | None) -> None:
        """Answer the jobs whose fault it was (all where ``identity`` is None); redo the others."""
        at_fault = [
            job
            for job in jobs
            if identity is None
            or any(change.backend.identity == identity for change in _changes(job))
        ]
        self._anew([job for job in jobs if job not in at_fault])
        for job in at_fault:
            job.fail(error)

    def _anew(self, jobs: list[_Job]) -> None:
        """Prepare these jobs, and all that were prepared on top, once more."""
        again = [*jobs, *self._prepared]
        self._prepared = []
        self._alone = None
        if self._slicing is not None:
            again.append(self._slicing[0])
            self._slicing[1].close()
            self._slicing = None
        self._database.forget()
        for job in again:
            job.draft = job.commit = job.structure = None
        self._waiting.extendleft(reversed(again))

    async def _refresh(self, identity: int) -> None:
        """Merge an edited file before the batch that was to replace it goes on."""
        try:
            file = self._stores.files.get(identity)
            if file is not None:
                await self._stores.refresh(file, self)
        finally:
            self._refreshing -= 1
            self._advance()

    # Applying, replying, announcing

    def _apply(self, flight: _Flight, replaced: list[Replaced]) -> None:
        for file, outcome in zip(flight.files, replaced, strict=True):
            file.replaced(outcome)
            if outcome.error is not None:
                self._log.error("file.refused", file=file.path, reason=str(outcome.error))
        for job in flight.jobs:
            commit, draft = job.commit, job.draft
            assert commit is not None
            assert draft is not None
            self._database.apply(commit)
            if job.structure is not None:
                roots, loaded = job.structure
                self._database.remount(roots)
                self._stores.restructured(commit, loaded)
            self._stores.note(commit)
            if job is self._alone:
                self._alone = None
            job.finish(Outcome(commit.revision, draft.answer, commit))
        for job in flight.jobs:
            assert job.commit is not None
            self._loop.call_soon(self._announce, job.commit)


def _changes(job: _Job) -> Iterable[Any]:
    return job.commit.changes if job.commit is not None else ()


def _refusal(refused: FileRefused) -> KDBError:
    path, error = refused.row.path, refused.error
    reason = f"{path} cannot be written: {error.strerror or error}. Nothing was stored"
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return AccessDenied(f"{reason}; let kdbd write there", configfile=path)
    return ResourceError(f"{reason}; make room, try again", configfile=path)
