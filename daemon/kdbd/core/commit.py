"""Change sets, and what a commit says of itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from sortedcontainers import SortedDict

from kdb.model.content import Content
from kdbd.core.backend import Backend

__all__ = [
    "REBUILD_CHANGES",
    "Caller",
    "Commit",
    "Draft",
    "KeyChange",
    "Kind",
    "Origin",
    "Structure",
]

Kind = Literal["added", "changed", "removed"]
Origin = Literal["client", "file", "mount"]


class KeyChange(NamedTuple):
    """One key's change: added where ``old`` is None, removed where ``new`` is None.

    ``stored`` is false where a mountpoint came or went: the key appears or vanishes for readers,
    but no backend's keys change by it. ``announced`` is false for a key that a deeper mountpoint
    hides: its backend changes, but readers never see it.
    """

    backend: Backend
    name: bytes
    old: Content | None
    new: Content | None
    stored: bool = True
    announced: bool = True

    @property
    def kind(self) -> Kind:
        """What became of the key."""
        if self.old is None:
            return "added"
        return "removed" if self.new is None else "changed"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asked: unique bus name, user, process and program; empty and -1 where nobody did."""

    sender: str = ""
    uid: int = -1
    pid: int = -1
    program: str = ""


@dataclass(frozen=True, slots=True)
class Structure:
    """Backends that a commit brings and takes away, with their keys."""

    mounted: tuple[Backend, ...] = ()
    unmounted: tuple[Backend, ...] = ()


@dataclass(frozen=True, slots=True)
class Draft:
    """What a request comes to: the change set, and what to tell the caller.

    ``answer`` goes to the caller beside the revision; ``unchanged_revision`` is the revision that
    is told where the change set is empty.
    """

    changes: list[KeyChange]
    answer: Any = None
    unchanged_revision: int = 0


# From so many changes on, keys are made anew beside the readers instead of one by one before them.
REBUILD_CHANGES = 2_000


@dataclass(slots=True, eq=False)
class Commit:
    """A change set with its revision.

    ``structure`` is filled in where mountpoints changed, ``rebuilt`` where many keys did.
    """

    revision: int
    changes: list[KeyChange]
    caller: Caller
    origin: Origin
    reason: str = ""
    structure: Structure | None = None
    rebuilt: list[tuple[Backend, SortedDict[bytes, Content]]] = field(default_factory=list)

    def rebuild(self) -> None:
        """Make the backends' keys anew where the commit changes many; may run beside readers."""
        if len(self.changes) < REBUILD_CHANGES or self.rebuilt:
            return
        by_backend: dict[Backend, list[tuple[bytes, Content | None]]] = {}
        for change in self.changes:
            if change.stored:
                by_backend.setdefault(change.backend, []).append((change.name, change.new))
        self.rebuilt = [
            (backend, backend.rebuild(changes)) for backend, changes in by_backend.items()
        ]

    def names(self) -> tuple[list[bytes], list[bytes], list[bytes]]:
        """Answer the announced names: added, changed, removed, each in key order, each once."""
        kinds: dict[Kind, list[bytes]] = {"added": [], "changed": [], "removed": []}
        for change in self.changes:
            if change.announced:
                kinds[change.kind].append(change.name)
        for names in kinds.values():
            names.sort()
        return kinds["added"], kinds["changed"], kinds["removed"]
