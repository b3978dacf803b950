"""``kdb mv``."""

from __future__ import annotations

from kdb.cli import listing
from kdb.cli.applying import apply
from kdb.cli.command import OK, bus_for, tell
from kdb.cli.renaming import contents, renamed, source_and_destination

__all__ = ["ARGUMENTS", "DESCRIPTION", "EXAMPLES", "OPTIONS", "run"]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kdb.cli.applying import Plan

ARGUMENTS = "[-r] [-f] SOURCE DESTINATION"
OPTIONS = {
    "force": ("f", "replace keys that are there already"),
    "recursive": ("r", "move the keys below too"),
}
DESCRIPTION = """
Moves the key SOURCE, with its metadata, to the name DESTINATION; with -r also all keys below it.
Both names need a namespace.

A key that is there already stays as it is, and the one that was to take its name is gone, as with
libelektra; with -f it is replaced.

All keys go in one commit, or none does.
"""
EXAMPLES = (
    ("kdb mv user:/sw/editor/theme user:/sw/editor/colours", "rename one key"),
    ("kdb mv -r user:/sw/editor user:/sw/viewer", "rename a subtree"),
)


def run(options: dict[str, str], arguments: list[str]) -> int:
    """Move a key; with -r also all keys below."""
    source, destination = source_and_destination("mv", arguments)
    recursive = "r" in options
    bus = bus_for(source, destination)
    told: list[str] = []

    def plan() -> Plan:
        moves = renamed(bus, source, destination, recursive=recursive)
        sources = {each.source for each in moves}
        there = {} if "f" in options else contents(bus, destination, recursive=recursive)
        told[:] = [f"key: {each.source} will be renamed to: {each.name}\n" for each in moves]
        puts = [
            (each.name, *each.content)
            for each in moves
            if each.name in sources or each.name not in there
        ]
        # A name that is given again is put, so it is not to be removed.
        return puts, sorted(sources - {each.name for each in moves})

    apply(bus, plan)
    if "v" in options:
        above = _common(source, destination)
        written = "".join(f"{each}\n" for each in listing.names(bus, above))
        head = f"using common basename: {above}\n"
        tell(options, head + "".join(told) + f"Will write out:\n{written}")
    return OK


def _common(name: str, other: str) -> str:
    """Return the nearest name at or above both; / where their namespaces differ."""
    from kdb.model.names import escape, unescape

    parts, others = unescape(name).split(b"\0"), unescape(other).split(b"\0")
    common = []
    for ours, theirs in zip(parts, others, strict=False):
        if ours != theirs:
            break
        common.append(ours)
    return escape(b"\0".join(common)) if common else "/"
