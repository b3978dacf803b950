"""KeySet, in the vocabulary of libelektra's Python binding: keys by name, in the order of names.

Key sets share keys: a copy holds the same keys, so a value changed through one is seen through the
other; a deep copy holds keys of its own.

For `kdb.KDB` a key set remembers its base, by name: what the service's get brought. A base is never
changed, only replaced, so key sets share it: a copy inherits it, and so do the key sets that `cut`
and `filter` make. What an application changed is the difference of key set and base
(`kdb.model.tracking`).
"""

# ruff: noqa: N802 - the methods have the names of libelektra's binding
# ruff: noqa: SLF001 - key set and key share their insides

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable, Iterable, Mapping
from operator import attrgetter
from typing import overload

from kdb.model import lookup, names, subtree, tracking
from kdb.model.constants import KEY_LOCK_NAME, KS_END
from kdb.model.content import Content
from kdb.model.errors import KDBError
from kdb.model.exceptions import KDBException, KeyException, KeyInvalidName
from kdb.model.iteration import Identity, ValueIterator
from kdb.model.key import Key, name_of
from kdb.model.names import PERSISTABLE, Namespace
from kdb.model.tracking import Changes

__all__ = ["KeySet"]

# Up to so many new names are put one by one into the ordered names; more are sorted in at once.
_FEW = 8

_CONTENT = attrgetter("_content")


class KeySet:
    """An ordered set of keys, unique by name."""

    __slots__ = ("_base", "_held", "_live", "_ordered", "_unordered")

    _base: Mapping[bytes, Content] | None
    # Every name with its content. Keys are made when asked for: a get of 100,000 keys would take
    # ten times as long with a Key for each. A content here is out of date where there is a key.
    _held: dict[bytes, Content]
    _live: dict[bytes, Key]
    # Every name is in one of these. New names wait unordered until the order is asked for.
    _ordered: list[bytes]
    _unordered: list[bytes]

    __hash__ = None  # type: ignore[assignment]  # mutable, and equal by what it holds

    def __init__(self, size: int | KeySet = 0, *keys: Key | KeySet | str | None) -> None:
        """Make a key set of keys, up to a `KS_END`, or a copy of another that shares its keys.

        `size` is ignored: a key set grows as needed.
        """
        self.clear()
        self._base = None
        if isinstance(size, KeySet):
            self.copy(size)
        elif not isinstance(size, int):
            raise TypeError(f"a size or a key set comes first, not {type(size).__name__}")
        for key in keys:
            if key is KS_END:
                break
            self._add(key)

    # --- looking at keys

    @overload
    def __getitem__(self, key: slice) -> list[Key]: ...
    @overload
    def __getitem__(self, key: int | str | Key) -> Key: ...
    def __getitem__(self, key: slice | int | str | Key) -> Key | list[Key]:
        """Return a key by position or name, or a list by slice. Raises IndexError, KeyError."""
        if isinstance(key, slice):
            return [self._key(name) for name in self._names()[key]]
        found = self.lookup(key)
        if found is None:
            if isinstance(key, int):
                raise IndexError(f"no key {key} in a key set of {len(self)}")
            raise KeyError(str(key))
        return found

    def lookup(self, key: int | str | Key) -> Key | None:
        """Return a key by position (negative: from the end) or name, or None.

        A cascading name is looked up by the rule of `kdb.model.lookup`; a default that is found in
        a specification gives a new key in default:/. An invalid name finds nothing. Raises
        KDBException for specifications that link too deep, and names that would get too long.
        """
        if isinstance(key, int):
            return self._key(self._names()[key]) if -len(self) <= key < len(self) else None
        return self._find(key)

    def __contains__(self, key: object) -> bool:
        """Tell whether `lookup` finds a key of that name."""
        return self._find(key) is not None

    def search(self, key: str | Key) -> int:
        """Return the position of a key, or -(position) - 1 of where it would be.

        Raises KeyInvalidName.
        """
        ordered = self._names()
        name = name_of(key)
        position = bisect_left(ordered, name)
        return position if name in self._held else -position - 1

    def __len__(self) -> int:
        return len(self._held)

    def __iter__(self) -> ValueIterator[Key]:
        """Iterate over the keys that are there now, in order."""
        return ValueIterator(self[:])

    def __reversed__(self) -> ValueIterator[Key]:
        return ValueIterator(self[::-1])

    def __eq__(self, other: object) -> bool:
        """Compare the names; keys are equal by their names."""
        return (
            self._held.keys() == other._held.keys() if isinstance(other, KeySet) else NotImplemented
        )

    def __str__(self) -> str:
        return str([names.escape(name) for name in self._names()])

    def __repr__(self) -> str:
        return f"kdb.KeySet({', '.join([str(len(self)), *map(repr, self)])})"

    def filter(self, condition: Callable[[Key], object]) -> KeySet:
        """Return the keys for which `condition` is true, as a key set that shares them."""
        part = KeySet(0, *(key for key in self if condition(key)))
        part._base = self._base
        return part

    def filter_below(self, parent: str | Key) -> KeySet:
        """Return the keys directly below `parent`, as a key set that shares them."""
        return self.filter(lambda key: key.isDirectBelow(parent))

    def unpack_names(self) -> set[str]:
        """Return all names."""
        return {names.escape(name) for name in self._held}

    def unpack_basenames(self) -> set[str]:
        """Return all base names."""
        return {names.base_name(name) for name in self._held}

    def getKeySet(self) -> Identity:
        """Return a token that equals another one exactly if both are of this same key set."""
        return Identity(self)

    # --- changing which keys are in it

    def append(self, key: Key | KeySet | str, *more: object) -> int:
        """Add keys, or all keys of key sets, in place of those of the same names.

        A name makes a key, of which `more` are then the constructor's options, as in libelektra.
        Returns the new size. Raises KeyInvalidName, TypeError.
        """
        if isinstance(key, str):
            self._add(Key(key, *more))
        else:
            for each in (key, *more):
                self._add(each)
        return len(self._held)

    def extend(self, keys: Iterable[Key | KeySet | str]) -> int:
        """Add keys, names or key sets; return the new size. Raises as `append`."""
        for key in keys:
            self._add(key)
        return len(self._held)

    def pop(self) -> Key:
        """Remove and return the last key. Raises KeyException when empty."""
        if not self._held:
            raise KeyException("the key set is empty, there is no key to pop")
        return self._take(self._names()[-1])

    def remove(self, key: str | Key) -> Key:
        """Remove and return a key, found as by `lookup`. Raises ValueError where it is absent."""
        found = self._find(key)
        if found is None or found._name not in self._held:
            raise ValueError(f"{str(key)!r} is not in the key set")
        return self._take(found._name)

    def cut(self, parent: str | Key) -> KeySet:
        """Remove the key and all below it, of a cascading one in each namespace; return them."""
        return self._cut(name_of(parent), subtree.EVERYWHERE)

    def clear(self) -> None:
        """Remove all keys."""
        self._held = {}
        self._live = {}
        self._ordered = []
        self._unordered = []

    def copy(self, other: KeySet) -> None:
        """Hold the same keys as `other`, and no others."""
        self._live = {name: other._key(name) for name in other._held}
        self._held = dict(other._held)
        self._ordered = list(other._names())
        self._unordered = []
        self._base = other._base

    def dup(self) -> KeySet:
        """Return a key set that holds the same keys."""
        return KeySet(self)

    def __copy__(self) -> KeySet:
        return KeySet(self)

    def __deepcopy__(self, memo: object) -> KeySet:
        copy = KeySet()
        copy._held = self._contents()
        copy._ordered = list(self._names())
        copy._base = self._base
        return copy

    # --- for kdb.KDB, which owns the base

    def _fill(self, parent: bytes, pairs: Iterable[tuple[bytes, Content]]) -> None:
        """Replace all at and below `parent`, in namespaces that are stored, by new keys.

        `pairs` may be in any order. The base stays as it is.
        """
        fresh = dict(pairs)
        if self._held:
            self._cut(parent, PERSISTABLE)
            for name in fresh.keys() & self._live.keys():
                del self._live[name]
            fresh = self._held | fresh
        self._held = fresh
        self._ordered = []
        self._unordered = list(self._held)

    def _contents(self) -> dict[bytes, Content]:
        """Return the content of each key, by name."""
        contents = dict(self._held)
        contents.update(zip(self._live, map(_CONTENT, self._live.values()), strict=True))
        return contents

    def _changes(self, parent: bytes) -> Changes:
        """Return what changed against the base at and below `parent`; see `tracking.changes`."""
        return tracking.changes(self._contents(), self._base or {}, parent)

    def _rebase(
        self, base: Mapping[bytes, Content], written: Iterable[bytes] | None = None
    ) -> None:
        """Take over the base after a set: the keys `written` (None: any) now have its revisions.

        A key that was changed again meanwhile stays changed.
        """
        self._base = base
        for name in tracking.touched(self._contents(), base) if written is None else written:
            content, known = self._content(name), base.get(name)
            if content is None or known is None or not content.same_as(known):
                continue
            self._held[name] = known
            if name in self._live:
                self._live[name]._content = known

    # --- how all of it works

    def _names(self) -> list[bytes]:
        """Return all names in order."""
        if len(self._unordered) > _FEW:
            self._ordered += self._unordered
            self._ordered.sort()
        else:
            for name in self._unordered:
                insort(self._ordered, name)
        self._unordered = []
        return self._ordered

    def _add(self, key: object) -> None:
        if isinstance(key, KeySet):
            for each in key:
                self._add(each)
            return
        if isinstance(key, str):
            key = Key(key)
        elif not isinstance(key, Key):
            raise TypeError(f"a key, a name or a key set is needed, not {type(key).__name__}")
        key._locks |= KEY_LOCK_NAME
        if key._name not in self._held:
            self._unordered.append(key._name)
        self._held[key._name] = key._content
        self._live[key._name] = key

    def _key(self, name: bytes) -> Key:
        """Return the key of a name that is held."""
        key = self._live.get(name)
        if key is None:
            key = self._live[name] = Key._of(name, self._held[name], KEY_LOCK_NAME)
        return key

    def _content(self, name: bytes) -> Content | None:
        key = self._live.get(name)
        return self._held.get(name) if key is None else key._content

    def _take(self, name: bytes) -> Key:
        """Remove and return the key of a name that is held."""
        key = self._key(name)
        ordered = self._names()
        del ordered[bisect_left(ordered, name)], self._held[name], self._live[name]
        return key

    def _find(self, key: object) -> Key | None:
        """Look up a key by name; see `lookup`."""
        try:
            name = name_of(key)
        except KeyInvalidName:
            return None
        if name[0] != Namespace.CASCADING:
            return self._key(name) if name in self._held else None
        try:
            found = lookup.lookup(name, self._content)
        except KDBError as error:
            raise KDBException(error) from error
        if found is None:
            return None
        if found.name in self._held:
            return self._key(found.name)
        return Key._of(found.name, found.content)

    def _cut(self, parent: bytes, namespaces: Iterable[Namespace]) -> KeySet:
        ordered = self._names()
        spans = list(subtree.find(ordered, parent, namespaces))
        part = KeySet()
        part._base = self._base
        part._ordered = [name for span in spans for name in ordered[span]]
        part._held = {name: self._held.pop(name) for name in part._ordered}
        part._live = {name: self._live.pop(name) for name in part._held.keys() & self._live.keys()}
        for span in reversed(spans):
            del ordered[span]
        return part
