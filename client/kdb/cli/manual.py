"""What ``--help`` and the man pages tell: both are made from what each command's module says.

A command's module has ``ARGUMENTS``, the synopsis after its name; ``OPTIONS``, what it takes
besides the common options (see :mod:`kdb.cli.options`); ``DESCRIPTION``, paragraphs between empty
lines, of which those that are indented stay as they are; ``EXAMPLES``, pairs of a command line and
what it does; and, where it reads more than all commands do, ``ENVIRONMENT``, the variables.
"""

from __future__ import annotations

import textwrap
from importlib import import_module
from typing import TYPE_CHECKING, NamedTuple

from kdb.cli.commands import COMMANDS
from kdb.cli.options import COMMON

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

__all__ = [
    "ENVIRONMENT",
    "EXIT_CODES",
    "FILES",
    "OVERVIEW",
    "SUMMARY",
    "Page",
    "commands_text",
    "help_text",
    "option_forms",
    "page",
    "paragraphs",
]

WIDTH = 80
"""Columns that every terminal has."""

EXIT_CODES = {
    0: "done",
    1: "an option is not known",
    2: "the arguments are wrong",
    3: "the command was given up",
    4: "the command is not known",
    5: "the key database refused, or does not answer",
    7: "the name of a key or plugin is invalid",
    11: "the key was not found",
    12: "a cascading name stands for no key to write to, or metadata are missing",
}
"""As libelektra's, by design/elektra.md; what `kdb` ends with."""


SUMMARY = "Read and write the key database that kdbd serves."

OVERVIEW = """
The key database holds settings: each key has a name, a value and metadata. kdb asks kdbd, the
service that owns it, over D-Bus; what kdb says was written is on the disk.

The name of a key begins with a namespace:

  spec:/    what settings there are: their defaults and their meaning
  dir:/     what holds for a directory and those below it
  user:/    what one user chose
  system:/  what holds for the machine

A name that begins with a slash is a cascading name: it stands for the first of dir:/, user:/ and
system:/ in which there is such a key, or else for the default that spec:/ names for it. In a part
of a name, a slash and a backslash are written with a backslash before them.
"""
"""What all of kdb is about, as the page kdb(1) tells it; in form as a command's description."""

ENVIRONMENT = {
    "DBUS_SESSION_BUS_ADDRESS": "the bus on which kdbd is looked for",
    "NO_COLOR": "if it is set and not empty, nothing is coloured unless --color=always asks for it",
    "TERM": "if it is dumb, nothing is coloured either",
}
"""The variables that every command reads."""

FILES = {
    "~/.config/default.ecf": "the keys of user:/",
    "/etc/kdb/default.ecf": "the keys of system:/",
    ".dir/default.ecf": "the keys of dir:/, in the nearest directory upward that has it",
    "/usr/share/elektra/specification/default.ecf": "the keys of spec:/",
    "~/.local/state/kdbd/": "the journal of kdbd, with the history of all changes",
}
"""Where keys are, unless kdbd was started with other paths."""


class Page(NamedTuple):
    """A command's page, as its module has it."""

    name: str
    summary: str
    arguments: str
    description: str
    options: Mapping[str, Sequence[str]]
    examples: Sequence[tuple[str, str]]
    environment: Mapping[str, str]


def page(name: str) -> Page:
    """Return the page of a command that there is."""
    path, summary = COMMANDS[name]
    module = import_module(path)
    return Page(
        name,
        summary,
        module.ARGUMENTS,
        module.DESCRIPTION,
        module.OPTIONS,
        module.EXAMPLES,
        getattr(module, "ENVIRONMENT", {}),
    )


def help_text(name: str) -> str:
    """Return what ``kdb NAME --help`` prints: usage, summary, description, options, examples."""
    shown = page(name)
    sections = [
        _usage(shown),
        shown.summary,
        *(_filled(each) for each in paragraphs(shown.description)),
    ]
    if shown.options:
        sections.append("Options:\n" + _options(shown.options))
    sections.append("Options of every command:\n" + _options(COMMON))
    if shown.examples:
        lines = [f"  {command}\n      {what}" for command, what in shown.examples]
        sections.append("Examples:\n" + "\n".join(lines))
    return "\n\n".join(sections) + "\n"


def commands_text(bold: str = "", plain: str = "") -> str:
    """Return the list of commands, a line each, with their names between *bold* and *plain*."""
    wide = max(map(len, COMMANDS)) + 2
    return "".join(
        f"  {bold}{name}{plain}{' ' * (wide - len(name))}{what}\n"
        for name, (_, what) in COMMANDS.items()
    )


def paragraphs(text: str) -> list[str]:
    """Return the paragraphs of a description."""
    return [each.strip("\n") for each in textwrap.dedent(text).strip("\n").split("\n\n")]


def option_forms(long: str, form: Sequence[str]) -> tuple[str, str]:
    """Return an option's short and long form, each with the name of its argument."""
    letter, *rest = form
    if not letter.endswith(":"):
        return f"-{letter}", f"--{long}"
    return f"-{letter[0]} {rest[1]}", f"--{long}={rest[1]}"


def _usage(shown: Page) -> str:
    return textwrap.fill(
        f"Usage: kdb {shown.name} {shown.arguments}".rstrip(),
        WIDTH,
        subsequent_indent="  ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def _filled(paragraph: str) -> str:
    if paragraph.startswith(" "):
        return paragraph
    return textwrap.fill(paragraph, WIDTH, break_long_words=False, break_on_hyphens=False)


def _options(options: Mapping[str, Sequence[str]]) -> str:
    lines: list[str] = []
    for long, form in sorted(options.items()):
        lines += _option(", ".join(option_forms(long, form)), form[1])
    return "\n".join(lines)


def _option(forms: str, what: str) -> Iterable[str]:
    start = f"  {forms}"
    column = 26
    if len(start) + 2 > column:
        yield start
        start = ""
    yield textwrap.fill(
        what, WIDTH, initial_indent=start.ljust(column), subsequent_indent=" " * column
    )
