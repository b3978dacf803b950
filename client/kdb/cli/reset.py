"""``kdb reset``."""

from __future__ import annotations

from kdb.cli.command import OK, say, wrong_arguments

__all__ = ["ARGUMENTS", "DESCRIPTION", "EXAMPLES", "OPTIONS", "run"]

ARGUMENTS = "[-f]"
OPTIONS = {"force": ("f", "do not ask")}
DESCRIPTION = """
Removes all keys of spec:/, user:/ and system:/, and all mountpoints, in one commit. The files of
mountpoints are left as they are. The keys of dir:/ belong to directories and stay.

The keys of a namespace that kdbd may only read stay too, and that is told. Where it is system:/,
so do the mountpoints; what is removed below them is then removed from their files.

It asks first. Without a terminal to ask on it does nothing, unless -f is given. kdb stash does
the same, but saves everything before.
"""
EXAMPLES = (("kdb reset", "begin anew"),)


def run(options: dict[str, str], arguments: list[str]) -> int:
    """Remove all keys."""
    if arguments:
        raise wrong_arguments("no arguments needed")
    from kdb.cli import backups
    from kdb.cli.asking import confirm
    from kdb.cli.key_sets import Database
    from kdb.model.names import Namespace

    with Database() as database:
        read = backups.everything(database)
        staying = backups.staying(database, read)
        count = len(backups.removed(read.contents, staying))
        mounted = "" if Namespace.SYSTEM in staying else " and all mountpoints"
        confirm(options, f"remove all keys ({count:,}){mounted}")
        replaced = database.change(read, lambda contents: backups.within(contents, staying))
    say(f"Keys removed: {len(backups.removed(replaced.contents, staying)):,}\n")
    return OK
