"""``kdb umount``."""

from __future__ import annotations

from kdb.cli.bus import Bus, CallError
from kdb.cli.command import NOT_FOUND, OK, Failure, checked, kind_of, wrong_arguments

__all__ = ["ARGUMENTS", "DESCRIPTION", "EXAMPLES", "OPTIONS", "run"]

ARGUMENTS = "MOUNTPOINT"
OPTIONS: dict[str, tuple[str, ...]] = {}
DESCRIPTION = """
Takes the file of MOUNTPOINT out of the key database. The file stays as it is; its keys are no
longer shown.
"""
EXAMPLES = (("kdb umount user:/sw/editor", "unmount a file"),)


def run(options: dict[str, str], arguments: list[str]) -> int:  # noqa: ARG001 - as all commands
    """Unmount a file; the file stays as it is."""
    if len(arguments) != 1:
        raise wrong_arguments("1 argument required")
    mountpoint = checked(arguments[0])
    try:
        Bus().root("Unmount", "s", mountpoint)
    except CallError as error:
        if kind_of(error) == "KeyNotFound":
            raise Failure(NOT_FOUND, f"Mountpoint {mountpoint} does not exist\n") from None
        raise
    return OK
