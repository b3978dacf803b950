"""``kdb meta-rm``."""

from __future__ import annotations

from kdb.cli import binary
from kdb.cli.bus import CallError
from kdb.cli.command import (
    NOT_FOUND,
    OK,
    Failure,
    bus_for,
    checked,
    found_key,
    kind_of,
    wrong_arguments,
)
from kdb.cli.names import meta_name

__all__ = ["ARGUMENTS", "DESCRIPTION", "EXAMPLES", "OPTIONS", "remove", "run"]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kdb.cli.bus import Bus

ARGUMENTS = "NAME META"
OPTIONS: dict[str, tuple[str, ...]] = {}
DESCRIPTION = """
Removes the metadatum META from the key NAME; one that is not there is no error. A cascading name,
one that begins with a slash, stands for the key that kdb get finds.
"""
EXAMPLES = (("kdb meta-rm user:/sw/editor/width type", "forget the type of a setting"),)


def run(options: dict[str, str], arguments: list[str]) -> int:  # noqa: ARG001 - as all commands
    """Remove one metadatum of a key."""
    if len(arguments) != 2:
        raise wrong_arguments("Need 2 arguments")
    name, meta = checked(arguments[0]), meta_name("meta-rm", arguments[1])
    remove(bus_for(name), name, meta)
    return OK


def remove(bus: Bus, name: str, meta: str) -> None:
    """Remove a metadatum, where it is there; fail where the key is not."""
    key = found_key(bus, name)
    if key is None:
        raise Failure(NOT_FOUND, "Key not found\n")
    target, _, held, _ = key
    if meta not in held:
        return
    try:
        if meta == binary.META:
            binary.unmake(bus, target)
        else:
            bus.call("RemoveMeta", "ss", target, meta)
    except CallError as error:
        # Somebody else removed it meanwhile.
        if kind_of(error) != "KeyNotFound":
            raise
