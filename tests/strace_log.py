"""What `strace -f -y -ttt` tells of a process, parsed.

A call that another thread's interrupts is told in two lines, ``<unfinished ...>`` and
``<... resumed>``; it counts from its first to its second.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from jeepney import Message
from jeepney.low_level import Parser

__all__ = ["ARGUMENTS", "SENDS", "SYNCS", "SystemCall", "messages", "parse"]

SYNCS: Final = ("fsync", "fdatasync")
SENDS: Final = ("sendmsg", "sendto", "writev", "write")

# -D: the program is the child that was started, and strace the grandchild. pwrite64 is what SQLite
# writes its log with.
ARGUMENTS: Final = (
    "strace",
    "-D",
    "-f",
    "-y",
    "-ttt",
    "--string-limit=65536",
    f"--trace={','.join((*SYNCS, *SENDS, 'pwrite64'))}",
    "--signal=none",
)

_LINE: Final = re.compile(r"(?P<thread>\d+) +(?P<at>\d+\.\d+) (?P<what>.*)")
_WHOLE: Final = re.compile(r"(?P<name>\w+)\((?P<arguments>.*)\) += (?P<result>-?\d+)(?: .*)?")
_BEGUN: Final = re.compile(r"(?P<name>\w+)\((?P<arguments>.*?)(?:, )? <unfinished \.\.\.>")
_RESUMED: Final = re.compile(
    r"<\.\.\. (?P<name>\w+) resumed>(?P<arguments>.*)\) += (?P<result>-?\d+)(?: .*)?"
)
_STRING: Final = re.compile(r'"((?:[^"\\]|\\.)*)"(\.\.\.)?')


class SystemCall(NamedTuple):
    """One call that succeeded: in which line it began, in which it had returned, and with what."""

    name: str
    arguments: str
    began: int
    returned: int

    @property
    def file(self) -> str:
        """What the descriptor, its first argument, stands for."""
        return self.arguments.partition("<")[2].partition(">")[0]

    @property
    def data(self) -> bytes:
        """The bytes that were written."""
        found = b""
        for text, cut in _STRING.findall(self.arguments):
            assert not cut, "strace did not tell all of it"
            found += codecs.escape_decode(text.encode("latin-1"))[0]
        return found


def parse(lines: Iterable[str]) -> Iterator[SystemCall]:
    """Answer the calls that succeeded, in the order in which they returned."""
    begun: dict[str, tuple[str, str, int]] = {}
    for number, text in enumerate(lines):
        line = _LINE.fullmatch(text.rstrip("\n"))
        assert line is not None, f"strace tells {text!r}"
        thread, what = line["thread"], line["what"]
        if what.startswith(("+++", "---")):
            continue
        if found := _RESUMED.fullmatch(what):
            name, arguments, began = begun.pop(thread)
            assert name == found["name"]
            arguments += found["arguments"]
        elif found := _BEGUN.fullmatch(what):
            begun[thread] = (found["name"], found["arguments"], number)
            continue
        else:
            found = _WHOLE.fullmatch(what)
            assert found is not None, f"strace tells {text!r}"
            name, arguments, began = found["name"], found["arguments"], number
        if int(found["result"]) >= 0:
            yield SystemCall(name, arguments, began, number)


def messages(calls: Iterable[SystemCall]) -> Iterator[tuple[SystemCall, Message]]:
    """Answer the D-Bus messages that were sent, each with the call that its last byte went by."""
    parser = Parser()
    for call in calls:
        parser.add_data(call.data)
        while (message := parser.get_next_message()) is not None:
            yield call, message
