"""D-Bus values to bytes and back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jeepney.low_level import Endianness, parse_signature

from kdb.cli.marshal import decode, encode

TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)
VALUES = {
    "y": st.integers(0, 255),
    "b": st.booleans(),
    "n": st.integers(-(2**15), 2**15 - 1),
    "q": st.integers(0, 2**16 - 1),
    "i": st.integers(-(2**31), 2**31 - 1),
    "u": st.integers(0, 2**32 - 1),
    "x": st.integers(-(2**63), 2**63 - 1),
    "t": st.integers(0, 2**64 - 1),
    "d": st.floats(allow_nan=False),
    "s": TEXT,
    "ay": st.binary(),
    "as": st.lists(TEXT, max_size=3),
    "a{ss}": st.dictionaries(TEXT, TEXT, max_size=3),
    "a(ssa{ss})": st.lists(
        st.tuples(TEXT, TEXT, st.dictionaries(TEXT, TEXT, max_size=3)), max_size=3
    ),
    "(yt)": st.tuples(st.integers(0, 255), st.integers(0, 2**64 - 1)),
    "v": st.one_of(
        st.tuples(st.just("s"), TEXT),
        st.tuples(st.just("at"), st.lists(st.integers(0, 2**64 - 1))),
        st.tuples(st.just("v"), st.tuples(st.just("y"), st.integers(0, 255))),
    ),
}
BODIES = st.lists(st.sampled_from(sorted(VALUES)), max_size=6).flatmap(
    lambda codes: st.tuples(st.just("".join(codes)), st.tuples(*(VALUES[code] for code in codes)))
)


@given(BODIES)
def test_what_is_encoded_is_decoded(body):
    signature, values = body
    assert decode(signature, encode(signature, values)) == list(values)


@given(BODIES)
def test_the_bytes_are_those_of_jeepney(body):
    signature, values = body
    other = parse_signature(list(f"({signature})"))
    assert encode(signature, values) == other.serialise(values, 0, Endianness.little)
    data = other.serialise(values, 0, Endianness.big)
    assert decode(signature, data, ">") == list(values)


def test_signatures_and_paths_are_strings():
    data = encode("og", ("/a", "a{sv}"))
    assert decode("og", data) == ["/a", "a{sv}"]


def test_a_string_that_cannot_be_sent_is_refused():
    with pytest.raises(ValueError, match="NUL"):
        encode("s", ("a\0b",))
    with pytest.raises(UnicodeEncodeError):
        encode("s", ("\udcff",))
