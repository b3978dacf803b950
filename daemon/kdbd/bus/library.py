"""The one place that picks the D-Bus library: dbus-next, or its fork dbus-fast.

Both marshal the same wire format from the same Python values: structs are sent as lists and
arrive as lists or tuples, dictionaries as `dict`, byte arrays as `bytes`, variants as `Variant`.
Nothing else of them is used: what their connections do to a long-running service is in
`transport`.

`KDBD_DBUS_LIBRARY=dbus-next` or `dbus-fast` decides; without it dbus-fast is taken where it is
installed, since it has the same results in a fraction of the time. Marshaller and Unmarshaller are
private modules of both, so pyproject.toml bounds the versions.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from importlib.util import find_spec
from io import BytesIO
from struct import Struct
from typing import TYPE_CHECKING, Any

_ASKED = os.environ.get("KDBD_DBUS_LIBRARY", "")
if _ASKED not in {"", "dbus-next", "dbus-fast"}:
    message = f"KDBD_DBUS_LIBRARY is {_ASKED!r}; it can be dbus-next or dbus-fast"
    raise ImportError(message)

NAME = _ASKED or ("dbus-fast" if find_spec("dbus_fast") else "dbus-next")

if TYPE_CHECKING or NAME == "dbus-fast":
    from dbus_fast import Variant, validators
    from dbus_fast._private.marshaller import Marshaller
    from dbus_fast._private.unmarshaller import Unmarshaller
    from dbus_fast.signature import get_signature_tree

    def _known_signatures() -> int:
        return int(get_signature_tree.cache_info().currsize)

    _forget_signatures = get_signature_tree.cache_clear
else:
    from dbus_next import Variant, validators
    from dbus_next._private.marshaller import Marshaller
    from dbus_next._private.unmarshaller import Unmarshaller
    from dbus_next.signature import SignatureTree

    def _known_signatures() -> int:
        return len(SignatureTree._cache)  # noqa: SLF001 - dbus-next offers no way to bound it

    _forget_signatures = SignatureTree._cache.clear  # noqa: SLF001 - the same

__all__ = [
    "NAME",
    "Variant",
    "check_bus_name",
    "check_interface_name",
    "check_member_name",
    "check_object_path",
    "decode_body",
    "encode_body",
]

check_bus_name = validators.assert_bus_name_valid
check_interface_name = validators.assert_interface_name_valid
check_member_name = validators.assert_member_name_valid
check_object_path = validators.assert_object_path_valid

# A parsed signature takes up to 60 KB (255 nested types). kdbd's own interfaces have about
# 40 signatures; callers choose the rest freely, so nothing above this is kept.
_MAX_SIGNATURES = 256

# A method return with a reply serial (field 5) and a signature (field 8): the smallest message
# that has a body. The library then parses nothing that a peer put into the header.
_FIXED = {True: Struct("<cBBBIII"), False: Struct(">cBBBIII")}
_REPLY_SERIAL = {True: b"\5\1u\0\1\0\0\0", False: b"\5\1u\0\0\0\0\1"}


def decode_body(signature: str, body: bytes, *, little_endian: bool) -> list[Any]:
    """Unmarshal a message's body, whose validity the bus has checked.

    Raises whatever the library raises for a body that does not fit its signature.
    """
    if not body:
        return []
    text = signature.encode()
    fields = _REPLY_SERIAL[little_endian] + b"\x08\1g\0" + bytes((len(text),)) + text + b"\0"
    fixed = _FIXED[little_endian].pack(
        b"l" if little_endian else b"B", 2, 0, 1, len(body), 1, len(fields)
    )
    frame: Any = BytesIO(fixed + fields + bytes(-len(fields) & 7) + body)
    try:
        message = Unmarshaller(frame).unmarshall()
    finally:
        _bound_signatures()
    assert message is not None  # the frame is whole
    return list(message.body)


def encode_body(signature: str, body: Sequence[Any]) -> bytes:
    """Marshal a body, little-endian.

    Raises whatever the library raises for values that do not fit the signature.
    """
    try:
        if NAME == "dbus-fast" and "o" in signature:
            # It writes object paths unseen; dbus-next always looks.
            get_signature_tree(signature).verify(list(body))
        return bytes(Marshaller(signature, list(body)).marshall())
    finally:
        _bound_signatures()


def _bound_signatures() -> None:
    if _known_signatures() > _MAX_SIGNATURES:
        _forget_signatures()
