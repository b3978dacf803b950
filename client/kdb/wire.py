"""What travels between kdbd and its clients, as values: names, limits, and key sets in blocks.

**Blocks.** Key sets travel in bulk as the arguments ``(ay data, ah memfd)`` of which exactly one
is not empty: up to 1 MiB (:data:`INLINE_BLOCK_BYTES`) in ``data``, above that as one memfd sealed
against writing, growing and shrinking, of at most 64 MiB (:data:`MAX_BLOCK_BYTES`). The content
is one msgpack array of entries:

====================  ==============================================================
the answer to a get   ``[name, value, {meta: text}, revision]``
a set, key put        ``[name, value, {meta: text}, replaced revision]``
a set, key removed    ``[name, nil, nil, replaced revision]``
the answer to a diff  ``[name, old, new]``, each nil or ``[value, {meta: text}]``
====================  ==============================================================

Names are escaped key names; metadata names come without ``meta:/`` (with it they are understood).
A string value is a msgpack str, a binary value a msgpack bin. Bytes of a file that are no UTF-8
are kept in strings by Python's ``surrogateescape``, and so in the msgpack str, in the answers. What
is put must be UTF-8; a key that was got may be removed by any name.

**Errors** are D-Bus errors named ``org.libelektra.KDB1.Error.…`` with one string, the error's
text; :mod:`kdb.model.errors` says how it is made, :mod:`kdb.dbus_errors` takes it apart.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from types import MappingProxyType
from typing import Any, Final

import msgpack

from kdb.model import content, errors, names
from kdb.model.content import MAX_VALUE_BYTES, NO_META, Content
from kdb.model.diff import Change
from kdb.model.errors import ERROR_PREFIX
from kdb.protocol import (
    BUS_NAME,
    HANDLE_INTERFACE,
    HANDLE_PATH_PREFIX,
    INLINE_BLOCK_BYTES,
    INTERFACE,
    MAX_BLOCK_BYTES,
    MAX_RULE_BYTES,
    OBJECT_PATH,
    RECORD_INTERFACE,
    SIGNAL_INTERFACE,
    SIGNAL_PATH,
    START_HINT,
)

__all__ = [
    "BUS_NAME",
    "ERROR_PREFIX",
    "HANDLE_INTERFACE",
    "HANDLE_PATH_PREFIX",
    "INLINE_BLOCK_BYTES",
    "INTERFACE",
    "MAX_BLOCK_BYTES",
    "MAX_RULE_BYTES",
    "MAX_VALUE_BYTES",
    "OBJECT_PATH",
    "RECORD_INTERFACE",
    "SIGNAL_INTERFACE",
    "SIGNAL_PATH",
    "START_HINT",
    "pack_changes",
    "pack_diff",
    "pack_keys",
    "pack_present",
    "unpack_block",
    "unpack_changes",
    "unpack_diff",
    "unpack_keys",
    "unpack_present",
]

_MSGPACK_ERRORS = (ValueError, TypeError, msgpack.exceptions.UnpackException)
_MAX_REVISION: Final = 2**64 - 1


def _pack(count: int, entries: Iterable[Sequence[Any]]) -> bytes:
    # One by one: 100,000 entries at once are so many objects that the garbage collector takes
    # longer than all the rest (measured: 143 ms against 80).
    packer = msgpack.Packer(default=_plain, unicode_errors="surrogateescape", autoreset=False)
    packer.pack_array_header(count)
    for entry in entries:
        packer.pack(entry)
    packed: bytes = packer.bytes()
    return packed


def _plain(value: object) -> object:
    """Return a read-only mapping as the dict that msgpack knows."""
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"a block holds no {type(value).__name__}")


def unpack_block(data: bytes) -> Iterator[Any]:
    """Yield the entries of a block, unchecked; arrays are tuples.

    Raises:
        InvalidBlock: the data are more than 64 MiB, no msgpack, or not exactly one array.

    """
    if len(data) > MAX_BLOCK_BYTES:
        raise errors.InvalidBlock(f"a block of {len(data)} bytes is over {MAX_BLOCK_BYTES}")
    unpacker = msgpack.Unpacker(
        raw=False,
        use_list=False,
        unicode_errors="surrogateescape",
        max_buffer_size=max(len(data), 1),  # nothing in it can be larger
    )
    try:
        unpacker.feed(data)
        left = unpacker.read_array_header()
        for entry in islice(unpacker, left):
            yield entry
            left -= 1
    except _MSGPACK_ERRORS as error:
        raise errors.InvalidBlock(f"the block is no msgpack array: {error}") from None
    if left or unpacker.tell() != len(data):
        raise errors.InvalidBlock("the block ends too early or too late")


def pack_keys(keys: Collection[tuple[bytes, Content]]) -> bytes:
    """Return the answer to a get: unescaped names with their contents, in key order."""
    escape = names.escape
    return _pack(len(keys), ((escape(name), *key) for name, key in keys))


def unpack_keys(data: bytes) -> list[tuple[bytes, Content]]:
    """Return the keys of a get's answer. Its metadata are taken as ordered and canonical.

    Raises:
        InvalidBlock: it is no such answer.

    """
    unescape = names.unescape
    # What Content(…) does, without a call of Python code for each of 100,000 keys.
    new = tuple.__new__
    try:
        return [
            (
                unescape(name),
                new(Content, (value, MappingProxyType(meta) if meta else NO_META, revision)),
            )
            for name, value, meta, revision in unpack_block(data)
        ]
    except (TypeError, ValueError) as error:
        raise errors.InvalidBlock(f"the block holds no keys: {error}") from None


def pack_changes(changes: Collection[tuple[bytes, Content | None, int]]) -> bytes:
    """Return what a set asks for: name, new content or None to remove, the replaced revision."""
    escape = names.escape
    entries = (
        (escape(name), None, None, revision)
        if key is None
        else (escape(name), key.value, key.meta, revision)
        for name, key, revision in changes
    )
    return _pack(len(changes), entries)


def unpack_changes(data: bytes) -> list[tuple[bytes, Content | None, int]]:
    """Return what a set asks for, every entry checked.

    Raises:
        InvalidBlock: an entry has another shape, or a name comes twice.
        InvalidName, NameTooLong: a key's or metadata's name.
        InvalidValue, ValueTooLarge: a value or metadata.

    """
    changes = [_unpack_change(entry) for entry in unpack_block(data)]
    if len({name for name, _, _ in changes}) != len(changes):
        raise errors.InvalidBlock("a key comes twice in the block")
    return changes


def _unpack_change(entry: object) -> tuple[bytes, Content | None, int]:
    if type(entry) is not tuple or len(entry) != 4:
        raise errors.InvalidBlock("an entry of the block is not [name, value, metadata, revision]")
    name, value, meta, revision = entry
    if type(name) is not str:
        raise errors.InvalidBlock("a key's name in the block is no string")
    if type(revision) is not int or not 0 <= revision <= _MAX_REVISION:
        raise errors.InvalidBlock(f"the revision of {name!r} is no 64-bit number")
    if value is None and meta is None:
        if revision == 0 and not content.is_utf8(name):
            raise errors.InvalidName(f"the name {name!r} is no UTF-8")
        return names.unescape(name), None, revision
    if not content.is_utf8(name):
        raise errors.InvalidName(f"the name {name!r} is no UTF-8; name the key in UTF-8")
    return names.unescape(name), _unpack_content(name, value, meta), revision


def _unpack_content(name: str, value: object, meta: object) -> Content:
    if not isinstance(value, str | bytes):
        raise errors.InvalidBlock(f"the value of {name!r} is neither a string nor bytes")
    if type(meta) is not dict or not all(
        type(key) is str and type(text) is str for key, text in meta.items()
    ):
        raise errors.InvalidBlock(f"the metadata of {name!r} are no map of strings")
    # A character has at most 4 bytes: only what may be too long is encoded to find out.
    if len(value) * 4 > MAX_VALUE_BYTES:
        raw = value if isinstance(value, bytes) else value.encode(errors="surrogateescape")
        if len(raw) > MAX_VALUE_BYTES:
            raise errors.ValueTooLarge(f"the value of {name!r} is over {MAX_VALUE_BYTES} bytes")
    if isinstance(value, str) and not content.is_utf8(value):
        raise errors.InvalidValue(
            f"the value of {name!r} is no UTF-8; send bytes with the metadata 'binary'"
        )
    for key, text in meta.items():
        if not content.is_utf8(key):
            raise errors.InvalidName(f"the metadata name {key!r} of {name!r} is no UTF-8")
        if not content.is_utf8(text):
            raise errors.InvalidValue(f"the metadata {key!r} of {name!r} are no UTF-8")
    return content.make(value, meta)


def pack_diff(diff: Mapping[bytes, Change]) -> bytes:
    """Return the answer to a diff."""
    escape = names.escape
    entries = (
        (
            escape(name),
            None if change.old is None else change.old[:2],
            None if change.new is None else change.new[:2],
        )
        for name, change in diff.items()
    )
    return _pack(len(diff), entries)


def unpack_diff(data: bytes) -> dict[bytes, Change]:
    """Return a diff's answer, in its order; contents have revision 0.

    Raises:
        InvalidBlock: it is no such answer.

    """
    try:
        return {
            names.unescape(name): Change(_unpack_side(old), _unpack_side(new))
            for name, old, new in unpack_block(data)
        }
    except (TypeError, ValueError) as error:
        raise errors.InvalidBlock(f"the block holds no diff: {error}") from None


def _unpack_side(side: tuple[Any, Any] | None) -> Content | None:
    if side is None:
        return None
    value, meta = side
    return Content(value, MappingProxyType(meta) if meta else NO_META)


def pack_present(present: Mapping[bytes, int]) -> bytes:
    """Return the second answer to a set: the revision of each put key that already was as asked."""
    escape = names.escape
    return msgpack.packb(  # type: ignore[no-any-return]  # msgpack has no types
        {escape(name): revision for name, revision in present.items()},
        unicode_errors="surrogateescape",
    )


def unpack_present(data: bytes) -> dict[bytes, int]:
    """Return the second answer to a set; no data stand for an empty one.

    Raises:
        InvalidBlock: it is no map of names to numbers.

    """
    if not data:
        return {}
    try:
        present = msgpack.unpackb(data, raw=False, unicode_errors="surrogateescape")
        return {names.unescape(name): int(revision) for name, revision in present.items()}
    except (*_MSGPACK_ERRORS, AttributeError) as error:
        raise errors.InvalidBlock(f"the answer to a set is no map: {error}") from None
