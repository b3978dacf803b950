"""What changed between two states of a key database.

A change of one key is its content before and after; without a before it was added, without an
after it was removed. A diff holds the changes that have an effect, by name.

Two diffs, one after the other, are one diff: from what the first started with to what the second
ended with. That one rule is the table by which a part diff is merged into a session diff; a key
that ends as it began is in no diff:

    in the session   part: added            part: modified         part: removed
    unchanged        added                  modified               removed
    added            added (new value)      added (new value)      unchanged
    modified         modified or unchanged  modified or unchanged  removed (session's old)
    removed          modified or unchanged  modified or unchanged  removed (session's old)

All twelve cells are reachable, because a session diff lacks what changed while its recording was
stopped. Contents are compared without their revisions.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple, Self

from kdb.model import subtree
from kdb.model.content import NO_META, Content, Meta

__all__ = ["Change", "Diff", "merge"]


class Change(NamedTuple):
    """One key's content before and after: None before for an added, after for a removed key."""

    old: Content | None
    new: Content | None

    @property
    def has_effect(self) -> bool:
        """Whether before and after differ in more than the revision."""
        if self.old is None or self.new is None:
            return self.old is not self.new
        return self.old is not self.new and not self.old.same_as(self.new)

    @property
    def value_changed(self) -> bool:
        """Whether the value differs, in type too; always so for an added or a removed key."""
        if self.old is None or self.new is None:
            return True
        old, new = self.old.value, self.new.value
        return type(old) is not type(new) or old != new


def merge(session: Change | None, part: Change) -> Change | None:
    """Merge the next change of a key into the change that a session has of it, by the table above.

    `session` is None where the session has none; the result is None where the key is, after both,
    as it was before.
    """
    merged = part if session is None else Change(session.old, part.new)
    return merged if merged.has_effect else None


class Diff(Mapping[bytes, Change]):
    """An immutable mapping of unescaped names to changes, in key order."""

    __slots__ = ("_changes",)

    _changes: dict[bytes, Change]

    def __init__(
        self, changes: Mapping[bytes, Change] | Iterable[tuple[bytes, Change]] = ()
    ) -> None:
        """Order the changes by name; those without effect are left out."""
        items = changes.items() if isinstance(changes, Mapping) else changes
        self._changes = dict(sorted(item for item in dict(items).items() if item[1].has_effect))

    @classmethod
    def compute(
        cls, new: Mapping[bytes, Content], old: Mapping[bytes, Content], parent: bytes | None = None
    ) -> Self:
        """Return what leads from `old` to `new`, both by unescaped name.

        With `parent` only what it covers (`kdb.model.subtree`) counts; a cascading parent covers
        all namespaces.
        """
        before = old.get
        changes: dict[bytes, Change] = {}
        for name, content in new.items():
            was = before(name)
            if was is content or (was is not None and content.same_as(was)):
                continue
            changes[name] = Change(was, content)
        for name in old.keys() - new.keys():
            changes[name] = Change(old[name], None)
        if parent is not None:
            covered = subtree.covers(parent)
            changes = {name: change for name, change in changes.items() if covered(name)}
        return cls._of({name: changes[name] for name in sorted(changes)})

    @classmethod
    def _of(cls, changes: dict[bytes, Change]) -> Self:
        """Wrap changes that are ordered and have an effect."""
        diff = cls.__new__(cls)
        diff._changes = changes  # noqa: SLF001 - of this very class
        return diff

    def __getitem__(self, name: bytes) -> Change:
        return self._changes[name]

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._changes)

    def __len__(self) -> int:
        return len(self._changes)

    def __contains__(self, name: object) -> bool:
        return name in self._changes

    def __repr__(self) -> str:
        return f"Diff({self._changes!r})"

    @property
    def added(self) -> dict[bytes, Content]:
        """The added keys with their content."""
        return {
            name: new
            for name, (old, new) in self._changes.items()
            if old is None and new is not None
        }

    @property
    def removed(self) -> dict[bytes, Content]:
        """The removed keys with the content that they had."""
        return {
            name: old
            for name, (old, new) in self._changes.items()
            if new is None and old is not None
        }

    @property
    def modified(self) -> dict[bytes, Change]:
        """The modified keys with the content before and after."""
        return {name: change for name, change in self._changes.items() if None not in change}

    def append(self, part: Diff) -> Self:
        """Return this diff followed by `part`, as one diff; the table above."""
        merged = dict(self._changes)
        for name, change in part.items():
            after = merge(merged.get(name), change)
            if after is None:
                del merged[name]
            else:
                merged[name] = after
        return self._of({name: merged[name] for name in sorted(merged)})

    def cut(self, parent: bytes) -> tuple[Self, Self]:
        """Return the changes that `parent` covers, and the others."""
        covered = subtree.covers(parent)
        inside = {name: change for name, change in self._changes.items() if covered(name)}
        outside = {name: change for name, change in self._changes.items() if name not in inside}
        return self._of(inside), self._of(outside)

    def without(self, name: bytes) -> Self:
        """Return this diff without the change of the key `name`, if it has one."""
        return self._of({other: self._changes[other] for other in self._changes if other != name})

    def inverse(self) -> Self:
        """Return the diff that takes back this one."""
        return self._of({name: Change(new, old) for name, (old, new) in self._changes.items()})

    def apply(self, state: Mapping[bytes, Content]) -> dict[bytes, Content]:
        """Return `state` after these changes; what they replace is not compared.

        The result is in the order of `state`, what is added at its end.
        """
        after = dict(state)
        for name, (_, new) in self._changes.items():
            if new is None:
                after.pop(name, None)
            else:
                after[name] = new
        return after

    def undo(self, state: Mapping[bytes, Content]) -> dict[bytes, Content]:
        """Return `state` with these changes taken back; what they led to is not compared."""
        return self.inverse().apply(state)

    def value_changed(self, name: bytes) -> bool:
        """Whether the key's value changed; it did for an added or removed key."""
        change = self._changes.get(name)
        return change is not None and change.value_changed

    def added_meta(self, name: bytes) -> dict[str, str]:
        """The metadata that the key gained; all of an added key's."""
        old, new = self._meta(name)
        return {meta: text for meta, text in new.items() if meta not in old}

    def removed_meta(self, name: bytes) -> dict[str, str]:
        """The metadata that the key lost, as they were; all of a removed key's."""
        old, new = self._meta(name)
        return {meta: text for meta, text in old.items() if meta not in new}

    def modified_meta(self, name: bytes) -> dict[str, tuple[str, str]]:
        """The metadata whose text changed, with the text before and after."""
        old, new = self._meta(name)
        return {
            meta: (text, new[meta])
            for meta, text in old.items()
            if meta in new and new[meta] != text
        }

    def _meta(self, name: bytes) -> tuple[Meta, Meta]:
        old, new = self._changes.get(name, (None, None))
        return (NO_META if old is None else old.meta, NO_META if new is None else new.meta)
