"""Requests on their way through the commit pipeline, one by one and in batches."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from kdb.model.errors import KDBError
from kdbd.core.commit import Caller, Commit, Draft, KeyChange, Origin
from kdbd.core.requests import Request
from kdbd.core.view import Mounts
from kdbd.files import BackendFile
from kdbd.store.journal import BackendRow

__all__ = ["FLIGHT_BYTES", "Flight", "Job", "Outcome", "flight_bytes"]

# About what is stored at one go. Whoever comes next waits for no more than two of these, of some
# 100 ms each on a slow disk; only one request that is larger itself takes longer.
FLIGHT_BYTES = 4 * 1024 * 1024
# A change costs the journal about as much as so many bytes of a value.
_CHANGE_BYTES = 1024


class Outcome(NamedTuple):
    """What a request came to: its revision (of an empty change set the one it told), its answer."""

    revision: int
    answer: Any
    commit: Commit | None


@dataclass(slots=True, eq=False)
class Job:
    """A request, who asks, and what it came to so far.

    ``note`` and ``taken_in`` are those of a merge (see ``Pipeline.merge``); ``row`` is what
    ``note`` answered. ``structure`` holds the roots and files after a commit that changes what is
    mounted; ``landed`` lets go on what waits for its end.
    """

    request: Request
    caller: Caller
    origin: Origin
    reason: str
    alone: bool
    future: asyncio.Future[Outcome]
    note: Callable[[Draft, int], BackendRow] | None = None
    taken_in: Callable[[BackendRow], None] | None = None
    row: BackendRow | None = None
    draft: Draft | None = None
    error: KDBError | None = None
    commit: Commit | None = None
    structure: tuple[dict[str, Mounts], dict[int, BackendFile]] | None = None
    landed: asyncio.Event | None = None

    def reset(self) -> None:
        """Forget what the request came to; it is prepared anew."""
        self.draft = self.error = self.row = self.commit = self.structure = None
        self.land()

    def land(self) -> None:
        """Let go on what waits for the end of this, whatever it is."""
        if self.landed is not None:
            self.landed.set()
            self.landed = None

    @property
    def rests_on_damage(self) -> bool:
        """Tell whether a file that is to be changed was found damaged after this was prepared."""
        if self.commit is None or self.note is not None:
            return False
        return any(
            change.stored and change.backend.damage is not None for change in self.commit.changes
        )

    def changes(self, identity: int) -> bool:
        """Tell whether this changes keys of a backend."""
        return self.commit is not None and any(
            change.backend.identity == identity for change in self.commit.changes
        )

    def answer(self) -> None:
        """Answer the caller, who may have gone meanwhile, with what the request came to."""
        if self.error is not None:
            self.fail(self.error)
            return
        assert self.draft is not None
        if self.taken_in is not None and self.row is not None:
            self.taken_in(self.row)
        revision = self.draft.unchanged_revision if self.commit is None else self.commit.revision
        if not self.future.done():
            self.future.set_result(Outcome(revision, self.draft.answer, self.commit))

    def fail(self, error: KDBError) -> None:
        """Answer the caller with an error."""
        if not self.future.done():
            self.future.set_exception(error)


@dataclass(slots=True)
class Flight:
    """A batch on its way to the disk."""

    jobs: list[Job]
    files: list[BackendFile]
    news: list[BackendFile]


def flight_bytes(changes: Sequence[KeyChange]) -> int:
    """Answer about what changes take of a flight; of many not more than all of it."""
    size = len(changes) * _CHANGE_BYTES
    if size >= FLIGHT_BYTES:
        return FLIGHT_BYTES
    for change in changes:
        for content in (change.old, change.new):
            if content is not None:
                size += len(content.value)
                if content.meta:
                    size += sum(map(len, content.meta.values()))
    return size
