"""What ``cp`` and ``mv`` have in common: which keys get which names."""

from __future__ import annotations

from shlex import quote
from typing import NamedTuple

from kdb.cli.applying import require_utf8
from kdb.cli.bus import CallError
from kdb.cli.command import KDB_ERROR, NOT_FOUND, Failure, existing_key, kind_of, wrong_arguments
from kdb.cli.names import root_free, with_namespace
from kdb.model.content import is_utf8

__all__ = ["Content", "Renamed", "contents", "renamed", "source_and_destination"]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kdb.cli.bus import Bus

    Content = tuple[bytes, dict[str, str]]


class Renamed(NamedTuple):
    """A key, by the name it has and the name it gets, with its value and metadata."""

    source: str
    name: str
    content: Content


def source_and_destination(command: str, arguments: list[str]) -> tuple[str, str]:
    """Return the two names that a command was given, canonical and with a namespace."""
    if len(arguments) != 2:
        raise wrong_arguments("wrong number of arguments, 2 needed")
    source, destination = arguments
    return with_namespace(command, source), with_namespace(command, destination)


def renamed(bus: Bus, source: str, destination: str, *, recursive: bool) -> list[Renamed]:
    """Return the key *source*, or with *recursive* it and all below, renamed; fail without any."""
    found = contents(bus, source, recursive=recursive)
    if not found:
        first = _first(bus, source)
        if first:
            raise Failure(
                NOT_FOUND,
                f"First key found {first} does not exactly match given key {source}, aborting"
                " (use -r to move hierarchy)\n",
            )
        raise Failure(NOT_FOUND, f"No key to copy found below '{source}'\n")
    for name, (value, meta) in found.items():
        _require_utf8_name(source, name)
        require_utf8(name, meta)
        if "binary" not in meta:
            _require_utf8_value(name, value)
    above, below = root_free(source), root_free(destination)
    return [
        Renamed(name, destination if name == source else below + name[len(above) :], content)
        for name, content in found.items()
    ]


def contents(bus: Bus, name: str, *, recursive: bool) -> dict[str, Content]:
    """Return the value and metadata of a key, or with *recursive* of it and all below, by name."""
    if recursive:
        # One key needs no library, whose import takes time; of a subtree none may be missed.
        from kdb.cli import large

        return {found: (value, meta) for found, value, meta, _ in large.keys(name)}
    key = existing_key(bus, name)
    return {} if key is None else {key[0]: (key[1], key[2])}


def _require_utf8_name(source: str, name: str) -> None:
    """Refuse a key that came from a file with a name that D-Bus takes from nobody."""
    if not is_utf8(name):
        raise Failure(
            KDB_ERROR,
            f"Sorry, the name {name} is no UTF-8, so nothing was changed. Rename the key in its"
            f" file first, which this tells: kdb file {quote(source)}\n",
        )


def _require_utf8_value(name: str, value: bytes) -> None:
    """Refuse a string that came from a file and that D-Bus takes from nobody."""
    try:
        value.decode()
    except UnicodeDecodeError:
        raise Failure(
            KDB_ERROR,
            f"Sorry, the value of {name} is no UTF-8, so nothing was changed. Make it binary"
            f" first: kdb meta-set {quote(name)} binary ''\n",
        ) from None


def _first(bus: Bus, parent: str) -> str:
    """Return the first name at or below a parent, "" where there is none."""
    try:
        names, _ = bus.call("List", "ssu", parent, "", 1)
    except CallError as error:
        # Of a namespace that is not stored nothing can be listed.
        if kind_of(error) != "Interface":
            raise
        return ""
    return str(names[0]) if names else ""
