"""What is said to the bus on a new connection, ahead of everything else."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from kdbd.bus.replies import CallFailed

__all__ = ["BUS", "BUS_PATH", "BusUnavailable", "NameTaken", "take_place"]

BUS = "org.freedesktop.DBus"
BUS_PATH = "/org/freedesktop/DBus"

# Only names that vanish (an empty new owner), which is half of these signals.
_VANISHED_RULE = (
    f"type='signal',sender='{BUS}',path='{BUS_PATH}',interface='{BUS}',"
    "member='NameOwnerChanged',arg2=''"
)
# The default flags queue for a name silently.
_DO_NOT_QUEUE = 4
_OWNED = (1, 4)


class BusUnavailable(ConnectionError):
    """There is no bus at the address, or it does not answer."""


class NameTaken(Exception):
    """Another process owns the name."""

    def __init__(self, name: str, pid: int | None) -> None:
        self.name, self.pid = name, pid
        owner = "another process" if pid is None else f"process {pid}"
        super().__init__(f"{name} is owned by {owner}")


async def take_place(
    ask: Callable[[str, str, list[Any]], Awaitable[list[Any]]], name: str, known: set[str]
) -> set[str]:
    """Say hello, follow who leaves, and take `name`; return those of `known` that are gone.

    `ask` calls a method of the bus. Who leaves later is told by signals: the rule is in force
    before the names are listed. Raises `NameTaken`, and what `ask` raises.
    """
    await ask("Hello", "", [])
    await ask("AddMatch", "s", [_VANISHED_RULE])
    gone = known.difference((await ask("ListNames", "", []))[0]) if known else known
    (taken,) = await ask("RequestName", "su", [name, _DO_NOT_QUEUE])
    if taken not in _OWNED:
        try:
            (pid,) = await ask("GetConnectionUnixProcessID", "s", [name])
        except CallFailed:
            pid = None  # gone in the meantime, or not on this machine
        raise NameTaken(name, pid)
    return gone
