"""``kdb set``."""

from __future__ import annotations

from kdb.cli.bus import CallError
from kdb.cli.command import (
    OK,
    bus_for,
    canonical,
    checked,
    kind_of,
    say,
    warn,
    writable_name,
    wrong_arguments,
)

__all__ = ["ARGUMENTS", "DESCRIPTION", "EXAMPLES", "OPTIONS", "run"]

ARGUMENTS = "[-q] NAME VALUE"
# Nothing asks before it writes, so there is nothing to force.
OPTIONS = {
    "force": ("f", "taken for libelektra's sake: nothing asks before it writes"),
    "quiet": ("q", "say nothing where all went well"),
}
DESCRIPTION = """
Sets the key NAME to the string VALUE, and makes the key where there is none. Its metadata stay,
but for "binary", since it is a string now. When the command ends, the value is on the disk.

A cascading name, one that begins with a slash, stands for the key that kdb get finds; where
there is none, nothing is written and the exit code is 12.

After -- an argument may begin with a dash.
"""
EXAMPLES = (
    ("kdb set user:/sw/editor/theme dark", "set one user's setting"),
    ("kdb set -- user:/sw/editor/offset -1", "set a value that begins with a dash"),
)

# What these hold is made by kdbd itself; libelektra takes a write there and says it is not stored.
_READ_ONLY = ("system:/elektra/modules", "system:/elektra/version")


def run(options: dict[str, str], arguments: list[str]) -> int:
    """Set a key's value to a string; of a cascading name, of the key that it stands for."""
    if len(arguments) != 2:
        raise wrong_arguments("2 arguments needed")
    name, value = checked(arguments[0]), arguments[1]
    bus = bus_for(name)
    target = writable_name(bus, name)
    try:
        bus.call("SetString", "ss", target or name, value)
    except CallError as error:
        _tolerate(error, canonical(name))
    if "q" not in options:
        if target is None:
            say(f'Create a new key {canonical(name)} with string "{value}"\n')
        else:
            say(f'Set string to "{value}"\n')
        if name.startswith("/"):
            say(f"Using name {target}\n")
    return OK


def _tolerate(error: CallError, name: str) -> None:
    """Raise a failed write's error again, unless it is where nothing is ever stored."""
    if kind_of(error) != "Interface" or not name.startswith(_READ_ONLY):
        raise error
    warn(
        " Sorry, 1 warning was issued ;(\n 1: Module kdbd issued the warning C01320:\n"
        f"\tInterface: {error.text}\n"
    )
