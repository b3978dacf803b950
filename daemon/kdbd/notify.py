"""Telling systemd how the service is: sd_notify's protocol, one datagram a message."""

from __future__ import annotations

import os
import socket
from contextlib import suppress

__all__ = ["notify"]


def notify(*assignments: str) -> None:
    """Send assignments such as ``READY=1`` to NOTIFY_SOCKET, where that is set.

    A supervisor that does not listen is no reason to fail (sd_notify(3)).
    """
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.connect(address)
        channel.sendall("\n".join(assignments).encode())
