"""The commit pipeline: prepare, persist, apply, reply, announce, in that order.

Requests are prepared one after the other, each against the state that all before it will have
made. What is prepared while the writer is busy goes to the disk together, in one transaction
(group commit), up to a bound; what is beyond that waits, and its senders take turns. Readers see a
commit, its caller is answered, and it is announced, only after that transaction returned.

A batch that fails never was. Those whose fault it was get their error; the others, and what was
prepared on top, are prepared anew, in their order. A request that comes to nothing, or to an error,
because of commits that are still on their way is answered when these are durable, since without
them it might come to something else.

A request that changes what is mounted, and the merge of an edited file, run alone; merges come
before all that waits.
"""

from __future__ import annotations

import asyncio
import errno
import sqlite3
from collections.abc import Callable, Container, Generator, Iterable, Sequence
from time import monotonic, time
from typing import Any

from kdb.model.errors import AccessDenied, InternalError, KDBError, LimitsExceeded, ResourceError
from kdbd.core.commit import Caller, Commit, Draft, Origin, Rebuilt, rebuild
from kdbd.core.database import Database
from kdbd.core.requests import Request
from kdbd.core.structure import is_structural
from kdbd.files import BackendFile
from kdbd.jobs import FLIGHT_BYTES, Flight, Job, Outcome, flight_bytes
from kdbd.store.journal import BackendRow
from kdbd.store.persist import FileEdited, FileRefused, FileWrite, Persistence, Replaced
from kdbd.store.refusal import refusal
from kdbd.stores import Stores
from kdbd.waiting import Waiting
from kdbd.worker import Worker

__all__ = ["MAX_WAITING", "SLICE_S", "Pipeline"]

# Long work lets others go on after this time.
SLICE_S = 0.005

# Requests that wait; each holds its caller's keys. A client has about 100 calls in flight.
MAX_WAITING = 10_000

# Requests prepared before others go on: about 1 ms.
_AT_ONCE = 64


class Pipeline:
    """Turns requests into durable, announced commits. ``announce`` gets what was applied."""

    def __init__(
        self,
        database: Database,
        stores: Stores,
        persistence: Persistence,
        worker: Worker,
        announce: Callable[[Sequence[Commit]], None],
        tasks: asyncio.TaskGroup,
        log: Any,
        *,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._database = database
        self._stores = stores
        self._persistence = persistence
        self._worker = worker
        self._announce = announce
        self._tasks = tasks
        self._log = log
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._waiting = Waiting()
        self._advancing = False
        self._slicing: tuple[Job, Generator[None, None, None]] | None = None
        self._prepared: list[Job] = []
        self._prepared_bytes = 0
        self._flight: Flight | None = None
        self._alone: Job | None = None
        self._admitting = False
        self._refreshing = 0
        self._boarding = False
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
        job = Job(request, caller, origin, reason, alone, self._loop.create_future())
        self._waiting.add(job)
        self._advance()
        return job.future

    def merge(
        self,
        request: Request,
        note: Callable[[Draft, int], BackendRow],
        taken_in: Callable[[BackendRow], None],
    ) -> asyncio.Future[Outcome]:
        """Commit what a file was edited to, before all that waits.

        ``note`` answers what the journal is to know of the file after the draft is committed as
        that revision, or after that revision where the draft is empty. ``taken_in`` gets this as
        soon as readers see it, before anything else goes on.
        """
        future = self._loop.create_future()
        job = Job(request, Caller(), "file", "", True, future, note, taken_in)
        self._waiting.add(job)
        self._advance()
        return future

    async def settled(self) -> None:
        """Wait until everything that was asked for so far is durable, or refused."""
        jobs = [*self._waiting, *self._prepared, *(self._flight.jobs if self._flight else ())]
        jobs += [self._slicing[0]] if self._slicing else []
        jobs += [self._alone] if self._alone else []
        if jobs:
            await asyncio.wait([job.future for job in jobs])

    @property
    def idle(self) -> bool:
        """Tell whether nothing is on its way."""
        return not (
            next(iter(self._waiting), None)
            or self._slicing
            or self._prepared
            or self._flight
            or self._alone
            or self._refreshing
        )

    # Preparing

    def _advance(self) -> None:
        if self._flight is None and not any(job.commit for job in self._prepared):
            # What these were resting on is durable now.
            for job in self._take_prepared():
                job.answer()
        for _ in range(_AT_ONCE):
            following = self._next()
            if following is None:
                break
            if not following.future.cancelled():
                self._slicing = (following, self._prepare(following))
                self._run_slice()
        else:
            self._advance_soon()
        if self._prepared and self._flight is None and not self._boarding:
            # All that one read of the bus brings goes in one transaction.
            self._boarding = True
            self._loop.call_soon(self._take_off)

    def _advance_soon(self) -> None:
        if not self._advancing:
            self._advancing = True
            self._loop.call_soon(self._advance_further)

    def _advance_further(self) -> None:
        self._advancing = False
        self._advance()

    def _next(self) -> Job | None:
        """Take the job that is to be prepared now, if there is one."""
        if self._slicing is not None or self._alone is not None:
            return None
        if self._prepared_bytes >= FLIGHT_BYTES:
            return None
        job = self._waiting.first()
        if job is None or (self._refreshing and job.note is None):
            return None
        if job.alone and self._resting:
            return None
        self._waiting.take()
        return job

    def _take_prepared(self) -> list[Job]:
        jobs, self._prepared = self._prepared, []
        self._prepared_bytes = 0
        return jobs

    @property
    def _resting(self) -> bool:
        """Tell whether what is prepared now rests on something that is not durable yet."""
        return bool(self._prepared) or self._flight is not None

    def _run_slice(self) -> None:
        """Prepare for at most a slice's time; the rest when others had their turn."""
        assert self._slicing is not None
        job, steps = self._slicing
        until = self._clock() + SLICE_S
        try:
            while self._clock() < until:
                next(steps)
        except StopIteration:
            self._slicing = None
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

    def _prepare(self, job: Job) -> Generator[None, None, None]:
        draft = Draft([])
        try:
            job.draft = draft = yield from self._database.draft(job.request)
        except KDBError as error:
            job.error = error
        if job.note is not None and job.error is None:
            following = bool(draft.changes)
            job.row = job.note(draft, self._database.prepared + following)
        if not draft.changes:
            if self._resting:
                self._prepared.append(job)
            else:
                job.answer()
            return
        structural = is_structural(draft.changes)
        if structural and not job.alone:
            job.alone = True
            if self._waiting.hold(job):
                self._tasks.create_task(self._get_ready(job, draft))
            else:
                self._waiting.put_back([job])
            return
        self._admitting = True
        try:
            job.commit = yield from self._database.admit(draft, job.caller, job.origin, job.reason)
        finally:
            self._admitting = False
        if job.alone:
            self._alone = job
        if structural:
            self._tasks.create_task(self._restructure(job))
        else:
            self._prepared.append(job)
            self._prepared_bytes += flight_bytes(draft.changes)

    async def _get_ready(self, job: Job, draft: Draft) -> None:
        """Do beside the others what a job that runs alone would else keep them waiting for."""
        try:
            await self._stores.get_ready(draft.changes)
        except Exception:  # noqa: BLE001  # the boundary: the job itself meets what is wrong
            self._log.exception("request.failed")
        job.future.add_done_callback(lambda _: self._stores.forget_read())
        self._waiting.let_go(job)
        self._advance()

    async def _restructure(self, job: Job) -> None:
        """Complete a commit that changes what is mounted, then send it on its way."""
        assert job.commit is not None
        landed = job.landed = asyncio.Event()
        async with self._stores.changing:
            try:
                job.structure = await self._stores.structure(job.commit)
            except KDBError as error:
                self._give_up(job, error)
            except Exception:  # noqa: BLE001  # the boundary, as above
                self._log.exception("request.failed")
                self._give_up(job, InternalError("kdbd failed on this request; its log tells more"))
            else:
                self._prepared.append(job)
                self._take_off()
                # No directory may come or go between this and what is mounted then.
                await landed.wait()

    def _give_up(self, job: Job, error: KDBError) -> None:
        self._database.forget()
        self._alone = None
        job.fail(error)
        self._advance()

    # Persisting

    def _take_off(self) -> None:
        self._boarding = False
        if self._flight is not None or not self._prepared or self._admitting:
            # Of a commit that is half admitted, files would get that half.
            return
        if any(job.rests_on_damage for job in self._prepared):
            self._anew([])
            self._advance()
            return
        jobs = self._take_prepared()
        commits = [job.commit for job in jobs if job.commit is not None]
        rows = [job.row for job in jobs if job.row is not None]
        files, writes = self._writes(commits, {row.identity for row in rows})
        news = self._news({row.identity for row in rows} | {file.row.identity for file in files})
        rows += [file.row for file in news]
        rows += [
            file.row
            for job in jobs
            if job.structure is not None
            for file in job.structure[1].values()
        ]
        self._flight = Flight(jobs, files, news)
        landing = self._worker.run(self._persist, commits, writes, rows)
        landing.add_done_callback(self._landed)
        if self._waiting:
            # Meanwhile the next ones are prepared.
            self._advance_soon()

    def _persist(
        self, commits: list[Commit], writes: list[FileWrite], rows: list[BackendRow]
    ) -> tuple[list[Replaced], Rebuilt]:
        """Make a batch durable, in the writer's thread."""
        replaced = self._persistence.persist(
            commits, writes, time=time(), announced=self.announced, rows=rows
        )
        return replaced, rebuild(commits)

    def _writes(
        self, commits: Iterable[Commit], merged: Container[int]
    ) -> tuple[list[BackendFile], list[FileWrite]]:
        """Answer the files that are written with the batch, each as after all its commits.

        A file that is being merged holds what is merged; what it lacks follows.
        """
        last: dict[int, int] = {}
        for commit in commits:
            for change in commit.changes:
                if change.stored:
                    last[change.backend.identity] = commit.revision
        files, writes = [], []
        for identity, revision in last.items():
            file = self._stores.files.get(identity)
            if file is None or identity in merged or not (file.synchronous and file.writable):
                continue
            chunks = file.small_chunks()
            if chunks is None:
                file.large = True
                continue
            file.in_batch = True
            files.append(file)
            writes.append(file.write(chunks, revision=revision))
        return files, writes

    def _news(self, told: Container[int]) -> list[BackendFile]:
        """Answer the other files of which the journal does not know the latest.

        Of a file that is being rewritten it may be told something later before this is.
        """
        news = [
            file
            for file in self._stores.files.values()
            if file.news and file.writing is None and file.row.identity not in told
        ]
        for file in news:
            file.news = False
        return news

    def _landed(self, landing: asyncio.Future[tuple[list[Replaced], Rebuilt]]) -> None:
        flight, self._flight = self._flight, None
        assert flight is not None
        for file in flight.files:
            file.in_batch = False
        try:
            replaced, rebuilt = landing.result()
        except Exception as failure:  # noqa: BLE001  # the boundary: this batch fails, others go on
            for file in flight.news:
                file.news = True
            self._refused(flight.jobs, failure)
        else:
            self._apply(flight, replaced, rebuilt)
        for job in flight.jobs:
            job.land()
        self._advance()

    def _refused(self, jobs: list[Job], failure: Exception) -> None:
        """Deal with a batch that never was."""
        if isinstance(failure, FileEdited):
            concerned = [job for job in jobs if job.changes(failure.identity)]
            self._anew(jobs)
            self._refreshing += 1
            self._tasks.create_task(self._refresh(failure.identity, concerned))
            return
        if isinstance(failure, FileRefused):
            identity = failure.row.identity
            self._fail(jobs, [job for job in jobs if job.changes(identity)], _refusal(failure))
            return
        error: KDBError
        if isinstance(failure, sqlite3.Error):
            self._log.error("journal.refused", reason=str(failure))
            error = refusal(failure, self._persistence.journal.path)
        else:
            self._log.error("batch.failed", exc_info=failure)
            error = InternalError("kdbd failed to store this; its log tells more")
        self._fail(jobs, [job for job in jobs if job.commit is not None], error)

    def _fail(self, jobs: list[Job], at_fault: list[Job], error: KDBError) -> None:
        """Answer the jobs whose fault it was; redo the others."""
        self._anew([job for job in jobs if job not in at_fault])
        for job in at_fault:
            job.fail(error)

    def _anew(self, jobs: list[Job]) -> None:
        """Prepare these jobs, and all that were prepared on top, once more."""
        again = [*jobs, *self._take_prepared()]
        self._alone = None
        if self._slicing is not None:
            again.append(self._slicing[0])
            self._slicing[1].close()
            self._slicing = None
        self._database.forget()
        for job in again:
            job.reset()
        self._waiting.put_back(again)

    async def _refresh(self, identity: int, concerned: list[Job]) -> None:
        """Merge an edited file before the batch that was to replace it goes on.

        If that fails, so do those who wanted to change it: the file would refuse them for ever.
        """
        try:
            file = self._stores.files.get(identity)
            if file is not None:
                await self._stores.edits.refresh(file, self)
        except KDBError as error:
            for job in concerned:
                self._waiting.remove(job)
                job.fail(error)
        finally:
            self._refreshing -= 1
            self._advance()

    # Applying, replying, announcing

    def _apply(self, flight: Flight, replaced: list[Replaced], rebuilt: Rebuilt) -> None:
        for file, outcome in zip(flight.files, replaced, strict=True):
            file.replaced(outcome)
            if outcome.error is not None:
                self._log.error("file.refused", file=file.path, reason=str(outcome.error))
        commits = [job.commit for job in flight.jobs if job.commit is not None]
        self._database.apply(commits, rebuilt)
        for job in flight.jobs:
            if job.commit is not None:
                if job.structure is not None:
                    roots, loaded = job.structure
                    self._database.remount(roots)
                    self._stores.restructured(job.commit, loaded)
                self._stores.note(job.commit)
            if job is self._alone:
                self._alone = None
            job.answer()
        if commits:
            self._loop.call_soon(self._announce, commits)


def _refusal(refused: FileRefused) -> KDBError:
    path, error = refused.row.path, refused.error
    reason = f"{path} cannot be written: {error.strerror or error}. Nothing was stored"
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return AccessDenied(f"{reason}; let kdbd write there", configfile=path)
    return ResourceError(f"{reason}; make room, try again", configfile=path)
