r"""Read JSON as keys; `kdb.formats.json_text` says what stands for what.

Rules, and why:

- A member's name is a part of a key's name. Written as parts are (escaped, canonical) it is that
  part; any other text is the part as it stands, so that JSON of others keeps its names: `a/b` is
  one part, which is written back as `a\/b`.
- `.` is the key itself only where it is no object and no array, and then once.
- A key given twice is an error: taking the last would lose the other.
- Numbers stay as they are written: 1.10 is not 1.1, and no number is too large.
- Text after the value, and what JSON does not know (comments, NaN, single quotes), is an error,
  with the line.

There is no recursion: how deep a text may go is bounded by the length of names alone.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from json import JSONDecodeError
from json.decoder import scanstring  # type: ignore[attr-defined]  # typeshed does not have it
from typing import Final, NoReturn

from kdb.formats.json_text import EMPTY_MAP, ITSELF, META, NUMBER, TYPED
from kdb.model import content, names
from kdb.model.content import BINARY, Content
from kdb.model.errors import InvalidName, InvalidValue, NameTooLong, SyntacticError, ValueTooLarge

__all__ = ["read_slices"]

_TOKEN: Final = re.compile(rf'[ \t\n\r]*(?:(["\[\]{{}}:,])|({NUMBER})|(true|false|null)\b)')
_BLANK: Final = re.compile(r"[ \t\n\r]*")
_ORDINARY: Final = re.compile(r"[^%#./\\\0][^/\\\0]*")
_EMPTY_ARRAY: Final = Content("", content.meta({"array": ""}))

_SLICE: Final = 1_000
"""Values read between two yields, some milliseconds."""

_SHOWN_CHARACTERS: Final = 40


@dataclass(slots=True)
class _Object:
    """An object that is being read: the key's name, its own value and metadata, if it has them."""

    name: bytes
    value: Content | None = None
    meta: dict[str, str] = field(default_factory=dict)
    is_empty: bool = True


@dataclass(slots=True)
class _Array:
    """An array that is being read: the key's name, and how many elements there were."""

    name: bytes
    count: int = 0


def read_slices(
    entries: dict[bytes, Content], data: bytes, parent: bytes, file: str
) -> Iterator[int]:
    """Read a JSON text into the empty `entries`, by unescaped name, in no order.

    Yields, after each slice of some milliseconds, how many characters it has read. What is in
    `entries` counts only when the iterator ended without SyntacticError, which tells file and line.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        reason = f"byte 0x{data[error.start]:02x} is no UTF-8"
        raise SyntacticError(reason, file=file, line=line, module="kdb") from None
    return _Reader(entries, text, parent, file).read()


class _Reader:
    def __init__(self, entries: dict[bytes, Content], text: str, parent: bytes, file: str) -> None:
        self._entries = entries
        self._text = text
        self._parent = parent
        self._file = file
        self._stack: list[_Object | _Array] = []

    def read(self) -> Iterator[int]:
        position = self._value(self._parent, 0)
        count = 0
        while self._stack:
            top = self._stack[-1]
            if isinstance(top, _Object):
                position = self._member(top, position)
            else:
                position = self._element(top, position)
            count += 1
            if count % _SLICE == 0:
                yield position
        rest = self._blank(position)
        if rest != len(self._text):
            self._fail(rest, f"{self._shown(rest)} follows the end of the value")

    # --- values -----------------------------------------------------------------------------------

    def _value(self, name: bytes, position: int) -> int:
        """Read the value of a key, or the beginning of an object or array; return its end."""
        at, sign, number, word = self._token(position)
        start = self._blank(position)
        if sign == "{":
            self._stack.append(_Object(name))
        elif sign == "[":
            self._stack.append(_Array(name))
        elif sign and sign != '"':
            self._fail(start, f"a value is missing before {sign!r}")
        else:
            found, at = self._plain(at, sign, number, word)
            self._put(name, found, start)
        return at

    def _plain(self, at: int, sign: str, number: str, word: str) -> tuple[Content, int]:
        """Return what a string, number or word stands for, and the position after it."""
        if sign:
            start = at - 1
            text, at = self._string(at)
            return self._checked(text, {}, start), at
        if number:
            return Content(number, content.meta({"type": "double"})), at
        meant = TYPED[word]
        return Content(meant.value, content.meta(meant.meta)), at

    def _member(self, top: _Object, position: int) -> int:
        at, sign, *_ = self._token(position)
        start = self._blank(position)
        if sign == "}":
            self._stack.pop()
            self._close(top, start)
            return at
        if not top.is_empty:
            if sign != ",":
                self._fail(start, f"',' or '}}' is missing before {self._shown(start)}")
            at, sign, *_ = self._token(at)
        if sign != '"':
            self._fail(at - 1, "the name of a member is missing: it is a string")
        named = at - 1
        label, at = self._string(at)
        at = self._sign(":", at)
        top.is_empty = False
        if label == ITSELF and self._text[self._blank(at) : self._blank(at) + 1] not in "{[":
            return self._itself(top, at, named)
        if label.startswith(META):
            return self._meta(top, label, at, named)
        return self._value(self._below(top.name, label, named), at)

    def _element(self, top: _Array, position: int) -> int:
        at, sign, *_ = self._token(position)
        start = self._blank(position)
        if sign == "]":
            self._stack.pop()
            found = _EMPTY_ARRAY
            if top.count:
                last = names.array_part(top.count - 1)
                found = Content(b"", content.meta({"array": last, BINARY: ""}))
            self._put(top.name, found, start)
            return at
        if top.count:
            if sign != ",":
                self._fail(start, f"',' or ']' is missing before {self._shown(start)}")
            position = at
        name = self._named(top.name, names.array_part(top.count), start)
        top.count += 1
        return self._value(name, position)

    # --- a key beside others ----------------------------------------------------------------------

    def _itself(self, top: _Object, position: int, named: int) -> int:
        if top.value is not None:
            self._fail(named, f"the value {ITSELF!r} of {self._name(top.name)} is given twice")
        at, sign, number, word = self._token(position)
        if sign and sign != '"':
            self._fail(self._blank(position), f"a value is missing before {sign!r}")
        top.value, at = self._plain(at, sign, number, word)
        return at

    def _meta(self, top: _Object, label: str, position: int, named: int) -> int:
        at, sign, *_ = self._token(position)
        if sign != '"':
            self._fail(self._blank(position), f"the value of {label!r} is no string")
        if label in top.meta:
            self._fail(named, f"the metadata {label!r} are given twice")
        top.meta[label], at = self._string(at)
        return at

    def _close(self, top: _Object, position: int) -> None:
        if top.is_empty:
            if top.name != self._parent or self._stack:
                self._put(self._below(top.name, EMPTY_MAP, position), Content(""), position)
            return
        if top.value is None and not top.meta:
            return
        own = top.value or Content("")
        value, meta = own.value, {META + name: text for name, text in own.meta.items()} | top.meta
        if META + BINARY in meta and isinstance(value, str):
            try:
                value = base64.b64decode(value, validate=True)
            except (binascii.Error, ValueError):
                self._fail(position, f"the bytes of {self._name(top.name)} are no base64")
        self._put(top.name, self._checked(value, meta, position), position)

    # --- keys -------------------------------------------------------------------------------------

    def _put(self, name: bytes, found: Content, position: int) -> None:
        if name in self._entries:
            self._fail(position, f"key {self._name(name)} is given twice")
        self._entries[name] = found

    def _checked(self, value: str | bytes, meta: dict[str, str], position: int) -> Content:
        try:
            return content.make(value, meta)
        except (InvalidName, InvalidValue, NameTooLong, ValueTooLarge) as error:
            self._fail(position, error.reason)

    def _below(self, name: bytes, label: str, position: int) -> bytes:
        """Return the name of the member called `label`."""
        part = label
        if _ORDINARY.fullmatch(label) is None:
            try:
                unescaped = names.unescape("/" + label)
            except (InvalidName, NameTooLong):
                unescaped = b""  # no part of a name as it is written, so the part as it stands
            if unescaped.count(b"\0") == 1 and names.escape(unescaped) == "/" + label:
                part = names.base_name(unescaped)
        return self._named(name, part, position)

    def _named(self, name: bytes, part: str, position: int) -> bytes:
        try:
            return names.add_base_name(name, part)
        except (InvalidName, NameTooLong) as error:
            self._fail(position, error.reason)

    # --- the text ---------------------------------------------------------------------------------

    def _token(self, position: int) -> tuple[int, str, str, str]:
        """Return the position after the next token, and it: a sign, a number, or a word."""
        token = _TOKEN.match(self._text, position)
        if token is None:
            start = self._blank(position)
            if start == len(self._text):
                self._fail(start, "the text is cut short: it ends within a value")
            self._fail(start, f"{self._shown(start)} is no JSON")
        sign, number, word = token.groups(default="")
        return token.end(), sign, number, word

    def _sign(self, wanted: str, position: int) -> int:
        at, sign, *_ = self._token(position)
        if sign != wanted:
            start = self._blank(position)
            self._fail(start, f"{wanted!r} is missing before {self._shown(start)}")
        return at

    def _string(self, position: int) -> tuple[str, int]:
        """Return the string whose first character is at `position`, and the position after it."""
        try:
            found: tuple[str, int] = scanstring(self._text, position, True)
        except JSONDecodeError as error:
            reason = error.msg[:1].lower() + error.msg[1:]
            self._fail(error.pos, f"a string is wrong: {reason}")
        return found

    def _blank(self, position: int) -> int:
        blank = _BLANK.match(self._text, position)
        assert blank is not None
        return blank.end()

    def _shown(self, position: int) -> str:
        line = self._text[position : position + _SHOWN_CHARACTERS].split("\n", 1)[0]
        return repr(line) if line else "the end"

    def _name(self, name: bytes) -> str:
        return repr(names.escape(name))

    def _fail(self, position: int, reason: str) -> NoReturn:
        line = self._text.count("\n", 0, position) + 1
        raise SyntacticError(reason, file=self._file, line=line, module="kdb")
