"""What a real bus never sends: a fake bus says it, and the transport goes on or connects anew."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from serving import WAIT_S, Log

from kdbd.bus import marshal
from kdbd.bus.body import Malformed, decode_body, encode_body
from kdbd.bus.callers import Credentials
from kdbd.bus.frames import Frame, Frames
from kdbd.bus.library import Variant
from kdbd.bus.transport import Transport

BUS = "org.freedesktop.DBus"


class FakeBus:
    """Answers the greeting, Hello, AddMatch and RequestName; the rest is the test's."""

    def __init__(self) -> None:
        self.connections: asyncio.Queue[asyncio.StreamWriter] = asyncio.Queue()
        self.received: asyncio.Queue[Frame] = asyncio.Queue()
        self.bad_answers: dict[str, bytes] = {}
        self.last_answer = "none"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"BEGIN\r\n")
        writer.write(b"OK 1234\r\nAGREE_UNIX_FD\r\n")
        frames = Frames()
        while chunk := await reader.read(4096):
            for frame in frames.feed(chunk):
                self.take(frame, writer)
        writer.close()

    def take(self, frame: Frame, writer: asyncio.StreamWriter) -> None:
        header = marshal.decode_header(frame.fields)
        answers = {
            "Hello": ("s", [":1.1"]),
            "AddMatch": ("", []),
            "RequestName": ("u", [1]),
            "ListNames": ("as", [[BUS]]),
        }
        if header.member == self.last_answer:
            writer.write(marshal.encode_return(1, frame.serial, ":1.1", *answers[header.member]))
            writer.close()
        elif header.member in self.bad_answers:
            writer.write(message(2, reply_serial(frame.serial), self.bad_answers[header.member]))
        elif header.destination == BUS and header.member in answers:
            writer.write(marshal.encode_return(1, frame.serial, ":1.1", *answers[header.member]))
            if header.member == "RequestName":
                self.connections.put_nowait(writer)
        else:
            self.received.put_nowait(frame)


def message(kind: int, fields: bytes, body: bytes = b"", *, order: bytes = b"l") -> bytes:
    head = struct.pack("<cBBBIII", order, kind, 0, 1, len(body), 7, len(fields))
    return head + fields + bytes(-len(fields) & 7) + body


def reply_serial(serial: int) -> bytes:
    return b"\5\1u\0" + struct.pack("<I", serial) + b"\x08\1g\0\5a{sv}\0"


def call(member: str, signature: bytes = b"", body: bytes = b"") -> bytes:
    """Build a call as a bus passes it on: with its sender."""
    fields = b"".join(
        part + bytes(-len(part) & 7)
        for part in (
            b"\1\1o\0" + struct.pack("<I", 1) + b"/\0",
            b"\7\1s\0" + struct.pack("<I", 4) + b":1.9\0",
            b"\3\1s\0" + struct.pack("<I", len(member)) + member.encode() + b"\0",
            b"\x08\1g\0" + bytes((len(signature),)) + signature + b"\0",
        )
    )
    return message(marshal.CALL, fields, body)


@asynccontextmanager
async def served(directory: Path, bus: FakeBus) -> AsyncIterator[tuple[Transport, Log]]:
    log = Log()
    transport = Transport(
        address=f"unix:path={directory / 'bus'}",
        bus="session",
        name="a.b",
        dispatch=lambda call: transport.reply(call, "s", [call.member]),
        on_vanished=lambda _: None,
        log=log,
    )
    async with await asyncio.start_unix_server(bus.serve, directory / "bus"):
        running = asyncio.create_task(transport.run(lambda: None))
        try:
            yield transport, log
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


async def answered(bus: FakeBus, writer: asyncio.StreamWriter) -> None:
    """Call, and wait for the answer: the connection works."""
    writer.write(call("Ping"))
    async with asyncio.timeout(WAIT_S):
        frame = await bus.received.get()
    assert frame.kind == marshal.RETURN
    assert decode_body("s", frame.body) == ["Ping"]


BROKEN = {
    "a call without a member's end": message(marshal.CALL, b"\3\1s\0\xff\0\0\0abc\0"),
    "a signal without a name's end": message(marshal.SIGNAL, b"\3\1s\0\xff\0\0\0abc\0"),
    "a return that answers nothing": message(marshal.RETURN, reply_serial(99)),
    "a return without fields": message(marshal.RETURN, b""),
    "an error that answers nothing": message(marshal.ERROR, reply_serial(99)),
    "a type that nobody knows": message(9, b""),
    "a field that nobody knows": message(marshal.SIGNAL, b"\x4d\1y\0\1" + bytes(3)),
}


@pytest.mark.parametrize("what", BROKEN)
async def test_a_broken_message_is_passed_over(tmp_path: Path, what: str) -> None:
    bus = FakeBus()
    async with served(tmp_path, bus):
        writer = await bus.connections.get()
        writer.write(BROKEN[what])
        await answered(bus, writer)
        assert bus.connections.empty()


@pytest.mark.parametrize("stream", [b"x" * 16, message(1, b"", order=b"X"), b"l\1\0\2" + bytes(12)])
async def test_a_stream_that_is_none_is_left_for_a_new_connection(
    tmp_path: Path, stream: bytes
) -> None:
    bus = FakeBus()
    async with served(tmp_path, bus) as (_, log):
        await log.wait_for("bus.connected")
        (await bus.connections.get()).write(stream)
        await log.wait_for("bus.connected", 2)
        await answered(bus, await bus.connections.get())


async def test_a_name_owner_changed_of_another_sender_vanishes_nobody(tmp_path: Path) -> None:
    bus = FakeBus()
    async with served(tmp_path, bus) as (transport, log):
        writer = await bus.connections.get()
        await answered(bus, writer)
        sender = b"\7\1s\0" + struct.pack("<I", 4) + b":1.8\0" + bytes(3)
        member = b"\3\1s\0" + struct.pack("<I", 16) + b"NameOwnerChanged\0" + bytes(7)
        signature = b"\x08\1g\0\3sss\0"
        body = encode_body("sss", [":1.9", ":1.9", ""])
        writer.write(message(marshal.SIGNAL, sender + member + signature, body))
        await answered(bus, writer)
        assert transport._callers.names() == {":1.9"}
        own = b"\7\1s\0" + struct.pack("<I", len(BUS)) + BUS.encode() + bytes(4)
        writer.write(message(marshal.SIGNAL, own + member + signature, encode_body("s", ["x"])))
        writer.write(
            message(marshal.SIGNAL, own + member + b"\x08\1g\0\1s\0\0", encode_body("s", ["x"]))
        )
        await log.wait_for("bus.malformed")
        await log.wait_for("bus.message_failed")
        writer.write(call("Ping"))
        writer.write(message(marshal.SIGNAL, own + member + signature, body))
        await bus.received.get()
        assert transport._callers.names() == set()
    assert [level for level, event, _ in log.events if event == "bus.message_failed"] == [
        "exception"
    ]


@pytest.mark.parametrize(("signature", "body"), [(b"s", b"\xff\0\0\0"), (b"(s)", b"\xff\0\0\0")])
async def test_a_call_whose_values_cannot_be_read_is_answered_by_an_error(
    tmp_path: Path, signature: bytes, body: bytes
) -> None:
    bus = FakeBus()
    async with served(tmp_path, bus):
        writer = await bus.connections.get()
        writer.write(call("Get", signature, body))
        frame = await bus.received.get()
        header = marshal.decode_header(frame.fields)
        assert header.error_name == "org.freedesktop.DBus.Error.InvalidArgs"
        await answered(bus, writer)


async def test_a_reply_that_cannot_be_read_fails_the_call(tmp_path: Path) -> None:
    bus = FakeBus()
    bus.bad_answers["GetConnectionCredentials"] = b"\xff\0\0\0"
    async with served(tmp_path, bus) as (transport, _):
        writer = await bus.connections.get()
        with pytest.raises(Malformed):
            await transport.credentials(":1.9")
        assert len(transport._replies) == 0
        await answered(bus, writer)


async def test_who_leaves_right_after_its_credentials_came_is_known_to_whoever_asked(
    tmp_path: Path,
) -> None:
    bus = FakeBus()
    async with served(tmp_path, bus) as (transport, _):
        writer = await bus.connections.get()
        await answered(bus, writer)

        async def ask() -> Credentials | None:
            await transport.credentials(":1.9")
            return transport.known(":1.9")

        asking = asyncio.create_task(ask())
        question = await bus.received.get()
        credentials = {"UnixUserID": Variant("u", 1000)}
        own = b"\7\1s\0" + struct.pack("<I", len(BUS)) + BUS.encode() + bytes(4)
        member = b"\3\1s\0" + struct.pack("<I", 16) + b"NameOwnerChanged\0" + bytes(7)
        gone = encode_body("sss", [":1.9", ":1.9", ""])
        writer.write(
            marshal.encode_return(1, question.serial, ":1.1", "a{sv}", [credentials])
            + message(marshal.SIGNAL, own + member + b"\x08\1g\0\3sss\0", gone)
        )
        assert await asking == Credentials(1000, None, ())
        await answered(bus, writer)
        assert transport.known(":1.9") is None


async def test_a_bus_that_answers_hello_badly_is_tried_again(tmp_path: Path) -> None:
    bus = FakeBus()
    async with served(tmp_path, bus) as (_, log):
        first = await bus.connections.get()
        bus.bad_answers["Hello"] = b"\xff\0\0\0"
        first.close()
        await log.wait_for("bus.unavailable", 2)
        del bus.bad_answers["Hello"]
        await answered(bus, await bus.connections.get())


@pytest.mark.parametrize("member", ["Hello", "AddMatch", "RequestName"])
async def test_a_bus_that_leaves_after_an_answer_is_tried_again(
    tmp_path: Path, member: str
) -> None:
    bus = FakeBus()
    async with served(tmp_path, bus) as (transport, log):
        await log.wait_for("bus.connected")
        bus.last_answer = member
        (await bus.connections.get()).close()
        # Whether the name was taken before the end was seen is open.
        await log.wait_for("bus.unavailable", 3, also="bus.lost")
        bus.last_answer = "none"
        await answered(bus, await bus.connections.get())
        assert transport._connection is not None
