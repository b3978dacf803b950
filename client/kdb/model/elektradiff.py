"""ElektraDiff, in the vocabulary of libelektra's Python binding: a changeable view of a `Diff`.

What is asked for a single key is empty for keys that are not in the diff; an added or removed key
counts with all its metadata. Key sets that it hands out hold keys of their own: changing them
changes no diff.
"""

# ruff: noqa: N802 - the methods have the names of libelektra's binding
# ruff: noqa: SLF001 - made of keys and key sets, it shares their insides

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

from kdb.model import names
from kdb.model.content import Content
from kdb.model.diff import Diff
from kdb.model.key import Key, name_of
from kdb.model.keyset import KeySet
from kdb.model.names import Namespace

__all__ = ["ElektraDiff"]

_META_ROOT = names.unescape("meta:/")


class ElektraDiff:
    """What was added, removed and modified between two key sets."""

    __slots__ = ("_diff",)

    def __init__(self, diff: Diff | None = None) -> None:
        """Wrap a diff; without one, an empty diff."""
        self._diff = Diff() if diff is None else diff

    @classmethod
    def calculateDiff(cls, new: KeySet, old: KeySet, parent: Key | str) -> Self:
        """Return what leads from `old` to `new` at and below `parent`.

        A cascading parent covers all namespaces. Cascading keys themselves are never part of it.
        """
        return cls(Diff.compute(_contents(new), _contents(old), name_of(parent)))

    def isEmpty(self) -> bool:
        """Tell whether nothing changed."""
        return not self._diff

    def getAddedKeys(self) -> KeySet:
        """Return the added keys."""
        return _key_set(self._diff.added)

    def getRemovedKeys(self) -> KeySet:
        """Return the removed keys, as they were."""
        return _key_set(self._diff.removed)

    def getModifiedKeys(self) -> KeySet:
        """Return the modified keys, as they were before."""
        modified = self._diff.modified.items()
        return _key_set({name: old for name, (old, _) in modified if old is not None})

    def getAddedMetaKeys(self, key: Key | str) -> KeySet:
        """Return the metadata that the key gained."""
        return _metadata(self._diff.added_meta(name_of(key)))

    def getRemovedMetaKeys(self, key: Key | str) -> KeySet:
        """Return the metadata that the key lost, as they were."""
        return _metadata(self._diff.removed_meta(name_of(key)))

    def getModifiedMetaKeys(self, key: Key | str) -> KeySet:
        """Return the metadata of the key that were modified, as they were before."""
        modified = self._diff.modified_meta(name_of(key))
        return _metadata({meta: old for meta, (old, _) in modified.items()})

    def removeKey(self, key: Key | str) -> None:
        """Take the change of one key out of this diff."""
        self._diff = self._diff.without(name_of(key))

    def removeSameOrBelow(self, cutpoint: Key | str) -> None:
        """Take the changes at and below `cutpoint` out of this diff."""
        _, self._diff = self._diff.cut(name_of(cutpoint))

    def removeOther(self, parent: Key | str) -> None:
        """Keep only the changes at and below `parent`."""
        self._diff, _ = self._diff.cut(name_of(parent))

    def cut(self, cutpoint: Key | str) -> ElektraDiff:
        """Take the changes at and below `cutpoint` out of this diff and return them."""
        inside, self._diff = self._diff.cut(name_of(cutpoint))
        return ElektraDiff(inside)

    def undo(self, ks: KeySet) -> None:
        """Take these changes back in a key set, whatever it holds now in their places."""
        for name, change in self._diff.items():
            if change.old is not None:
                ks.append(Key._of(name, change.old))
            elif name in ks._held:
                ks._take(name)

    def dup(self) -> ElektraDiff:
        """Return an independent copy."""
        return ElektraDiff(self._diff)


def _contents(ks: KeySet) -> dict[bytes, Content]:
    items = ks._contents().items()
    return {name: content for name, content in items if name[0] != Namespace.CASCADING}


def _key_set(contents: Mapping[bytes, Content]) -> KeySet:
    return KeySet(0, *(Key._of(name, content) for name, content in contents.items()))


def _metadata(metadata: Mapping[str, str]) -> KeySet:
    return _key_set(
        {names.add_name(_META_ROOT, name): Content(text) for name, text in metadata.items()}
    )
