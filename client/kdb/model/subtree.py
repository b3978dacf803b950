"""Which names a parent key covers.

A parent covers its own name and the names below it. Unescaped names sort so that these are one
range (`kdb.model.names`): from the parent's name to, exclusively, `end_of_subtree`. A cascading
parent covers such a range in each of several namespaces; the ranges are in the order of names.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence

from kdb.model import names
from kdb.model.names import Namespace

__all__ = ["EVERYWHERE", "covers", "find", "ranges"]

EVERYWHERE = tuple(Namespace)[Namespace.CASCADING :]


def ranges(
    parent: bytes, namespaces: Iterable[Namespace] = EVERYWHERE
) -> tuple[tuple[bytes, bytes], ...]:
    """Return (start, end) of each range that the unescaped name `parent` covers in `namespaces`.

    A cascading parent covers one in each of them, another at most that of its own namespace.
    """
    own = names.namespace(parent)
    starts = (
        names.in_namespace(parent, namespace)
        for namespace in namespaces
        if own in (namespace, Namespace.CASCADING)
    )
    return tuple((start, names.end_of_subtree(start)) for start in starts)


def covers(parent: bytes, namespaces: Iterable[Namespace] = EVERYWHERE) -> Callable[[bytes], bool]:
    """Return the predicate that tells whether the parent covers an unescaped name."""
    spans = ranges(parent, namespaces)
    if len(spans) == 1:
        ((start, end),) = spans
        return lambda name: start <= name < end
    return lambda name: any(start <= name < end for start, end in spans)


def find(
    ordered: Sequence[bytes], parent: bytes, namespaces: Iterable[Namespace] = EVERYWHERE
) -> Iterator[slice]:
    """Yield the slices of the ordered names `ordered` that the parent covers, in order."""
    for start, end in ranges(parent, namespaces):
        low = bisect_left(ordered, start)
        yield slice(low, bisect_left(ordered, end, low))
