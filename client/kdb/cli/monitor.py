"""``kdb monitor``."""

from __future__ import annotations

import os
import select
import signal
import time

from kdb.cli.command import (
    KDB_ERROR,
    NOT_FOUND,
    OK,
    Failure,
    parent_key,
    tell,
    warn,
    wrong_arguments,
)
from kdb.cli.options import InvalidOption

__all__ = ["ARGUMENTS", "DESCRIPTION", "EXAMPLES", "OPTIONS", "run"]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from kdb._watch import BlockingWatch
    from kdb.watching import WatchEvent

ARGUMENTS = "[-j] [-v] [-w] [-n COUNT] [-t SECONDS] [-s REVISION] [NAME]"
OPTIONS = {
    "count": ("n:", "end with the commit in which so many changes are shown", "COUNT"),
    "since": ("s:", "begin with the changes after this revision", "REVISION"),
    "timeout": ("t:", "end after so long", "SECONDS"),
    "with-values": ("w", "show each key's value, as it is when the change is shown"),
    "json": ("j", "print a JSON object for each change, on a line of its own"),
}
DESCRIPTION = """
Shows each change of the key NAME and of all keys below it, on a line of its own, as soon as it is
stored; without NAME of all keys. A cascading name, one that begins with a slash, stands for all
namespaces. With -v each line has the time and the revision too.

Every change is shown once, in order. When kdbd or the bus is started anew, it goes on with what
changed meanwhile. If that is more than kdbd remembers, a line beginning with "lost" says so.

It ends by Ctrl-C, when nobody reads its output any more, or as -n and -t say: with both, the exit
code is 11 if there were fewer changes in that time. A commit is shown whole, so with -n there may
be more changes: -s with the last revision that was shown goes on without a loss.
"""
EXAMPLES = (
    ("kdb monitor user:/sw", "watch one user's keys below sw"),
    ("kdb monitor -n 1 -t 60 user:/ready", "wait for a change of a key"),
    ("kdb monitor --json / | jq .name", "hand each change to a program"),
)

# A month; poll takes milliseconds as an int.
_LONGEST_S = 31 * 86_400.0
# Every number of so many digits is one of 64 bits, as revisions are.
_DIGITS = 18


def run(options: dict[str, str], arguments: list[str]) -> int:
    """Show changes as they come."""
    if len(arguments) > 1:
        raise wrong_arguments("0 or 1 argument needed")
    count, since = _whole(options, "n", "count"), _whole(options, "s", "since")
    seconds = _seconds(options)
    from kdb._kdb import KDB
    from kdb.cli.change_lines import Lines
    from kdb.model import names
    from kdb.model.errors import InterfaceError

    parent = parent_key(arguments[0] if arguments else "/")
    name = names.escape(parent)
    if parent[0] not in (*names.PERSISTABLE, names.Namespace.CASCADING):
        raise InterfaceError(f"{name} is not stored, so nothing ever changes there", module="kdb")
    lines = Lines(options)
    # While a connection to the bus is being made, its end is no reason to go.
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    with KDB() as database:
        watch = database.watch(name, since=since)
    with watch:
        if "d" in options:
            tell(options, f"watching {name} and all keys below\n")
        elif os.isatty(1) and os.isatty(2):
            warn(f"Watching {name} and all keys below. Ctrl-C ends it.\n")
        shown = 0
        for events in _batches(watch, seconds):
            some = events if count is None else _whole_commits(events, count - shown)
            for event in some:
                _show(lines.line(event))
            shown += len(some)
            if count is not None and shown >= count:
                return OK
    if count is None:
        return OK
    raise Failure(NOT_FOUND, f"Only {shown} of {count} changes came in time\n")


def _whole_commits(events: Sequence[WatchEvent], count: int) -> Sequence[WatchEvent]:
    """Return the first so many changes, and what else was in the last one's commit."""
    if not 0 < count < len(events):
        return events[:count]
    last = events[count - 1].revision
    return [*events[:count], *(each for each in events[count:] if each.revision == last)]


def _show(text: str) -> None:
    """Write to standard output; where nobody reads it any more, end as other programs do."""
    rest = memoryview(text.encode("utf-8", "surrogateescape"))
    try:
        while rest:
            rest = rest[os.write(1, rest) :]
    except BrokenPipeError:
        _end_by_closed_pipe()
    except OSError as error:
        raise Failure(KDB_ERROR, f"kdb: cannot write: {error.strerror}\n") from None


def _end_by_closed_pipe() -> None:
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    os.kill(os.getpid(), signal.SIGPIPE)


def _batches(watch: BlockingWatch, seconds: float | None) -> Iterator[list[WatchEvent]]:
    """Yield changes as they come, for so long; end the process where nobody reads its output."""
    deadline_s = None if seconds is None else time.monotonic() + seconds
    poll = select.poll()
    poll.register(watch.fileno(), select.POLLIN)
    # Without a wanted event it still reports that the reader of a pipe is gone.
    poll.register(1, 0)
    yield watch.dispatch()
    while True:
        left_ms = None if deadline_s is None else (deadline_s - time.monotonic()) * 1000
        if left_ms is not None and left_ms <= 0:
            return
        ready = poll.poll(left_ms)
        if any(fd == 1 for fd, _ in ready):
            _end_by_closed_pipe()
        yield watch.dispatch()


def _whole(options: dict[str, str], letter: str, name: str) -> int | None:
    """Return an option's number, or None where it is not given."""
    if letter not in options:
        return None
    text = options[letter]
    if not (text.isascii() and text.isdigit() and len(text) <= _DIGITS):
        raise InvalidOption(f"-{letter} --{name} needs a whole number as argument")
    return int(text)


def _seconds(options: dict[str, str]) -> float | None:
    if "t" not in options:
        return None
    try:
        seconds = float(options["t"])
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= _LONGEST_S:
        raise InvalidOption("-t --timeout needs a number of seconds as argument")
    return seconds
