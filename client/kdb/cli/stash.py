"""``kdb stash``."""

from __future__ import annotations

from kdb.cli.command import OK, say, warn, wrong_arguments
from kdb.cli.options import JSON

__all__ = ["ARGUMENTS", "DESCRIPTION", "EXAMPLES", "OPTIONS", "run"]

ARGUMENTS = "[-f] [-j]"
OPTIONS = {"force": ("f", "do not ask"), **JSON}
DESCRIPTION = """
Saves everything as kdb backup does, prints the path of the file, and removes all keys of spec:/,
user:/ and system:/, and all mountpoints, in one commit. kdb restore brings everything back. What
kdbd may only read stays, as with kdb reset.

Just what was saved is removed: where others change keys meanwhile, nothing is, and these keys are
named. It asks first; without a terminal to ask on it does nothing, unless -f is given.
"""
EXAMPLES = (("kdb stash -f", "put everything away, and begin anew"),)


def run(options: dict[str, str], arguments: list[str]) -> int:
    """Save all keys in a file, and remove them."""
    if arguments:
        raise wrong_arguments("no arguments needed")
    from kdb.cli import as_json, backups
    from kdb.cli.asking import confirm
    from kdb.cli.key_sets import Database
    from kdb.model.errors import InvalidValue, KDBError
    from kdb.model.names import Namespace

    with Database() as database:
        read = backups.everything(database)
        contents = backups.saved(read.contents)
        staying = backups.staying(database, read)
        removed = backups.removed(contents, staying)
        if lost := backups.unrestorable(removed):
            reason = "is no UTF-8 and could not be restored; set it anew or make it binary first"
            raise InvalidValue(f"{lost[0]!r} {reason}", module="kdb")
        mounted = "" if Namespace.SYSTEM in staying else " and all mountpoints"
        what = f"save all keys ({len(contents):,}), then remove {len(removed):,} keys{mounted}"
        confirm(options, what)
        path = backups.stored(contents)
        try:
            database.write(read, backups.within(read.contents, staying))
        except KDBError as error:
            if backups.is_refusal(error):
                path.unlink()
            else:
                warn(f"The keys may be gone. Everything was saved in {path}\n")
            raise
    if "j" in options:
        as_json.show({"file": str(path), "keys": len(contents)})
    else:
        say(f"{path}\n")
    return OK
