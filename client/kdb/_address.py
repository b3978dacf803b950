"""Where the buses are: D-Bus addresses to Unix sockets. Imports nothing that takes time."""

from __future__ import annotations

import os

__all__ = ["bus_address", "socket_paths"]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

_SYSTEM = "unix:path=/var/run/dbus/system_bus_socket"


def bus_address(bus: str, environment: Mapping[str, str]) -> str:
    """Return the address of the ``session`` or ``system`` bus, or "" where none is known.

    Without ``DBUS_SESSION_BUS_ADDRESS`` it is the socket in ``$XDG_RUNTIME_DIR``, where systemd
    puts the user's bus, as for libdbus and sd-bus.
    """
    if bus == "system":
        return environment.get("DBUS_SYSTEM_BUS_ADDRESS") or _SYSTEM
    if address := environment.get("DBUS_SESSION_BUS_ADDRESS"):
        return address
    directory = environment.get("XDG_RUNTIME_DIR")
    return f"unix:path={directory}/bus" if directory else ""


def socket_paths(address: str) -> list[str | bytes]:
    """Return the sockets that an address names, in its order.

    Each is as ``socket.connect`` takes it, an abstract one beginning with a NUL. Parts for other
    transports, and without path, are left out (D-Bus specification, "Server Addresses").
    """
    paths: list[str | bytes] = []
    for part in address.split(";"):
        transport, _, options = part.partition(":")
        if transport != "unix":
            continue
        for option in options.split(","):
            key, _, value = option.partition("=")
            if key == "path":
                paths.append(_unquote(value))
            elif key == "abstract":
                paths.append(b"\0" + os.fsencode(_unquote(value)))
    return paths


def _unquote(value: str) -> str:
    """Return a value of an address with its ``%41`` resolved; one that is malformed stays."""
    if "%" not in value:
        return value
    first, *rest = os.fsencode(value).split(b"%")
    raw = first
    for piece in rest:
        try:
            raw += bytes((int(piece[:2], 16),)) + piece[2:]
        except ValueError:
            raw += b"%" + piece
    return os.fsdecode(raw)
