"""What the methods share: the database, its stores and pipeline, and who calls."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from kdb.model.errors import AccessDenied
from kdb.model.names import Namespace, in_namespace, namespace
from kdbd.bus.callers import Credentials
from kdbd.bus.calls import Call
from kdbd.bus.dispatch import Await, Later
from kdbd.core.backend import Backend
from kdbd.core.commit import Caller
from kdbd.core.database import Database
from kdbd.core.handles import Handle
from kdbd.core.requests import Request
from kdbd.core.view import View
from kdbd.files import BackendFile
from kdbd.jobs import Outcome
from kdbd.pipeline import Pipeline
from kdbd.store.locations import Locations
from kdbd.store.ownership import Ownership
from kdbd.stores import Stores
from kdbd.worker import Worker

__all__ = ["Context", "view_of"]


class Bus(Protocol):
    """What methods ask of the bus."""

    def known(self, unique_name: str) -> Credentials | None: ...

    async def credentials(self, unique_name: str) -> Credentials: ...


@dataclass(slots=True)
class Context:
    """The service's parts, as its methods use them; ``unhurried`` does long work in a thread.

    ``is_shared`` is the system bus, which lets every user in.
    """

    database: Database
    stores: Stores
    pipeline: Pipeline
    unhurried: Worker
    locations: Locations
    ownership: Ownership
    bus: Bus
    is_shared: bool

    def caller(self, call: Call) -> Caller:
        """Answer who asks for more than to read; raise Await the first time.

        On the system bus, as long as there are no finer rights, only root and kdbd's own user may:
        raise AccessDenied for others.
        """
        known = self.bus.known(call.sender)
        if known is None:
            raise Await(lambda: self.bus.credentials(call.sender))
        if self.is_shared and known.uid not in (0, os.geteuid()):
            raise AccessDenied(
                "On the system bus only root and the user that kdbd runs as may do more than read."
                " Ask one of them, or use the kdbd of your session bus"
            )
        pid = -1 if known.pid is None else known.pid
        return Caller(call.sender, known.uid, pid, known.program)

    def fresh(self, view: View, name: bytes) -> None:
        """Make sure that the files which a name or look-up touches are as they were read."""
        if namespace(name) is Namespace.CASCADING:
            backends = [
                mounts.responsible(in_namespace(name, which))
                for which, mounts in view.mounts.items()
            ]
        else:
            mounts = view.mounts.get(namespace(name))
            backends = [mounts.responsible(name)] if mounts is not None else []
        self._require_fresh(backends)

    def fresh_below(self, view: View, parent: bytes) -> None:
        """Make sure of the files of everything at or below a parent."""
        self._require_fresh(view.backends(parent))

    async def freshen_below(self, view: View, parent: bytes) -> None:
        """Wait until the files of everything at or below a parent are as they were read."""
        while True:
            try:
                self.fresh_below(view, parent)
            except Await as pending:
                await pending.what()
            else:
                return

    def fresh_names(self, view: View, names: Iterable[bytes]) -> None:
        """Make sure of the files of these keys."""
        backends = {}
        for name in names:
            mounts = view.mounts.get(namespace(name))
            if mounts is not None:
                backend = mounts.responsible(name)
                backends[backend.identity] = backend
        self._require_fresh(backends.values())

    def _require_fresh(self, backends: Iterable[Backend]) -> None:
        # An edit of what is mounted may be about any name.
        stale = self.stores.edits.stale((self.stores.declarations, *backends))
        if stale:
            raise Await(lambda: self._refresh(stale))

    async def _refresh(self, files: Iterable[BackendFile]) -> None:
        for file in files:
            await self.stores.edits.refresh(file, self.pipeline)

    def submit(
        self,
        caller: Caller,
        view: View,
        request: Request,
        names: Iterable[bytes],
        body: Callable[[Outcome], Sequence[Any]],
        *,
        reason: str = "",
    ) -> Later[Sequence[Any]]:
        """Send a request on its way that writes, if anything, these keys or below them.

        ``body`` makes the reply of what it comes to.
        """
        if Namespace.DIR in view.mounts:
            self._own_directory(view, names)
        return Later(self.pipeline.submit(request, caller, reason=reason), body)

    def _own_directory(self, view: View, names: Iterable[bytes]) -> None:
        """Lock the directory's store from its first write on."""
        if any(name[0] in (Namespace.DIR, Namespace.CASCADING) for name in names):
            backend = view.mounts[Namespace.DIR].responsible(bytes([Namespace.DIR]))
            if backend.refusal is None:
                root = self.locations.root(Namespace.DIR, backend.directory)
                self.ownership.acquire(root, private=True)


def view_of(subject: View | Handle) -> View:
    """Answer what an object shows: the root object's view, or the handle's."""
    return subject.view if isinstance(subject, Handle) else subject
