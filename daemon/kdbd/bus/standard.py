"""The standard interfaces: Introspectable, Peer, Properties."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from kdb.model.errors import InstallationError
from kdb.protocol import INTERFACE
from kdbd import __version__
from kdbd.bus.calls import Call
from kdbd.bus.dispatch import Refusal
from kdbd.bus.interfaces import document
from kdbd.bus.library import Variant
from kdbd.bus.objects import Handles, children
from kdbd.core.database import Database

__all__ = ["Standard"]


class Standard:
    """What every object answers."""

    def __init__(self, database: Database, handles: Handles) -> None:
        self._database = database
        self._handles = handles

    def introspect(self, subject: Any, call: Call) -> Sequence[Any]:
        target = self._handles.target(call.path, call.sender, self._database.view)
        assert target is not None  # the call was dispatched to it
        below = children(call.path, self._handles.of(call.sender))
        return (document(target.interfaces, below),)

    def ping(self, subject: Any, call: Call) -> Sequence[Any]:
        return ()

    def machine_id(self, subject: Any, call: Call) -> Sequence[Any]:
        for path in ("/etc/machine-id", "/var/lib/dbus/machine-id"):
            with suppress(OSError), open(path, encoding="ascii") as file:
                return (file.read().strip(),)
        raise InstallationError("This machine has no machine id: /etc/machine-id is missing")

    def _properties(self, subject: Any, interface: str) -> dict[str, Variant]:
        if interface != INTERFACE or subject is None:
            return {}
        return {
            "Version": Variant("s", __version__),
            "Revision": Variant("t", self._database.revision),
        }

    def get(self, subject: Any, call: Call, interface: str, name: str) -> Sequence[Any]:
        properties = self._properties(subject, interface)
        if name not in properties:
            raise Refusal("UnknownProperty", f"{interface} has no property {name} here")
        return (properties[name],)

    def get_all(self, subject: Any, call: Call, interface: str) -> Sequence[Any]:
        return (self._properties(subject, interface),)

    def set(self, subject: Any, call: Call, interface: str, name: str, value: Any) -> Sequence[Any]:
        if name in self._properties(subject, interface):
            raise Refusal("PropertyReadOnly", f"The property {name} is read-only")
        raise Refusal("UnknownProperty", f"{interface} has no property {name} here")
