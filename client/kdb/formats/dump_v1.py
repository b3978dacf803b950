r"""Read version 1 of the dump format, which libelektra wrote up to 0.8.

    kdbOpen 1
    ksNew COUNT
    keyNew NAMELEN VALUELEN \n NAME VALUE \n
    keyMeta NAMELEN VALUELEN \n NAME VALUE \n
    keyCopyMeta KEYLEN METALEN \n KEY META \n
    keyEnd
    ksEnd

It differs from version 2 in this: names are full, and of the older form `user/a` (`user:/a` is
understood too); names and texts end with a NUL that their lengths count, and nothing separates
them; only the metadata `binary` tells a binary value, whose length is exact; each key has an end
mark. The count is not checked: libelektra never did, and people edit these files.
"""

import re
from collections.abc import Iterator
from typing import Final, NoReturn

from kdb.formats.dump_source import Entries, Source, shown
from kdb.model import names
from kdb.model.content import BINARY, MAX_VALUE_BYTES

__all__ = ["HEADER", "read_slices"]

HEADER: Final = b"kdbOpen 1\n"

_COUNT: Final = re.compile(rb"ksNew [0-9]{1,18}\n")
_KEY: Final = re.compile(rb"keyNew ([0-9]{1,9}) ([0-9]{1,9})\n")
_META: Final = re.compile(rb"(keyMeta|keyCopyMeta) ([0-9]{1,9}) ([0-9]{1,9})\n")
_KEY_END: Final = b"keyEnd\n"
_END: Final = b"ksEnd"

_SLICE_KEYS: Final = 1_000
"""Keys read between two yields, about 4 ms."""


def read_slices(entries: Entries, source: Source) -> Iterator[int]:
    """Read the version 1 file of `source` into `entries`, pausing after each 1,000 keys.

    Raises SyntacticError.
    """
    data = source.data
    count = _COUNT.match(data, len(HEADER))
    if count is None:
        source.fail(len(HEADER), "'ksNew' and the number of keys are missing")
    position = count.end()
    while (record := _KEY.match(data, position)) is not None:
        raw, value, after = _texts(source, record, *record.groups())
        name = _name(source, raw, position)
        if name in entries:
            source.fail(position, f"key {shown(names.escape(name))} is given twice")
        fields, after = _read_metadata(entries, source, after)
        if not data.startswith(_KEY_END, after):
            _fail_record(source, after, "keyEnd")
        if BINARY not in fields:
            value = _text(source, value, position)
        entries[name] = source.content(value, binary=False, fields=fields, position=position)
        position = after + len(_KEY_END)
        if len(entries) % _SLICE_KEYS == 0:
            yield position
    if not data.startswith(_END, position):
        _fail_record(source, position, "ksEnd")
    rest = position + len(_END)
    if data[rest:].strip(b"\n"):
        source.fail(rest, "text follows 'ksEnd'")


def _read_metadata(entries: Entries, source: Source, position: int) -> tuple[dict[str, str], int]:
    fields: dict[str, str] = {}
    while (record := _META.match(source.data, position)) is not None:
        kind, *lengths = record.groups()
        first, second, after = _texts(source, record, *lengths)
        second = _text(source, second, position)
        if kind == b"keyMeta":
            name = source.meta_name(_text(source, first, position), position)
            value = source.text(second, position)
        else:
            name = source.meta_name(second, position)
            value = source.share(entries, _name(source, first, position), name, position)
        if name in fields:
            source.fail(position, f"metadata {shown(name)} is given twice")
        fields[name] = value
        position = after
    return fields, position


def _texts(
    source: Source, record: re.Match[bytes], first: bytes, second: bytes
) -> tuple[bytes, bytes, int]:
    """Return the two texts of a record, of the given lengths, and the position after it."""
    data = source.data
    start = record.end()
    middle = start + int(first)
    end = middle + int(second)
    if end >= len(data):
        source.fail(len(data), "the file is cut short: it ends within a record")
    if data[end : end + 1] != b"\n":
        source.fail(record.start(), "a length is wrong: no newline follows the texts")
    if end - middle > MAX_VALUE_BYTES + 1:
        source.fail(record.start(), f"a value of {int(second)} bytes is larger than 16 MiB")
    return data[start:middle], data[middle:end], end + 1


def _text(source: Source, raw: bytes, position: int) -> bytes:
    """Return `raw` without the NUL that ends it."""
    if not raw.endswith(b"\0"):
        source.fail(position, "a text does not end with a NUL byte")
    return raw[:-1]


def _name(source: Source, raw: bytes, position: int) -> bytes:
    name = source.text(_text(source, raw, position), position)
    namespace, slash, path = name.partition("/")
    if namespace and not namespace.endswith(":"):
        namespace += ":"
    return source.full_name(f"{namespace}{slash or '/'}{path}", position)


def _fail_record(source: Source, position: int, expected: str) -> NoReturn:
    line = source.data[position : position + 40].split(b"\n", 1)[0]
    if not line:
        source.fail(position, f"the file is cut short: '{expected}' is missing")
    text = shown(line.decode("utf-8", "surrogateescape"))
    source.fail(position, f"{text} is no record of the dump format, version 1")
