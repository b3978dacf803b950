"""``kdb get``."""

from __future__ import annotations

from kdb.cli.bus import CallError
from kdb.cli.command import (
    NOT_FOUND,
    OK,
    Failure,
    bus_for,
    canonical,
    checked,
    kind_of,
    say,
    tell,
    wrong_arguments,
)
from kdb.cli.options import JSON

__all__ = ["ARGUMENTS", "DESCRIPTION", "EXAMPLES", "OPTIONS", "run"]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kdb.cli.bus import Bus

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
    key = _key(bus, name)
    if key is None:
        say("" if "j" in options else end)
        raise Failure(NOT_FOUND, f"Did not find key '{canonical(name)}'")
    if "j" in options:
        from kdb.cli import as_json

        as_json.show(as_json.key(*key))
        return OK
    _, value, meta, _ = key
    if "binary" in meta:
        text = "".join(f"\\x{byte:x}" for byte in value)
    else:
        text = value.decode("utf-8", "surrogateescape")
    say(text + end)
    return OK


def _key(bus: Bus, name: str) -> tuple[str, bytes, dict[str, str], int] | None:
    """Return what kdbd answers for a name: the found name, value, metadata and revision."""
    try:
        found, value, meta, revision = bus.call("Get", "s", name)
    except CallError as error:
        if kind_of(error) == "KeyNotFound":
            return None
        raise
    return found, value, meta, revision
