"""Arguments of calls, checked: names, contents, blocks."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from kdb import memfd, wire
from kdb.model.content import BINARY, Content, make, meta
from kdb.model.errors import InvalidBlock, InvalidFileDescriptor, InvalidValue

__all__ = ["block_data", "content", "utf8_value"]


def content(value: bytes, metadata: Mapping[str, str]) -> Content:
    """Make a key's content from a caller's bytes and metadata.

    Raises InvalidValue, InvalidName, ValueTooLarge.
    """
    normal = meta(metadata)
    if BINARY in normal:
        return make(value, normal)
    try:
        return make(value.decode(), normal)
    except UnicodeDecodeError as error:
        raise InvalidValue(
            "The value is no UTF-8. Send a UTF-8 string, or add the metadata 'binary'"
        ) from error


def utf8_value(value: str | bytes) -> bytes:
    """Answer a value as the bytes that Get tells."""
    return value if isinstance(value, bytes) else value.encode("utf-8", "surrogateescape")


def block_data(data: bytes, indices: Sequence[int], fds: Sequence[int]) -> bytes:
    """Answer the block that came as ``data`` or in a memfd; raise InvalidBlock where as neither.

    ``indices`` point into the message's descriptors, which stay the transport's.
    """
    if bool(data) == bool(indices) or len(indices) > 1:
        raise InvalidBlock("A block comes either in `data` or in exactly one memfd, not both")
    if not indices:
        if len(data) > wire.MAX_BLOCK_BYTES:
            raise InvalidBlock(f"A block has at most {wire.MAX_BLOCK_BYTES} bytes")
        return bytes(data)
    if indices[0] >= len(fds):
        raise InvalidFileDescriptor("The message carries no descriptor of that number")
    return memfd.read(os.dup(fds[indices[0]]))
