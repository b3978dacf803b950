"""``kdb rm``."""

from __future__ import annotations

from kdb.cli import listing
from kdb.cli.bus import CallError
from kdb.cli.command import (
    NOT_FOUND,
    OK,
    Failure,
    bus_for,
    canonical,
    checked,
    kind_of,
    wrong_arguments,
)

__all__ = ["ARGUMENTS", "DESCRIPTION", "EXAMPLES", "OPTIONS", "run"]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kdb.cli.bus import Bus

ARGUMENTS = "[-r] [-E] [-f] NAME"
OPTIONS = {
    "force": ("f", "find nothing wrong with a key that is not there"),
    "recursive": ("r", "remove the keys below too"),
    "without-elektra": ("E", "leave the keys below elektra as they are"),
}
DESCRIPTION = """
Removes the key NAME; with -r also all keys below it. A cascading name, one that begins with a
slash, stands for the key that kdb get finds; with -r for the subtrees of all namespaces.

All keys go in one commit, or none does.
"""
EXAMPLES = (
    ("kdb rm user:/sw/editor/theme", "remove one key"),
    ("kdb rm -r user:/sw/editor", "remove a subtree"),
)

# These hold the keys that kdbd itself shows there, which a removal passes over and so always finds.
_NEVER_EMPTY = ("/", "/elektra", "system:/", "system:/elektra")


def run(options: dict[str, str], arguments: list[str]) -> int:
    """Remove a key; with -r also all keys below, with -E but those below elektra."""
    if len(arguments) != 1:
        raise wrong_arguments("1 argument required")
    name = checked(arguments[0])
    recursive = "r" in options
    bus = bus_for(name)
    if recursive and "E" in options:
        removed = _remove_without_elektra(bus, name)
    else:
        removed = _remove(bus, name, recursive)
    if removed or "f" in options:
        return OK
    raise Failure(NOT_FOUND, f"Did not find {'any' if recursive else 'the'} key\n")


def _remove(bus: Bus, name: str, recursive: bool) -> bool:
    try:
        bus.call("Remove", "sb", name, recursive)
    except CallError as error:
        if kind_of(error) == "KeyNotFound":
            return recursive and canonical(name) in _NEVER_EMPTY
        raise
    return True


def _remove_without_elektra(bus: Bus, name: str) -> bool:
    doomed = [each for each in listing.names(bus, name) if not _is_elektra(each)]
    if doomed:
        bus.call("Apply", "a(saya{ss})asta{sv}", [], doomed, 0, {})
    return bool(doomed)


def _is_elektra(name: str) -> bool:
    path = name.partition("/")[2]
    return path == "elektra" or path.startswith("elektra/")
