"""The real journal, with faults: errors before a transaction, and the end of the process in it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence

from kdb.model.content import Content
from kdbd.core.commit import Commit
from kdbd.store.journal import BackendRow, Journal
from simulated.workers import Crash

__all__ = ["SimulatedJournal"]

Trouble = sqlite3.Error | Crash


class SimulatedJournal(Journal):
    """A journal that asks ``passing`` before each call, and tells ``durable`` each transaction.

    Where a crash is to be in a transaction, it is before or after COMMIT, as ``after`` says.
    """

    def __init__(
        self,
        path: str,
        passing: Callable[[str], Trouble | None],
        after: Callable[[], bool],
        durable: Callable[[Sequence[Commit], Sequence[BackendRow]], None],
    ) -> None:
        self._passing = passing
        self._after = after
        self._durable = durable
        _end(self._pass("open"))
        super().__init__(path)

    def revision(self) -> int:
        _end(self._pass("revision"))
        return super().revision()

    def backends(self) -> list[BackendRow]:
        _end(self._pass("backends"))
        return super().backends()

    def keys(self, identity: int) -> Iterator[tuple[bytes, Content]]:
        _end(self._pass("keys"))
        return super().keys(identity)

    def unwritten(self, row: BackendRow) -> dict[bytes, Content | None]:
        _end(self._pass("unwritten"))
        return super().unwritten(row)

    def add_backend(self, mountpoint: bytes, directory: str, path: str) -> BackendRow:
        crash = self._pass("add_backend")
        row = super().add_backend(mountpoint, directory, path)
        _end(crash)
        return row

    def drop_backend(self, identity: int) -> None:
        crash = self._pass("drop_backend")
        super().drop_backend(identity)
        _end(crash)

    def commit(
        self,
        commits: Sequence[Commit],
        *,
        time: float,
        announced: int,
        files: Iterable[BackendRow] = (),
    ) -> None:
        rows = list(files)
        crash = self._pass("commit")
        super().commit(commits, time=time, announced=announced, files=rows)
        self._durable(commits, rows)
        _end(crash)

    def shrink(self) -> None:
        _end(self._pass("shrink"))
        super().shrink()

    def trim(self, *, keep_bytes: int, keep_since: float, limit: int, announced: int = 0) -> bool:
        crash = self._pass("trim")
        more = super().trim(
            keep_bytes=keep_bytes, keep_since=keep_since, limit=limit, announced=announced
        )
        _end(crash)
        return more

    def _pass(self, call: str) -> Crash | None:
        """Raise what is to go wrong now; answer a crash that is to come after COMMIT."""
        trouble = self._passing(call)
        if isinstance(trouble, Crash) and self._after():
            return trouble
        if trouble is not None:
            raise trouble
        return None


def _end(crash: Crash | None) -> None:
    if crash is not None:
        raise crash
