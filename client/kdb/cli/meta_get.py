"""``kdb meta-get``."""

from __future__ import annotations

from kdb.cli import metadata
from kdb.cli.command import (
    NO_METADATA,
    NOT_FOUND,
    OK,
    Failure,
    bus_for,
    checked,
    say,
    wrong_arguments,
)
from kdb.cli.names import meta_name
from kdb.cli.options import JSON

__all__ = ["ARGUMENTS", "DESCRIPTION", "EXAMPLES", "OPTIONS", "run"]

ARGUMENTS = "[-n] [-j] NAME META"
OPTIONS = {"no-newline": ("n", "print no newline after the value"), **JSON}
DESCRIPTION = """
Prints the value of the metadatum META of the key NAME. A cascading name, one that begins with a
slash, stands for the key that kdb get finds, with the metadata of its specification.
"""
EXAMPLES = (("kdb meta-get user:/sw/editor/width type", "print the type of a setting"),)


def run(options: dict[str, str], arguments: list[str]) -> int:
    """Print one metadatum of a key."""
    if len(arguments) != 2:
        raise wrong_arguments("Need 2 arguments")
    name, wanted = checked(arguments[0]), meta_name("meta-get", arguments[1])
    found = metadata.found(bus_for(name), name)
    if found is None:
        raise Failure(NOT_FOUND, "Key not found\n")
    target, meta = found
    if wanted not in meta:
        raise Failure(NO_METADATA, "Metakey not found\n")
    if "j" in options:
        from kdb.cli import as_json

        as_json.show({"name": target, "meta": wanted, "value": meta[wanted]})
        return OK
    say(meta[wanted] + ("" if "n" in options else "\n"))
    return OK
