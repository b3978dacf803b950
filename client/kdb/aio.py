"""The key database for asyncio: the same as :class:`kdb.KDB`, to be awaited.

    async with kdb.aio.KDB() as db:
        ks = kdb.KeySet()
        await db.get(ks, "user:/sw/app")
        async for change in db.watch("user:/sw/app"):
            print(change.kind, change.name)

It runs on dbus-next, or on dbus-fast where that is installed.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from types import TracebackType
from typing import Self
from weakref import WeakSet

from kdb import contract
from kdb._address import bus_address
from kdb._aio_bus import Bus
from kdb.model.diff import Diff
from kdb.model.elektradiff import ElektraDiff
from kdb.model.exceptions import KDBException
from kdb.model.key import Key, name_of
from kdb.model.keyset import KeySet
from kdb.noting import noting
from kdb.requests import (
    AwaitSignal,
    CallFailed,
    Disconnected,
    Reply,
    Request,
    TimedOut,
)
from kdb.session import Session
from kdb.watching import Deliver, WatchEvent, watch
from kdb.watching import Watch as WatchSteps

__all__ = ["KDB", "Watch"]


class KDB:
    """The key database, opened and closed by ``async with``, or by ``open`` and ``close``.

    The arguments and the meaning are those of :class:`kdb.KDB`. Several tasks may use one KDB.
    """

    def __init__(
        self,
        options: Key | KeySet | None = None,
        *,
        bus: str = "session",
        directory: str | os.PathLike[str] | None = None,
    ) -> None:
        self._noted_on = options if isinstance(options, Key) else None
        self._contract = contract.of(options, contract.directory(bus, directory))
        self._address = bus_address(bus, os.environ)
        self._bus = Bus(self._address)
        self._session: Session | None = None
        self._watches: WeakSet[Watch] = WeakSet()

    async def open(self) -> None:
        """Open the database, or open it again with a new handle. Raises KDBException."""
        await self.close()
        session = Session(self._contract)
        try:
            with noting(self._noted_on):
                await self._bus.run(session.open())
        except BaseException:
            await self._bus.close()
            raise
        self._session = session

    async def close(self) -> None:
        """Close the handle, the watches and the connection."""
        session, self._session = self._session, None
        for each in list(self._watches):
            await each.aclose()
        if session is not None:
            await self._bus.run(session.close())
        await self._bus.close()

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def get(self, ks: KeySet, parent: Key | str) -> int:
        """Bring *ks* to what the database holds at and below *parent*; see ``kdb.KDB.get``."""
        name = name_of(parent)
        with noting(parent):
            got = await self._bus.run(self._open_session().get(ks._base, name))  # noqa: SLF001 - ours
        if got.keys is not None:
            ks._fill(name, got.keys)  # noqa: SLF001 - made for this class
        ks._base = got.base  # noqa: SLF001 - this class owns it
        return got.result

    async def set(self, ks: KeySet, parent: Key | str) -> int:
        """Store what was changed in *ks* at and below *parent*; see ``kdb.KDB.set``."""
        with noting(parent):
            operation = self._open_session().set(ks._base, name_of(parent), ks._contents())  # noqa: SLF001 - ours
            done = await self._bus.run(operation)
        ks._rebase(done.base, done.names)  # noqa: SLF001 - made for this class
        return done.result

    async def calculateChanges(self, ks: KeySet, parent: Key | str) -> ElektraDiff:  # noqa: N802 - the binding's name
        """Return what a set of *ks* with *parent* would change now; see ``kdb.KDB``."""
        with noting(parent):
            operation = self._open_session().diff(ks._base, name_of(parent), ks._contents())  # noqa: SLF001 - ours
            return ElektraDiff(Diff(await self._bus.run(operation)))

    async def get_string(self, name: str) -> str:
        """Return the string that *name* stands for; see ``kdb.KDB.get_string``."""
        with noting(None):
            operation = self._open_session().one_key("GetString", "s", (name,))
            (value,) = await self._bus.run(operation)
        return str(value)

    async def set_string(self, name: str, value: str) -> int:
        """Store one string at once, and return its revision. Raises KDBException as ``set``."""
        with noting(None):
            operation = self._open_session().one_key("SetString", "ss", (name, value))
            (revision,) = await self._bus.run(operation)
        return int(revision)

    async def apply(
        self,
        put: Iterable[Key] = (),
        remove: Iterable[Key | str] = (),
        *,
        expected: int = 0,
        reason: str = "",
    ) -> int:
        """Store and remove keys at once, all or nothing; see ``kdb.KDB.apply``."""
        keys = [(key._name, key._content) for key in put]  # noqa: SLF001 - ours
        names = [name_of(key) for key in remove]
        with noting(None):
            return await self._bus.run(self._open_session().apply(keys, names, expected, reason))

    async def revision(self) -> int:
        """Return the revision of the last commit. Raises KDBException."""
        with noting(None):
            return await self._bus.run(self._open_session().revision())

    def watch(self, parent: Key | str, *, since: int | None = None) -> Watch:
        """Watch *parent* and the keys below, from a revision, or from the watch's start on.

        It starts with ``async with``, or else with the first iteration.
        """
        found = Watch(watch(name_of(parent), since, self._contract), self._address)
        self._watches.add(found)
        return found

    def _open_session(self) -> Session:
        if self._session is None:
            raise ValueError("this KDB is not open; use 'async with', or await its open()")
        return self._session


class Watch:
    """The changes at and below a parent key: each once, in order, across restarts."""

    def __init__(self, steps: WatchSteps, address: str) -> None:
        self._steps = steps
        self._bus = Bus(address)
        self._request: Request | Deliver | None = None
        self._started = False
        self._events: list[WatchEvent] = []

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> WatchEvent:
        """Wait for the next change; nothing is lost where that is cancelled.

        Raises:
            StopAsyncIteration: the watch is closed.
            KDBException: kdbd refuses, or did not answer the first question.

        """
        while not self._events:
            await self._step()
            if self._request is None:
                raise StopAsyncIteration
        return self._events.pop()

    async def start(self) -> None:
        """Start: what changes after this is delivered. Raises KDBException."""
        while not isinstance(self._request, AwaitSignal | Deliver):
            await self._step()
            if self._request is None:
                return

    async def aclose(self) -> None:
        """End the watch."""
        self._started = True
        self._request = None
        self._steps.close()
        await self._bus.close()

    async def _step(self) -> None:
        """Do what the watch asks for, and let it go on. When cancelled, it is done again."""
        request = self._request
        if request is None:
            if not self._started:
                self._started = True
                self._request = next(self._steps)
            return
        outcome: Reply | None = None
        failure: Exception | None = None
        if isinstance(request, Deliver):
            self._events = list(reversed(request.events))
        else:
            try:
                outcome = await self._bus.do(request)
            except (Disconnected, CallFailed, TimedOut) as caught:
                failure = caught
        if self._request is not request:
            return  # closed meanwhile
        self._request = None
        try:
            with noting(None):
                self._request = self._steps.throw(failure) if failure else self._steps.send(outcome)
        except KDBException:
            await self.aclose()  # it is over, and perhaps nobody else closes it
            raise
