r"""Write JSON, as libelektra's yajl does, and complete where that loses keys or breaks.

An object's members are the keys below a key, each by its part of the name as names are written:
escaped, so `a\/b` is the part ``a/b``. A member's value says what the key is:

================================  ==========================================================
``"text"``                        a string
``1.5``                           a string, and the metadata ``type`` = ``double``
``true``, ``false``               the strings 1 and 0, and the metadata ``type`` = ``boolean``
``null``                          an empty binary value
``[…]``                           a binary key, empty, with the metadata ``array`` = the last
                                  index, and the elements below it as ``#0``, ``#1`` and so on
``[]``                            an empty string, with empty metadata ``array``
``{…}``                           no key, only those below
``{}``                            as ``{"___empty_map": ""}``; but as the whole text, no key at all
``{".": …, "meta:/type": "…"}``   a key of its own value and metadata, beside those below it
================================  ==========================================================

The first eight are libelektra's. It has no form for metadata, binary values, and keys that have
both a value and keys below them; and where some of a key's children are ``#0`` and others are not,
it writes what no parser takes. For all these is the last form: a part is never ``.``, and holds no
slash when it is escaped, so no key is in the way. With ``meta:/binary`` the text of ``.`` is
base64.

So every key set becomes a text that is read back as that key set (`kdb.formats.json_reader`).
Bytes that are no UTF-8 are written as ``\udcXX``, which Python reads back.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from kdb.model import names
from kdb.model.content import BINARY, Content

__all__ = ["EMPTY_MAP", "ITSELF", "META", "NUMBER", "TYPED", "write"]

NUMBER: Final = r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?"
"""What JSON takes for a number, as a regular expression."""

EMPTY_MAP: Final = "___empty_map"
ITSELF: Final = "."
META: Final = "meta:/"

TYPED: Final = {
    "true": Content("1", {"type": "boolean"}),
    "false": Content("0", {"type": "boolean"}),
    "null": Content(b"", {BINARY: ""}),
}
"""The words of JSON and what they stand for."""

_INDENT: Final = "    "
_DEEPEST_INDENT: Final = 100
"""A name may have 32,000 parts; a text of that depth would else be four gigabytes of blanks."""

_CHUNK: Final = 4_096
"""Pieces that are joined before they are handed on; about 64 KiB."""

_NUMBER: Final = re.compile(NUMBER)
_ORDINARY: Final = re.compile(r"[^%#./\\\0][^/\\\0]*")


class _Node:
    """A key, or only the way to some."""

    __slots__ = ("below", "content")

    def __init__(self) -> None:
        self.content: Content | None = None
        self.below: dict[str, _Node] = {}


class _Frame(NamedTuple):
    """An object or array that is being written: its members, each with its label, and its end."""

    members: Iterator[tuple[str, str | _Node]]
    opening: str
    closing: str


def write(parent: bytes, entries: Iterable[tuple[bytes, Content]]) -> Iterator[str]:
    """Yield the text of `entries`, (unescaped name, content) in key order at or below `parent`.

    It may hold lone surrogates: encode it with ``errors="backslashreplace"``.
    """
    root = _tree(parent, entries)
    pieces: list[str] = []
    first = _form(root, is_root=True)
    if isinstance(first, str):
        yield first + "\n"
        return
    # An explicit stack: a name may have more parts than Python's own holds.
    stack, separator = [first], first.opening + "\n"
    while stack:
        members, _, closing = stack[-1]
        member = next(members, None)
        if member is None:
            stack.pop()
            # An empty one gets an empty line, as yajl writes it.
            before = separator if separator[0] in "{[" else ""
            pieces.append(f"{before}\n{_indent(len(stack))}{closing}")
            separator = ",\n"
            continue
        label, what = member
        form = what if isinstance(what, str) else _form(what)
        pieces.append(f"{separator}{_indent(len(stack))}{label}")
        if isinstance(form, str):
            pieces.append(form)
            separator = ",\n"
        else:
            stack.append(form)
            separator = form.opening + "\n"
        if len(pieces) > _CHUNK:
            yield "".join(pieces)
            pieces.clear()
    yield "".join(pieces) + "\n"


def _tree(parent: bytes, entries: Iterable[tuple[bytes, Content]]) -> _Node:
    root = _Node()
    start = len(parent) + 1
    for name, content in entries:
        node = root
        if len(name) >= start:
            for part in name[start:].decode("utf-8", "surrogateescape").split("\0"):
                below = node.below.get(part)
                if below is None:
                    below = node.below[part] = _Node()
                node = below
        node.content = content
    return root


def _form(node: _Node, *, is_root: bool = False) -> str | _Frame:
    """Return a node as text where it is a plain value, else as what is to be written."""
    content, below = node.content, node.below
    if content is None:
        if not is_root and list(below) == [EMPTY_MAP] and _is_plain_empty(below[EMPTY_MAP]):
            return _Frame(iter(()), "{", "}")
        return _Frame(_members(below), "{", "}")
    if below:
        array = {"array": names.array_part(len(below) - 1), BINARY: ""}
        if content.value == b"" and content.meta == array and _are_elements(below):
            elements = (("", below[names.array_part(index)]) for index in range(len(below)))
            return _Frame(elements, "[", "]")
    elif content.value == "" and content.meta == {"array": ""}:
        return _Frame(iter(()), "[", "]")
    elif (text := _plain(content)) is not None:
        return text
    return _Frame(_own(content, below), "{", "}")


def _is_plain_empty(node: _Node) -> bool:
    return not node.below and node.content is not None and node.content.same_as(Content(""))


def _are_elements(below: dict[str, _Node]) -> bool:
    return all(names.array_part(index) in below for index in range(len(below)))


def _plain(content: Content) -> str | None:
    """Return the text of a key that JSON has a form for, else None."""
    value, meta = content.value, content.meta
    if isinstance(value, str):
        if not meta:
            return _quoted(value)
        if meta == {"type": "double"} and _NUMBER.fullmatch(value):
            return value
    for word, meant in TYPED.items():
        if value == meant.value and meta == meant.meta:
            return word
    return None


def _own(content: Content, below: dict[str, _Node]) -> Iterator[tuple[str, str | _Node]]:
    value = content.value
    if isinstance(value, bytes):
        value = base64.b64encode(value).decode()
    yield f'"{ITSELF}": ', _quoted(value)
    for name, text in content.meta.items():
        yield f"{_quoted(META + name)}: ", _quoted(text)
    yield from _members(below)


def _members(below: dict[str, _Node]) -> Iterator[tuple[str, str | _Node]]:
    for part, node in below.items():
        yield f"{_quoted(_escaped(part))}: ", node


def _indent(depth: int) -> str:
    return _INDENT * min(depth, _DEEPEST_INDENT)


def _escaped(part: str) -> str:
    if _ORDINARY.fullmatch(part):
        return part
    return names.escape(b"\x01\0" + part.encode("utf-8", "surrogateescape"))[1:]


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
