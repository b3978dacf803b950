"""Who calls: the credentials of unique names, as long as these are on the bus."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["Callers", "Credentials", "program_of"]


@dataclass(frozen=True, slots=True)
class Credentials:
    """What the bus knows of a caller: numbers of the kernel, taken when it connected.

    ``program`` is what the process was called when it was asked for.
    """

    uid: int
    pid: int | None
    gids: tuple[int, ...]
    program: str = ""

    @classmethod
    def from_bus(cls, values: Mapping[str, Any]) -> Credentials:
        """Take a reply of `GetConnectionCredentials`, whose values are variants.

        Raises KeyError where the bus does not know the user.
        """
        pid = values.get("ProcessID")
        groups = values.get("UnixGroupIDs")
        return cls(
            uid=values["UnixUserID"].value,
            pid=None if pid is None else pid.value,
            gids=() if groups is None else tuple(groups.value),
        )


class Callers:
    """The unique names that have called, and what is known of them.

    It holds a name until the bus says that it is gone, so it is bounded by the bus's own limit
    of connections. A bus never uses a unique name again; another bus does.
    """

    def __init__(self) -> None:
        self._known: dict[str, Credentials | None] = {}
        self._bus = ""

    def add(self, name: str) -> None:
        """Remember that `name` called."""
        self._known.setdefault(name, None)

    def learn(self, name: str, credentials: Credentials) -> None:
        """Remember the credentials of a name, unless it is gone meanwhile."""
        if name in self._known:
            self._known[name] = credentials

    def credentials(self, name: str) -> Credentials | None:
        """Return what is known of a name."""
        return self._known.get(name)

    def vanish(self, name: str) -> bool:
        """Forget a name that left the bus; return whether it had called."""
        return self._known.pop(name, self) is not self

    def names(self) -> set[str]:
        """Return the names that have called and are not known to be gone."""
        return set(self._known)

    def enter(self, bus: str) -> list[str]:
        """Return, and forget, the names that are of no more use on the bus with this GUID."""
        if bus == self._bus:
            return []
        self._bus = bus
        gone = list(self._known)
        self._known.clear()
        return gone


def program_of(pid: int | None) -> str:
    """Return a process's command name; "" where it is not known, or gone already."""
    try:
        with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as file:
            return file.read().rstrip("\n")
    except OSError:
        return ""
