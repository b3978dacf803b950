"""kdbd's ports with failpoints: places at which the process kills itself with SIGKILL.

``KDBD_FAILPOINT`` names one, ``KDBD_FAILPOINT_PASSES`` how often it is passed before it kills (0
where it is not set). With ``KDBD_FAILPOINT_ASLEEP=1`` nothing counts until SIGUSR1 comes, so that a
test can look at the daemon first. The last that is heard of the process is one log event,
``failpoint`` with its name, written by one write(2).
"""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from kdbd.bus.transport import Call, Transport
from kdbd.core.commit import Commit
from kdbd.store.disk import FileStat, RealDisk
from kdbd.store.journal import BackendRow, Journal
from kdbd.store.locations import DEFAULT_FILE
from kdbd.store.transaction import Transaction

__all__ = ["FAILPOINTS", "FailingDisk", "FailingJournal", "FailingTransport", "Failpoints"]

_TRANSACTION: Final = {
    "before": "before BEGIN",
    "uncommitted": "all is written, before COMMIT",
    "committed": "after COMMIT",
}
_STAGE: Final = {
    "stage.before": "before the temporary file is made",
    "stage.written": "the temporary file is written, before its fsync",
    "stage.after": "the temporary file is synced",
}
_REPLACE: Final = {
    "replace.before": "before the rename",
    "replace.renamed": "after the rename, before the directory's fsync",
    "replace.after": "the directory is synced",
}
_REMOVE: Final = {
    "remove.before": "before a file that has no keys left is removed",
    "remove.removed": "after that, before the directory's fsync",
    "remove.after": "the directory is synced",
}


def _table() -> dict[str, str]:
    """Return every failpoint, in the order of the pipeline, and where it is."""
    table = {"prepare.before": "a call that writes is here, nothing is prepared"}
    # Preparing ends where persisting begins: with the file, or where there is none, the journal.
    table["mountpoint.stage.directory"] = "a directory is made, before its parent's fsync"
    table |= {f"mountpoint.{step}": place for step, place in _STAGE.items()}
    table |= {f"journal.{step}": place for step, place in _TRANSACTION.items()}
    table |= {f"mountpoint.{step}": place for step, place in (_REPLACE | _REMOVE).items()}
    # Persisted, then applied in memory; then comes the reply.
    table["reply.before"] = "applied, before the reply"
    table["reply.after"] = "the reply is sent, no signal yet"
    table["signals.before"] = "before a commit's first signal"
    table["signals.middle"] = "some of a commit's signals are sent"
    table["signals.untold"] = "all of a commit's keys are told, before Committed"
    table["signals.after"] = "all of a commit's signals are sent"
    # The default files follow in the background.
    table |= {f"default.{step}": place for step, place in _STAGE.items()}
    table |= {f"note.{step}": f"the note of a rewrite: {each}" for step, each in _steps()}
    table |= {f"default.{step}": place for step, place in (_REPLACE | _REMOVE).items()}
    # Commits that change what is mounted, and what an edited file brings.
    for kind, what in (
        ("backend", "a new mountpoint's row"),
        ("mount", "a mount's commit"),
        ("umount", "an umount's commit"),
        ("merge", "the merge of an edited file"),
    ):
        table |= {f"{kind}.{step}": f"{what}: {each}" for step, each in _steps()}
    return table


def _steps() -> Iterable[tuple[str, str]]:
    return _TRANSACTION.items()


FAILPOINTS: Final = _table()


class Failpoints:
    """The one failpoint of this process, if it has one. Any thread may pass it."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._name = environment.get("KDBD_FAILPOINT", "")
        self._left = int(environment.get("KDBD_FAILPOINT_PASSES", "0"))
        assert not self._name or self._name in FAILPOINTS, f"unknown failpoint {self._name}"
        self._awake = environment.get("KDBD_FAILPOINT_ASLEEP", "") != "1"
        self._lock = threading.Lock()
        if not self._awake:
            signal.signal(signal.SIGUSR1, self._wake)

    def passed(self, name: str, last: Callable[[], None] | None = None) -> None:
        """Be at a failpoint; where it kills, do ``last`` first."""
        assert name in FAILPOINTS, name
        if name != self._name or not self._awake:
            return
        with self._lock:
            if self._left:
                self._left -= 1
                return
            if last is not None:
                last()
            os.write(2, json.dumps({"event": "failpoint", "name": name}).encode() + b"\n")
            os.kill(os.getpid(), signal.SIGKILL)
            # The signal ends the process when this thread next enters the kernel or is preempted.
            threading.Event().wait()

    def _wake(self, _number: int, _frame: object) -> None:
        self._awake = True


class FailingDisk(RealDisk):
    """The real file system; default files are ``default``, all others ``mountpoint``."""

    def __init__(self, failpoints: Failpoints) -> None:
        super().__init__()
        self._failpoints = failpoints
        self._now = threading.local()

    def _passed(self, path: str, step: str) -> None:
        which = "default" if os.path.basename(path) == DEFAULT_FILE else "mountpoint"
        if f"{which}.{step}" in FAILPOINTS:
            self._failpoints.passed(f"{which}.{step}")

    def stage(self, path: str, chunks: Iterable[bytes], *, private: bool) -> str:
        self._passed(path, "stage.before")
        self._now.path, self._now.step = path, "stage.directory"
        temporary = super().stage(path, chunks, private=private)
        self._passed(path, "stage.after")
        return temporary

    def replace(self, temporary: str, path: str) -> FileStat:
        self._passed(path, "replace.before")
        self._now.path, self._now.step = path, "replace.renamed"
        stat = super().replace(temporary, path)
        self._passed(path, "replace.after")
        return stat

    def remove(self, path: str) -> None:
        self._passed(path, "remove.before")
        self._now.path, self._now.step = path, "remove.removed"
        super().remove(path)
        self._passed(path, "remove.after")

    def _sync(self, descriptor: int) -> None:
        self._passed(self._now.path, "stage.written")
        super()._sync(descriptor)

    def _sync_directory(self, directory: str) -> None:
        self._passed(self._now.path, self._now.step)
        super()._sync_directory(directory)


class FailingJournal(Journal):
    """The real journal; its transactions are named by what they are for."""

    def __init__(self, path: str, failpoints: Failpoints) -> None:
        self._failpoints = failpoints
        self._kind = ""
        super().__init__(path)

    def commit(
        self,
        commits: Sequence[Commit],
        *,
        time: float,
        announced: int,
        files: Iterable[BackendRow] = (),
    ) -> None:
        rows = list(files)
        with _Named(self, _kind(commits, rows)):
            super().commit(commits, time=time, announced=announced, files=rows)

    def add_backend(self, mountpoint: bytes, directory: str, path: str) -> BackendRow:
        with _Named(self, "backend"):
            return super().add_backend(mountpoint, directory, path)

    def _transaction(self) -> Transaction:
        self._passed("before")
        return _FailingTransaction(self._connection, self._passed)

    def _passed(self, step: str) -> None:
        if self._kind:
            self._failpoints.passed(f"{self._kind}.{step}")


class _Named:
    """Names the journal's transactions for the time of the block."""

    def __init__(self, journal: FailingJournal, kind: str) -> None:
        self._journal = journal
        self._kind = kind

    def __enter__(self) -> None:
        self._journal._kind = self._kind

    def __exit__(self, *_: object) -> None:
        self._journal._kind = ""


class _FailingTransaction(Transaction):
    def __init__(self, connection: sqlite3.Connection, passed: Callable[[str], None]) -> None:
        super().__init__(connection)
        self._passed = passed

    def __exit__(self, kind: type[BaseException] | None, *others: object) -> None:
        if kind is None:
            self._passed("uncommitted")
        super().__exit__(kind, *others)
        if kind is None:
            self._passed("committed")


def _kind(commits: Sequence[Commit], rows: Sequence[BackendRow]) -> str:
    if not commits:
        return "note" if any(row.next_digest is not None for row in rows) else ""
    structure = commits[0].structure
    if structure is not None:
        return "umount" if structure.unmounted else "mount"
    return "merge" if commits[0].origin == "file" else "journal"


# The methods whose reply acknowledges a commit.
_WRITES: Final = frozenset(
    {"SetString", "Set", "SetMeta", "RemoveMeta", "Remove", "Apply", "Mount", "Unmount"}
)


class FailingTransport(Transport):
    """The real transport. What it was given before it dies is sent, as far as the bus takes it."""

    def __init__(self, failpoints: Failpoints, **parts: Any) -> None:
        dispatch = parts.pop("dispatch")

        def received(call: Call) -> Any:
            if call.member in _WRITES:
                failpoints.passed("prepare.before")
            return dispatch(call)

        super().__init__(dispatch=received, **parts)
        self._failpoints = failpoints
        self._told = 0

    def reply(
        self, call: Call, signature: str, body: Sequence[Any], fds: Sequence[int] = ()
    ) -> None:
        writes = call.member in _WRITES
        if writes:
            self._failpoints.passed("reply.before", self._flush)
        super().reply(call, signature, body, fds)
        if writes:
            self._failpoints.passed("reply.after", self._flush)

    def signal(
        self, path: str, interface: str, member: str, signature: str, body: Sequence[Any]
    ) -> None:
        if member == "PropertiesChanged":  # one for all commits that were announced together
            super().signal(path, interface, member, signature, body)
            return
        if member == "PropertiesChanged":
            # Of no single commit.
            super().signal(path, interface, member, signature, body)
            return
        if not self._told:
            self._failpoints.passed("signals.before", self._flush)
        elif member == "Committed":
            self._failpoints.passed("signals.untold", self._flush)
        else:
            self._failpoints.passed("signals.middle", self._flush)
        super().signal(path, interface, member, signature, body)
        self._told += 1
        if member == "Committed":
            self._told = 0
            self._failpoints.passed("signals.after", self._flush)

    def _flush(self) -> None:
        if self._writer is not None:
            self._writer.flush()
