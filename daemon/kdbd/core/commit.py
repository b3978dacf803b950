"""Change sets, and what a commit says of itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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
    "Rebuilt",
    "Structure",
    "rebuild",
]

Kind = Literal["added", "changed", "removed"]
Origin = Literal["client", "file", "mount"]
Rebuilt = Mapping[Backend, SortedDict[bytes, Content]]


class KeyChange(NamedTuple):
    """One key's change: added where ``old`` is None, removed where ``new`` is None.

    ``stored`` is false where a mountpoint came or went: the key appears or vanishes for readers,
    but nothing changes in the backend's file; only the key's revision is that of the commit.
    ``announced`` is false for a key that a deeper mountpoint hides: its backend changes, but
    readers never see it.
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

    def show(self) -> None:
        """Let readers see a key that appears though its backend does not change."""
        if self.new is not None:
            self.backend.tree[self.name] = self.new


class Caller(NamedTuple):
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


class Draft(NamedTuple):
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
    """A change set with its revision. ``structure`` is filled in where mountpoints changed."""

    revision: int
    changes: list[KeyChange]
    caller: Caller
    origin: Origin
    reason: str = ""
    structure: Structure | None = None

    def names(self) -> tuple[list[bytes], list[bytes], list[bytes]]:
        """Answer the announced names: added, changed, removed, each in key order, each once."""
        kinds: dict[Kind, list[bytes]] = {"added": [], "changed": [], "removed": []}
        for change in self.changes:
            if change.announced:
                kinds[change.kind].append(change.name)
        for names in kinds.values():
            names.sort()
        return kinds["added"], kinds["changed"], kinds["removed"]


def rebuild(commits: Sequence[Commit]) -> Rebuilt:
    """Make the keys anew of each backend that a batch changes much of, as after the whole batch.

    May run beside readers, as long as nothing is applied: what they see stays as it is.
    """
    if sum(len(commit.changes) for commit in commits) < REBUILD_CHANGES:
        return {}
    by_backend: dict[Backend, list[tuple[bytes, Content | None]]] = {}
    for commit in commits:
        mounted = () if commit.structure is None else commit.structure.mounted
        for change in commit.changes:
            shown = change.new is not None and change.backend not in mounted
            if change.stored or shown:
                by_backend.setdefault(change.backend, []).append((change.name, change.new))
    return {
        backend: backend.rebuild(changes)
        for backend, changes in by_backend.items()
        if len(changes) >= REBUILD_CHANGES
    }
