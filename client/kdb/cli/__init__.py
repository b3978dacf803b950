"""The ``kdb`` command: a thin client of kdbd.

It starts often and does little, so what it imports is what it costs. Each command is a module's
function; nothing is imported before it is needed. Standard output and exit codes are as those of
libelektra's ``kdb``: 0; 1 unknown option; 2 wrong arguments; 4 unknown command; 5 an error of the
key database; 7 invalid name or plugin; 11 not found; 12 a cascading write that resolves to nothing.
"""

from __future__ import annotations

import os
import sys

__all__ = ["main"]


def main() -> int:
    """Run the command that the program was called with, and return its exit code."""
    _die_quietly()
    _keep_standard_files()
    from kdb.cli import command

    # What is stored is UTF-8, whatever the locale took the arguments for.
    return command.run(
        [os.fsencode(each).decode("utf-8", "surrogateescape") for each in sys.argv[1:]]
    )


def _die_quietly() -> None:
    """Let a closed pipe and Ctrl-C end the program, as they end others: at once, without a word."""
    # The C module below `signal`, which costs a millisecond for the enums that it makes.
    import _signal  # type: ignore[import-not-found]  # typeshed has only `signal`

    _signal.signal(_signal.SIGPIPE, _signal.SIG_DFL)
    _signal.signal(_signal.SIGINT, _signal.SIG_DFL)


def _keep_standard_files() -> None:
    """Open what the caller closed, so that no socket becomes standard output."""
    while (fd := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(fd)
