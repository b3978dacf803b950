"""Laws of the dump format."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdb.model import names
from kdb.model.content import Content
from kdb.model.errors import SyntacticError
from kdbd.store import dump
from kdbd.store.dump import SharedText

# Text as a file gives it: any bytes but NUL, those that are no UTF-8 as surrogates.
texts = st.binary(max_size=12).map(
    lambda raw: raw.replace(b"\0", b"").decode("utf-8", "surrogateescape")
)
telling = st.sampled_from(
    ["", "%", ".", "..", "#", "#10", "#_10", "/", "\\", "a/b", "\\#1", "$end\n"]
)
parts = st.one_of(telling, texts)
mountpoints = st.lists(parts, max_size=3).map(
    lambda found: names.from_parts(names.Namespace.USER, found)
)


@st.composite
def key_sets(draw: st.DrawFn) -> tuple[bytes, list[tuple[bytes, Content]]]:
    """Draw a mountpoint and a key set below it, some of its metadata shared by several keys."""
    mountpoint = draw(mountpoints)
    shared = [SharedText(text) for text in draw(st.lists(texts, max_size=2))]
    meta_texts = st.one_of(texts, st.sampled_from(shared)) if shared else texts
    keys: dict[bytes, Content] = {}
    for path in draw(st.lists(st.lists(parts, max_size=3), max_size=6)):
        name = mountpoint
        for part in path:
            name = names.add_base_name(name, part)
        meta = {}
        for meta_path in draw(st.lists(st.lists(parts, min_size=1, max_size=2), max_size=3)):
            meta_name = names.from_parts(names.Namespace.META, meta_path)
            meta[meta_name] = draw(meta_texts)
        binary = draw(st.booleans())
        meta.pop(b"\x02\0binary", None)
        if binary:
            meta[b"\x02\0binary"] = ""
        keys[name] = Content(
            draw(st.binary(max_size=12)) if binary else draw(texts),
            {names.escape(one).removeprefix("meta:/"): meta[one] for one in sorted(meta)},
        )
    return mountpoint, sorted(keys.items())


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
