"""The commands of ``kdb``: which module each is, and what it does."""

from __future__ import annotations

__all__ = ["COMMANDS"]

COMMANDS = {
    "backup": ("kdb.cli.backup", "Save all keys and mountpoints in a file."),
    "editor": ("kdb.cli.editor", "Change keys in an editor."),
    "export": ("kdb.cli.export", "Write keys to a file or to standard output."),
    "get": ("kdb.cli.get", "Get the value of an individual key."),
    "help": ("kdb.cli.help", "Show what a command does."),
    "import": ("kdb.cli.import_", "Read keys from a file or from standard input."),
    "list-commands": ("kdb.cli.list_commands", "List the commands."),
    "ls": ("kdb.cli.ls", "List the names of keys below a given name."),
    "monitor": ("kdb.cli.monitor", "Show changes as they happen."),
    "mount": ("kdb.cli.mount", "Mount a file, or list what is mounted."),
    "reset": ("kdb.cli.reset", "Remove all keys and mountpoints."),
    "restore": ("kdb.cli.restore", "Bring all keys back to what a backup holds."),
    "rm": ("kdb.cli.rm", "Remove keys from the key database."),
    "set": ("kdb.cli.set", "Set the value of an individual key."),
    "stash": ("kdb.cli.stash", "Save all keys and mountpoints, and remove them."),
    "umount": ("kdb.cli.umount", "Unmount a file from the key database."),
}
"""By name, in order: the module's name and a line about it."""
