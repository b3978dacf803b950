"""The commands of ``kdb``: which module each is, and what it does."""

from __future__ import annotations

__all__ = ["COMMANDS"]

COMMANDS = {
    "get": ("kdb.cli.get", "Get the value of an individual key."),
    "help": ("kdb.cli.help", "Show what a command does."),
    "list-commands": ("kdb.cli.list_commands", "List the commands."),
    "ls": ("kdb.cli.ls", "List the names of keys below a given name."),
    "mount": ("kdb.cli.mount", "Mount a file, or list what is mounted."),
    "rm": ("kdb.cli.rm", "Remove keys from the key database."),
    "set": ("kdb.cli.set", "Set the value of an individual key."),
    "umount": ("kdb.cli.umount", "Unmount a file from the key database."),
}
"""By name, in order: the module's name and a line about it."""
