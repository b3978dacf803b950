"""``kdb meta-ls``."""

from __future__ import annotations

from kdb.cli import metadata
from kdb.cli.command import OK, Failure, bus_for, checked, say, wrong_arguments
from kdb.cli.options import JSON

__all__ = ["ARGUMENTS", "DESCRIPTION", "EXAMPLES", "OPTIONS", "run"]

ARGUMENTS = "[-0] [-j] NAME"
OPTIONS = {"null": ("0", "end each name with NUL, not with a newline"), **JSON}
DESCRIPTION = """
Prints the names of the metadata of the key NAME, a line each. A cascading name, one that begins
with a slash, stands for the key that kdb get finds, with the metadata of its specification.

Where there is no such key, the exit code is 1.
"""
EXAMPLES = (("kdb meta-ls user:/sw/editor/width", "list what is known about a setting"),)

# As recorded from libelektra, whose other commands exit with 11 here.
_NO_KEY = 1


def run(options: dict[str, str], arguments: list[str]) -> int:
    """List the names of a key's metadata."""
    if len(arguments) != 1:
        raise wrong_arguments("1 argument required")
    name = checked(arguments[0])
    found = metadata.found(bus_for(name), name)
    if found is None:
        raise Failure(_NO_KEY, "Did not find key\n")
    _, meta = found
    if "j" in options:
        from kdb.cli import as_json

        as_json.show(list(meta))
        return OK
    end = "\0" if "0" in options else "\n"
    say("".join(each + end for each in meta))
    return OK
