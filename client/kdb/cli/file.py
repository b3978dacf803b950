"""``kdb file``."""

from __future__ import annotations

from kdb.cli.command import OK, bus_for, say, wrong_arguments
from kdb.cli.names import valid
from kdb.cli.options import JSON

__all__ = ["ARGUMENTS", "DESCRIPTION", "EXAMPLES", "OPTIONS", "run"]

ARGUMENTS = "[-n] [-j] NAME"
OPTIONS = {"no-newline": ("n", "print no newline after the path"), **JSON}
DESCRIPTION = """
Prints the path of the file that the key NAME is kept in, or would be: neither need be there.
Where kdbd makes the keys itself, below system:/elektra/modules and system:/elektra/version, it
prints an empty line.

The file follows what is set within some seconds; you may edit it, and kdbd merges your edit.
"""
EXAMPLES = (("kdb file user:/sw/editor", "tell which file one user's settings are in"),)

_KEPT = ("spec:/", "dir:/", "user:/", "system:/")


def run(options: dict[str, str], arguments: list[str]) -> int:
    """Print the path of a key's file."""
    if len(arguments) != 1:
        raise wrong_arguments("Need one argument")
    name = valid("file", arguments[0])
    if name.startswith("/"):
        raise wrong_arguments(
            "Cannot retrieve the file for a cascading key. Use a concrete namespace."
        )
    if not name.startswith(_KEPT):
        raise wrong_arguments(
            "Can only retrieve file for a persistable namespace: spec:/, system:/, user:/ or dir:/"
        )
    (path,) = bus_for(name).call("File", "s", name)
    if "j" in options:
        from kdb.cli import as_json

        as_json.show(path)
        return OK
    say(path + ("" if "n" in options else "\n"))
    return OK
