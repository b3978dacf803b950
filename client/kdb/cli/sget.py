"""``kdb sget``."""

from __future__ import annotations

from kdb.cli.bus import CallError, NoService
from kdb.cli.command import (
    OK,
    bus_for,
    checked,
    found_key,
    kind_of,
    report_call,
    say,
    unserved,
    wrong_arguments,
)
from kdb.cli.get import value_text
from kdb.cli.options import JSON

__all__ = ["ARGUMENTS", "DESCRIPTION", "EXAMPLES", "OPTIONS", "run"]

ARGUMENTS = "[-j] NAME DEFAULT"
OPTIONS = {**JSON}
DESCRIPTION = """
For scripts: prints the value of the key NAME, or DEFAULT where there is none, without a newline
behind it. Where the key database does not answer, it prints DEFAULT too, says why on standard
error, and still exits with 0.

A cascading name, one that begins with a slash, is looked up as kdb get does it.
"""
EXAMPLES = (("port=$(kdb sget /sw/server/port 8080)", "take a setting, or 8080"),)


def run(options: dict[str, str], arguments: list[str]) -> int:
    """Print a key's value, or the default."""
    if len(arguments) != 2:
        raise wrong_arguments("Need two arguments")
    name, default = checked(arguments[0]), arguments[1]
    try:
        key = found_key(bus_for(name), name)
    except NoService as error:
        report_call("sget", unserved(error))
        key = None
    except CallError as error:
        if kind_of(error) in ("InvalidName", "NameTooLong"):
            raise
        report_call("sget", error)
        key = None
    text = default if key is None else value_text(key[1], key[2])
    if "j" in options:
        from kdb.cli import as_json

        as_json.show(text)
        return OK
    say(text)
    return OK
