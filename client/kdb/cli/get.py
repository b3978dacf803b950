"""``kdb get``."""

from __future__ import annotations

from kdb.cli.command import (
    NOT_FOUND,
    OK,
    Failure,
    bus_for,
    canonical,
    checked,
    end_of_line,
    found_key,
    say,
    tell,
    wrong_arguments,
)
from kdb.cli.options import JSON

__all__ = ["ARGUMENTS", "DESCRIPTION", "EXAMPLES", "OPTIONS", "run", "value_text"]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

ARGUMENTS = "[-n] [-j] [-v] NAME"
OPTIONS = {
    "all": ("a", "taken for libelektra's sake: all keys are always considered"),
    "no-newline": ("n", "print no newline after the value"),
    **JSON,
}
DESCRIPTION = """
Prints the value of the key NAME. A cascading name, one that begins with a slash, is looked up:
the specification's override keys first, then proc:/, dir:/, user:/ and system:/, then the
specification's fallback keys and its default. With -v each step of the look-up is told.

A binary value is printed in hexadecimal, as \\x and digits for each byte.
"""
EXAMPLES = (
    ("kdb get user:/sw/editor/theme", "print one user's setting"),
    ("kdb get -v /sw/editor/theme", "look a setting up, and tell where it was found"),
)


def run(options: dict[str, str], arguments: list[str]) -> int:
    """Print a key's value; of a cascading name, of the key that it stands for."""
    if len(arguments) != 1:
        raise wrong_arguments("Need one argument")
    name = checked(arguments[0])
    end = "" if "n" in options else "\n"
    bus = bus_for(name)
    if "v" in options:
        from kdb.cli import trace

        tell(options, trace.search(bus, canonical(name)))
    key = found_key(bus, name)
    if key is None:
        say("" if "j" in options else end)
        raise Failure(NOT_FOUND, f"Did not find key '{canonical(name)}'{end_of_line()}")
    if "j" in options:
        from kdb.cli import as_json

        as_json.show(as_json.key(*key))
        return OK
    _, value, meta, _ = key
    say(value_text(value, meta) + end)
    return OK


def value_text(value: bytes, meta: Mapping[str, str]) -> str:
    """Return a value as it is printed: bytes in hexadecimal."""
    if "binary" in meta:
        return "".join(f"\\x{byte:x}" for byte in value)
    return value.decode("utf-8", "surrogateescape")
