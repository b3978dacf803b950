"""``kdb shell``."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from kdb import KDB, Key, KeySet
from kdb.cli.command import KDB_ERROR, OK, Failure, say, warn, wrong_arguments
from kdb.model.exceptions import Exception as LibraryError
from kdb.model.exceptions import KDBException

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["ARGUMENTS", "DESCRIPTION", "EXAMPLES", "OPTIONS", "run"]

ARGUMENTS = ""
OPTIONS: dict[str, tuple[str, ...]] = {}
DESCRIPTION = """
Reads commands from standard input, a line each, that work on one key and one key set, with the
names of the library's functions:

  kdbGet NAME           get the keys at and below NAME
  kdbSet NAME           store the changes at and below NAME
  keyClear              clear the key
  keySetName NAME       name the key
  keySetMeta NAME TEXT  set a metadatum of the key
  keySetString TEXT     set the value of the key
  ksAppendKey           put the key into the key set
  ksCut NAME            take out the keys at and below NAME
  ksOutput              print the keys of the key set

What goes wrong is told, and the next command is read; the end of the input ends the shell.
"""
EXAMPLES = (("kdb shell", "work step by step, and see what each step does"),)

_PROMPT = "> "
# libelektra's words, as recorded (cli/general.json): they are the answer, not a diagnostic.
_UNKNOWN = """unknown command!
supported are:
kdbGet <name> .. get conf into current keyset
kdbSet <name> .. set conf from current keyset
keyClear .. clears the current key
keySetName <name> .. set name of current key (without bookmarks!)
keySetMeta <name> <string> .. set meta of current key
keySetString <string> .. set string of current key
ksAppendKey .. append current key to current keyset
ksCut <name> .. cut current keyset
ksOutput .. outputs all keys of current keyset

"""


def run(options: dict[str, str], arguments: list[str]) -> int:  # noqa: ARG001 - as all commands
    """Do the commands of standard input."""
    if arguments:
        raise wrong_arguments("no arguments needed")
    try:
        database = KDB()
    except KDBException as error:
        raise Failure(KDB_ERROR, f"Sorry, {error.reason}\n") from None
    with database:
        shell = _Shell(database)
        for line in _lines():
            try:
                shell.do(line)
            except KDBException as error:
                warn(f"Sorry, {error.number}: {error.error.explanation}\n")
            except (LibraryError, ValueError) as error:
                warn(f"Sorry, {error}\n")
    return OK


def _lines() -> Iterator[str]:
    """Yield the lines of standard input, each after a prompt; on a terminal they are edited."""
    if os.isatty(0) and os.isatty(1):
        import readline  # noqa: F401 - input() uses it as soon as it is imported

        try:
            while True:
                yield input(_PROMPT)
        except EOFError:
            say("\n")
        return
    say(_PROMPT)
    for line in sys.stdin.buffer:
        yield line.decode("utf-8", "surrogateescape").rstrip("\n")
        say(_PROMPT)


class _Shell:
    """The key, the key set, and the commands on them."""

    def __init__(self, database: KDB) -> None:
        self._database = database
        self._key = Key()
        self._keys = KeySet()
        self._commands: dict[str, Callable[[str], None]] = {
            "kdbGet": self._get,
            "kdbSet": self._set,
            "keyClear": lambda _: self._key.clear(),
            "keySetMeta": self._set_meta,
            "keySetName": self._set_name,
            "keySetString": self._set_string,
            "ksAppendKey": lambda _: self._append(),
            "ksCut": self._cut,
            "ksOutput": lambda _: self._output(),
        }

    def do(self, line: str) -> None:
        """Do the command of a line; say which there are where it is none of them."""
        name, _, rest = line.strip().partition(" ")
        command = self._commands.get(name)
        if command is None:
            say(_UNKNOWN)
        else:
            command(rest.strip())

    def _get(self, parent: str) -> None:
        say(f"return value: {self._database.get(self._keys, Key(parent))}\n")

    def _set(self, parent: str) -> None:
        say(f"return value: {self._database.set(self._keys, Key(parent))}\n")

    def _set_name(self, name: str) -> None:
        self._key.name = name

    def _set_meta(self, text: str) -> None:
        name, _, value = text.partition(" ")
        if not name:
            raise ValueError("keySetMeta needs a name and a text")
        value = value.strip()
        self._key.setMeta(name, value)
        say(f"Set meta {name} to {value}\n")

    def _set_string(self, text: str) -> None:
        self._key.value = text

    def _append(self) -> None:
        self._keys.append(self._key.dup())

    def _cut(self, parent: str) -> None:
        self._keys.cut(Key(parent))

    def _output(self) -> None:
        for key in self._keys:
            value = key.value
            if isinstance(value, bytes):
                shown = "".join(f"\\x{byte:x}" for byte in value)
                say(f"{key.name} binary: {shown} (length: {len(value)})\n")
            else:
                say(f"{key.name} string: {value}\n")
