"""The service's objects and methods, put together."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from kdb.protocol import HANDLE_INTERFACE, INTERFACE
from kdbd.bus.context import Context
from kdbd.bus.dispatch import Target
from kdbd.bus.handling import Handling
from kdbd.bus.objects import Handles
from kdbd.bus.reading import Reading
from kdbd.bus.standard import Standard
from kdbd.bus.writing import Writing
from kdbd.rewriter import Rewriter
from kdbd.store.history import JournalReader
from kdbd.worker import Worker

__all__ = ["Service"]


class Service:
    """Every object and method of kdbd."""

    def __init__(
        self,
        context: Context,
        rewriter: Rewriter,
        reader: JournalReader,
        reader_worker: Worker,
        on_released: Callable[[], None],
    ) -> None:
        self.handles = Handles(on_released)
        self._context = context
        reading = Reading(context, reader, reader_worker)
        writing = Writing(context, rewriter)
        self.handling = Handling(context, self.handles, reader, reader_worker)
        standard = Standard(context.database, self.handles)
        methods: dict[str, dict[str, Callable[..., Any]]] = {
            INTERFACE: {
                "GetString": reading.get_string,
                "Get": reading.get,
                "GetAll": reading.get_all,
                "List": reading.list_names,
                "File": reading.file,
                "SetString": writing.set_string,
                "Set": writing.set,
                "SetMeta": writing.set_meta,
                "RemoveMeta": writing.remove_meta,
                "Remove": writing.remove,
                "Apply": writing.apply,
                "Changes": reading.changes,
                "Open": self.handling.open,
                "Mount": writing.mount,
                "Unmount": writing.unmount,
                "ListMounts": reading.list_mounts,
                "Sync": writing.sync,
            },
            HANDLE_INTERFACE: {
                "Get": self.handling.get,
                "Set": self.handling.set,
                "Diff": self.handling.diff,
                "Close": self.handling.close,
            },
            "org.freedesktop.DBus.Introspectable": {"Introspect": standard.introspect},
            "org.freedesktop.DBus.Peer": {
                "Ping": standard.ping,
                "GetMachineId": standard.machine_id,
            },
            "org.freedesktop.DBus.Properties": {
                "Get": standard.get,
                "GetAll": standard.get_all,
                "Set": standard.set,
            },
        }
        self.handlers: Mapping[tuple[str, str], Callable[..., Any]] = {
            (interface, member): handler
            for interface, members in methods.items()
            for member, handler in members.items()
        }

    def find(self, path: str, sender: str) -> Target | None:
        """Answer the object at a path, as the sender may use it."""
        return self.handles.target(path, sender, self._context.database.view)
