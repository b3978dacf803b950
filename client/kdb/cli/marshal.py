"""D-Bus values to bytes and back, for the ``kdb`` command.

A hundred lines instead of a library, because importing one takes as long as all the rest of
``kdb get`` (measured: jeepney 9 ms, dbus-next with asyncio 60 ms; this 1 ms). The layout is that of
the D-Bus specification, "Marshaling"; everything is sent little-endian.

Python values: arrays and structs are lists or tuples, ``ay`` bytes, ``a{…}`` dictionaries, a
variant the pair (signature, value).
"""

from __future__ import annotations

import struct

__all__ = ["decode", "encode"]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

_NUMBERS = {"y": "B", "b": "I", "n": "h", "q": "H", "i": "i", "u": "I", "x": "q", "t": "Q"}
_NUMBERS |= {"d": "d", "h": "I"}
_SIZES = {code: struct.calcsize("=" + form) for code, form in _NUMBERS.items()}
_ALIGNMENTS = _SIZES | {"s": 4, "o": 4, "g": 1, "v": 1, "a": 4, "(": 8, "{": 8}


def encode(signature: str, values: Sequence[Any]) -> bytes:
    """Return *values* as a message body. Raises UnicodeEncodeError, struct.error, ValueError."""
    out = bytearray()
    at = 0
    for value in values:
        at = _put(out, signature, at, value)
    return bytes(out)


def decode(signature: str, data: bytes, order: str = "<", position: int = 0) -> list[Any]:
    """Return the values in *data* from *position* on, to whose begin they are aligned.

    *order* is ``<`` or ``>``, the sender's byte order.
    """
    values = []
    at = 0
    while at < len(signature):
        value, position, at = _take(data, position, signature, at, order)
        values.append(value)
    return values


def _after(signature: str, at: int) -> int:
    """Return where the complete type that begins at *at* ends."""
    code = signature[at]
    if code == "a":
        return _after(signature, at + 1)
    if code in "({":
        at += 1
        while signature[at] not in ")}":
            at = _after(signature, at)
    return at + 1


def _put(out: bytearray, signature: str, at: int, value: Any) -> int:
    code = signature[at]
    out += bytes(-len(out) % _ALIGNMENTS[code])
    if code in _NUMBERS:
        out += struct.pack("<" + _NUMBERS[code], value)
    elif code in "so":
        raw = value.encode()
        if 0 in raw:
            raise ValueError("a string holds no NUL")
        out += struct.pack("<I", len(raw)) + raw + b"\0"
    elif code == "g":
        out += bytes((len(value),)) + value.encode() + b"\0"
    elif code == "v":
        _put(out, "g", 0, value[0])
        _put(out, value[0], 0, value[1])
    elif code == "a":
        _put_array(out, signature, at + 1, value)
    else:
        at += 1
        for each in value:
            at = _put(out, signature, at, each)
        return at + 1
    return _after(signature, at)


def _put_array(out: bytearray, signature: str, at: int, value: Any) -> None:
    length_at = len(out)
    out += bytes(4)
    out += bytes(-len(out) % _ALIGNMENTS[signature[at]])
    start = len(out)
    if signature[at] == "y":
        out += value
    else:
        for each in value.items() if isinstance(value, dict) else value:
            _put(out, signature, at, each)
    struct.pack_into("<I", out, length_at, len(out) - start)


def _take(data: bytes, position: int, signature: str, at: int, order: str) -> tuple[Any, int, int]:
    """Return a value, the position after it, and where its type ends."""
    code = signature[at]
    position += -position % _ALIGNMENTS[code]
    value: Any
    if code in _NUMBERS:
        (value,) = struct.unpack_from(order + _NUMBERS[code], data, position)
        return bool(value) if code == "b" else value, position + _SIZES[code], at + 1
    if code in "sog":
        size, form = (1, "B") if code == "g" else (4, "I")
        (length,) = struct.unpack_from(order + form, data, position)
        start = position + size
        return data[start : start + length].decode(), start + length + 1, at + 1
    if code == "v":
        inner, position, _ = _take(data, position, "g", 0, order)
        value, position, _ = _take(data, position, inner, 0, order)
        return (inner, value), position, at + 1
    if code == "a":
        return _take_array(data, position, signature, at + 1, order)
    values = []
    at += 1
    while signature[at] not in ")}":
        value, position, at = _take(data, position, signature, at, order)
        values.append(value)
    return tuple(values), position, at + 1


def _take_array(
    data: bytes, position: int, signature: str, at: int, order: str
) -> tuple[Any, int, int]:
    (length,) = struct.unpack_from(order + "I", data, position)
    position += 4
    position += -position % _ALIGNMENTS[signature[at]]
    end = position + length
    after = _after(signature, at)
    if signature[at] == "y":
        return data[position:end], end, after
    values = []
    while position < end:
        value, position, _ = _take(data, position, signature, at, order)
        values.append(value)
    return dict(values) if signature[at] == "{" else values, end, after
