"""The bus, as far as kdbd sees it: calls come in, replies and signals go out."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple

from kdb.protocol import INTERFACE, OBJECT_PATH
from kdbd.bus.callers import Credentials
from kdbd.bus.calls import Call

__all__ = ["Answer", "Signal", "SimulatedBus"]


class Signal(NamedTuple):
    """A signal that left kdbd."""

    path: str
    interface: str
    member: str
    body: list[Any]


class Answer(NamedTuple):
    """The answer to a call: a body, or an error's name (without the prefix) and text."""

    body: tuple[Any, ...] = ()
    error: str = ""
    text: str = ""


class SimulatedBus:
    """What ``kdbd.bus.transport.Transport`` is to the service.

    Signals wait until ``flush``; whoever drains waits for that. ``received`` gets them then.
    """

    def __init__(
        self,
        dispatch: Callable[[Call], Awaitable[None] | None],
        on_vanished: Callable[[str], None],
        on_reading: Callable[[bool], None],
        received: Callable[[Signal], None],
        answered: Callable[[int, Answer], None],
    ) -> None:
        self._dispatch = dispatch
        self.vanish = on_vanished
        self._on_reading = on_reading
        self._received = received
        self._answered = answered
        self._waiting: list[Signal] = []
        self._drains: list[asyncio.Future[None]] = []
        self._serial = 0
        self._asked: set[str] = set()
        self.serving = False

    # What the service uses

    async def run(self, ready: Callable[[], None]) -> None:
        ready()
        self.serving = True
        async with asyncio.TaskGroup() as self._tasks:
            await asyncio.get_running_loop().create_future()

    def signal(
        self, path: str, interface: str, member: str, signature: str, body: Sequence[Any]
    ) -> None:
        self._waiting.append(Signal(path, interface, member, list(body)))

    async def drain(self) -> None:
        if not self._waiting:
            await asyncio.sleep(0)
            return
        done = asyncio.get_running_loop().create_future()
        self._drains.append(done)
        await done

    def known(self, unique_name: str) -> Credentials | None:
        return Credentials(0, None, ()) if unique_name in self._asked else None

    async def credentials(self, unique_name: str) -> Credentials:
        self._asked.add(unique_name)
        return Credentials(0, None, ())

    def reply(
        self, call: Call, signature: str, body: Sequence[Any], fds: Sequence[int] = ()
    ) -> None:
        assert not fds, "the simulation's key sets fit into messages"
        self._answered(call.serial, Answer(tuple(body)))

    def error(self, call: Call, name: str, text: str) -> None:
        self._answered(call.serial, Answer((), name.rpartition(".")[2], text))

    # What the test uses

    @property
    def full(self) -> bool:
        """Tell whether signals wait to be taken."""
        return bool(self._waiting)

    def flush(self) -> None:
        """Take all signals that wait."""
        waiting, self._waiting = self._waiting, []
        drains, self._drains = self._drains, []
        for signal in waiting:
            self._received(signal)
        for done in drains:
            if not done.done():
                done.set_result(None)

    def call(
        self,
        sender: str,
        member: str,
        signature: str,
        body: Sequence[Any],
        *,
        path: str = OBJECT_PATH,
        interface: str = INTERFACE,
    ) -> int:
        """Let somebody call; answer the serial number that the answer will have."""
        self._serial += 1
        call = Call(
            sender, path, interface, member, signature, list(body), (), self._serial, True, False
        )
        self._on_reading(True)
        pending = self._dispatch(call)
        self._on_reading(False)
        if pending is not None:
            self._tasks.create_task(_wait(pending))
        return call.serial


async def _wait(pending: Awaitable[None]) -> None:
    await pending
