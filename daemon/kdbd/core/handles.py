"""Handles: what an application has got, and what that lets it set.

Rules (seed 004, its decision made strict; architecture, "Get and set through a handle")
* A set's parent must be one that the handle got, or below one.
* After a conflict, the conflicting parent must be got again before the handle's next set at or
  below it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from kdb.model.errors import ConflictError, InterfaceError
from kdb.model.names import Namespace, escape, in_namespace, is_below_or_same, namespace
from kdbd.core.view import View

__all__ = ["GOT_PARENTS", "Handle", "parent_key"]

# Parents that one handle remembers; an application has a handful. Beyond, it opens another handle.
GOT_PARENTS = 1_000


@dataclass(slots=True, eq=False)
class Handle:
    """One application's handle: its owner's unique bus name, and the parents it got.

    ``directory`` is where it looks for dir:/ from, ``root`` the directory whose dir:/ it shows;
    both are empty where it was opened without.
    """

    number: int
    owner: str
    directory: str
    root: str
    view: View
    got: dict[bytes, ConflictError | None] = field(default_factory=dict)

    def note_get(self, parent: bytes) -> None:
        """Remember that the parent was got, and that its conflicts were thereby seen."""
        if parent not in self.got and len(self.got) >= GOT_PARENTS:
            raise InterfaceError(
                f"This handle got {GOT_PARENTS} different parents already. Open another handle"
            )
        for other in self.got:
            if _covers(parent, other):
                self.got[other] = None
        self.got[parent] = None

    def move(self, root: str, view: View) -> None:
        """Show another directory's dir:/ from now on; what was got of the one before is void."""
        self.root = root
        self.view = view
        shown = (Namespace.DIR, Namespace.CASCADING)
        self.got = {got: each for got, each in self.got.items() if namespace(got) not in shown}

    def has_got(self, parent: bytes) -> bool:
        """Tell whether the parent, or one above it, was got."""
        return any(_covers(got, parent) for got in self.got)

    def require_get(self, parent: bytes) -> None:
        """Raise InterfaceError where no got parent covers this one, ConflictError after one."""
        if not any(_covers(got, parent) for got in self.got):
            got = ", ".join(sorted(escape(each) for each in self.got)) or "nothing"
            raise InterfaceError(
                f"The set of {escape(parent)} needs a get of it, or of a parent above it, on the"
                f" same handle; this handle got {got}. Get {escape(parent)} first"
            )
        for each, conflict in self.got.items():
            if conflict is not None and (_covers(each, parent) or _covers(parent, each)):
                raise conflict

    def note_conflict(self, parent: bytes, conflict: ConflictError) -> None:
        """Demand a get of this parent, or of one above it, before the next set that overlaps it."""
        if parent in self.got or len(self.got) < GOT_PARENTS:
            self.got[parent] = conflict
            return
        for got in self.got:
            if _covers(got, parent):
                self.got[got] = conflict


def parent_key(parent: bytes) -> bytes:
    """Check that a parent can be got or set; raise InterfaceError for meta:/ and default:/."""
    if namespace(parent) in (Namespace.META, Namespace.DEFAULT):
        raise InterfaceError(
            f"{escape(parent)} cannot be a parent key: its namespace is not stored. Use a parent in"
            " spec:/, dir:/, user:/, system:/ or a cascading one"
        )
    return parent


def _covers(upper: bytes, lower: bytes) -> bool:
    if namespace(upper) is Namespace.CASCADING:
        lower = in_namespace(lower, Namespace.CASCADING)
    return is_below_or_same(lower, upper)
