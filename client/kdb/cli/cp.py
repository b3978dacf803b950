"""``kdb cp``."""

from __future__ import annotations

from kdb.cli.applying import apply
from kdb.cli.command import NOT_FOUND, OK, Failure, bus_for, tell
from kdb.cli.renaming import contents, renamed, source_and_destination

__all__ = ["ARGUMENTS", "DESCRIPTION", "EXAMPLES", "OPTIONS", "run"]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kdb.cli.applying import Plan

ARGUMENTS = "[-r] [-f] SOURCE DESTINATION"
OPTIONS = {
    "force": ("f", "replace keys that have another value"),
    "recursive": ("r", "copy the keys below too"),
}
DESCRIPTION = """
Copies the key SOURCE, with its metadata, to the name DESTINATION; with -r also all keys below it.
Where a key is there already and differs, nothing is copied and the exit code is 11, unless -f is
given. Both names need a namespace.

All keys go in one commit, or none does.
"""
EXAMPLES = (
    ("kdb cp user:/sw/editor/theme user:/sw/viewer/theme", "copy one key"),
    ("kdb cp -r system:/sw/editor user:/sw/editor", "copy a subtree into another namespace"),
)


def run(options: dict[str, str], arguments: list[str]) -> int:
    """Copy a key; with -r also all keys below."""
    source, destination = source_and_destination("cp", arguments)
    recursive = "r" in options
    bus = bus_for(source, destination)
    told: list[str] = []

    def plan() -> Plan:
        copies = renamed(bus, source, destination, recursive=recursive)
        there = contents(bus, destination, recursive=recursive)
        told[:] = [f"key: {each.source} will be renamed to: {each.name}\n" for each in copies]
        for each in copies:
            if "f" not in options and there.get(each.name, each.content) != each.content:
                raise Failure(
                    NOT_FOUND,
                    "The command kdb cp terminated unsuccessfully with the info:\nCopy will not be"
                    f" done, because {each.name} already exists and has a different value, use -f"
                    " to force copy\n",
                )
        return [(each.name, *each.content) for each in copies], []

    apply(bus, plan)
    if "v" in options:
        tell(options, f"common name: {source}\n" + "".join(told))
    return OK
