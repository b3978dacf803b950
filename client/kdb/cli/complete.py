"""``kdb complete``."""

from __future__ import annotations

from kdb.cli.command import OK, say, wrong_arguments
from kdb.cli.options import JSON, number
from kdb.cli.suggestions import bus_of, suggestions

__all__ = ["ARGUMENTS", "DESCRIPTION", "EXAMPLES", "OPTIONS", "run"]

ARGUMENTS = "[-j] [-m DEPTH] [-M DEPTH] [BEGUN]"
OPTIONS = {
    "min-depth": ("m:", "leave out what is at most so many levels below", "DEPTH"),
    "max-depth": ("M:", "leave out what is more levels below; 1: the next only", "DEPTH"),
    "null": ("0", "taken for libelektra's sake: each suggestion is on a line"),
    **JSON,
}
DESCRIPTION = """
Prints how the name BEGUN may go on, a line each, in key order: namespaces, keys, and what lies
above keys, which ends in a slash. The levels below count from the last slash of BEGUN. A
cascading name, one that begins with a slash, goes on in all namespaces.

The completions of bash, zsh and fish ask kdb too, so they know the same names.
A name that is no UTF-8, which only a file can hold, is not among them.
"""
EXAMPLES = (
    ("kdb complete user:/sw/ed", "what begins so, at any depth"),
    ("kdb complete -M 1 user:/sw/", "the level below user:/sw only"),
)


def run(options: dict[str, str], arguments: list[str]) -> int:
    """Print suggestions for a name that was begun."""
    least = number(options, "min-depth", OPTIONS["min-depth"], 0)
    most = number(options, "max-depth", OPTIONS["max-depth"], -1)
    if least < 0:
        raise wrong_arguments("the minimum depth has to be a positive number")
    if most != -1 and most <= least:
        raise wrong_arguments("the maximum depth has to be larger than the minimum depth")
    begun = arguments[0] if arguments else ""
    found = [
        each.text
        for each in suggestions(bus_of(begun), begun, most=None if most == -1 else most)
        if each.depth > least
    ]
    if "j" in options:
        from kdb.cli import as_json

        as_json.show(found)
        return OK
    say("".join(f"{each}\n" for each in found))
    return OK
