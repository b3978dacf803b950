"""Change sets, and what a commit says of itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from kdb.model.content import Content
from kdbd.core.backend import Backend

__all__ = ["Caller", "Commit", "Draft", "KeyChange", "Kind", "Origin", "Structure"]

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
