"""The writer on a real socket whose other end is the test's."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator

import pytest

from kdbd.bus.writer import Writer


class Far:
    """The other end, and what the writer reported."""

    def __init__(self) -> None:
        self.near, self.socket = socket.socketpair()
        for end in (self.near, self.socket):
            end.setblocking(False)
        self.failures: list[OSError] = []
        self.full: list[bool] = []
        self.warnings: list[dict[str, int]] = []
        self.writer = Writer(
            stall_s=60, on_failed=self.failures.append, on_full=self.full.append, log=self
        )

    def warning(self, event: str, **values: int) -> None:
        assert event == "bus.dropped"
        self.warnings.append(values)

    def read(self, count: int = 1 << 30) -> bytes:
        data = b""
        try:
            while len(data) < count:
                data += self.socket.recv(min(count - len(data), 1 << 20))
        except BlockingIOError:
            pass
        return data


@pytest.fixture
def far() -> Iterator[Far]:
    end = Far()
    yield end
    end.writer.detach()
    end.near.close()
    end.socket.close()


async def test_what_is_put_before_there_is_a_socket_is_written_then(far: Far) -> None:
    far.writer.put(b"a", is_signal=True)
    await far.writer.drain()
    far.writer.attach(far.near)
    far.writer.put(b"b")
    await far.writer.drain()
    assert far.read() == b"ab"


async def test_held_messages_go_with_the_flush(far: Far) -> None:
    far.writer.attach(far.near)
    await far.writer.drain()
    far.writer.hold()
    far.writer.put(b"a")
    far.writer.put(b"b")
    await asyncio.sleep(0)
    assert far.read() == b""
    far.writer.flush()
    assert far.read() == b"ab"
    far.writer.put(b"c")
    await far.writer.drain()
    assert far.read() == b"c"


async def test_a_full_socket_is_waited_for(far: Far) -> None:
    far.writer.attach(far.near)
    messages = [b"%06d" % number * 1000 for number in range(200)]
    for message in messages:
        far.writer.put(message)
    far.writer.flush()
    far.writer.flush()  # as after each read: the socket says EAGAIN, which is no failure
    assert 0 < far.writer.queued_bytes < 1_200_000
    received = b""
    draining = asyncio.create_task(far.writer.drain())
    async with asyncio.timeout(20):
        while not draining.done():
            received += far.read()
            await asyncio.sleep(0)
    assert received + far.read() == b"".join(messages)
    assert far.failures == []


async def test_a_closed_socket_is_reported_once(far: Far) -> None:
    far.writer.attach(far.near)
    far.socket.close()
    far.writer.put(b"a")
    far.writer.flush()
    assert [type(failure) for failure in far.failures] == [BrokenPipeError]


async def test_too_much_is_reported_until_it_is_little_again(far: Far) -> None:
    far.writer.attach(far.near)
    for _ in range(5):
        far.writer.put(bytes(1 << 20))
    assert far.full == [True]
    draining = asyncio.create_task(far.writer.drain())
    while not draining.done():
        far.read()
        await asyncio.sleep(0)
    assert far.full == [True, False]


async def test_dropped_signals_are_told_of(far: Far) -> None:
    for _ in range(9):
        far.writer.put(bytes(1 << 20), is_signal=True)
    assert far.warnings == [{"signals": 3, "others": 0}]


async def test_five_looks_at_an_unread_socket_are_a_stall(far: Far) -> None:
    far.writer.attach(far.near)
    far.writer.put(b"a")
    far.writer.flush()
    for looks in range(5):
        assert far.failures == []
        assert far.writer._looks_in_vain == looks
        far.writer._look_at_socket()
    assert [str(failure) for failure in far.failures] == ["the bus took nothing for 60 s"]


async def test_whoever_reads_a_part_is_not_given_up_though_more_is_written(far: Far) -> None:
    far.writer.attach(far.near)
    for _ in range(20):
        far.writer.put(bytes(6000))
        far.writer.flush()
        far.read(5000)
        far.writer._look_at_socket()
        assert far.writer._looks_in_vain <= 1
    assert far.failures == []


async def test_nothing_looks_at_a_socket_that_is_all_read(far: Far) -> None:
    far.writer.attach(far.near)
    far.writer.put(b"a")
    far.writer.flush()
    assert far.writer._look is not None
    far.read()
    far.writer._look_at_socket()
    assert far.writer._look is None
