"""The formats of ``kdb export`` and ``kdb import``, by the names that people give them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from kdb.cli.command import invalid_name
from kdb.formats import dump
from kdb.model.content import Content
from kdb.model.errors import SyntacticError

__all__ = ["DEFAULT", "checked_format", "chunks", "read_slices"]

DEFAULT = "dump"
# libelektra calls formats by their plugins too.
_FORMATS = {"dump": "dump", "json": "json", "yajl": "json"}


def checked_format(command: str, name: str) -> str:
    """Return the format that *name* stands for, refusing those that there are not."""
    if name not in _FORMATS:
        text = f"There is no format {name}; kdb reads and writes dump and json"
        raise invalid_name(command, text)
    return _FORMATS[name]


def chunks(form: str, parent: bytes, entries: Iterable[tuple[bytes, Content]]) -> Iterator[bytes]:
    """Yield keys, (unescaped name, content) in key order at or below *parent*, as a text."""
    if form == "dump":
        yield from dump.write(parent, entries)
        return
    from kdb.formats import json_text

    for text in json_text.write(parent, entries):
        yield text.encode("utf-8", "backslashreplace")


def read_slices(
    form: str, entries: dict[bytes, Content], data: bytes, parent: bytes, file: str
) -> Iterator[int]:
    """Read a text into the empty *entries*, yielding now and then how far it is read.

    *file* is what messages call it. Raises SyntacticError with its line.
    """
    try:
        if form == "dump":
            yield from dump.read_slices(entries, data, parent, file)
            return
        from kdb.formats import json_reader

        yield from json_reader.read_slices(entries, data, parent, file)
    except SyntacticError as error:
        # Here a file has no mountpoint, and is none of kdbd's.
        raise SyntacticError(error.reason, file=file, line=error.line, module="kdb") from None
