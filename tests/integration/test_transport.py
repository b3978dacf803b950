"""The transport on a real private bus: each fact of dbus-next in a long-running service."""

from __future__ import annotations

import asyncio
import gc
import os
import resource
import struct
from asyncio import to_thread
from itertools import islice, product
from pathlib import Path
from typing import Any

import pytest
from jeepney import MessageType
from jeepney.bus_messages import message_bus
from serving import (
    INTERNAL,
    NAME,
    WAIT_S,
    Answer,
    Client,
    echo,
    open_fds,
    resident_bytes,
    serving,
)

from kdbd.bus import library
from kdbd.bus.body import MAX_BODY_BYTES
from kdbd.bus.frames import MAX_MESSAGE_BYTES
from kdbd.bus.outgoing import MAX_SIGNAL_BYTES
from kdbd.bus.transport import BusUnavailable, Call, CallFailed, Credentials, NameTaken, Transport
from private_bus import PrivateBus

LIMITS = "org.libelektra.KDB1.Error.LimitsExceeded"
pytestmark = pytest.mark.needs("dbus-daemon")
AGREED = b"OK 1234\r\nAGREE_UNIX_FD\r\n"
SIGNAL = ("/org/libelektra/configuration", "org.libelektra", "KeyAdded")


@pytest.fixture
def call_of(bus: PrivateBus) -> Any:
    """Make one call from a client of its own, in a thread."""

    def once(member: str, signature: str = "", body: tuple[Any, ...] = ()) -> Any:
        def work() -> Answer:
            with Client(bus.address) as client:
                return client.call(member, signature, body)

        return to_thread(work)

    return once


def test_the_library_asked_for_is_the_one_in_use(dbus_library: str) -> None:
    assert dbus_library == library.NAME
    assert library.Variant.__module__.startswith(dbus_library.replace("-", "_"))


@pytest.mark.parametrize(
    ("signature", "body"),
    [
        ("", ()),
        ("s", ("user:/ä\U0001f600",)),
        ("sayasbt", ("x", b"\0\xff", ["a", "", "c"], True, 2**64 - 1)),
        ("ynqiuxtd", (1, -2, 3, -4, 5, -6, 7, 1.5)),
        ("a(saya{ss})a{sv}", ([("k", b"v", {"m": "n"})], {"v": ("as", ["w"])})),
        ("(s(ib))v", (("a", (1, False)), ("a{st}", {"x": 1}))),
    ],
)
async def test_values_come_back_as_they_went(
    bus: PrivateBus, call_of: Any, signature: str, body: tuple[Any, ...]
) -> None:
    def dispatch(transport: Transport, call: Call) -> None:
        # dbus-next wants structs as lists, and gets them so; dbus-fast gets tuples.
        transport.reply(call, call.signature, call.body)

    async with serving(bus, dispatch):
        assert await call_of("Echo", signature, body) == Answer("", body)


async def test_a_call_has_all_that_the_message_said(bus: PrivateBus) -> None:
    calls = []

    def dispatch(transport: Transport, call: Call) -> None:
        calls.append(call)
        transport.reply(call, "", [])

    def work() -> tuple[str, int]:
        with Client(bus.address) as client:
            message = client.message("Get", "s", ("user:/a",))
            message.header.flags |= 4  # type: ignore[operator]  # jeepney's enum lacks it
            client.connection.send(message, serial=77)
            while client.receive().header.message_type is not MessageType.method_return:
                pass
            return client.name, 77

    async with serving(bus, dispatch):
        name, serial = await to_thread(work)
    assert calls == [
        Call(
            sender=name,
            path="/org/libelektra/KDB1",
            interface=NAME,
            member="Get",
            signature="s",
            body=["user:/a"],
            fds=(),
            serial=serial,
            reply_expected=True,
            interactive=True,
            connection=1,
            size=12,
        )
    ]


# A slow bus, a stopped bus, a bus that goes away


async def test_signals_survive_a_stopped_bus_and_keep_their_order(bus: PrivateBus) -> None:
    async with serving(bus, stall_s=60) as running:
        with await to_thread(Client, bus.address) as client:
            await to_thread(client.subscribe, "org.libelektra")
            bus.suspend()
            for number in range(3000):
                running.transport.signal(*SIGNAL, "s", [f"user:/key/{number}"])
            await asyncio.sleep(0)  # one turn of the loop, in which the socket fills
            bus.resume()
            received = await to_thread(client.signals, 3000)
            assert received == [(f"user:/key/{number}",) for number in range(3000)]
    assert running.connected == 1


async def test_a_large_reply_that_is_sent_in_parts_arrives_whole_and_in_order(
    bus: PrivateBus,
) -> None:
    data = bytes(range(256)) * 16 * 1024

    def dispatch(transport: Transport, call: Call) -> None:
        transport.signal(*SIGNAL, "s", ["before"])
        transport.reply(call, "ay", [data])
        transport.signal(*SIGNAL, "s", ["after"])

    async with serving(bus, dispatch):
        with await to_thread(Client, bus.address) as client:
            await to_thread(client.subscribe, "org.libelektra")
            await to_thread(client.send, "Get")
            received = [(await to_thread(client.receive)).body for _ in range(3)]
    assert received == [("before",), (data,), ("after",)]


async def test_a_queue_above_its_bound_loses_the_oldest_signals_first(bus: PrivateBus) -> None:
    pad = "x" * 10_000
    count = 2 * MAX_SIGNAL_BYTES // len(pad)

    def dispatch(transport: Transport, call: Call) -> None:
        transport.reply(call, "s", ["kept"])

    async with serving(bus, dispatch, stall_s=60) as running:
        with await to_thread(Client, bus.address) as client:
            await to_thread(client.subscribe, "org.libelektra")
            bus.suspend()
            for number in range(count):
                running.transport.signal(*SIGNAL, "s", [f"{number} {pad}"])
                if number == count // 2:
                    await asyncio.sleep(0)  # let the socket fill, so that a message is half sent
            writer = running.transport._writer
            assert writer.queued_bytes <= MAX_SIGNAL_BYTES
            bus.resume()

            def work() -> list[int]:
                numbers = []
                while not numbers or numbers[-1] != count - 1:
                    numbers += [int(body[0].split()[0]) for body in client.signals(1)]
                return numbers

            numbers = await to_thread(work)
            assert numbers == sorted(numbers)
            kept = MAX_SIGNAL_BYTES // (len(pad) + 200)
            assert kept * 3 // 4 <= len(numbers) < count
            kept = kept * 3 // 4
            assert numbers[-kept:] == list(range(count - kept, count))
            assert await to_thread(client.call, "Get") == Answer("", ("kept",))
    assert running.log.count("bus.dropped") >= 1
    assert running.connected == 1


async def test_a_bus_that_takes_nothing_is_connected_to_anew(bus: PrivateBus) -> None:
    async with serving(bus, stall_s=0.2) as running:
        with await to_thread(Client, bus.address) as client:
            await to_thread(client.subscribe, "org.libelektra")
            assert await to_thread(client.call, "Echo", "s", ("a",)) == Answer("", ("a",))
            first = await to_thread(client.ask_bus, message_bus.GetNameOwner(NAME))
            bus.suspend()
            for number in range(3000):
                running.transport.signal(*SIGNAL, "s", [f"user:/key/{number}"])
            await running.log.wait_for("bus.lost")
            bus.resume()
            await running.log.wait_for("bus.connected", 2)
            received = await to_thread(client.signals, 3000)
            assert received == [(f"user:/key/{number}",) for number in range(3000)]
            second = await to_thread(client.ask_bus, message_bus.GetNameOwner(NAME))
            assert first != second
            assert await to_thread(client.call, "Echo", "s", ("b",)) == Answer("", ("b",))
            assert running.vanished == []  # the client is the same: its handles live on
    assert running.connected == 2


async def test_a_bus_that_leaves_a_single_message_unread_is_connected_to_anew(
    bus: PrivateBus,
) -> None:
    async with serving(bus, stall_s=0.2) as running:
        bus.suspend()
        running.transport.signal(*SIGNAL, "s", ["user:/a"])
        await running.log.wait_for("bus.lost")
        bus.resume()
        await running.log.wait_for("bus.connected", 2)
    assert [values for _, event, values in running.log.events if event == "bus.lost"] == [
        {"reason": "the bus took nothing for 0.2 s"}
    ]


# dbus-daemon reads no more from a connection while this much of what it sent waits to be read by
# others. The default is 127 MiB.
NARROW = '  <limit name="max_incoming_bytes">2000000</limit>\n'


def until_answered(client: Client) -> Answer:
    """Call until a connection of the service lives long enough to answer."""
    unanswered = {
        "org.freedesktop.DBus.Error.NoReply",
        "org.freedesktop.DBus.Error.ServiceUnknown",
        "org.freedesktop.DBus.Error.NameHasNoOwner",
    }
    while (answer := client.call("Echo", "s", ("a",))).error in unanswered:
        pass
    return answer


async def test_a_subscriber_that_never_reads_does_not_silence_the_service() -> None:
    with PrivateBus(extra=NARROW) as bus:
        async with serving(bus, stall_s=0.3) as running:
            with (
                await to_thread(Client, bus.address) as deaf,
                await to_thread(Client, bus.address) as client,
            ):
                await to_thread(deaf.subscribe, "org.libelektra")
                number = 0
                while not running.log.count("bus.lost"):
                    for _ in range(1000):
                        number += 1
                        running.transport.signal(*SIGNAL, "s", [f"user:/key/{number}"])
                    await running.transport.drain()
                    assert number < 200_000, "dbus-daemon took it all"
                assert await to_thread(until_answered, client) == Answer("", ("a",))


async def test_a_caller_that_never_reads_does_not_silence_the_service() -> None:
    def dispatch(transport: Transport, call: Call) -> None:
        transport.reply(call, "ay", [bytes(10_000)])

    def flood(client: Client) -> None:
        try:
            for _ in range(5000):
                client.send("Get")
        except OSError:
            pass  # what it sends is not read any more

    with PrivateBus(extra=NARROW) as bus:
        async with serving(bus, dispatch, stall_s=0.3):
            with (
                await to_thread(Client, bus.address) as deaf,
                await to_thread(Client, bus.address) as client,
            ):
                deaf.socket.settimeout(1)
                await to_thread(flood, deaf)
                assert await to_thread(until_answered, client) == Answer("", (bytes(10_000),))


async def test_many_large_replies_at_once_wait_for_one_another(bus: PrivateBus) -> None:
    data = bytes(2 << 20)
    most = 0

    def dispatch(transport: Transport, call: Call) -> None:
        nonlocal most
        transport.reply(call, "ay", [data])
        most = max(most, transport._writer.queued_bytes)

    def work() -> int:
        with Client(bus.address) as client:
            for _ in range(100):
                client.send("Get")
            answered = 0
            while answered < 100:
                message = client.receive()
                if message.header.message_type is MessageType.method_return:
                    assert message.body == (data,)
                    answered += 1
            return answered

    async with serving(bus, dispatch) as running:
        assert await to_thread(work) == 100
    assert most < 7 << 20
    assert running.log.count("bus.dropped") == 0


async def test_a_restarted_bus_is_joined_again(bus: PrivateBus) -> None:
    async with serving(bus) as running:
        for times in (1, 2, 3):
            await running.log.wait_for("bus.connected", times)
            with await to_thread(Client, bus.address) as client:
                await to_thread(client.subscribe, "org.libelektra")
                assert await to_thread(client.call, "Echo", "s", ("a",)) == Answer("", ("a",))
                running.transport.signal(*SIGNAL, "s", ["user:/a"])
                assert await to_thread(client.signals, 1) == [("user:/a",)]
                await to_thread(bus.restart)
                # Another bus gives the same unique names to others.
                await running.wait_until_gone(client.name)
                running.vanished.clear()
    assert running.connected >= 3


async def test_a_bus_that_stays_away_for_long_is_joined_again(bus: PrivateBus) -> None:
    async with serving(bus) as running:
        bus.kill()
        await running.log.wait_for("bus.unavailable", 4)
        running.transport.signal(*SIGNAL, "s", ["while there is no bus"])
        await running.transport.drain()
        with pytest.raises(BusUnavailable):
            await running.transport.call(NAME, "/", NAME, "Echo", "", [], 5)
        bus.start()
        await running.log.wait_for("bus.connected", 2)
        with await to_thread(Client, bus.address) as client:
            assert await to_thread(client.call, "Echo", "s", ("a",)) == Answer("", ("a",))


async def test_answers_for_a_dead_connection_are_dropped_quietly(bus: PrivateBus) -> None:
    go = asyncio.Event()
    waiting = asyncio.Event()

    async def late(transport: Transport, call: Call) -> None:
        waiting.set()
        await go.wait()
        transport.reply(call, "s", ["late"])
        transport.error(call, INTERNAL, "late")

    def dispatch(transport: Transport, call: Call) -> Any:
        return late(transport, call) if call.member == "Late" else echo(transport, call)

    async with serving(bus, dispatch) as running:
        client = await to_thread(Client, bus.address)
        with client:
            await to_thread(client.send, "Late")
            await waiting.wait()
            await to_thread(bus.restart)
        await running.log.wait_for("bus.connected", 2)
        queue = running.transport._writer._queue
        put = queue.put_count
        go.set()
        with await to_thread(Client, bus.address) as other:
            assert other.name == client.name  # the next one by this name must not get it
            assert await to_thread(other.call, "Echo", "s", ("a",)) == Answer("", ("a",))
        assert queue.put_count == put + 1  # the answer to the other's call alone
    levels = {level for level, _, _ in running.log.events}
    assert levels <= {"info", "warning"}


# Starting


async def test_a_name_that_is_taken_names_its_owner(bus: PrivateBus) -> None:
    async with serving(bus):
        with pytest.raises(NameTaken) as caught:
            async with serving(bus):
                pass
    assert caught.value.pid == os.getpid()
    assert str(caught.value) == f"{NAME} is owned by process {os.getpid()}"


async def test_a_refused_start_does_not_wait_for_the_name(bus: PrivateBus) -> None:
    async with serving(bus):
        with pytest.raises(NameTaken):
            async with serving(bus):
                pass
    with await to_thread(Client, bus.address) as client:
        assert await to_thread(client.ask_bus, message_bus.NameHasOwner(NAME)) == (False,)


async def test_no_bus_at_the_start_is_an_error(bus: PrivateBus) -> None:
    bus.stop()
    before = open_fds()
    with pytest.raises(BusUnavailable, match="no bus at"):
        async with serving(bus):
            pass
    assert open_fds() == before


@pytest.mark.parametrize(
    "words",
    [
        b"",
        b"OK 1234\r\n",
        b"REJECTED EXTERNAL\r\n",
        b"OK 1\r\nERROR\r\n",
        b"x" * 5000,
        AGREED,
        AGREED + b"no message at all",
    ],
)
async def test_a_bus_that_breaks_off_the_authentication_does_not_block_the_loop(
    tmp_path: Path, words: bytes
) -> None:
    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10)
        writer.write(words)
        writer.close()

    server = await asyncio.start_unix_server(greet, tmp_path / "bus")
    async with server:
        transport = Transport(
            address=f"unix:path={tmp_path / 'bus'}",
            bus="session",
            name=NAME,
            dispatch=lambda _: None,
            on_vanished=lambda _: None,
            log=None,
        )
        async with asyncio.timeout(WAIT_S):
            with pytest.raises(BusUnavailable):
                await transport.run(lambda: None)


@pytest.mark.parametrize("words", [b"", AGREED])
async def test_a_bus_that_says_nothing_is_given_up(tmp_path: Path, words: bytes) -> None:
    over = asyncio.Event()

    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(words)
        await over.wait()
        writer.close()

    server = await asyncio.start_unix_server(greet, tmp_path / "bus")
    async with server:
        transport = Transport(
            address=f"unix:path={tmp_path / 'bus'}",
            bus="session",
            name=NAME,
            dispatch=lambda _: None,
            on_vanished=lambda _: None,
            log=None,
            stall_s=0.1,
        )
        with pytest.raises(BusUnavailable):
            await transport.run(lambda: None)
        over.set()


async def test_the_end_leaves_no_socket_and_no_task(bus: PrivateBus, call_of: Any) -> None:
    tasks, fds = asyncio.all_tasks(), open_fds()
    started = asyncio.Event()

    async def never(_: Transport, __: Call) -> None:
        started.set()
        await asyncio.Event().wait()

    async with serving(bus, never):
        with await to_thread(Client, bus.address) as client:
            await to_thread(client.send, "Get")
            await started.wait()
            await to_thread(client.send, "Get")  # perhaps not even begun when all ends
    assert asyncio.all_tasks() == tasks
    assert open_fds() == fds


async def test_a_call_that_comes_as_all_ends_is_never_begun(bus: PrivateBus) -> None:
    begun = []

    async def late(_: Transport, __: Call) -> None:
        begun.append(True)

    def dispatch(transport: Transport, call: Call) -> Any:
        running.task.cancel()
        return late(transport, call)

    async with serving(bus, dispatch) as running:
        with await to_thread(Client, bus.address) as client:
            await to_thread(client.send, "Get")
            await asyncio.wait({running.task})
    gc.collect()  # a coroutine that nobody awaited would be a warning now, so an error
    assert begun == []


# What must not reach the bus, or the caller


class Secret(Exception):
    pass


@pytest.mark.parametrize("later", [False, True])
async def test_an_exception_is_logged_and_its_caller_told_nothing(
    bus: PrivateBus, call_of: Any, later: bool
) -> None:
    async def fail_later() -> None:
        raise Secret("secret")

    def dispatch(_: Transport, __: Call) -> Any:
        if later:
            return fail_later()
        raise Secret("secret")

    async with serving(bus, dispatch) as running:
        answer = await call_of("Get")
    assert answer == Answer(INTERNAL, ("kdbd met an error of its own; its log tells more",))
    assert running.log.events[1:] == [
        ("exception", "bus.call_failed", {"interface": NAME, "member": "Get"})
    ]


UNSENDABLE = {
    "NUL": ("s", ["a\0b"]),
    "NUL in a list": ("as", [["a", "b\0"]]),
    "NUL in a struct": ("a(saya{ss})", [[["k", b"\0", {"m": "\0"}]]]),
    "NUL in a key": ("a{ss}", [{"\0": "b"}]),
    "NUL in a variant": ("a{sv}", [{"a": library.Variant("as", ["\0"])}]),
    "no UTF-8": ("s", ["\udcff"]),
    "no UTF-8 in a struct": ("(s)", [["\ud800"]]),
    "too large": ("ay", [bytes(MAX_BODY_BYTES)]),
    "too large strings": ("as", [["x" * 1000] * 9000]),
    "too large structs": ("a(s)", [[["x" * 1000]] * 9000]),
    "no path": ("o", ["not/a/path"]),
    "no path in a struct": ("(o)", [["not/a/path"]]),
    "a signature": ("g", ["s"]),
    "a signature in a variant": ("v", [library.Variant("(g)", ["s"])]),
    "another type": ("s", [5]),
    "another type in a struct": ("(t)", [["x"]]),
    "too few": ("ss", ["a"]),
    "too few in a struct": ("(ss)u", [["a", "b"]]),
    "a number too large": ("u", [2**32]),
    "a broken signature": ("(s", [["a"]]),
}


@pytest.mark.parametrize("case", UNSENDABLE)
async def test_what_would_cut_the_service_off_is_not_sent(
    bus: PrivateBus, call_of: Any, case: str
) -> None:
    def dispatch(transport: Transport, call: Call) -> None:
        signature, body = UNSENDABLE[case]
        transport.signal(*SIGNAL, signature, body)
        transport.reply(call, signature, body)

    async with serving(bus, dispatch) as running:
        assert (await call_of("Get")).error == INTERNAL
        assert (await call_of("Get")).error == INTERNAL
        assert running.connected == 1
    assert running.log.count("bus.signal_refused") == 2
    assert running.log.count("bus.reply_refused") == 2


async def test_an_error_text_that_cannot_be_sent_is_mended(bus: PrivateBus, call_of: Any) -> None:
    def dispatch(transport: Transport, call: Call) -> None:
        transport.error(call, INTERNAL, "a\0b\udcffc" + "d" * 100_000)

    async with serving(bus, dispatch):
        error, (text,) = await call_of("Get")
    assert error == INTERNAL
    assert text.startswith("a\ufffdb?cddd")
    assert len(text) == 16_384


async def test_no_reply_is_sent_where_none_is_expected(bus: PrivateBus) -> None:
    def dispatch(transport: Transport, call: Call) -> None:
        if call.member == "Fail":
            raise Secret
        transport.reply(call, call.signature, call.body)
        transport.error(call, INTERNAL, "a second answer")

    def work() -> list[tuple[Any, ...]]:
        with Client(bus.address) as client:
            client.send("Echo", "s", ("silent",), reply=False)
            client.send("Fail", reply=False)
            client.send("Echo", "s", ("loud",))
            while True:
                message = client.receive()
                if message.header.message_type is not MessageType.signal:
                    return [message.body]

    async with serving(bus, dispatch):
        assert await to_thread(work) == [("loud",)]


# What comes in


def raw_call(client: Client, extra_fields: bytes, body: bytes = b"", signature: str = "") -> bytes:
    """Build a call of Echo by hand, with header fields that no library writes."""

    def field(code: int, kind: str, text: str) -> bytes:
        data = text.encode()
        out = bytes((code, 1, ord(kind), 0)) + struct.pack("<I", len(data)) + data + b"\0"
        return out + bytes(-len(out) & 7)

    fields = field(1, "o", "/org/libelektra/KDB1") + field(6, "s", NAME) + field(2, "s", NAME)
    if signature:
        part = b"\x08\1g\0" + bytes((len(signature),)) + signature.encode() + b"\0"
        fields += part + bytes(-len(part) & 7)
    fields += extra_fields + field(3, "s", "Echo")[: 8 + len("Echo") + 1]
    serial = next(client.connection.outgoing_serial)
    head = struct.pack("<BBBBIII", ord("l"), 1, 0, 1, len(body), serial, len(fields))
    return head + fields + bytes(-len(fields) & 7) + body


ODD_FIELDS = {
    "a string": b"\x4d\1s\0" + struct.pack("<I", 3) + b"abc\0" + bytes(4),
    "a number": b"\x4d\1t\0" + bytes(4) + struct.pack("<Q", 7),
    "a byte": b"\xc8\1y\0\7" + bytes(3),
    "a list": b"\x4d\2as\0" + bytes(3) + struct.pack("<II", 6, 1) + b"x\0" + bytes(6),
}


@pytest.mark.parametrize("kind", ODD_FIELDS)
async def test_a_header_field_that_nobody_knows_changes_nothing(bus: PrivateBus, kind: str) -> None:
    def work() -> list[Answer]:
        with Client(bus.address) as client:
            client.socket.sendall(raw_call(client, ODD_FIELDS[kind]))
            while client.receive().header.message_type is MessageType.signal:
                pass
            return [client.call("Echo", "s", ("after",))]

    async with serving(bus) as running:
        assert await to_thread(work) == [Answer("", ("after",))]
        assert running.connected == 1


async def test_a_big_endian_caller_is_understood(bus: PrivateBus) -> None:
    def work() -> Answer:
        with Client(bus.address) as client:
            from jeepney import Endianness

            message = client.message("Echo", "sa{st}", ("ä", {"b": 3}))
            message.header.endianness = Endianness.big
            client.connection.send(message, serial=9)
            while True:
                received = client.receive()
                if received.header.message_type is not MessageType.signal:
                    return client.answer(received)

    async with serving(bus):
        assert await to_thread(work) == Answer("", ("ä", {"b": 3}))


async def test_20000_signatures_leave_memory_flat(bus: PrivateBus) -> None:
    def dispatch(transport: Transport, call: Call) -> None:
        transport.reply(call, "", [])

    signatures = [
        "a(" + "".join(kinds) + ")" for kinds in islice(product("ybnqiuxtdsog", repeat=4), 20_000)
    ]

    def work(client: Client, part: list[str]) -> None:
        for start in range(0, len(part), 100):
            batch = part[start : start + 100]
            client.socket.sendall(
                b"".join(raw_call(client, b"", bytes(8), signature) for signature in batch)
            )
            answers = 0
            while answers < len(batch):
                message = client.receive()
                assert message.header.message_type is not MessageType.error
                answers += message.header.message_type is MessageType.method_return

    async with serving(bus, dispatch):
        with await to_thread(Client, bus.address) as client:
            await to_thread(work, client, signatures[:5000])
            before = resident_bytes()
            await to_thread(work, client, signatures[5000:])
            assert resident_bytes() - before < 4 << 20
    assert library._known_signatures() <= 257


async def test_a_message_above_the_limit_is_refused_without_being_held() -> None:
    with PrivateBus(extra='  <limit name="max_message_size">134217728</limit>\n') as bus:

        def work() -> tuple[Answer, Answer]:
            with Client(bus.address) as client:
                large = client.call("Echo", "ay", (bytes(MAX_MESSAGE_BYTES),))
                return large, client.call("Echo", "s", ("after",))

        held = []

        def dispatch(transport: Transport, call: Call) -> None:
            held.append(call.member)
            transport.reply(call, call.signature, call.body)

        async with serving(bus, dispatch):
            large, after = await to_thread(work)
    assert large == Answer(LIMITS, ("a message may have at most 33554432 bytes",))
    assert after == Answer("", ("after",))
    assert held == ["Echo"]


# File descriptors


def memfd(text: bytes) -> int:
    fd = os.memfd_create("test")
    os.write(fd, text)
    return fd


@pytest.mark.parametrize("way", ["now", "later", "fails", "fails later"])
async def test_received_descriptors_are_read_and_closed(bus: PrivateBus, way: str) -> None:
    texts = []

    def read(transport: Transport, call: Call) -> None:
        texts.extend(os.pread(call.fds[index], 100, 0) for index in call.body)
        if way.startswith("fails"):
            raise Secret
        transport.reply(call, "", [])

    async def read_later(transport: Transport, call: Call) -> None:
        await asyncio.sleep(0)
        read(transport, call)

    def work() -> None:
        with Client(bus.address, enable_fds=True) as client:
            for number in range(20):
                fds = (memfd(b"%d" % number), memfd(b"x"))
                client.call("Take", "hh", fds)
                for fd in fds:
                    os.close(fd)

    async with serving(bus, read_later if way.endswith("later") else read):
        before = open_fds()
        await to_thread(work)
        assert open_fds() == before
    assert texts == [text for number in range(20) for text in (b"%d" % number, b"x")]


@pytest.mark.parametrize("kind", ["too large", "wrong body"])
async def test_descriptors_of_a_refused_call_are_closed(kind: str) -> None:
    with PrivateBus(extra='  <limit name="max_message_size">134217728</limit>\n') as bus:

        def work() -> Answer:
            with Client(bus.address, enable_fds=True) as client:
                fd = memfd(b"x")
                data = bytes(MAX_MESSAGE_BYTES if kind == "too large" else 1)
                answer = client.call("Take", "hay", (fd, data))
                os.close(fd)
                return answer

        def take(transport: Transport, call: Call) -> None:
            transport.reply(call, "s", ["\0"])

        async with serving(bus, take):
            before = open_fds()
            assert (await to_thread(work)).error in {LIMITS, INTERNAL}
            assert open_fds() == before


async def test_a_call_whose_descriptors_find_no_room_comes_without(bus: PrivateBus) -> None:
    def count(transport: Transport, call: Call) -> None:
        transport.reply(call, "u", [len(call.fds)])

    async with serving(bus, count):
        with await to_thread(Client, bus.address, enable_fds=True) as client:
            fds = tuple(memfd(b"x") for _ in range(5))
            assert await to_thread(client.call, "Take", "hhhhh", fds) == Answer("", (5,))
            soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
            before = open_fds()
            spare = os.dup(fds[0])  # the lowest free number: two more will fit, five will not
            resource.setrlimit(resource.RLIMIT_NOFILE, (spare + 3, hard))
            try:
                answer = await to_thread(client.call, "Take", "hhhhh", fds)
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
                os.close(spare)
            assert answer == Answer("", (0,))
            assert open_fds() == before
            assert await to_thread(client.call, "Take", "hhhhh", fds) == Answer("", (5,))
            for fd in fds:
                os.close(fd)


async def test_descriptors_belong_to_their_message_among_many(bus: PrivateBus) -> None:
    seen = []

    def dispatch(transport: Transport, call: Call) -> None:
        seen.append([os.pread(fd, 100, 0) for fd in call.fds])
        transport.reply(call, "", [])

    def work() -> None:
        with Client(bus.address, enable_fds=True) as client:
            for number in range(300):
                if number % 3:
                    fds = [memfd(b"%d.%d" % (number, part)) for part in range(number % 3)]
                    client.send("Take", "h" * len(fds) + "s", (*fds, "x" * (number * 100)))
                    for fd in fds:
                        os.close(fd)
                else:
                    client.send("Take", "s", ("y" * (number * 100),))
            answers = 0
            while answers < 300:
                answers += client.receive().header.message_type is MessageType.method_return

    async with serving(bus, dispatch):
        before = open_fds()
        await to_thread(work)
        assert open_fds() == before
    assert seen == [[b"%d.%d" % (n, part) for part in range(n % 3)] for n in range(300)]


async def test_descriptors_of_a_call_that_is_cancelled_are_closed(bus: PrivateBus) -> None:
    before = open_fds()
    came = asyncio.Event()

    async def never(_: Transport, __: Call) -> None:
        await asyncio.Event().wait()

    def dispatch(transport: Transport, call: Call) -> Any:
        came.set()
        return never(transport, call)

    def work(client: Client) -> None:
        fd = memfd(b"x")
        client.send("Take", "h", (fd,))
        os.close(fd)

    async with serving(bus, dispatch):
        with await to_thread(Client, bus.address, enable_fds=True) as client:
            await to_thread(work, client)
            await came.wait()
    assert open_fds() == before


async def test_a_reply_carries_descriptors_and_leaves_the_service_its_own(bus: PrivateBus) -> None:
    def dispatch(transport: Transport, call: Call) -> None:
        fd = memfd(call.body[0].encode())
        transport.signal(*SIGNAL, "s", ["before"])
        transport.reply(call, "sh", ["a memfd", 0], [fd])
        transport.signal(*SIGNAL, "s", ["after"])
        os.close(fd)

    def work() -> list[bytes]:
        texts = []
        with Client(bus.address, enable_fds=True) as client:
            for number in range(20):
                _, (text, wrapped) = client.call("Give", "s", (f"{number}",))
                assert text == "a memfd"
                with wrapped.to_file("rb") as file:
                    texts.append(os.pread(file.fileno(), 100, 0))
        return texts

    async with serving(bus, dispatch):
        before = open_fds()
        assert await to_thread(work) == [b"%d" % number for number in range(20)]
        assert open_fds() == before


async def test_descriptors_in_replies_and_signals_are_closed(bus: PrivateBus) -> None:
    async def ask(transport: Transport, call: Call) -> None:
        await transport.call(call.sender, "/", "a.b", "Give", "", [], WAIT_S)
        transport.reply(call, "", [])

    def work() -> None:
        from jeepney import new_method_return

        with Client(bus.address, enable_fds=True) as client:
            for _ in range(5):
                client.send("Ask")
                while (
                    message := client.receive()
                ).header.message_type is not MessageType.method_call:
                    pass
                fd = memfd(b"x")
                client.connection.send(new_method_return(message, "h", (fd,)))
                os.close(fd)
                while client.receive().header.message_type is not MessageType.method_return:
                    pass

    async with serving(bus, ask):
        before = open_fds()
        await to_thread(work)
        assert open_fds() == before


# Calls to others


async def test_a_call_returns_what_the_other_answers(bus: PrivateBus) -> None:
    async with serving(bus) as running, serving(bus, name="a.b"):
        body = await running.transport.call("a.b", "/x", "a.b", "Echo", "sat", ["x", [1]], WAIT_S)
    assert body == ["x", [1]]


async def test_a_call_that_is_answered_by_an_error_raises_it(bus: PrivateBus) -> None:
    async with serving(bus) as running:
        with pytest.raises(CallFailed) as caught:
            await running.transport.call("no.body", "/", "a.b", "Echo", "", [], WAIT_S)
    assert caught.value.name == "org.freedesktop.DBus.Error.ServiceUnknown"
    assert "no.body" in caught.value.text


@pytest.mark.parametrize("how", ["time-out", "cancelled", "bus killed"])
async def test_a_call_that_nobody_answers_ends_and_leaves_nothing(
    bus: PrivateBus, how: str
) -> None:
    asked: asyncio.Queue[Call] = asyncio.Queue()

    async def never(_: Transport, call: Call) -> None:
        asked.put_nowait(call)
        await asyncio.Event().wait()

    async with serving(bus) as running, serving(bus, never, name="a.b") as other:
        transport = running.transport

        def ask(timeout_s: float) -> asyncio.Task[list[Any]]:
            return asyncio.create_task(transport.call("a.b", "/", "a.b", "Get", "", [], timeout_s))

        asking = ask(0.05 if how == "time-out" else WAIT_S)
        call = await asked.get()
        if how == "time-out":
            with pytest.raises(TimeoutError):
                await asking
        elif how == "cancelled":
            asking.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asking
        else:
            await to_thread(bus.kill)
            with pytest.raises(BusUnavailable):
                await asking
        assert len(transport._replies) == 0
        if how != "bus killed":
            other.transport.reply(call, "s", ["too late"])
            assert await transport.call(NAME, "/", NAME, "Echo", "s", ["a"], WAIT_S) == ["a"]
            assert running.log.events == running.log.events[:1]


# Who calls


async def test_credentials_are_the_callers_and_kept_until_it_leaves(bus: PrivateBus) -> None:
    found = []

    async def tell(transport: Transport, call: Call) -> None:
        found.append(await transport.credentials(call.sender))
        transport.reply(call, "", [])

    async with serving(bus, tell) as running:
        with await to_thread(Client, bus.address) as client:
            await to_thread(client.call, "Who")
            serial = running.transport._serial
            await to_thread(client.call, "Who")
            assert running.transport._serial == serial + 1  # the reply alone
            assert running.transport._callers.names() == {client.name}
        await running.wait_until_gone(client.name)
        assert running.transport._callers.names() == set()
        with pytest.raises(CallFailed):
            await running.transport.credentials(client.name)
    groups = tuple(sorted({os.getgid(), *os.getgroups()}))
    assert [(who.uid, who.pid, tuple(sorted(who.gids))) for who in found] == [
        (os.getuid(), os.getpid(), groups)
    ] * 2
    assert isinstance(found[0], Credentials)


async def test_only_those_who_called_are_told_of_when_they_leave(bus: PrivateBus) -> None:
    async with serving(bus) as running:
        with await to_thread(Client, bus.address):
            pass
        with await to_thread(Client, bus.address) as client:
            await to_thread(client.call, "Echo")
        await running.wait_until_gone(client.name)
        assert running.vanished == [client.name]


async def test_those_who_leave_while_there_is_no_connection_are_told_of(bus: PrivateBus) -> None:
    async with serving(bus) as running:
        client = await to_thread(Client, bus.address)
        with await to_thread(Client, bus.address) as stays:
            await to_thread(stays.call, "Echo")
            with client:
                await to_thread(client.call, "Echo")
                connection = running.transport._connection
                assert connection is not None
                connection.lose(ConnectionResetError("the test wants it"))
                client.connection.close()
            await running.wait_until_gone(client.name)
            assert await to_thread(stays.call, "Echo") == Answer("", ())
            assert running.vanished == [client.name]


async def test_drain_waits_until_all_is_written(bus: PrivateBus) -> None:
    async with serving(bus, stall_s=60) as running:
        with await to_thread(Client, bus.address) as client:
            await to_thread(client.subscribe, "org.libelektra")
            bus.suspend()
            for number in range(3000):
                running.transport.signal(*SIGNAL, "s", [f"user:/key/{number}"])
            draining = asyncio.create_task(running.transport.drain())
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            assert not draining.done()
            bus.resume()
            await draining
            # The service is gone, and all of it is there.
            assert len(await to_thread(client.signals, 3000)) == 3000


async def test_a_system_bus_with_its_policy_serves_too() -> None:
    policy = (
        f'  <policy user="root"><allow own="{NAME}"/></policy>\n'
        f'  <policy context="default"><allow send_destination="{NAME}"/></policy>\n'
    )
    with PrivateBus("system", extra=policy) as bus:
        async with serving(bus) as running:
            with await to_thread(Client, bus.address) as client:
                assert await to_thread(client.call, "Echo", "s", ("a",)) == Answer("", ("a",))
        assert running.connected == 1
