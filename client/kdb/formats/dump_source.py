"""What both versions of the dump format share: bounds, places of errors, and metadata.

The readers work on the whole file as bytes and keep a position in it; this module turns a
position into an error with its line, and the raw names and values of a record into contents.
"""

from types import MappingProxyType
from typing import Final, NoReturn

from kdb.model import names
from kdb.model.content import BINARY, Content, Meta
from kdb.model.errors import InvalidName, NameTooLong, SyntacticError

__all__ = ["BINARY_ONLY", "Entries", "SharedText", "Source", "shown"]

Entries = dict[bytes, Content]
"""Contents by unescaped name, in the file's order."""

_SHOWN_CHARACTERS: Final = 80
"""A message is for one line of a terminal; names may have 64 KiB."""

BINARY_ONLY: Final[Meta] = MappingProxyType({BINARY: ""})
"""The metadata of most binary keys, kept once."""


class SharedText(str):
    """A metadata value that several keys of a file share; told apart by identity."""

    __slots__ = ()


class Source:
    """The bytes of one dump file, with the place they came from.

    `data` is the whole file, `mountpoint` the unescaped name of the mountpoint, `file` its path
    for messages; `longest_relative` is the size in bytes of the longest name below the
    mountpoint, and `has_nul` whether the file has a NUL anywhere.
    """

    __slots__ = (
        "_meta_order",
        "_meta_short",
        "_prefix",
        "data",
        "file",
        "has_nul",
        "longest_relative",
        "mountpoint",
    )

    def __init__(self, data: bytes, mountpoint: bytes, file: str) -> None:
        self.data = data
        self.mountpoint = mountpoint
        self.file = file
        # One look at the file spares a look at each text: hardly any file holds a NUL.
        self.has_nul = b"\0" in data
        self._prefix = names.escape(mountpoint) + ("/" if names.parts(mountpoint) else "")
        self.longest_relative = names.MAX_NAME_BYTES - len(
            self._prefix.encode("utf-8", "surrogateescape")
        )
        self._meta_short: dict[bytes, str] = {}
        self._meta_order = {BINARY: names.unescape("meta:/" + BINARY)}

    def fail(self, position: int, reason: str) -> NoReturn:
        """Raise SyntacticError for what stands at `position` (an offset in bytes)."""
        raise SyntacticError(
            reason,
            file=self.file,
            line=self.data.count(b"\n", 0, position) + 1,
            mountpoint=names.escape(self.mountpoint),
        )

    def name(self, relative: bytes, position: int) -> bytes:
        """Return the unescaped name of the key called `relative` to the mountpoint."""
        if not relative:
            return self.mountpoint
        return self.full_name(self._prefix + self.text(relative, position), position)

    def full_name(self, name: str, position: int) -> bytes:
        """Return the unescaped form of an escaped full name; it must be within the mountpoint."""
        try:
            unescaped = names.unescape(name)
        except (InvalidName, NameTooLong) as error:
            self.fail(position, f"a key name is invalid: {error.reason}")
        if not names.is_below_or_same(unescaped, self.mountpoint):
            self.fail(position, f"key {shown(name)} is not below the mountpoint")
        return unescaped

    def meta_name(self, raw: bytes, position: int) -> str:
        """Return the canonical name, without `meta:/`, of the metadata called `raw`."""
        short = self._meta_short.get(raw)
        if short is None:
            text = self.text(raw, position)
            try:
                unescaped = names.unescape("meta:/" + text.removeprefix("meta:/"))
            except (InvalidName, NameTooLong) as error:
                self.fail(position, f"a metadata name is invalid: {error.reason}")
            short = names.escape(unescaped).removeprefix("meta:/")
            self._meta_short[raw] = short
            self._meta_order[short] = unescaped
        return short

    def text(self, raw: bytes, position: int) -> str:
        """Return `raw` as text, with bytes that are no UTF-8 as lone surrogates."""
        if self.has_nul and b"\0" in raw:
            self.fail(position, "a text holds a NUL byte")
        return raw.decode("utf-8", "surrogateescape")

    def meta(self, fields: dict[str, str]) -> Meta:
        """Return `fields`, by names that `meta_name` returned, in key order and immutable."""
        if (
            len(fields) == 1
            and fields == BINARY_ONLY
            and not isinstance(fields[BINARY], SharedText)
        ):
            return BINARY_ONLY
        if len(fields) > 1:
            order = self._meta_order
            ordered = sorted(fields, key=order.__getitem__)
            if ordered != list(fields):
                fields = {name: fields[name] for name in ordered}
        return MappingProxyType(fields)

    def content(
        self, value: bytes, *, binary: bool, fields: dict[str, str], position: int
    ) -> Content:
        """Return the content of a key that has metadata; it is binary if either says so."""
        if binary:
            fields.setdefault(BINARY, "")
        if BINARY in fields:
            return Content(value, self.meta(fields))
        return Content(self.text(value, position), self.meta(fields))

    def share(self, entries: Entries, key: bytes, meta: str, position: int) -> SharedText:
        """Return the metadata value `meta` of the earlier key `key`, as an object to share."""
        content = entries.get(key)
        value = None if content is None else content.meta.get(meta)
        if content is None or value is None:
            self.fail(
                position,
                f"no earlier key {shown(names.escape(key))} has the metadata {shown(meta)}",
            )
        if isinstance(value, SharedText):
            return value
        shared = SharedText(value)
        entries[key] = content._replace(meta=MappingProxyType({**content.meta, meta: shared}))
        return shared


def shown(text: str) -> str:
    """Return the beginning of `text` quoted and printable, for a message."""
    return repr(text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "…")
