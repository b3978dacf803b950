r"""Read and write the dump format, byte for byte as libelektra's files.

A file is a header, one record per key in key order with its metadata, and an end mark:

    kdbOpen 2
    $key string|binary NAMELEN VALUELEN \n NAME \n VALUE \n
    $meta NAMELEN VALUELEN \n NAME \n VALUE \n
    $copymeta KEYLEN METALEN \n KEY \n META \n
    $end

Rules, and why:

- Lengths count bytes and decide where a text ends; the newline after it must be there. So any
  byte may stand in a name or a value, and a wrong length is noticed.
- Names are escaped and relative to the mountpoint; the mountpoint's own name is empty. A name
  that leads out of the mountpoint is an error, as is a name given twice: taking the last one
  would lose the other at the next write.
- `$end` is demanded, though libelektra reads on without it: a file that was cut short must not
  look like a smaller one. For the same reason text after `$end` is an error. An empty file, and
  one that is but a header, hold no keys (oracle/sequences.json, empty_file).
- Bytes that are no UTF-8 survive by surrogateescape.
- `$copymeta` says that a key shares a metadata value with an earlier key. The reader gives both
  the same `SharedText` object and the writer knows it again by identity, so that a file keeps
  its form when another key in it changes.

Version 1 is read by `kdb.formats.dump_v1`, never written. Source: elektra.md and the oracle's
dump files.
"""

import re
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Final, NoReturn

from kdb.formats import dump_v1
from kdb.formats.dump_source import BINARY_ONLY, Entries, SharedText, Source, shown
from kdb.model import names
from kdb.model.content import MAX_VALUE_BYTES, Content

__all__ = ["SharedText", "Writer", "read", "read_slices", "write"]

HEADER: Final = b"kdbOpen 2\n"
END: Final = b"$end\n"

_CHUNK_BYTES: Final = 64 * 1024
"""About 1,000 keys, 2 ms of work: well under the 5 ms that a slice may take."""

_SLICE_KEYS: Final = 1_000
"""Keys read between two yields, about 2 ms."""

_LARGEST: Final = MAX_VALUE_BYTES + 1
"""The largest value and the newline before it, in bytes."""

_KEY: Final = re.compile(rb"\$key (string|binary) ([0-9]{1,9}) ([0-9]{1,9})\n")
_META: Final = re.compile(rb"\$(meta|copymeta) ([0-9]{1,9}) ([0-9]{1,9})\n")

# Names whose escaped and unescaped forms differ only in the separator, nine of ten in practice:
# no part is special as a whole (`%`, `.`, `..`) or an index (`#`), and nothing is escaped.
_ORDINARY_NAME: Final = re.compile(rb"[^%#./\\\0][^/\\\0]*(?:/[^%#./\\\0][^/\\\0]*)*")
_ORDINARY_PARTS: Final = re.compile(rb"(?:\0[^%#./\\\0][^/\\\0]*)+")


def read(data: bytes, mountpoint: bytes, file: str) -> list[tuple[bytes, Content]]:
    """Return the keys of a dump file as (unescaped name, content), in the file's order.

    `data` is the whole file, `mountpoint` the unescaped name that the file's names are relative
    to, `file` its path for messages. Raises SyntacticError with file and line.
    """
    entries: Entries = {}
    deque(read_slices(entries, data, mountpoint, file), maxlen=0)
    return list(entries.items())


def read_slices(entries: Entries, data: bytes, mountpoint: bytes, file: str) -> Iterator[int]:
    """Read a dump file into the empty `entries`, pausing after each slice of about 2 ms.

    Yields how many bytes it has read.

    What is in `entries` counts only when the iterator ended without SyntacticError.
    """
    if data in (b"", HEADER):
        return iter(())
    source = Source(data, mountpoint, file)
    if data.startswith(HEADER):
        return _read_version_2(entries, source)
    if data.startswith(dump_v1.HEADER):
        return dump_v1.read_slices(entries, source)
    return source.fail(0, _no_header(data))


def _no_header(data: bytes) -> str:
    first = data[:40].split(b"\n", 1)[0]
    if first.startswith(b"kdbOpen "):
        version = shown(first[8:].decode("utf-8", "surrogateescape"))
        return f"version {version} of the dump format is unknown"
    return "this is no dump file: it does not begin with 'kdbOpen 2'"


def _read_version_2(entries: Entries, source: Source) -> Iterator[int]:
    # The loop does by itself what `_texts` and `Source.text` do: 0.4 of 1.9 µs for each key.
    data, below, has_nul = source.data, source.mountpoint + b"\0", source.has_nul
    longest = source.longest_relative
    position = len(HEADER)
    pause = _SLICE_KEYS
    while (record := _KEY.match(data, position)) is not None:
        kind, first, second = record.groups()
        start = record.end()
        middle = start + int(first)
        end = middle + 1 + int(second)
        if data[middle : middle + 1] != b"\n" or data[end : end + 1] != b"\n":
            _fail_lengths(source, record, middle, end)
        if end - middle > _LARGEST:
            _fail_size(source, record)
        raw = data[start:middle]
        if _ORDINARY_NAME.fullmatch(raw) is not None and middle - start <= longest:
            name = below + raw.replace(b"/", b"\0")
        else:
            name = source.name(raw, position)
        if name in entries:
            source.fail(position, f"key {shown(names.escape(name))} is given twice")
        value = data[middle + 1 : end]
        after = end + 1
        if not data.startswith((b"$key ", b"$end"), after):
            fields, after = _read_metadata(entries, source, after)
            entries[name] = source.content(
                value, binary=kind == b"binary", fields=fields, position=position
            )
        elif kind == b"binary":
            entries[name] = Content(value, BINARY_ONLY)
        elif has_nul:
            entries[name] = Content(source.text(value, position))
        else:
            entries[name] = Content(value.decode("utf-8", "surrogateescape"))
        position = after
        pause -= 1
        if not pause:
            pause = _SLICE_KEYS
            yield position
    _check_end(source, position)


def _read_metadata(entries: Entries, source: Source, position: int) -> tuple[dict[str, str], int]:
    """Read the metadata of one key; return them by name, and the position after them."""
    fields: dict[str, str] = {}
    while (record := _META.match(source.data, position)) is not None:
        kind, first, second, after = _texts(source, record)
        if kind == b"meta":
            name = source.meta_name(first, position)
            value = source.text(second, position)
        else:
            name = source.meta_name(second, position)
            value = source.share(entries, source.name(first, position), name, position)
        if name in fields:
            source.fail(position, f"metadata {shown(name)} is given twice")
        fields[name] = value
        position = after
    return fields, position


def _texts(source: Source, record: re.Match[bytes]) -> tuple[bytes, bytes, bytes, int]:
    """Return kind, name and value of a record, and the position after it."""
    data = source.data
    kind, first, second = record.groups()
    name_start = record.end()
    name_end = name_start + int(first)
    value_end = name_end + 1 + int(second)
    if data[name_end : name_end + 1] != b"\n" or data[value_end : value_end + 1] != b"\n":
        _fail_lengths(source, record, name_end, value_end)
    if value_end - name_end > _LARGEST:
        _fail_size(source, record)
    return kind, data[name_start:name_end], data[name_end + 1 : value_end], value_end + 1


def _fail_lengths(
    source: Source, record: re.Match[bytes], name_end: int, value_end: int
) -> NoReturn:
    if value_end >= len(source.data):
        source.fail(len(source.data), "the file is cut short: it ends within a record")
    which = "first" if source.data[name_end : name_end + 1] != b"\n" else "second"
    source.fail(record.start(), f"the {which} length is wrong: no newline follows the text")


def _fail_size(source: Source, record: re.Match[bytes]) -> NoReturn:
    source.fail(record.start(), f"a value of {int(record[3])} bytes is larger than 16 MiB")


def _check_end(source: Source, position: int) -> None:
    data = source.data
    line = data[position:].split(b"\n", 1)[0]
    if line == b"$end":
        rest = position + len(END)
        if data[rest:].strip(b"\n"):
            source.fail(rest, "text follows '$end'")
    elif not data[position:].strip(b"\n"):
        source.fail(position, "the file is cut short: '$end' is missing")
    elif line.startswith((b"$meta ", b"$copymeta ")) and _META.match(data, position):
        source.fail(position, "metadata comes before any key")
    else:
        text = shown(line.decode("utf-8", "surrogateescape"))
        source.fail(position, f"{text} is no record of the dump format")


class Writer:
    """Turn the keys of one mountpoint, given in key order, into the records of its file.

    `mountpoint` is the unescaped name that names become relative to.
    """

    __slots__ = ("_below", "_mountpoint", "_shared")

    def __init__(self, mountpoint: bytes) -> None:
        self._mountpoint = mountpoint
        self._below = len(mountpoint)
        # Holds the object too: an id alone could be that of a new object at the old place.
        self._shared: dict[tuple[int, str], tuple[SharedText, bytes]] = {}

    def entry_bytes(self, name: bytes, content: Content) -> bytes:
        """Return the record of the key with the unescaped `name`, at or below the mountpoint."""
        parts = name[self._below :]
        if _ORDINARY_PARTS.fullmatch(parts) is not None:
            relative = parts[1:].replace(b"\0", b"/")
        else:
            relative = names.relative(name, self._mountpoint).encode("utf-8", "surrogateescape")
        value, meta = content.value, content.meta
        if isinstance(value, str):
            value = value.encode("utf-8", "surrogateescape")
            record = b"$key string %d %d\n%b\n%b\n" % (len(relative), len(value), relative, value)
        else:
            record = b"$key binary %d %d\n%b\n%b\n" % (len(relative), len(value), relative, value)
        if not meta:
            return record
        records = [self._meta_bytes(relative, item, text) for item, text in meta.items()]
        return b"".join((record, *records))

    def _meta_bytes(self, relative: bytes, name: str, text: str) -> bytes:
        raw = name.encode("utf-8", "surrogateescape")
        if isinstance(text, SharedText):
            _, first = self._shared.setdefault((id(text), name), (text, relative))
            if first != relative:
                return b"$copymeta %d %d\n%b\n%b\n" % (len(first), len(raw), first, raw)
        value = text.encode("utf-8", "surrogateescape")
        return b"$meta %d %d\n%b\n%b\n" % (len(raw), len(value), raw, value)


def write(
    mountpoint: bytes, entries: Iterable[tuple[bytes, Content]], *, chunk_bytes: int = _CHUNK_BYTES
) -> Iterator[bytes]:
    """Yield the dump file of `entries`, (unescaped name, content) in key order, in chunks.

    A chunk has at least `chunk_bytes` bytes, the last one excepted, and ends with a record.
    """
    entry_bytes = Writer(mountpoint).entry_bytes
    records = [HEADER]
    size = 0
    for name, content in entries:
        record = entry_bytes(name, content)
        records.append(record)
        size += len(record)
        if size >= chunk_bytes:
            yield b"".join(records)
            records.clear()
            size = 0
    records.append(END)
    yield b"".join(records)
