"""The shell of `kdb.aio`: does, by asyncio, what the parts without I/O ask for."""

from __future__ import annotations

import asyncio
from typing import TypeVar

from kdb._aio_connection import Connection
from kdb.requests import (
    AwaitSignal,
    Call,
    CallFailed,
    Connect,
    Disconnected,
    NotSent,
    Operation,
    Reply,
    Request,
    Rest,
    TimedOut,
)

__all__ = ["Bus"]

T = TypeVar("T")


class Bus:
    """Does what a session or a watch asks for, on one connection that is made anew when lost."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._connection: Connection | None = None
        self._connecting = asyncio.Lock()

    async def do(self, request: Request) -> Reply | None:
        """Do one thing. Raises Disconnected, CallFailed, TimedOut."""
        if isinstance(request, Call):
            return await self._connected().call(request)
        if isinstance(request, Connect):
            await self._connect()
        elif isinstance(request, AwaitSignal):
            await self._await_signal(request.seconds)
        else:
            assert isinstance(request, Rest)
            await asyncio.sleep(request.seconds)
        return None

    async def run(self, operation: Operation[T]) -> T:
        """Bring an operation to its end."""
        outcome: Reply | None = None
        failure: Exception | None = None
        try:
            while True:
                request = operation.throw(failure) if failure else operation.send(outcome)
                try:
                    outcome, failure = await self.do(request), None
                except (Disconnected, CallFailed, TimedOut) as caught:
                    failure = caught
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return]  # it is the operation's T
        finally:
            operation.close()

    async def close(self) -> None:
        """Close the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()

    def _connected(self) -> Connection:
        if self._connection is None or self._connection.closed:
            raise NotSent("the connection to the bus is lost")
        return self._connection

    async def _connect(self) -> None:
        async with self._connecting:
            if self._connection is not None:
                if not self._connection.closed:
                    return
                await self._connection.close()
            connection = Connection(self._address)
            await connection.connect()
            self._connection = connection

    async def _await_signal(self, seconds: float | None) -> None:
        connection = self._connected()
        try:
            async with asyncio.timeout(seconds):
                await connection.signalled.wait()
        except TimeoutError:
            raise TimedOut from None
        self._connected().signalled.clear()
