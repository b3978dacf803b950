"""Whole key sets to and from kdbd: read at one revision, written as one commit."""

# ruff: noqa: SLF001 - key sets give and take their contents as a whole only within the library

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

from kdb._kdb import KDB
from kdb.model import names
from kdb.model.content import Content
from kdb.model.errors import AccessDenied, ConflictError, InvalidName
from kdb.model.exceptions import KDBException
from kdb.model.keyset import KeySet
from kdb.model.names import Namespace

__all__ = ["Contents", "Database", "KeysRead", "is_elektra", "qualified", "unqualified"]

Contents = Mapping[bytes, Content]
"""Keys by unescaped name."""

_ATTEMPTS: Final = 5
"""Keys that others change so often between a read and a write are left to them."""


@dataclass(frozen=True, slots=True)
class KeysRead:
    """The keys at and below a parent, in key order, as they were at one revision."""

    parent: bytes
    contents: Contents
    key_set: KeySet


class Database:
    """A connection to kdbd. Its errors are KDBErrors, as the service's."""

    def __init__(self) -> None:
        try:
            self._database = KDB()
        except KDBException as error:
            raise error.error from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._database.close()

    def read(self, parent: bytes) -> KeysRead:
        """Return all keys at and below *parent*; of a cascading one in all namespaces."""
        key_set = KeySet()
        try:
            self._database.get(key_set, names.escape(parent))
        except KDBException as error:
            raise error.error from None
        return KeysRead(parent, dict(sorted(key_set._contents().items())), key_set)

    def write(self, read: KeysRead, contents: Contents) -> None:
        """Bring the keys that were read to *contents*, in one commit.

        Raises:
            ConflictError: others changed some of them, which it names; nothing was stored.

        """
        read.key_set._fill(read.parent, contents.items())
        try:
            self._database.set(read.key_set, names.escape(read.parent))
        except KDBException as error:
            raise error.error from None

    def is_read_only(self, read: KeysRead, contents: Contents) -> bool:
        """Tell whether kdbd may not write what brings the keys that were read to *contents*."""
        read.key_set._fill(read.parent, contents.items())
        try:
            self._database.calculateChanges(read.key_set, names.escape(read.parent))
        except KDBException as error:
            return isinstance(error.error, AccessDenied)
        return False

    def change(self, read: KeysRead, wanted: Callable[[Contents], Contents]) -> KeysRead:
        """Write what *wanted* makes of the keys; where others changed some, read and ask again.

        Returns the keys that were replaced. Raises ConflictError as :meth:`write`, after some
        attempts.
        """
        for _ in range(_ATTEMPTS):
            contents = wanted(read.contents)
            try:
                self.write(read, contents)
            except ConflictError:
                read = self.read(read.parent)
            else:
                return read
        self.write(read, wanted(read.contents))
        return read


def is_elektra(name: bytes) -> bool:
    """Tell whether a key is the key database's own: at or below ``elektra`` of its namespace."""
    return names.is_below_or_same(name[1:], b"\0elektra")


def qualified(entries: Iterable[tuple[bytes, Content]]) -> list[tuple[bytes, Content]]:
    """Return keys with their namespace as the first part: ``user:/a`` as ``/user:/a``.

    So those of several namespaces are keys below one parent, ``/``, and fit into one text.
    """
    return [
        (b"\x01\0" + names.namespace_name(names.namespace(name)).encode() + b":" + name[1:], key)
        for name, key in entries
    ]


def unqualified(entries: Iterable[tuple[bytes, Content]]) -> list[tuple[bytes, Content]]:
    """Undo :func:`qualified`. Raises InvalidName for a key that is of no namespace."""
    return [(_unqualified(name), key) for name, key in entries]


_NAMESPACES: Final = {
    names.namespace_name(each).encode() + b":": bytes((each,))
    for each in Namespace
    if each > Namespace.META
}


def _unqualified(name: bytes) -> bytes:
    namespace, separator, path = name[2:].partition(b"\0")
    if namespace not in _NAMESPACES:
        shown = names.escape(name)[1:]
        raise InvalidName(f"{shown!r} is no name with a namespace, as user:/a is", module="kdb")
    return _NAMESPACES[namespace] + separator + path
