"""What the shells suggest at TAB: commands, options, key names, files.

The scripts in ``completions/`` ask ``kdb --complete SHELL …``, so that what they suggest has the
same sources as ``--help`` and is as new as the database. The answer are records with a NUL between
them: first what to do ("files": suggest files; "nospace": put no space behind), then each
suggestion, for zsh and fish with a tab and what it does behind it. What goes wrong suggests
nothing. Names with control characters, which no line can show, are left out.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from kdb.cli.bus import Bus
from kdb.cli.commands import COMMANDS
from kdb.cli.options import COMMON
from kdb.cli.shell_words import of_line, quoted, unquoted

__all__ = ["Candidate", "answer", "candidates"]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_FILES = "files"
# By the word that stands for an argument in a synopsis, or in an option's form.
_VALUES = {
    "FORMAT": ("dump", "json"),
    "PLUGIN": ("dbus", "dump", "resolver", "sync"),
    "RESOLVER": ("resolver",),
    "WHEN": ("always", "auto", "never"),
}
_KEYS = ("BEGUN", "DESTINATION", "MOUNTPOINT", "NAME", "SOURCE")
_PATHS = ("BACKUP", "FILE", "PATH")
_OPTION_GROUP = re.compile(r"\[-[^\]]*\]")
_ARGUMENT = re.compile(r"[A-Z]+(?:\.\.\.)?")
# About what a line has room for.
_TOLD = 60
_CONTROL = re.compile("[\0-\x1f\x7f-\x9f]")


class Candidate(NamedTuple):
    """A word that the one at the cursor may become, and what it means."""

    text: str
    what: str = ""


def answer(arguments: Sequence[str]) -> str:
    """Return the records for a shell: for bash its line and COMP_WORDBREAKS, else its words."""
    shell, *rest = arguments
    if shell == "bash":
        line, breaks = rest
        found = of_line(line, breaks)
        words, kept, quote = found.words[1:], found.kept, found.quote
    else:
        words, kept, quote = [unquoted(each, shell) for each in rest], 0, ""
    suggested = candidates(words)
    if suggested is None:
        return _FILES
    shown = [each for each in suggested if not _CONTROL.search(each.text)]
    if shell == "bash":
        records = [quoted(each.text[kept:], quote) for each in shown]
    else:
        records = [f"{each.text}\t{_line(each.what)}" if each.what else each.text for each in shown]
    goes_on = any(each.text.endswith(("/", "=")) for each in shown)
    return "\0".join(["nospace" if goes_on else "", *records])


def _line(what: str) -> str:
    """Return what is told about a candidate, such as a value of metadata, as part of a line."""
    return _CONTROL.sub(" ", what[:_TOLD])


def candidates(words: Sequence[str]) -> list[Candidate] | None:
    """Return what the last of the words behind ``kdb`` may become; None for the path of a file."""
    *before, current = words
    if not before:
        found = [Candidate(name, what) for name, (_, what) in COMMANDS.items()]
        found += [
            Candidate("--help", "list the commands"),
            Candidate("--version", COMMON["version"][1]),
        ]
        return _beginning(found, current)
    if before[0] not in COMMANDS:
        return []
    module = __import__(COMMANDS[before[0]][0], fromlist=["OPTIONS"])
    options: Mapping[str, Sequence[str]] = {**COMMON, **module.OPTIONS}
    given = _Given.of(before[1:], options)
    if given.awaited:
        return _values(given.awaited, given.others, current)
    if not given.ended and current.startswith("-"):
        return _options(options, current)
    expected = _expected(module.ARGUMENTS, len(given.others))
    return _values(expected, given.others, current)


def _expected(synopsis: str, at: int) -> str:
    """Return the word that stands for an argument in a synopsis, "" where none is taken."""
    for index, word in enumerate(_ARGUMENT.findall(_OPTION_GROUP.sub("", synopsis))):
        if index == at or word.endswith("..."):
            return str(word).removesuffix("...")
    return ""


class _Given(NamedTuple):
    """What stands before the cursor: arguments, an option's argument that is awaited, ``--``."""

    others: list[str]
    awaited: str
    ended: bool

    @classmethod
    def of(cls, words: Iterable[str], options: Mapping[str, Sequence[str]]) -> _Given:
        takes = {form[0][0]: form[2] for form in options.values() if form[0].endswith(":")}
        others: list[str] = []
        awaited, ended = "", False
        for word in words:
            if awaited:
                awaited = ""
            elif ended or not word.startswith("-") or word == "-":
                others.append(word)
            elif word == "--":
                ended = True
            elif word.startswith("--"):
                form = options.get(word[2:], ("",))
                awaited = takes.get(form[0][:1], "")
            else:
                taking = next((at for at, letter in enumerate(word) if letter in takes), 0)
                awaited = takes[word[-1]] if taking and taking == len(word) - 1 else ""
        return cls(others, awaited, ended)


def _options(options: Mapping[str, Sequence[str]], current: str) -> list[Candidate] | None:
    long, equals, begun = current[2:].partition("=")
    if equals:
        form = options.get(long, ("",))
        values = _values(form[2], [], begun) if len(form) > 2 else []
        return [Candidate(f"--{long}={text}", what) for text, what in values or ()]
    found = []
    for name, form in sorted(options.items()):
        found.append(Candidate(f"--{name}=" if form[0].endswith(":") else f"--{name}", form[1]))
        found.append(Candidate(f"-{form[0][0]}", form[1]))
    return _beginning(found, current)


def _values(expected: str, others: Sequence[str], current: str) -> list[Candidate] | None:
    """Return what an argument may be, by the word that stands for it."""
    if expected in _PATHS:
        return None
    if expected == "COMMAND":
        found = [Candidate(name, what) for name, (_, what) in COMMANDS.items()]
    elif expected == "META":
        found = _metadata(others)
    elif expected == "STRATEGY":
        from kdb.cli.import_ import STRATEGIES

        found = [Candidate(strategy) for strategy in STRATEGIES]
    elif expected in _KEYS:
        found = _keys(current)
        if expected == "MOUNTPOINT":
            found = list(dict.fromkeys([*found, *_mountpoints()]))
    else:
        found = [Candidate(value) for value in _VALUES.get(expected, ())]
    return _beginning(found, current)


def _beginning(found: Iterable[Candidate], begun: str) -> list[Candidate]:
    return [each for each in found if each.text.startswith(begun)]


def _keys(begun: str) -> list[Candidate]:
    """Return how a name may go on to the next level, in the spelling in which it was begun."""
    from kdb.cli.suggestions import bus_of, level_of, suggestions

    level = level_of(begun)
    found: dict[str, None] = {}
    for each in suggestions(bus_of(begun), begun, most=1):
        # A cascading name has the same next part in several namespaces.
        text = level + each.part if level else each.name.removesuffix("/")
        if each.is_key:
            found[text] = None
        if each.has_keys_below:
            found[f"{text}/"] = None
    if not begun:
        found["/"] = None
    return [Candidate(text) for text in found]


def _mountpoints() -> list[Candidate]:
    (mounted,) = Bus().root("ListMounts")
    return [Candidate(mountpoint, path) for mountpoint, path, _ in mounted]


def _metadata(others: Sequence[str]) -> list[Candidate]:
    from kdb.cli import metadata
    from kdb.cli.command import bus_for

    found = metadata.found(bus_for(others[0]), others[0]) if others else None
    return [Candidate(name, value) for name, value in found[1].items()] if found else []
