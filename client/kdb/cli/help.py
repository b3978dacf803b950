"""``kdb help``."""

from __future__ import annotations

from kdb.cli.command import OK, say, show_commands, unknown_command, wrong_arguments

__all__ = ["ARGUMENTS", "DESCRIPTION", "EXAMPLES", "OPTIONS", "run"]

ARGUMENTS = "[COMMAND]"
OPTIONS: dict[str, tuple[str, ...]] = {}
DESCRIPTION = """
Shows what COMMAND does, which options it takes, and examples: the same as COMMAND --help.
Without COMMAND, lists the commands.
"""
EXAMPLES = (("kdb help set", "show what kdb set does"),)


def run(options: dict[str, str], arguments: list[str]) -> int:
    """Show a command's page, or the list of commands."""
    from kdb.cli import manual
    from kdb.cli.commands import COMMANDS

    if len(arguments) > 1:
        raise wrong_arguments("0 or 1 argument needed")
    if not arguments:
        show_commands(options)
        return OK
    (name,) = arguments
    if name not in COMMANDS:
        raise unknown_command(name)
    say(manual.help_text(name))
    return OK
