"""Bodies of D-Bus messages: Python values to bytes and back. Pure.

A body made only of strings, numbers, byte arrays and lists of strings, as most of kdbd's are, is
packed here; every other body goes to the library (see `library`). The layout is that of the
D-Bus specification, "Marshaling (Wire Format)"; everything is sent little-endian.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from struct import Struct
from typing import Any

from kdbd.bus import library

__all__ = ["MAX_BODY_BYTES", "Malformed", "Unsendable", "decode_body", "encode_body", "is_plain"]

# A system bus cuts off a service that sends more than 32 MiB, and holds what a slow caller has
# not yet read: larger results go by memfd or in pages.
MAX_BODY_BYTES = 8 << 20

_UINT32 = Struct("<I")
_PACK_UINT32, _UNPACK_UINT32 = _UINT32.pack, _UINT32.unpack_from
_NUMBERS = {code: Struct("<" + form) for code, form in zip("ynqiuxtdh", "BhHiIqQdI", strict=True)}
_PLAIN = re.compile("a[sy]|[sobynqiuxtdh]")
_NUL = "a string holds a NUL"


class Malformed(ValueError):
    """A received message does not say what it must."""


class Unsendable(ValueError):
    """A message that would make the bus drop its sender; the text names the reason."""


def is_plain(signature: str) -> bool:
    """Tell whether bodies of a signature are taken apart at once, whatever their size."""
    return _plain_codes(signature) is not None


def decode_body(signature: str, body: bytes, *, little_endian: bool = True) -> list[Any]:
    """Return the values of a body. Raises `Malformed`."""
    try:
        if little_endian and (codes := _plain_codes(signature)) is not None:
            return _decode_plain(codes, body)
        return library.decode_body(signature, body, little_endian=little_endian)
    except Malformed:
        raise
    except Exception as cause:  # the libraries raise whatever their code runs into
        message = f"the body does not fit the signature {signature!r}"
        raise Malformed(message) from cause


@lru_cache(maxsize=256)
def _plain_codes(signature: str) -> tuple[str, ...] | None:
    """Split a signature of plain types, byte arrays and string lists; None for any other."""
    codes = tuple(_PLAIN.findall(signature))
    return codes if "".join(codes) == signature else None


def _decode_plain(codes: tuple[str, ...], body: bytes) -> list[Any]:
    values: list[Any] = []
    at = 0
    for code in codes:
        if code == "s" or code == "o":
            at = (at + 7) & ~3
            stop = at + _UNPACK_UINT32(body, at - 4)[0]
            values.append(body[at:stop].decode())
            at = stop + 1
        elif code in _NUMBERS:
            number = _NUMBERS[code]
            at = (at + number.size - 1) & -number.size
            values.append(number.unpack_from(body, at)[0])
            at += number.size
        elif code == "b":
            at = (at + 7) & ~3
            values.append(_UNPACK_UINT32(body, at - 4)[0] != 0)
        elif code == "ay":
            at = (at + 7) & ~3
            stop = at + _UNPACK_UINT32(body, at - 4)[0]
            values.append(body[at:stop])
            at = stop
        else:
            at = (at + 7) & ~3
            end = at + _UNPACK_UINT32(body, at - 4)[0]
            texts = []
            while at < end:
                at = (at + 7) & ~3
                stop = at + _UNPACK_UINT32(body, at - 4)[0]
                texts.append(body[at:stop].decode())
                at = stop + 1
            values.append(texts)
    if at != len(body):
        raise Malformed("the body has another length than its signature")
    return values


def encode_body(signature: str, body: Sequence[Any]) -> bytes:
    """Marshal the values of a body. Raises `Unsendable`."""
    try:
        if (codes := _plain_codes(signature)) is not None:
            data = _encode_plain(codes, body)
        else:
            _check_strings(signature, body)
            data = library.encode_body(signature, body)
    except Unsendable:
        raise
    except UnicodeEncodeError as cause:
        raise Unsendable("a string holds what is no UTF-8") from cause
    except Exception as cause:  # the libraries raise whatever their code runs into
        message = f"the values do not fit the signature {signature!r}"
        raise Unsendable(message) from cause
    if len(data) > MAX_BODY_BYTES:
        message = f"a body of {len(data)} bytes, above {MAX_BODY_BYTES}"
        raise Unsendable(message)
    return data


def _encode_plain(codes: tuple[str, ...], body: Sequence[Any]) -> bytes:
    if len(codes) != len(body):
        raise Unsendable("the body has another length than its signature")
    out = bytearray()
    for code, value in zip(codes, body, strict=True):
        if code == "s":
            _append_string(out, value)
        elif code in _NUMBERS:
            number = _NUMBERS[code]
            out += bytes(-len(out) & (number.size - 1))
            out += number.pack(value)
        elif code == "b":
            out += bytes(-len(out) & 3)
            out += _PACK_UINT32(1 if value else 0)
        elif code == "o":
            library.check_object_path(value)
            _append_string(out, value)
        elif code == "ay":
            out += bytes(-len(out) & 3)
            out += _PACK_UINT32(len(value))
            out += value
        else:
            out += bytes(-len(out) & 3)
            start = len(out) + 4
            out += _PACK_UINT32(0)
            for text in value:
                _append_string(out, text)
            _UINT32.pack_into(out, start - 4, len(out) - start)
    return bytes(out)


def _append_string(out: bytearray, value: str) -> None:
    data = value.encode()
    if b"\0" in data:
        raise Unsendable(_NUL)
    out += bytes(-len(out) & 3)
    out += _PACK_UINT32(len(data))
    out += data
    out += b"\0"


def _check_strings(signature: str, value: object) -> None:
    """Look through values for what neither library refuses: NULs, and types written as a value.

    kdbd sends no value of type g, and the libraries do not look whether it is one.
    """
    if "g" in signature:
        raise Unsendable("a signature is sent as a value")
    if isinstance(value, str):
        if "\0" in value:
            raise Unsendable(_NUL)
    elif isinstance(value, (list, tuple)):
        for item in value:
            _check_strings("", item)
    elif isinstance(value, dict):
        for key, item in value.items():
            _check_strings("", key)
            _check_strings("", item)
    elif isinstance(value, library.Variant):
        _check_strings(value.signature, value.value)
