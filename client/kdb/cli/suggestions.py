r"""How a key's name that was begun may go on: what ``kdb complete`` and the shells suggest.

Rules
* Names are compared as they are written: ``user:/sw/ed`` goes on to ``user:/sw/editor/``.
* A suggestion is the name of a key, or of what lies above some key; with keys below it, it ends
  in a slash.
* Up to the last slash the beginning names the level to look at; what is behind it begins the
  parts of that level. Without a slash it begins a namespace.
* Only what can go on is read: a part's beginning bounds the names from both sides, and where
  only some levels are asked for, what lies deeper is stepped over, page by page.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from kdb.cli.bus import CallError
from kdb.cli.command import bus_for, kind_of
from kdb.cli.names import root_free
from kdb.model import names
from kdb.model.errors import InvalidName, NameTooLong

__all__ = ["Suggestion", "bus_of", "level_of", "suggestions"]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from kdb.cli.bus import Bus

# What a name may begin with, in the order of keys, and where there are keys.
_NAMESPACES = ("spec:/", "proc:/", "dir:/", "user:/", "system:/")
_STORED = ("spec:/", "dir:/", "user:/", "system:/")
# A narrow beginning is answered by one small page; of what is wide they grow.
_FIRST_PAGE = 256
_GROWTH = 4
# No sensible part begins with the last character that there is, so this is after all parts.
_LAST = "\U0010ffff"
_PART = re.compile(r"(?:[^\\/]|\\.)+", re.DOTALL)
_TO_LAST_SLASH = re.compile(r"(?:(?:[^\\/]|\\.)*/)*", re.DOTALL)


class Suggestion(NamedTuple):
    """A name that goes on, how many levels below what was begun, and what is there."""

    name: str
    depth: int
    is_key: bool
    has_keys_below: bool

    @property
    def text(self) -> str:
        """The name, with a slash where there are keys below."""
        return f"{root_free(self.name)}/" if self.has_keys_below else self.name

    @property
    def part(self) -> str:
        """The name's last part, as it is written."""
        return str(_PART.findall(self.name)[-1])


def bus_of(begun: str) -> Bus:
    """Return the way to kdbd for a name that was begun, perhaps not yet as far as a namespace."""
    return bus_for(begun if "/" in begun else "/")


def suggestions(bus: Bus, begun: str, *, most: int | None = None) -> Iterator[Suggestion]:
    """Yield what *begun* may go on to, in key order, at most *most* levels deep."""
    if begun == "+":
        begun = "/"  # libelektra's bookmarks begin so; there are none, and all keys are suggested
    level = level_of(begun)
    if not level:
        yield from _of_namespaces(bus, begun, most)
        return
    try:
        parent = names.escape(names.unescape(level))
    except (InvalidName, NameTooLong):
        return
    part = begun[len(level) :]
    parents = [parent]
    if parent.startswith("/"):
        parents = [f"{root_free(root)}{parent}" for root in _STORED]
    for each in parents:
        if each.startswith(_STORED):
            yield from _below(bus, names.escape(names.unescape(each)), part, most)


def level_of(begun: str) -> str:
    """Return what names the level at which a name goes on: all up to the last slash."""
    found = _TO_LAST_SLASH.match(begun)
    return found[0] if found else ""


def _of_namespaces(bus: Bus, begun: str, most: int | None) -> Iterator[Suggestion]:
    for root in _NAMESPACES:
        if not root.startswith(begun):
            continue
        yield Suggestion(root, 1, is_key=False, has_keys_below=True)
        if most != 1 and root in _STORED:
            for each in _below(bus, root, "", None if most is None else most - 1):
                yield each._replace(depth=each.depth + 1)


def _below(bus: Bus, parent: str, part: str, most: int | None) -> Iterator[Suggestion]:
    above = f"{root_free(parent)}/"
    told: list[str] = []
    key: Suggestion | None = None
    for name in _names(bus, parent, part, most):
        parts = _PART.findall(name, len(above))
        same = 0
        while same < min(len(told), len(parts)) and told[same] == parts[same]:
            same += 1
        if key is not None:
            yield key._replace(has_keys_below=same == key.depth)
            key = None
        for depth in range(same + 1, len(parts) + 1):
            if most is not None and depth > most:
                break
            path = above + "/".join(parts[:depth])
            if depth == len(parts):
                key = Suggestion(path, depth, is_key=True, has_keys_below=False)
            else:
                yield Suggestion(path, depth, is_key=False, has_keys_below=True)
        told = parts
    if key is not None:
        yield key


def _names(bus: Bus, parent: str, part: str, most: int | None) -> Iterator[str]:
    """Yield the names below a parent whose next part begins so; of what is too deep only some."""
    above = f"{root_free(parent)}/"
    # What is written otherwise than it is ordered bounds nothing.
    head = "" if part[:1] in ("%", "#", ".") else part.partition("\\")[0]
    start = above + head
    after, size, more = parent, _FIRST_PAGE, True
    if head:
        first, _ = _page(bus, start, "", 1)
        yield from (name for name in first if name == start and name.startswith(above + part))
        after = start
    while more:
        page, more = _page(bus, parent, after, size)
        for name in page:
            if name == parent:
                continue
            if not name.startswith(start):
                return
            if name.startswith(above + part):
                yield name
        if not page:
            return
        after = _beyond(page[-1], above, most)
        size *= _GROWTH


def _page(bus: Bus, parent: str, after: str, size: int) -> tuple[list[str], bool]:
    try:
        names, more = bus.call("List", "ssu", parent, after, size)
    except CallError as error:
        # A working directory that was removed holds no keys.
        if kind_of(error) != "Interface":
            raise
        return [], False
    return names, more


def _beyond(name: str, above: str, most: int | None) -> str:
    """Return a name to go on after: of what lies too deep, after all of it."""
    parts = _PART.findall(name, len(above))
    if most is None or len(parts) <= most or parts[most].startswith(_LAST):
        return name
    return above + "/".join(parts[:most]) + "/" + _LAST * 8
