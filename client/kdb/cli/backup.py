"""``kdb backup``."""

from __future__ import annotations

from kdb.cli.command import OK, say, warn, wrong_arguments
from kdb.cli.options import JSON

__all__ = ["ARGUMENTS", "DESCRIPTION", "EXAMPLES", "OPTIONS", "run"]

ARGUMENTS = "[-f] [-j] [-l] [FILE]"
OPTIONS = {
    "force": ("f", "replace FILE if it is there"),
    "list": ("l", "list the backups that were made without FILE"),
    **JSON,
}
DESCRIPTION = """
Saves all keys of spec:/, user:/ and system:/ with their metadata, and the mountpoints, in FILE,
and prints its path. Without FILE it is a new one below ~/.local/share/kdb/backups, called by the
time. It holds all of one moment, whatever others change meanwhile, and only its owner may read
it. kdb restore brings everything back.

The keys of dir:/ belong to directories and are not saved.
"""
EXAMPLES = (
    ("kdb backup", "save everything"),
    ("kdb backup before-upgrade.ecf", "save everything in a file of your choice"),
)


def run(options: dict[str, str], arguments: list[str]) -> int:
    """Save all keys in a file."""
    if len(arguments) > 1 or ("l" in options and arguments):
        raise wrong_arguments("0 or 1 argument needed")
    from pathlib import Path

    from kdb.cli import as_json, backups
    from kdb.cli.key_sets import Database
    from kdb.model.errors import ResourceError

    if "l" in options:
        found = [str(each) for each in backups.find()]
        if "j" in options:
            as_json.show(found)
        else:
            say("".join(f"{each}\n" for each in found))
        return OK
    file = Path(arguments[0]) if arguments else None
    if file is not None and "f" not in options and file.exists():
        raise ResourceError(f"{file} is there already; with -f it is replaced", module="kdb")
    with Database() as database:
        contents = backups.saved(backups.everything(database).contents)
    path = backups.stored(contents, file)
    if lost := backups.unrestorable(contents):
        warn(
            f"Keys that are no UTF-8: {len(lost)}, the first is {lost[0]!r}.\n"
            "kdb restore leaves them as they are, but cannot bring them back.\n"
        )
    if "j" in options:
        as_json.show({"file": str(path), "keys": len(contents)})
    else:
        say(f"{path}\n")
    return OK
