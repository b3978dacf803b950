"""``kdb find``."""

from __future__ import annotations

import re
import warnings

from kdb.cli import listing
from kdb.cli.command import OK, bus_for, say, tell, warn, wrong_arguments
from kdb.cli.options import JSON

__all__ = ["ARGUMENTS", "DESCRIPTION", "EXAMPLES", "OPTIONS", "run"]

ARGUMENTS = "[-0] [-j] REGEX"
OPTIONS = {"null": ("0", "end each name with NUL, not with a newline"), **JSON}
DESCRIPTION = """
Prints the names of all keys in which the regular expression REGEX is found, a line each, in key
order. REGEX is looked for anywhere in the name, as it is written with its namespace.

A name that is no UTF-8, which only a file can hold, is not listed; kdb export prints it.

An expression that is none finds nothing: an error says what is wrong, and the exit code is 0.
"""
EXAMPLES = (
    ("kdb find 'editor/.*theme'", "find settings whose names hold editor and then theme"),
    ("kdb find '^system:/.*/port$'", "find the keys named port in one namespace"),
)

# Python's expressions lack these; its others say what ECMAScript's say, which libelektra takes.
_CLASSES = {
    "alnum": "0-9A-Za-z",
    "alpha": "A-Za-z",
    "blank": " \\t",
    "digit": "0-9",
    "lower": "a-z",
    "space": "\\s",
    "upper": "A-Z",
    "xdigit": "0-9A-Fa-f",
}


def run(options: dict[str, str], arguments: list[str]) -> int:
    """List the names in which a regular expression is found."""
    if len(arguments) != 1:
        raise wrong_arguments("Need one argument")
    try:
        expression = _compiled(arguments[0])
    except (re.error, OverflowError, RecursionError) as error:
        warn(f"Regex error in “{arguments[0]}”: {error}\n")
        return OK
    names = list(listing.names_with_defaults(bus_for("/"), "/"))
    found = [name for name in names if expression.search(name)]
    if "v" in options:
        tell(options, f"size of all keys: {len(names)}\nsize of found keys: {len(found)}\n")
    if "j" in options:
        from kdb.cli import as_json

        as_json.show(found)
        return OK
    end = "\0" if "0" in options else "\n"
    say("".join(name + end for name in found))
    return OK


def _compiled(text: str) -> re.Pattern[str]:
    text = re.sub(r"\[:([a-z]+):\]", lambda found: _CLASSES.get(found[1], found[0]), text)
    with warnings.catch_warnings():
        # What may mean something else one day is none of the caller's business.
        warnings.simplefilter("ignore")
        return re.compile(text)
