"""``kdb meta-show``."""

from __future__ import annotations

from kdb.cli import colour, metadata
from kdb.cli.command import NOT_FOUND, OK, Failure, bus_for, checked, say, wrong_arguments
from kdb.cli.options import JSON

__all__ = ["ARGUMENTS", "DESCRIPTION", "EXAMPLES", "OPTIONS", "run"]

ARGUMENTS = "[-j] NAME"
OPTIONS = {**JSON}
DESCRIPTION = """
Prints all metadata of the key NAME with their values, a line each. A cascading name, one that
begins with a slash, stands for the key that kdb get finds, with the metadata of its
specification.
"""
EXAMPLES = (("kdb meta-show user:/sw/editor/width", "show what is known about a setting"),)


def run(options: dict[str, str], arguments: list[str]) -> int:
    """Print a key's metadata."""
    if len(arguments) != 1:
        raise wrong_arguments("1 argument required")
    name = checked(arguments[0])
    found = metadata.found(bus_for(name), name)
    if found is None:
        raise Failure(NOT_FOUND, "Key not found\n")
    _, meta = found
    if "j" in options:
        from kdb.cli import as_json

        as_json.show(meta)
        return OK
    bold, plain = (colour.BOLD, colour.PLAIN) if colour.is_coloured(options) else ("", "")
    say("".join(f"{bold}{each}{plain}: {value}\n" for each, value in meta.items()))
    return OK
