"""D-Bus messages as bytes. Pure.

dbus-next takes 60 to 100 µs to marshal or unmarshal one small message, most of it for header
fields that are the same in message after message. Here they are made once and kept. The layout
is that of the D-Bus specification, "Message Format"; everything is sent little-endian.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from struct import Struct
from typing import Any, Literal, NamedTuple

from kdbd.bus import library
from kdbd.bus.body import Malformed, Unsendable, decode_body, encode_body

__all__ = [
    "ALLOW_INTERACTIVE_AUTHORIZATION",
    "CALL",
    "ERROR",
    "MAX_ERROR_TEXT",
    "NO_REPLY_EXPECTED",
    "RETURN",
    "SIGNAL",
    "Header",
    "decode_header",
    "encode_call",
    "encode_error",
    "encode_return",
    "encode_signal",
]

CALL, RETURN, ERROR, SIGNAL = 1, 2, 3, 4
NO_REPLY_EXPECTED, ALLOW_INTERACTIVE_AUTHORIZATION = 1, 4

# An error tells a person what is wrong; nobody reads more than this.
MAX_ERROR_TEXT = 16_384

_FIXED = Struct("<4sIII").pack
_REPLY_SERIAL = _FDS = Struct("<4sI").pack
_TEXT, _PATH, _SIGNATURE, _NUMBER = b"\1s\0", b"\1o\0", b"\1g\0", b"\1u\0"
# The header fields by code, from 1; the last, unix_fds, is not needed to tell whose
# descriptors came (see `frames`).
_KINDS = dict(
    enumerate((_PATH, _TEXT, _TEXT, _TEXT, _NUMBER, _TEXT, _TEXT, _SIGNATURE, _NUMBER), start=1)
)
_BAD_HEADER = "the header fields are broken"


class Header(NamedTuple):
    """The header fields of a received message, in the order of their codes."""

    path: str = ""
    interface: str | None = None
    member: str = ""
    error_name: str = ""
    reply_serial: int = 0
    destination: str = ""
    sender: str = ""
    signature: str = ""
    fds: int = 0


def decode_header(fields: bytes, *, little_endian: bool = True) -> Header:
    """Parse header fields; unknown ones are skipped, as the specification demands.

    Raises `Malformed`.
    """
    values: list[Any] = list(Header())
    at, end = 0, len(fields)
    order: Literal["little", "big"] = "little" if little_endian else "big"
    try:
        while at < end:
            code, kind = fields[at], fields[at + 1 : at + 4]
            if kind in (_TEXT, _PATH):
                start = at + 8
                stop = start + int.from_bytes(fields[at + 4 : start], order)
                at = (stop + 8) & ~7
            elif kind == _SIGNATURE:
                start = at + 5
                stop = start + fields[at + 4]
                at = (stop + 8) & ~7
            elif kind == _NUMBER:
                start, stop = at + 4, at + 8
                at = stop
            else:
                return _decode_odd_header(fields, little_endian=little_endian)
            if stop > end:
                raise Malformed(_BAD_HEADER)
            if code in _KINDS:
                if kind != _KINDS[code]:
                    raise Malformed(_BAD_HEADER)
                data = fields[start:stop]
                values[code - 1] = int.from_bytes(data, order) if kind == _NUMBER else data.decode()
    except (UnicodeDecodeError, IndexError) as cause:
        raise Malformed(_BAD_HEADER) from cause
    return Header(*values)


def _decode_odd_header(fields: bytes, *, little_endian: bool) -> Header:
    """Parse header fields among which one has a type that no known field has."""
    order: Literal["little", "big"] = "little" if little_endian else "big"
    body = len(fields).to_bytes(4, order) + bytes(4) + fields
    values: list[Any] = list(Header())
    for code, variant in decode_body("a(yv)", body, little_endian=little_endian)[0]:
        if code in _KINDS:
            if variant.signature.encode() != _KINDS[code][1:2]:
                raise Malformed(_BAD_HEADER)
            values[code - 1] = variant.value
    return Header(*values)


def encode_return(
    serial: int, call: int, destination: str, signature: str, body: Sequence[Any], fds: int = 0
) -> bytes:
    """Return the message that answers the call with the serial number `call`.

    Raises `Unsendable`.
    """
    data = encode_body(signature, body) if signature else b""
    to, to_bytes = _destination_field(destination)
    fields = _signature_field(signature)
    if fds:
        fields = _FDS(b"\x09\1u\0", fds) + fields
    return b"".join(
        (
            _FIXED(b"l\2\1\1", len(data), serial, 8 + len(fields) + to_bytes),
            _REPLY_SERIAL(b"\5\1u\0", call),
            fields,
            to,
            data,
        )
    )


def encode_error(serial: int, call: int, destination: str, name: str, text: str) -> bytes:
    """Return the error that answers the call with the serial number `call`.

    A text that no D-Bus string can hold is mended, and cut: the caller gets its error in any
    case.
    """
    text = text[:MAX_ERROR_TEXT].replace("\0", "\ufffd").encode(errors="replace").decode()
    data = encode_body("s", (text,))
    to, to_bytes = _destination_field(destination)
    fields = _error_fields(name)
    return b"".join(
        (
            _FIXED(b"l\3\1\1", len(data), serial, 8 + len(fields) + to_bytes),
            _REPLY_SERIAL(b"\5\1u\0", call),
            fields,
            to,
            data,
        )
    )


def encode_signal(
    serial: int, path: str, interface: str, member: str, signature: str, body: Sequence[Any]
) -> bytes:
    """Return a broadcast signal. Raises `Unsendable`."""
    fields, fields_bytes = _signal_fields(path, interface, member, signature)
    data = encode_body(signature, body) if signature else b""
    return _FIXED(b"l\4\1\1", len(data), serial, fields_bytes) + fields + data


def encode_call(
    serial: int,
    destination: str,
    path: str,
    interface: str,
    member: str,
    signature: str,
    body: Sequence[Any],
) -> bytes:
    """Return a method call that expects a reply. Raises `Unsendable`."""
    try:
        library.check_bus_name(destination)
    except Exception as cause:  # each library has its own exception
        raise Unsendable(str(cause)) from cause
    fields, _ = _signal_fields(path, interface, member, signature)
    data = encode_body(signature, body) if signature else b""
    to, to_bytes = _destination_field(destination)
    return b"".join(
        (_FIXED(b"l\1\0\1", len(data), serial, len(fields) + to_bytes), fields, to, data)
    )


# The caches below hold what is the same in message after message. Their keys are kdbd's own
# words, and the names of those who called last.


def _padded(field: bytes) -> bytes:
    return field + bytes(-len(field) & 7)


def _string_field(code: int, kind: str, text: str) -> bytes:
    data = text.encode()
    return bytes((code, 1, ord(kind), 0)) + len(data).to_bytes(4, "little") + data + b"\0"


@lru_cache(maxsize=1024)
def _destination_field(name: str) -> tuple[bytes, int]:
    """Return the padded field that ends the header, and its length without the padding."""
    field = _string_field(6, "s", name)
    return _padded(field), len(field)


@lru_cache(maxsize=256)
def _signature_field(signature: str) -> bytes:
    if not signature:
        return b""
    data = signature.encode()
    return _padded(b"\x08\1g\0" + bytes((len(data),)) + data + b"\0")


@lru_cache(maxsize=64)
def _error_fields(name: str) -> bytes:
    library.check_interface_name(name)
    return _padded(_string_field(4, "s", name)) + _signature_field("s")


@lru_cache(maxsize=256)
def _signal_fields(path: str, interface: str, member: str, signature: str) -> tuple[bytes, int]:
    """Return the padded fields of a signal, and their length without the last padding."""
    try:
        library.check_object_path(path)
        library.check_interface_name(interface)
        library.check_member_name(member)
    except Exception as cause:  # each library has its own exception
        raise Unsendable(str(cause)) from cause
    fields = (
        _padded(_string_field(1, "o", path))
        + _padded(_string_field(2, "s", interface))
        + _signature_field(signature)
    )
    last = _string_field(3, "s", member)
    return fields + _padded(last), len(fields) + len(last)
