"""The C library's allocator, told to give the memory of large values back.

What is as large as its threshold it asks of the system and gives back when it is freed. But it
raises that threshold to the largest size that was freed, up to 32 MiB; what is smaller then stays
in its heaps, in pieces between what is still used. Of a flood of values of 1 MB kdbd kept 450 MB
like that (measured). A threshold that is set is not raised.
"""

from __future__ import annotations

import ctypes
from contextlib import suppress

__all__ = ["give_back_large_values"]

# malloc.h of the GNU C library.
_M_MMAP_THRESHOLD = -3
# What it begins with.
_LARGE_BYTES = 128 * 1024


def give_back_large_values() -> None:
    """Keep the threshold where it is; other C libraries than GNU's have none."""
    with suppress(AttributeError):
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES)
