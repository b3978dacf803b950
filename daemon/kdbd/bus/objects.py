"""The objects on the bus: which paths there are, for whom, and what they introspect as."""

from __future__ import annotations

import re
from collections.abc import Callable

from kdb.model.errors import LimitsExceeded
from kdb.protocol import (
    HANDLE_INTERFACE,
    HANDLE_PATH_PREFIX,
    INTERFACE,
    OBJECT_PATH,
    SIGNAL_INTERFACE,
    SIGNAL_PATH,
)
from kdbd.bus.dispatch import Target
from kdbd.core.handles import Handle
from kdbd.core.view import View

__all__ = ["MAX_HANDLES", "STANDARD", "Handles", "children"]

STANDARD = (
    "org.freedesktop.DBus.Introspectable",
    "org.freedesktop.DBus.Peer",
    "org.freedesktop.DBus.Properties",
)
# As handles are numbered: each has one path.
_NUMBER = re.compile(r"[1-9][0-9]{0,17}")
# Of one client. An application has one or a few; each costs under 1 kB.
MAX_HANDLES = 256


class Handles:
    """The open handles, by number and by owner.

    ``on_released`` is called where a directory is perhaps shown by none of them any more.
    """

    def __init__(self, on_released: Callable[[], None]) -> None:
        self.on_released = on_released
        self._handles: dict[int, Handle] = {}
        self._owned: dict[str, set[int]] = {}
        self._last = 0

    def open(self, owner: str, directory: str, root: str, view: View) -> Handle:
        """Open a handle for a unique bus name; raise LimitsExceeded beyond MAX_HANDLES."""
        owned = self._owned.setdefault(owner, set())
        if len(owned) >= MAX_HANDLES:
            raise LimitsExceeded(f"You have {MAX_HANDLES} handles open. Close some first")
        self._last += 1
        handle = Handle(self._last, owner, directory, root, view)
        self._handles[self._last] = handle
        owned.add(self._last)
        return handle

    def find(self, number: int, owner: str) -> Handle | None:
        """Answer a handle of this owner."""
        handle = self._handles.get(number)
        return handle if handle is not None and handle.owner == owner else None

    def close(self, handle: Handle) -> None:
        """Close a handle."""
        if self._handles.pop(handle.number, None) is not None:
            owned = self._owned[handle.owner]
            owned.discard(handle.number)
            if not owned:
                del self._owned[handle.owner]
            if handle.root:
                self.on_released()

    def of(self, owner: str) -> list[Handle]:
        """Answer an owner's handles."""
        return [self._handles[number] for number in sorted(self._owned.get(owner, ()))]

    def roots(self) -> set[str]:
        """Answer the directories whose dir:/ some handle shows."""
        return {handle.root for handle in self._handles.values() if handle.root}

    def target(self, path: str, sender: str, root_view: View) -> Target | None:
        """Answer the object at a path, as the sender may use it."""
        if path == OBJECT_PATH:
            return Target((INTERFACE, *STANDARD), root_view)
        if path == SIGNAL_PATH:
            return Target((SIGNAL_INTERFACE, *STANDARD))
        if path.startswith(HANDLE_PATH_PREFIX):
            number = path[len(HANDLE_PATH_PREFIX) :]
            if _NUMBER.fullmatch(number):
                handle = self.find(int(number), sender)
                if handle is not None:
                    return Target((HANDLE_INTERFACE, INTERFACE, *STANDARD), handle)
            return None
        known = children(path, ()) or path + "/" == HANDLE_PATH_PREFIX
        return Target(STANDARD) if known else None


def children(path: str, handles: list[Handle] | tuple[()]) -> list[str]:
    """Answer the nodes below a path, as seen by the owner of these handles."""
    below = path.rstrip("/") + "/"
    paths = [OBJECT_PATH, SIGNAL_PATH, HANDLE_PATH_PREFIX.rstrip("/")]
    paths += [f"{HANDLE_PATH_PREFIX}{handle.number}" for handle in handles]
    found = [each[len(below) :].split("/")[0] for each in paths if each.startswith(below)]
    return list(dict.fromkeys(found))
