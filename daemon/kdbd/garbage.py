"""The garbage collector, kept from looking at every key again and again.

Reference counts free what kdbd drops; the collector is there for cycles only, of which there are
few. Yet each of its full collections visits all that was not frozen: 300 ms at 200,000 keys, in
which nobody is answered (measured). So what is likely to last is frozen: what the start loaded,
what a large commit brought, and now and then the rest, once what little of it there is has been
collected.
"""

from __future__ import annotations

import gc
from collections.abc import Callable

__all__ = ["Garbage"]

# By allocations: the youngest; those of five such rounds, 10 ms of work; and all, which thus comes
# after 2.5 million objects that nobody freed, more than a commit of 100,000 keys needs.
_THRESHOLDS = (5_000, 5, 100)
# A commit of so many keys is frozen as it is: to collect first would take too long.
_LARGE_COMMIT = 2_000
# After so many smaller changes there is little enough to collect: about 5 ms.
_CHANGES = 5_000


class Garbage:
    """Decides when to collect and to freeze. The ports are those of the module ``gc``."""

    def __init__(
        self,
        *,
        collect: Callable[[], object] = gc.collect,
        freeze: Callable[[], object] = gc.freeze,
        set_threshold: Callable[[int, int, int], object] = gc.set_threshold,
    ) -> None:
        self._collect = collect
        self._freeze = freeze
        self._set_threshold = set_threshold
        self._changes = 0

    def started(self) -> None:
        """Freeze what the start loaded."""
        self._set_threshold(*_THRESHOLDS)
        self._collect()
        self._freeze()

    def changed(self, keys: int) -> None:
        """Note that a batch of commits changed so many keys."""
        self._changes += keys
        if keys < _LARGE_COMMIT:
            if self._changes < _CHANGES:
                return
            self._collect()
        self._changes = 0
        self._freeze()
