"""``kdb list-commands``."""

from __future__ import annotations

from kdb.cli.command import OK, say, wrong_arguments
from kdb.cli.commands import COMMANDS
from kdb.cli.options import JSON

__all__ = ["ARGUMENTS", "DESCRIPTION", "EXAMPLES", "OPTIONS", "run"]

ARGUMENTS = "[-0] [-j]"
OPTIONS = {"null": ("0", "end each line with NUL, not with a newline"), **JSON}
DESCRIPTION = """
Prints the name of each command on a line of its own; with -v also what it does.
"""
EXAMPLES = (("kdb list-commands -v", "list the commands and what they do"),)


def run(options: dict[str, str], arguments: list[str]) -> int:
    """List the commands."""
    if arguments:
        raise wrong_arguments("no arguments needed")
    if "j" in options:
        from kdb.cli import as_json

        as_json.show({name: what for name, (_, what) in COMMANDS.items()})
        return OK
    end = "\0" if "0" in options else "\n"
    for name, (_, what) in COMMANDS.items():
        say(f"{name}\t{what}{end}" if "v" in options else name + end)
    return OK
