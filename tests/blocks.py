"""Blocks as any client may make them, right or wrong."""

from collections.abc import Iterable
from typing import Any

import msgpack

__all__ = ["pack_block"]


def pack_block(entries: Iterable[Any]) -> bytes:
    """Make a block of these entries."""
    packed: bytes = msgpack.packb(list(entries), unicode_errors="surrogateescape")
    return packed
