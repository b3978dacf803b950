"""What a key set remembers of its gets.

Rules (architecture, "Get and set through a handle"):

* A key set remembers each key as it was got, with the revision, and of which parents it was got.
  What differs from that is what the application changed (:mod:`kdb.model.tracking`).
* After a set it knows the new revision of the keys that it wrote, and of no others.
* A get of a parent is one of everything below it too.

Key sets and their copies share a base. So its keys are never changed, only replaced by a new base;
that nothing had changed up to a later revision is as true for all who share it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from kdb.model import names, subtree
from kdb.model.content import Content
from kdb.model.names import PERSISTABLE, Namespace

__all__ = [
    "NOTHING",
    "Base",
    "Written",
    "after_get",
    "after_set",
    "covers",
    "nearest",
    "of",
    "within",
]

Written = tuple[bytes, Content | None, int]
"""One key of a set: its name, its new content (None: removed), the revision that it replaces."""


class Base(dict[bytes, Content]):
    """The keys as got, by unescaped name; in ``gets`` the revision of each parent's last get."""

    __slots__ = ("gets",)

    def __init__(
        self, keys: Mapping[bytes, Content] | Iterable[tuple[bytes, Content]] = ()
    ) -> None:
        super().__init__(keys)
        self.gets: dict[bytes, int] = {}

    def since(self, parent: bytes) -> int | None:
        """Return the revision of the last get of *parent* or a parent above it; None for none."""
        return max((at for got, at in self.gets.items() if covers(got, parent)), default=None)


NOTHING: Final = Base()


def of(base: Mapping[bytes, Content] | None) -> Base | None:
    """Return a key set's base, which is one of these once a get has filled it."""
    return base if base is None or isinstance(base, Base) else Base(base)


def covers(upper: bytes, lower: bytes) -> bool:
    """Tell whether a get of *upper* is one of *lower* too; a cascading one in all namespaces."""
    if upper[0] == Namespace.CASCADING:
        lower = upper[:1] + lower[1:]
    return names.is_below_or_same(lower, upper)


def nearest(bases: Mapping[bytes, Base], parent: bytes) -> Base | None:
    """Return the base that belongs to *parent*, else to the nearest parent above it."""
    above = [got for got in bases if covers(got, parent)]
    if not above:
        return None
    # Of two that are as long, user:/a is nearer to user:/a than /a is.
    return bases[max(above, key=lambda got: (len(got), got[0]))]


def within(keys: Mapping[bytes, Content], parent: bytes) -> dict[bytes, Content]:
    """Return those *keys* that are at or below *parent*."""
    covered = subtree.covers(parent, PERSISTABLE)
    return {name: content for name, content in keys.items() if covered(name)}


def after_get(
    base: Base | None, parent: bytes, revision: int, keys: Iterable[tuple[bytes, Content]]
) -> Base:
    """Return the base after a get of *parent* that brought *keys*."""
    gets = {} if base is None else base.gets
    if base:
        covered = subtree.covers(parent, PERSISTABLE)
        after = Base({name: content for name, content in base.items() if not covered(name)})
        after.update(keys)
    else:
        after = Base(keys)
    after.gets = {got: at for got, at in gets.items() if not covers(parent, got)}
    after.gets[parent] = revision
    return after


def after_set(
    base: Base, written: Iterable[Written], revision: int, present: Mapping[bytes, int]
) -> Base:
    """Return the base after the service did a set.

    *revision* is that of the commit, *present* the revision of those keys that already were as
    asked. Where the commit directly followed a get, nothing else changed in between, so that get
    counts as one of the new revision.
    """
    after = Base(base)
    for name, content, _ in written:
        if content is None:
            after.pop(name, None)
        else:
            after[name] = content._replace(revision=present.get(name, revision))
    after.gets = {
        parent: revision if at + 1 == revision else at for parent, at in base.gets.items()
    }
    return after
