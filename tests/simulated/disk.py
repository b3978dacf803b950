"""A disk in memory that knows what of it is synced.

What a crash leaves: a staged file is there once ``stage`` returned; a rename and a removal are,
once ``replace`` and ``remove`` returned or any later one in the same directory did. Of what is not
synced any part may be lost, in any order. What people edit is synced at once.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from kdb.formats import dump
from kdb.model.content import Content
from kdb.model.errors import SyntacticError
from kdbd.store.disk import FileStat
from simulated.workers import Crash

__all__ = ["File", "SimulatedDisk"]

Keys = dict[bytes, Content]


@dataclass(eq=False)
class File:
    """What lies, or does not lie (``data`` is None), at a path since some moment.

    ``by_hand``: somebody else put it there, over what the service knew as ``over``. ``seen``: the
    service took note of it; ``merged``: durably.
    """

    data: bytes | None
    stat: FileStat | None
    by_hand: bool = False
    over: File | None = None
    seen: bool = False
    merged: bool = False

    def keys(self, mountpoint: bytes) -> Keys:
        """Answer its keys; raises SyntacticError."""
        return {} if self.data is None else dict(dump.read(self.data, mountpoint, "the file"))

    def damaged(self, mountpoint: bytes) -> bool:
        try:
            self.keys(mountpoint)
        except SyntacticError:
            return True
        return False

    @property
    def is_news(self) -> bool:
        """Tell whether the service, which looked last at what was here before, has to look."""
        known: File | None = self
        while known is not None and known.by_hand and not known.seen:
            known = known.over
        return self.data != (None if known is None else known.data)

    def bases(self, mountpoint: bytes) -> list[Keys]:
        """Answer what the service may take for what it last wrote or read: mostly one."""
        if not self.by_hand or self.merged:
            return [self.keys(mountpoint)]
        below = [{}] if self.over is None else self.over.bases(mountpoint)
        return [self.keys(mountpoint), *below] if self.seen else below


@dataclass
class _Directory:
    """Names and their files: as everybody sees them, as synced, and what is between."""

    now: dict[str, File] = field(default_factory=dict)
    synced: dict[str, File] = field(default_factory=dict)
    pending: list[tuple[tuple[str, File | None], ...]] = field(default_factory=list)

    def change(self, *changes: tuple[str, File | None]) -> None:
        _make(self.now, changes)
        self.pending.append(changes)

    def put(self, name: str, file: File) -> None:
        """Change one name, durably, and with it what was changed of that name before."""
        for changes in self.pending:
            if any(changed == name for changed, _ in changes):
                _make(self.synced, changes)
        self.pending = [
            changes for changes in self.pending if all(changed != name for changed, _ in changes)
        ]
        self.now[name] = self.synced[name] = file

    def sync(self) -> None:
        self.synced = dict(self.now)
        self.pending.clear()

    def crash(self, chance: random.Random) -> None:
        for changes in self.pending:
            if chance.random() < 0.5:
                _make(self.synced, changes)
        self.pending.clear()
        self.now = dict(self.synced)


def _make(names: dict[str, File], changes: Iterable[tuple[str, File | None]]) -> None:
    for name, file in changes:
        if file is None:
            names.pop(name, None)
        else:
            names[name] = file


class SimulatedDisk:
    """Implements ``kdbd.store.disk.Disk``.

    ``passing`` is told each call before it takes place; it may raise OSError, or Crash. ``writing``
    is told each file that is put in place over another, ``renamed`` when that is done.
    """

    def __init__(
        self,
        chance: random.Random,
        passing: Callable[[str, str], OSError | Crash | None],
        writing: Callable[[str, File, File], None],
        renamed: Callable[[], None],
    ) -> None:
        self._chance = chance
        self._passing = passing
        self._writing = writing
        self._renamed = renamed
        self._directories: dict[str, _Directory] = {}
        self._tick = 0
        self.last_read: dict[str, File] = {}

    # What the service asks

    def stat(self, path: str) -> FileStat | None:
        self._pass("stat", path)
        return self.at(path).stat

    def read(self, path: str) -> tuple[FileStat, bytes] | None:
        self._pass("read", path)
        file = self.last_read[path] = self.at(path)
        return None if file.data is None or file.stat is None else (file.stat, file.data)

    def stage(self, path: str, chunks: Iterable[bytes], *, private: bool) -> str:
        data = b"".join(chunks)
        temporary = f"{path}.1.{self._next()}.tmp"
        trouble = self._passing("stage", path)
        if isinstance(trouble, Crash):
            if self._chance.random() < 0.5:
                part = data[: self._chance.randint(0, len(data))]
                self._of(path).change((temporary, self._file(part)))
            raise trouble
        if trouble is not None:
            raise trouble
        directory = self._of(path)
        file = self._file(data)
        directory.now[temporary] = directory.synced[temporary] = file
        return temporary

    def replace(self, temporary: str, path: str) -> FileStat:
        before, file = self.at(path), self.at(temporary)
        if file.data is None:
            raise FileNotFoundError(2, "No such file or directory", temporary)
        trouble = self._passing("replace", path)
        directory = self._of(path)
        if trouble is not None:
            if self._chance.random() < 0.5:
                self._writing(path, before, file)
                directory.change((temporary, None), (path, file))
            raise trouble
        self._writing(path, before, file)
        directory.change((temporary, None), (path, file))
        # Somebody may edit it before it is synced.
        self._renamed()
        directory.sync()
        assert file.stat is not None
        return file.stat

    def remove(self, path: str) -> None:
        before = self.at(path)
        trouble = self._passing("remove", path)
        directory = self._of(path)
        if trouble is None or self._chance.random() < 0.5:
            gone = File(None, None)
            self._writing(path, before, gone)
            directory.change((path, gone))
        if trouble is not None:
            raise trouble
        directory.sync()

    def discard(self, temporary: str) -> None:
        trouble = self._passing("discard", temporary)
        if trouble is None:
            self._of(temporary).change((temporary, None))
        elif isinstance(trouble, Crash):
            raise trouble

    def sweep(self, path: str, *, keep: str | None) -> None:
        self._pass("sweep", path)
        for temporary in self.temporaries(path):
            if temporary != keep:
                self._of(path).change((temporary, None))

    # What others do

    def at(self, path: str) -> File:
        """Answer what lies at a path."""
        return self._of(path).now.get(path) or File(None, None)

    def temporaries(self, path: str) -> list[str]:
        """Answer the files that were staged for a path."""
        return [name for name in self._of(path).now if name.startswith(path + ".")]

    def edit(self, path: str, data: bytes | None) -> File:
        """Put something there by hand."""
        stat = None if data is None else self._file(data).stat
        file = File(data, stat, by_hand=True, over=self.at(path))
        self._of(path).put(path, file)
        return file

    def forget(self, path: str) -> None:
        """Nobody follows a file any more: whoever mounts it again finds somebody else's."""
        directory = self._of(path)
        for names in (directory.now, directory.synced):
            file = names.get(path)
            if file is not None:
                file.by_hand, file.seen, file.merged, file.over = True, False, False, None

    def crash(self) -> None:
        """Lose what is not synced, or some of it."""
        for directory in self._directories.values():
            directory.crash(self._chance)
        self.last_read.clear()

    def _pass(self, call: str, path: str) -> None:
        trouble = self._passing(call, path)
        if trouble is not None:
            raise trouble

    def _of(self, path: str) -> _Directory:
        return self._directories.setdefault(os.path.dirname(path), _Directory())

    def _next(self) -> int:
        self._tick += 1
        return self._tick

    def _file(self, data: bytes) -> File:
        tick = self._next()
        return File(data, FileStat(1, tick, len(data), tick, tick))
