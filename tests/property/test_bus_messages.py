"""Laws of the messages on the bus, with jeepney and the D-Bus library as oracles."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from jeepney import HeaderFields, Message
from jeepney.low_level import Endianness, Parser, parse_signature

from kdbd.bus import library, marshal
from kdbd.bus.body import decode_body, encode_body
from kdbd.bus.frames import Frame, Frames

TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)
PATH = st.lists(st.from_regex(r"[A-Za-z0-9_]{1,8}", fullmatch=True), max_size=4).map(
    lambda parts: "/" + "/".join(parts)
)
NUMBERS = {
    "y": st.integers(0, 2**8 - 1),
    "n": st.integers(-(2**15), 2**15 - 1),
    "q": st.integers(0, 2**16 - 1),
    "i": st.integers(-(2**31), 2**31 - 1),
    "u": st.integers(0, 2**32 - 1),
    "x": st.integers(-(2**63), 2**63 - 1),
    "t": st.integers(0, 2**64 - 1),
    "d": st.floats(allow_nan=False),
}
PLAIN: dict[str, st.SearchStrategy[Any]] = {
    **NUMBERS,
    "b": st.booleans(),
    "s": TEXT,
    "o": PATH,
    "ay": st.binary(max_size=20),
    "as": st.lists(TEXT, max_size=4),
}
TYPED = st.sampled_from(sorted(PLAIN)).flatmap(lambda kind: st.tuples(st.just(kind), PLAIN[kind]))


def _arrays(typed: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return typed.map(lambda pair: ("a" + pair[0], pair[1] if pair[0] == "y" else [pair[1]] * 2))


def _structs(typed: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.lists(typed, min_size=1, max_size=3).map(
        lambda pairs: ("(" + "".join(kind for kind, _ in pairs) + ")", [v for _, v in pairs])
    )


def _dicts(typed: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.tuples(TEXT, typed).map(lambda pair: (f"a{{s{pair[1][0]}}}", {pair[0]: pair[1][1]}))


NESTED = st.recursive(
    TYPED.filter(lambda pair: pair[0] != "y"),
    lambda typed: st.one_of(_arrays(typed), _structs(typed), _dicts(typed)),
    max_leaves=6,
)


@st.composite
def bodies(draw: st.DrawFn, typed: st.SearchStrategy[Any] = TYPED) -> tuple[str, list[Any]]:
    pairs = draw(st.lists(typed, max_size=6))
    return "".join(kind for kind, _ in pairs), [value for _, value in pairs]


def listed(value: object) -> object:
    """Make all sequences lists: structs arrive as lists or tuples."""
    if isinstance(value, (list, tuple)):
        return [listed(item) for item in value]
    if isinstance(value, dict):
        return {key: listed(item) for key, item in value.items()}
    return value


def jeepney_body(signature: str, data: bytes) -> object:
    if not signature:
        return []
    kind = parse_signature(list(f"({signature})"))
    return listed(kind.parse_data(data, 0, Endianness.little, ())[0])


@given(bodies())
def test_plain_bodies_are_as_the_library_writes_and_reads_them(
    case: tuple[str, list[Any]],
) -> None:
    signature, body = case
    data = encode_body(signature, body)
    assert data == library.encode_body(signature, body)
    assert decode_body(signature, data) == body
    assert library.decode_body(signature, data, little_endian=True) == body


@given(bodies(NESTED))
def test_all_bodies_come_back_and_are_as_jeepney_reads_them(case: tuple[str, list[Any]]) -> None:
    signature, body = case
    data = encode_body(signature, body)
    assert listed(decode_body(signature, data)) == body
    assert jeepney_body(signature, data) == body


@given(bodies().filter(lambda case: bool(case[0])))
def test_big_endian_bodies_are_read(case: tuple[str, list[Any]]) -> None:
    signature, body = case
    kind = parse_signature(list(f"({signature})"))
    data = kind.serialise(tuple(body), 0, Endianness.big, fds=None)
    assert listed(decode_body(signature, data, little_endian=False)) == body


def parsed(data: bytes) -> Message:
    parser = Parser()
    parser.add_data(data, fds=[-1] * 3)
    message = parser.get_next_message()
    assert message is not None
    assert parser.get_next_message() is None
    return message


SERIAL = st.integers(1, 2**32 - 1)
NAME = st.from_regex(r":1\.[0-9]{1,10}", fullmatch=True)
INTERFACE = st.from_regex(
    r"[a-zA-Z_][a-zA-Z0-9_]{0,9}(\.[a-zA-Z_][a-zA-Z0-9_]{0,9}){1,3}", fullmatch=True
)
MEMBER = st.from_regex(r"[a-zA-Z_][a-zA-Z0-9_]{0,30}", fullmatch=True)


@given(SERIAL, SERIAL, NAME, bodies(), st.integers(0, 3))
def test_a_return_is_what_jeepney_reads(
    serial: int, call: int, to: str, case: tuple[str, list[Any]], fds: int
) -> None:
    signature, body = case
    data = marshal.encode_return(serial, call, to, signature, body, fds)
    message = parsed(data)
    expected: dict[HeaderFields, object] = {
        HeaderFields.reply_serial: call,
        HeaderFields.destination: to,
    }
    if signature:
        expected[HeaderFields.signature] = signature
    if fds:
        expected[HeaderFields.unix_fds] = fds
    assert message.header.message_type.value == marshal.RETURN
    assert message.header.serial == serial
    assert message.header.fields == expected
    assert listed(message.body) == body
    (frame,) = Frames().feed(data)
    header = marshal.decode_header(frame.fields)
    assert header == marshal.Header(reply_serial=call, destination=to, signature=signature, fds=fds)
    assert decode_body(header.signature, frame.body) == body


@given(SERIAL, PATH, INTERFACE, MEMBER, bodies())
def test_a_signal_is_what_jeepney_reads(
    serial: int, path: str, interface: str, member: str, case: tuple[str, list[Any]]
) -> None:
    signature, body = case
    message = parsed(marshal.encode_signal(serial, path, interface, member, signature, body))
    assert message.header.message_type.value == marshal.SIGNAL
    assert message.header.serial == serial
    fields = message.header.fields
    assert fields.pop(HeaderFields.signature, "") == signature
    assert fields == {
        HeaderFields.path: path,
        HeaderFields.interface: interface,
        HeaderFields.member: member,
    }
    assert listed(message.body) == body


@given(SERIAL, SERIAL, NAME, INTERFACE, st.text())
def test_an_error_is_what_jeepney_reads_whatever_its_text(
    serial: int, call: int, to: str, name: str, text: str
) -> None:
    message = parsed(marshal.encode_error(serial, call, to, name, text))
    assert message.header.message_type.value == marshal.ERROR
    assert message.header.fields == {
        HeaderFields.reply_serial: call,
        HeaderFields.destination: to,
        HeaderFields.error_name: name,
        HeaderFields.signature: "s",
    }
    mended = text.replace("\0", "\ufffd").encode(errors="replace").decode()
    assert message.body == (mended,)


@given(SERIAL, NAME, PATH, INTERFACE, MEMBER, bodies())
def test_a_call_is_what_jeepney_and_kdbd_read(
    serial: int, to: str, path: str, interface: str, member: str, case: tuple[str, list[Any]]
) -> None:
    signature, body = case
    data = marshal.encode_call(serial, to, path, interface, member, signature, body)
    message = parsed(data)
    assert message.header.message_type.value == marshal.CALL
    assert listed(message.body) == body
    (frame,) = Frames().feed(data)
    assert marshal.decode_header(frame.fields) == marshal.Header(
        path=path, interface=interface, member=member, destination=to, signature=signature
    )


# The stream


def messages_of(sizes: list[tuple[int, int]]) -> list[bytes]:
    return [
        marshal.encode_signal(number + 1, "/" + "p" * name, "a.b", "C", "ay", [bytes(size)])
        for number, (name, size) in enumerate(sizes)
    ]


SIZES = st.lists(st.tuples(st.integers(1, 40), st.integers(0, 300)), min_size=1, max_size=12)


@given(SIZES, st.lists(st.integers(1, 400), min_size=1), st.integers(150, 500))
def test_a_stream_is_cut_the_same_wherever_reads_end(
    sizes: list[tuple[int, int]], reads: list[int], limit: int
) -> None:
    messages = messages_of(sizes)
    stream = b"".join(messages)
    frames = Frames(max_message_bytes=limit)
    found: list[Frame] = []
    at = turn = 0
    while at < len(stream):
        size = reads[turn % len(reads)]
        assert frames.missing_bytes > 0
        found += frames.feed(stream[at : at + size])
        at += size
        turn += 1
    assert [frame.serial for frame in found] == list(range(1, len(messages) + 1))
    for frame, message in zip(found, messages, strict=True):
        assert frame.too_large == (len(message) > limit)
        if frame.too_large:
            assert frame.body == b""
            assert marshal.decode_header(frame.fields).member == "C"
        else:
            (alone,) = Frames().feed(message)
            assert frame == alone
    assert frames.abandon() == ()


@given(SIZES, st.data())
def test_descriptors_go_to_the_message_that_they_were_sent_with(
    sizes: list[tuple[int, int]], data: st.DataObject
) -> None:
    """Read as Linux does: a read ends with the write that brought descriptors, or before."""
    writes: list[tuple[bytes, tuple[int, ...]]] = []
    expected = []
    for number, message in enumerate(messages_of(sizes)):
        fds = (number,) if data.draw(st.booleans()) else ()
        writes.append((message, fds))
        expected.append(fds)
    frames = Frames()
    found: list[Frame] = []
    while writes:
        chunk, came = b"", ()
        room = data.draw(st.integers(1, 500))
        while writes and room and not came:
            content, came = writes.pop(0)
            if len(content) > room:
                writes.insert(0, (content[room:], ()))
            chunk += content[:room]
            room -= min(room, len(content))
        found += frames.feed(chunk, came)
    assert [frame.fds for frame in found] == expected
