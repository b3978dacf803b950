"""One mountpoint's keys.

A backend holds every key of its file, also those that a deeper mountpoint hides: hidden keys
are kept, so that they are there again after the unmount and are never lost from the file.

``tree`` is what readers see. ``ahead`` is what commits that are prepared but not yet durable
will have made of it; only the preparation of further commits looks at that.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from sortedcontainers import SortedDict

from kdb.model.content import Content
from kdb.model.errors import KDBError
from kdb.model.names import end_of_subtree

__all__ = ["Backend"]


@dataclass(slots=True, eq=False)
class Backend:
    """The keys of one mountpoint, by unescaped name.

    ``identity`` is the journal's number for it; ``directory`` is where a dir:/ backend lies, else
    empty. ``damage`` answers every access, ``refusal`` every write. A ``concealed`` backend is
    shown only to reads at or below its own mountpoint.
    """

    identity: int
    mountpoint: bytes
    directory: str = ""
    announce_once: bool = False
    concealed: bool = False
    damage: KDBError | None = None
    refusal: KDBError | None = None
    tree: SortedDict[bytes, Content] = field(default_factory=SortedDict)
    ahead: dict[bytes, tuple[int, Content | None]] = field(default_factory=dict)

    def future(self, name: bytes) -> Content | None:
        """Answer the key's content as it will be after all prepared commits."""
        if self.ahead:
            pending = self.ahead.get(name)
            if pending is not None:
                return pending[1]
        content: Content | None = self.tree.get(name)
        return content

    def names(self, start: bytes, end: bytes) -> Iterator[bytes]:
        """Iterate over the names in [start, end) in key order."""
        return self.tree.irange(start, end, (True, False))

    def future_names(self, start: bytes, end: bytes) -> list[bytes]:
        """Answer the names in [start, end), in key order, as they will be after all prepared.

        A list, since commits may be applied while a long request goes through it: that moves keys
        from ``ahead`` to ``tree``, but changes nothing of their future.
        """
        names = list(self.names(start, end))
        if not self.ahead:
            return names
        pending = [name for name in self.ahead if start <= name < end]
        removed = {name for name in pending if self.ahead[name][1] is None}
        return sorted({*names, *pending} - removed)

    def prepare(self, name: bytes, content: Content | None, revision: int) -> None:
        """Note what the commit of this revision will make of the key."""
        self.ahead[name] = (revision, content)

    def apply(self, name: bytes, content: Content | None, revision: int) -> None:
        """Let readers see what the commit of this revision made of the key."""
        if content is None:
            self.tree.pop(name, None)
        else:
            self.tree[name] = content
        self.settle(name, revision)

    def settle(self, name: bytes, revision: int) -> None:
        """Forget what the commit of this revision was to make of the key: readers see it."""
        pending = self.ahead.get(name)
        if pending is not None and pending[0] == revision:
            del self.ahead[name]

    def rebuild(
        self, changes: Iterable[tuple[bytes, Content | None]]
    ) -> SortedDict[bytes, Content]:
        """Answer the keys with many changes made, which is faster than one by one.

        May run beside readers: what they see stays as it is.
        """
        keys = dict(self.tree)
        for name, content in changes:
            if content is None:
                keys.pop(name, None)
            else:
                keys[name] = content
        return SortedDict(keys)

    @property
    def end(self) -> bytes:
        """The exclusive end of the mountpoint's range of names."""
        return end_of_subtree(self.mountpoint)
