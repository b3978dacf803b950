import pytest

from kdbd.bus import marshal
from kdbd.bus.body import Malformed, Unsendable

MEMBER = b"\3\1s\0\1\0\0\0a\0"


@pytest.mark.parametrize(
    "fields",
    [
        b"\3",
        b"\3\1s\0\xff\0\0\0a\0",
        b"\3\1s\0\1\0\0\0\xff\0",
        b"\3\1u\0\1\0\0\0",  # a member that is a number
        b"\x08\1g\0\x20s\0",
        b"\3\2ss\0",
        b"\3\2ay\0" + bytes(2) + b"\1\0\0\0a",  # a member that is bytes
    ],
)
def test_broken_header_fields_are_malformed(fields: bytes) -> None:
    with pytest.raises(Malformed):
        marshal.decode_header(fields)


def test_an_unknown_field_is_skipped_whatever_its_type() -> None:
    odd = b"\x4d\2as\0" + bytes(3) + b"\6\0\0\0\1\0\0\0x\0" + bytes(6)
    number = b"\x4d\1u\0\1\0\0\0"
    for fields in (odd + MEMBER, number + MEMBER, MEMBER + bytes(6) + number):
        assert marshal.decode_header(fields) == marshal.Header(member="a")


@pytest.mark.parametrize(
    ("to", "path", "interface", "member"),
    [
        ("nodots", "/", "a.b", "C"),
        ("a.b", "no", "a.b", "C"),
        ("a.b", "/", "a", "C"),
        ("a.b", "/", "a.b", "C D"),
    ],
)
def test_names_that_the_bus_would_refuse_are_unsendable(
    to: str, path: str, interface: str, member: str
) -> None:
    with pytest.raises(Unsendable):
        marshal.encode_call(1, to, path, interface, member, "", [])


def test_an_error_text_is_cut() -> None:
    data = marshal.encode_error(1, 2, ":1.1", "a.b", "x" * 100_000)
    assert data.count(b"x") == 16_384
