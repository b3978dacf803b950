"""``kdb restore``."""

from __future__ import annotations

from kdb.cli.command import OK, say, warn, wrong_arguments

__all__ = ["ARGUMENTS", "DESCRIPTION", "EXAMPLES", "OPTIONS", "run"]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kdb.cli.key_sets import Contents
    from kdb.model.diff import Diff

ARGUMENTS = "BACKUP"
OPTIONS: dict[str, tuple[str, ...]] = {}
DESCRIPTION = """
Brings all keys of spec:/, user:/ and system:/, and the mountpoints, to what BACKUP holds. BACKUP
is a file, or the name of one that kdb backup or kdb stash made; kdb backup -l lists them.

The keys go in one commit. Where mountpoints differ, they go in one of their own before: so what
their files hold now is compared with BACKUP too. What was there before is saved as another backup,
whose path is printed. If more is replaced, as what somebody wrote into a file while it was not
mounted, a second backup holds that.

If BACKUP is damaged, nothing is restored; if others change keys meanwhile, or kdbd refuses some, no
key is. Where the mountpoints were restored already, that is told.
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
    from kdb.model.names import Namespace

    wanted = backups.load(backups.called(arguments[0]))
    with Database() as database:
        shown = backups.everything(database)
        diff = Diff.compute(wanted, backups.saved(shown.contents))
        if not diff:
            say("Nothing was changed: all is as in the backup\n")
            return OK
        told = f"What was there before is in {backups.stored(shown.contents)}\n"
        read, stands = shown, ""
        try:
            if Diff.compute(backups.mountpoints(wanted), backups.mountpoints(shown.contents)):
                database.write(shown, _remounted(shown.contents, wanted))
                stands = "The mountpoints are as in the backup; as to the keys:\n"
                read = backups.everything(database)
                # What the files hold that are mounted now is no addition, whatever was shown.
                replacing = Diff.compute(wanted, backups.saved(read.contents))
                diff = Diff({**diff, **replacing})
                if _is_more(replacing, shown.contents):
                    told += (
                        f"What was in files, but not shown, is in {backups.stored(read.contents)}\n"
                    )
            database.write(read, {**backups.within(read.contents, {Namespace.DIR}), **wanted})
        except KDBError:
            # Also where no answer came, though the keys may be replaced.
            warn(told + stands)
            raise
    counts = f"{len(diff.added):,} added, {len(diff.modified):,} changed"
    say(f"Restored: {counts}, {len(diff.removed):,} removed\n{told}")
    return OK


def _remounted(shown: Contents, wanted: Contents) -> Contents:
    """Return the keys with the mountpoints of those that are wanted, and no other change."""
    from kdb.cli import backups

    mounted = backups.mountpoints(shown)
    others = {name: key for name, key in shown.items() if name not in mounted}
    return {**others, **backups.mountpoints(wanted)}


def _is_more(replacing: Diff, known: Contents) -> bool:
    """Tell whether keys are replaced that are not among the known ones, as they are."""
    return any(
        old is not None and not (name in known and known[name].same_as(old))
        for name, (old, _) in replacing.items()
    )
