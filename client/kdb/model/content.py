"""What a key holds besides its name: value, metadata, revision. Immutable and shared.

A value is bytes exactly when the metadata has `binary`. A string value holds no NUL; bytes from
files that are no UTF-8 are kept in it by surrogateescape. Metadata are strings by name, the names
canonical, without `meta:/`, and in key order.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

from kdb.model import names
from kdb.model.errors import InvalidName, InvalidValue, ValueTooLarge

__all__ = ["BINARY", "MAX_VALUE_BYTES", "NO_META", "Content", "Meta", "is_utf8", "make", "meta"]

Meta = Mapping[str, str]

NO_META: Final[Meta] = MappingProxyType({})

BINARY: Final = "binary"

# A value is sent, stored and fsynced as one piece; 16 MiB keep that below a second and leave a
# block (64 MiB) room for several.
MAX_VALUE_BYTES: Final = 16 * 1024 * 1024

_PREFIX: Final = "meta:/"


class Content(NamedTuple):
    """A key's value and metadata, and the revision that last changed them (0: not stored)."""

    value: str | bytes
    meta: Meta = NO_META
    revision: int = 0

    def same_as(self, other: Content) -> bool:
        """Tell whether value (type too) and metadata are equal, whatever the revisions."""
        return (
            type(self.value) is type(other.value)
            and self.value == other.value
            and self.meta == other.meta
        )


def meta(items: Mapping[str, str]) -> Meta:
    """Normalise metadata: names without `meta:/`, canonical and in key order.

    A name may be empty, as recorded from libelektra (cli/meta.json). Raises InvalidName, also for
    one given twice in different spellings.
    """
    if not items:
        return NO_META
    ordered = sorted((_unescaped(name), text) for name, text in items.items())
    found = {names.escape(name)[len(_PREFIX) :]: text for name, text in ordered}
    if len(found) < len(items):
        raise InvalidName(f"{', '.join(map(repr, items))} name a metadata key twice; send one")
    return MappingProxyType(found)


def make(value: str | bytes, metadata: Mapping[str, str] = NO_META) -> Content:
    """Make the content of a key from outside.

    Raises InvalidValue, InvalidName (of metadata) and ValueTooLarge.
    """
    normal = meta(metadata)
    if isinstance(value, bytes) is not (BINARY in normal):
        raise InvalidValue(
            "a value is binary exactly when the key has the metadata 'binary'; "
            + ("add it or send a string" if isinstance(value, bytes) else "remove it or send bytes")
        )
    _check(value, "a value")
    for name, text in normal.items():
        _check(text, f"the metadata {name!r}")
    return Content(value, normal)


def is_utf8(text: str) -> bool:
    """Tell whether a text is UTF-8; names and values of files may hold other bytes."""
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _unescaped(name: str) -> bytes:
    return names.unescape(_PREFIX + name.removeprefix(_PREFIX))


def _check(value: str | bytes, what: str) -> None:
    """Raise InvalidValue or ValueTooLarge, named `what`, for what no key may hold."""
    size = len(value)
    if isinstance(value, str):
        if "\0" in value:
            raise InvalidValue(f"{what} holds a NUL; remove it or make the key binary")
        try:
            size = len(value) if value.isascii() else len(value.encode("utf-8", "surrogateescape"))
        except UnicodeEncodeError:
            raise InvalidValue(
                f"{what} holds half of a surrogate pair, which UTF-8 cannot carry; remove it"
            ) from None
    if size > MAX_VALUE_BYTES:
        raise ValueTooLarge(
            f"{what} has {size} bytes, at most {MAX_VALUE_BYTES} are kept; store it in a file and "
            "the path in the key"
        )
