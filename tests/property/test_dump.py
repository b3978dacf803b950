"""Laws of the dump format."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from key_set_strategies import key_sets

from kdb.formats import dump
from kdb.model import names
from kdb.model.content import Content
from kdb.model.errors import SyntacticError


def written(mountpoint: bytes, entries: list[tuple[bytes, Content]]) -> bytes:
    return b"".join(dump.write(mountpoint, entries))


@given(key_sets())
def test_reading_what_was_written_gives_the_key_set(
    drawn: tuple[bytes, list[tuple[bytes, Content]]],
) -> None:
    mountpoint, keys = drawn
    data = written(mountpoint, keys)
    found = dump.read(data, mountpoint, "f")
    assert found == keys
    assert [type(one.value) for _, one in found] == [type(one.value) for _, one in keys]
    assert [list(one.meta) for _, one in found] == [list(one.meta) for _, one in keys]
    assert written(mountpoint, found) == data


@given(key_sets(), st.data())
def test_no_proper_prefix_of_a_file_is_a_file(
    drawn: tuple[bytes, list[tuple[bytes, Content]]], data: st.DataObject
) -> None:
    mountpoint, keys = drawn
    file = written(mountpoint, keys)
    # The last newline says nothing; without it the file is whole.
    sizes = st.integers(min_value=1, max_value=len(file) - 2)
    # Nothing, and nothing but the header, are files without keys.
    size = data.draw(sizes.filter(lambda size: size != len(dump.HEADER)))
    with pytest.raises(SyntacticError):
        dump.read(file[:size], mountpoint, "f")


@given(key_sets(), st.data())
def test_a_changed_byte_is_an_error_or_another_well_formed_file(
    drawn: tuple[bytes, list[tuple[bytes, Content]]], data: st.DataObject
) -> None:
    mountpoint, keys = drawn
    file = bytearray(written(mountpoint, keys))
    position = data.draw(st.integers(min_value=0, max_value=len(file) - 1))
    file[position] = data.draw(st.integers(min_value=0, max_value=255))
    try:
        found = dump.read(bytes(file), mountpoint, "f")
    except SyntacticError as error:
        lines = range(1, file.count(b"\n") + 2)
        if not error.reason or error.line not in lines:
            raise
    else:
        again = written(mountpoint, sorted(found))
        assert sorted(dump.read(again, mountpoint, "f")) == sorted(found)


@given(st.binary(max_size=60))
def test_any_bytes_are_an_error_or_a_key_set(data: bytes) -> None:
    for header in (b"", b"kdbOpen 2\n", b"kdbOpen 1\nksNew 1\n"):
        try:
            found = dump.read(header + data, b"\x06", "f")
        except SyntacticError:
            continue
        assert all(names.is_below_or_same(name, b"\x06") for name, _ in found)
