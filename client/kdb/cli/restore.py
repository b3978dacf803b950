"""``kdb restore``."""

from __future__ import annotations

from kdb.cli.command import OK, say, warn, wrong_arguments

__all__ = ["ARGUMENTS", "DESCRIPTION", "EXAMPLES", "OPTIONS", "run"]

ARGUMENTS = "BACKUP"
OPTIONS: dict[str, tuple[str, ...]] = {}
DESCRIPTION = """
Brings all keys of spec:/, user:/ and system:/, and the mountpoints, to what BACKUP holds, in one
commit. BACKUP is a file, or the name of one that kdb backup or kdb stash made; kdb backup -l lists
them. What was there before is saved as another backup, whose path is printed.

If the file is damaged, or others change keys meanwhile, nothing is restored.
"""
EXAMPLES = (
    ("kdb restore before-upgrade.ecf", "bring everything back"),
    ("kdb restore 2026-11-20T18-05-00", "bring a backup back by its name"),
)


def run(options: dict[str, str], arguments: list[str]) -> int:  # noqa: ARG001 - as all commands
    """Bring all keys to what a backup holds."""
    if len(arguments) != 1:
        raise wrong_arguments("need the file or the name of a backup; kdb backup -l lists them")
    from kdb.cli import backups
    from kdb.cli.key_sets import Database
    from kdb.model.diff import Diff
    from kdb.model.errors import KDBError

    wanted = backups.load(backups.called(arguments[0]))
    with Database() as database:
        read = backups.everything(database)
        diff = Diff.compute(wanted, backups.saved(read.contents))
        if not diff:
            say("Nothing was changed: all is as in the backup\n")
            return OK
        before = backups.stored(read.contents)
        try:
            database.write(read, {**backups.directory_keys(read.contents), **wanted})
        except KDBError:
            # Also where no answer came, though the keys may be replaced.
            warn(f"What was there before is in {before}\n")
            raise
    counts = f"{len(diff.added):,} added, {len(diff.modified):,} changed"
    say(f"Restored: {counts}, {len(diff.removed):,} removed\n")
    say(f"What was there before is in {before}\n")
    return OK
