"""Bus addresses, as the D-Bus specification's "Server Addresses" has them. Pure.

dbus-next's own parser asks for an X display where the session bus's address is not in the
environment; here the bus of `$XDG_RUNTIME_DIR` is taken then, as libdbus and sd-bus do.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal
from urllib.parse import unquote

__all__ = ["InvalidAddress", "bus_address", "socket_paths"]


class InvalidAddress(ValueError):
    """The address cannot be used; the text says why."""


def bus_address(bus: Literal["session", "system"], environment: Mapping[str, str]) -> str:
    """Return the address of the session or the system bus. Raises `InvalidAddress`."""
    if bus == "system":
        return environment.get(
            "DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/var/run/dbus/system_bus_socket"
        )
    if address := environment.get("DBUS_SESSION_BUS_ADDRESS"):
        return address
    if directory := environment.get("XDG_RUNTIME_DIR"):
        return f"unix:path={directory}/bus"
    message = "no session bus: neither DBUS_SESSION_BUS_ADDRESS nor XDG_RUNTIME_DIR is set"
    raise InvalidAddress(message)


def socket_paths(address: str) -> tuple[str, ...]:
    """Return the Unix sockets that an address names, in the order to try them.

    An abstract socket's path begins with a NUL, as `socket.connect` wants it. Raises
    `InvalidAddress` where no part of the address is a Unix socket.
    """
    paths = []
    for part in filter(None, address.split(";")):
        transport, _, options = part.partition(":")
        values = dict(option.partition("=")[::2] for option in options.split(","))
        if transport == "unix" and "path" in values:
            paths.append(unquote(values["path"]))
        elif transport == "unix" and "abstract" in values:
            paths.append("\0" + unquote(values["abstract"]))
    if not paths:
        message = f"the bus address {address!r} names no Unix socket (unix:path=, unix:abstract=)"
        raise InvalidAddress(message)
    return tuple(paths)
