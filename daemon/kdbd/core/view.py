"""What a caller sees: the backends of its namespaces, read as one ordered key set.

Rules
* A key belongs to the backend with the longest mountpoint at or above its name.
* A read of a parent leaves out what concealed mountpoints below it hold (elektra.md: the
  recording's own keys; the constants below system:/elektra/version). One that begins within
  /elektra shows them: programs get system:/elektra and look KDB_VERSION up.
* A read that touches a damaged mountpoint is that mountpoint's error: leaving its keys out would
  show an emptier database than there is.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from kdb.model.content import Content
from kdb.model.errors import InterfaceError
from kdb.model.names import (
    PERSISTABLE,
    Namespace,
    end_of_subtree,
    escape,
    in_namespace,
    is_below_or_same,
    namespace,
    namespace_name,
    unescape,
)
from kdbd.core.backend import Backend

__all__ = ["Mounts", "Segment", "View", "root_name"]

_ELEKTRA = unescape("/elektra")


@dataclass(frozen=True, slots=True)
class Segment:
    """A range of names [start, end) that one backend answers for."""

    start: bytes
    end: bytes
    backend: Backend


class Mounts:
    """The backends of one namespace (for dir:/, of one directory), by mountpoint."""

    __slots__ = ("_mountpoints", "_table")

    def __init__(self, backends: Mapping[bytes, Backend]) -> None:
        self._table = dict(backends)
        self._mountpoints = sorted(self._table)

    def __iter__(self) -> Iterator[Backend]:
        return (self._table[mountpoint] for mountpoint in self._mountpoints)

    def at(self, mountpoint: bytes) -> Backend | None:
        """Answer the backend mounted at exactly this name."""
        return self._table.get(mountpoint)

    def responsible(self, name: bytes) -> Backend:
        """Answer the backend that the key of this name belongs to."""
        table = self._table
        if len(table) == 1:
            return table[self._mountpoints[0]]
        candidate = name
        while candidate not in table:
            candidate = candidate[: candidate.rindex(b"\0")]
        return table[candidate]

    def segments(
        self, start: bytes, end: bytes, parent: bytes, *, concealed: bool = False
    ) -> Iterator[Segment]:
        """Cut [start, end), at or below a parent, into ranges by backend.

        Concealed mountpoints below the parent are left out, unless asked for.
        """
        while start < end:
            # Where a page begins within a mountpoint, what follows that is its surroundings'.
            owner = self.responsible(start)
            stop = min(owner.end, end)
            if concealed or not owner.concealed or owner.mountpoint <= parent:
                yield from self._segments(start, stop, owner, concealed)
            start = stop

    def _segments(
        self, start: bytes, end: bytes, owner: Backend, concealed: bool
    ) -> Iterator[Segment]:
        mountpoints = self._mountpoints
        index = bisect_left(mountpoints, start)
        while index < len(mountpoints) and mountpoints[index] < end:
            inner = self._table[mountpoints[index]]
            if inner is owner:
                index += 1
                continue
            yield Segment(start, inner.mountpoint, owner)
            start = inner.end
            if concealed or not inner.concealed:
                yield from self._segments(inner.mountpoint, inner.end, inner, concealed)
            index = bisect_left(mountpoints, start)
        if start < end:
            yield Segment(start, end, owner)


class View:
    """The database as one caller sees it; the root object's has no dir:/."""

    __slots__ = ("mounts",)

    def __init__(self, mounts: Mapping[Namespace, Mounts]) -> None:
        self.mounts = dict(mounts)

    def backend(self, name: bytes) -> Backend:
        """Answer the backend of a persistable name; raise InterfaceError for any other."""
        mounts = self.mounts.get(Namespace(name[0]))
        if mounts is None:
            raise InterfaceError(_not_stored(name))
        return mounts.responsible(name)

    def get(self, name: bytes) -> Content | None:
        """Answer the content of a key that is stored, else None; raise the mountpoint's damage."""
        mounts = self.mounts.get(namespace(name))
        if mounts is None:
            return None
        backend = mounts.responsible(name)
        if backend.damage is not None:
            raise backend.damage
        content: Content | None = backend.tree.get(name)
        return content

    def future(self, name: bytes) -> Content | None:
        """As ``get``, after all prepared commits."""
        mounts = self.mounts.get(namespace(name))
        if mounts is None:
            return None
        backend = mounts.responsible(name)
        if backend.damage is not None:
            raise backend.damage
        return backend.future(name)

    def segments(
        self, parent: bytes, after: bytes = b"", *, concealed: bool = False
    ) -> Iterator[Segment]:
        """Cut what lies at or below a parent, beyond the name ``after``, into backends' ranges.

        A cascading parent stands for every persistable namespace of the view, in their order.
        Raises the damage of a mountpoint that the range touches.
        """
        if namespace(parent) is Namespace.CASCADING:
            parents = [in_namespace(parent, each) for each in PERSISTABLE if each in self.mounts]
        else:
            parents = [parent] if namespace(parent) in self.mounts else []
        for each in parents:
            start = max(each, after + b"\0") if after else each
            end = end_of_subtree(each)
            # A name's end_of_subtree sorts after what lies below it; "after + NUL" is the first
            # name beyond it, which may itself lie below it.
            if start >= end:
                continue
            mounts = self.mounts[namespace(each)]
            for segment in mounts.segments(start, end, each, concealed=concealed):
                if segment.backend.damage is not None:
                    raise segment.backend.damage
                yield segment

    def items(self, parent: bytes, after: bytes = b"") -> Iterator[tuple[bytes, Content]]:
        """Iterate in key order over the keys at or below a parent, beyond the name ``after``."""
        concealed = is_below_or_same(in_namespace(parent, Namespace.CASCADING), _ELEKTRA)
        for segment in self.segments(parent, after, concealed=concealed):
            tree = segment.backend.tree
            for name in segment.backend.names(segment.start, segment.end):
                yield name, tree[name]

    def future_names(self, parent: bytes) -> list[bytes]:
        """Answer the names at or below a parent, in key order, after all prepared commits."""
        return [
            name
            for segment in self.segments(parent)
            for name in segment.backend.future_names(segment.start, segment.end)
        ]

    def backends(self, parent: bytes) -> list[Backend]:
        """Answer every backend that a read or write at or below a parent touches."""
        if namespace(parent) is Namespace.CASCADING:
            parents = [in_namespace(parent, each) for each in self.mounts]
        else:
            parents = [parent] if namespace(parent) in self.mounts else []
        found = []
        for each in parents:
            mounts = self.mounts[namespace(each)]
            touched = {mounts.responsible(each).identity}
            found.append(mounts.responsible(each))
            for backend in mounts:
                below = each < backend.mountpoint < end_of_subtree(each)
                if below and backend.identity not in touched and not backend.concealed:
                    found.append(backend)
        return found


def _not_stored(name: bytes) -> str:
    kind = namespace(name)
    if kind is Namespace.DIR:
        return (
            f"{escape(name)}: dir:/ belongs to a directory. Open a handle with the contract entry"
            " 'directory' and use that"
        )
    if kind is Namespace.CASCADING:
        return f"{escape(name)}: a cascading name is a look-up. Name the key with its namespace"
    return (
        f"{escape(name)}: keys of this namespace are not stored. Use spec:/, dir:/, user:/ or"
        " system:/"
    )


def root_name(which: Namespace, directory: str = "") -> str:
    """Answer a root's name: ``user:/``, or ``dir:/`` with the directory."""
    return f"{namespace_name(which)}:/{directory}"
