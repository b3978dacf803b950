"""The iterators and identity tokens that keys and key sets hand out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Generic, TypeVar

__all__ = ["Identity", "ValueIterator"]

T = TypeVar("T")


class Identity:
    """A token of one object: equal, and of equal hash, only to another token of that object."""

    __slots__ = ("_of",)

    def __init__(self, of: object) -> None:
        self._of = of

    def __eq__(self, other: object) -> bool:
        return self._of is other._of if isinstance(other, Identity) else NotImplemented

    def __hash__(self) -> int:
        return id(self._of)


class ValueIterator(Iterator[T], Generic[T]):
    """An iterator over a fixed sequence, whose `value()` looks at the next item and leaves it."""

    __slots__ = ("_at", "_items")

    def __init__(self, items: Sequence[T]) -> None:
        self._items = items
        self._at = 0

    def value(self) -> T:
        """Return the next item. Raises StopIteration at the end."""
        try:
            return self._items[self._at]
        except IndexError:
            raise StopIteration from None

    def __next__(self) -> T:
        item = self.value()
        self._at += 1
        return item
