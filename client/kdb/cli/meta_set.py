"""``kdb meta-set``."""

from __future__ import annotations

from kdb.cli import binary
from kdb.cli.command import (
    INVALID_NAME,
    OK,
    Failure,
    bus_for,
    canonical,
    checked,
    say,
    show_commands,
    tell,
    writable_name,
    wrong_arguments,
)
from kdb.cli.meta_rm import remove
from kdb.cli.names import meta_name

__all__ = ["ARGUMENTS", "DESCRIPTION", "EXAMPLES", "OPTIONS", "run"]

ARGUMENTS = "[-q] [-v] NAME META [VALUE]"
OPTIONS = {
    "force": ("f", "taken for libelektra's sake: nothing asks before it writes"),
    "quiet": ("q", "say nothing where all went well"),
}
DESCRIPTION = """
Sets the metadatum META of the key NAME to VALUE, and makes the key, with an empty value, where
there is none. Without VALUE, removes the metadatum.

A cascading name, one that begins with a slash, stands for the key that kdb get finds; where
there is none, nothing is written and the exit code is 12.

The times atime, ctime and mtime are whole seconds with a space behind them, as libelektra reads
them; the space is not kept. With the metadatum binary the value is no text any more: its bytes
and a NUL behind them.
"""
EXAMPLES = (
    ("kdb meta-set user:/sw/editor/width type long", "say that a setting is a number"),
    ("kdb meta-set spec:/sw/editor/width default 80", "give a setting a default"),
)

_TIMES = ("atime", "ctime", "mtime")


def run(options: dict[str, str], arguments: list[str]) -> int:
    """Set a metadatum; without a value remove it."""
    if len(arguments) not in (2, 3):
        raise wrong_arguments("Need 2 or 3 arguments")
    name, meta = checked(arguments[0]), meta_name("meta-set", arguments[1])
    value = arguments[2] if len(arguments) == 3 else None
    if value is not None and meta in _TIMES:
        value = _seconds(meta, value)
    bus = bus_for(name)
    target = writable_name(bus, name)
    if value is None:
        remove(bus, target or canonical(name), meta)
        if "q" not in options:
            say(f"Only two arguments, thus deleting metaname {meta}\n")
    elif meta == binary.META and target is not None:
        binary.make(bus, target, value)
    else:
        bus.call("SetMeta", "sss", target or name, meta, value)
        if target is None and "v" in options:
            tell(options, f"Creating key {canonical(name)}\n")
    if name.startswith("/") and "q" not in options:
        say(f"Using name {target}\n")
    return OK


def _seconds(meta: str, value: str) -> str:
    """Return a time as it is kept; refuse what libelektra does not read as one."""
    number, behind = value.rstrip(), value[len(value.rstrip()) :]
    if behind and number.lstrip("+-").isascii() and number.lstrip("+-").isdigit():
        return str(int(number))
    show_commands({})
    raise Failure(
        INVALID_NAME,
        f"The command kdb meta-set cannot read {value!r} as {meta}: write whole seconds with a"
        " space behind them, such as '123 '\n",
    )
