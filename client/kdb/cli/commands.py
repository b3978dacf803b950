"""The commands of ``kdb``: which module each is, and what it does."""

from __future__ import annotations

__all__ = ["COMMANDS"]

COMMANDS = {
    "backup": ("kdb.cli.backup", "Save all keys and mountpoints in a file."),
    "basename": ("kdb.cli.basename", "Print the last part of a key's name."),
    "complete": ("kdb.cli.complete", "Suggest how a key's name goes on."),
    "cp": ("kdb.cli.cp", "Copy keys within the key database."),
    "dirname": ("kdb.cli.dirname", "Print what is above a key's name."),
    "editor": ("kdb.cli.editor", "Change keys in an editor."),
    "export": ("kdb.cli.export", "Write keys to a file or to standard output."),
    "file": ("kdb.cli.file", "Print the file that a key is kept in."),
    "find": ("kdb.cli.find", "Find keys whose names match a regular expression."),
    "get": ("kdb.cli.get", "Get the value of an individual key."),
    "help": ("kdb.cli.help", "Show what a command does."),
    "import": ("kdb.cli.import_", "Read keys from a file or from standard input."),
    "list-commands": ("kdb.cli.list_commands", "List the commands."),
    "ls": ("kdb.cli.ls", "List the names of keys below a given name."),
    "meta-get": ("kdb.cli.meta_get", "Get the value of a metadatum."),
    "meta-ls": ("kdb.cli.meta_ls", "List the names of a key's metadata."),
    "meta-rm": ("kdb.cli.meta_rm", "Remove a metadatum from a key."),
    "meta-set": ("kdb.cli.meta_set", "Set a metadatum of a key."),
    "meta-show": ("kdb.cli.meta_show", "Show a key's metadata with their values."),
    "monitor": ("kdb.cli.monitor", "Show changes as they happen."),
    "mount": ("kdb.cli.mount", "Mount a file, or list what is mounted."),
    "mv": ("kdb.cli.mv", "Move keys within the key database."),
    "namespace": ("kdb.cli.namespace", "Print the namespace of a key's name."),
    "reset": ("kdb.cli.reset", "Remove all keys and mountpoints."),
    "restore": ("kdb.cli.restore", "Bring all keys back to what a backup holds."),
    "rm": ("kdb.cli.rm", "Remove keys from the key database."),
    "set": ("kdb.cli.set", "Set the value of an individual key."),
    "sget": ("kdb.cli.sget", "Get a value in a script, or else what the script says."),
    "shell": ("kdb.cli.shell", "Work on one key set step by step."),
    "stash": ("kdb.cli.stash", "Save all keys and mountpoints, and remove them."),
    "umount": ("kdb.cli.umount", "Unmount a file from the key database."),
}
"""By name, in order: the module's name and a line about it."""
