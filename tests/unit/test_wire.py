"""Key sets as blocks."""

import msgpack
import pytest

from kdb import wire
from kdb.model.content import Content, make
from kdb.model.diff import Change
from kdb.model.errors import (
    InvalidBlock,
    InvalidName,
    InvalidValue,
    KDBError,
    NameTooLong,
    ValueTooLarge,
)
from kdb.model.names import unescape

A = unescape("user:/a")
B = unescape("user:/b/ö")


def packed(entries):
    return msgpack.packb(entries, unicode_errors="surrogateescape")


def test_the_answer_to_a_get_is_names_values_metadata_and_revisions():
    keys = [(A, make("1", {"type": "long"})._replace(revision=7)), (B, make(b"\0", {"binary": ""}))]
    block = wire.pack_keys(keys)
    assert msgpack.unpackb(block) == [
        ["user:/a", "1", {"type": "long"}, 7],
        ["user:/b/ö", b"\0", {"binary": ""}, 0],
    ]
    assert wire.unpack_keys(block) == keys


def test_keys_without_metadata_share_one_empty_mapping():
    found = wire.unpack_keys(packed([["user:/a", "", {}, 1], ["user:/b", "", {}, 1]]))
    assert found[0][1].meta is found[1][1].meta


def test_bytes_of_files_that_are_no_utf8_survive():
    keys = [(b"\6\0\xff", Content("\udcff", revision=1))]
    assert wire.unpack_keys(wire.pack_keys(keys)) == keys


def test_a_set_puts_and_removes():
    changes = [(A, make("1", {"m": "x"}), 3), (B, None, 9)]
    block = wire.pack_changes(changes)
    assert msgpack.unpackb(block) == [
        ["user:/a", "1", {"m": "x"}, 3],
        ["user:/b/ö", None, None, 9],
    ]
    assert wire.unpack_changes(block) == changes


def test_metadata_names_may_have_their_prefix():
    block = packed([["user:/a", "1", {"meta:/b": "2", "a": "1"}, 0]])
    ((_, content, _),) = wire.unpack_changes(block)
    assert list(content.meta.items()) == [("a", "1"), ("b", "2")]


@pytest.mark.parametrize(
    ("block", "error"),
    [
        (b"", InvalidBlock),
        (b"\xc1", InvalidBlock),
        (b"\x91", InvalidBlock),
        (b"\x90\x90", InvalidBlock),
        (b"\x80", InvalidBlock),
        (b"\xdd\xff\xff\xff\xff", InvalidBlock),
        (b"\x91" * 5000 + b"\x90", InvalidBlock),
        (packed(["user:/a"]), InvalidBlock),
        (packed([["user:/a", "1", {}]]), InvalidBlock),
        (packed([["user:/a", "1", {}, 0, 0]]), InvalidBlock),
        (packed([[1, "1", {}, 0]]), InvalidBlock),
        (packed([["user:/a", 1, {}, 0]]), InvalidBlock),
        (packed([["user:/a", None, {}, 0]]), InvalidBlock),
        (packed([["user:/a", "1", None, 0]]), InvalidBlock),
        (packed([["user:/a", "1", {"m": 1}, 0]]), InvalidBlock),
        (packed([["user:/a", "1", ["m"], 0]]), InvalidBlock),
        (packed([["user:/a", "1", {}, -1]]), InvalidBlock),
        (packed([["user:/a", "1", {}, True]]), InvalidBlock),
        (packed([["user:/a", "1", {}, 1.0]]), InvalidBlock),
        (packed([["user:/a", "1", {}, 0], ["user:/./a", None, None, 0]]), InvalidBlock),
        (packed([["user:/a", msgpack.ExtType(1, b""), {}, 0]]), InvalidBlock),
        (packed([["nowhere", "1", {}, 0]]), InvalidName),
        (packed([["user:/a", "1", {"\\": ""}, 0]]), InvalidName),
        (packed([["user:/" + "a" * 65_536, "1", {}, 0]]), NameTooLong),
        (packed([["user:/a", "\0", {}, 0]]), InvalidValue),
        (packed([["user:/a", b"1", {}, 0]]), InvalidValue),
        (packed([["user:/a", "1", {"binary": ""}, 0]]), InvalidValue),
        (packed([["user:/a", "a" * (wire.MAX_VALUE_BYTES + 1), {}, 0]]), ValueTooLarge),
        (packed([["user:/a", "ä" * (wire.MAX_VALUE_BYTES // 2 + 1), {}, 0]]), ValueTooLarge),
        (
            packed([["user:/a", b"a" * (wire.MAX_VALUE_BYTES + 1), {"binary": ""}, 0]]),
            ValueTooLarge,
        ),
    ],
)
def test_what_is_no_set_is_an_error_of_its_own_name(block, error):
    with pytest.raises(KDBError) as caught:
        wire.unpack_changes(block)
    assert type(caught.value) is error


@pytest.mark.parametrize(
    ("entry", "error"),
    [
        (["user:/\udcff", "1", {}, 0], InvalidName),
        (["user:/\udcff", None, None, 0], InvalidName),
        (["user:/a", "\udcff", {}, 0], InvalidValue),
        (["user:/a", "1", {"\udcff": "1"}, 0], InvalidName),
        (["user:/a", "1", {"m": "\udcff"}, 0], InvalidValue),
    ],
)
def test_what_is_put_is_utf8(entry, error):
    with pytest.raises(error):
        wire.unpack_changes(packed([entry]))


def test_a_key_of_a_file_whose_name_is_no_utf8_can_be_removed():
    assert wire.unpack_changes(packed([["user:/\udcff", None, None, 4]])) == [
        (b"\6\0\xff", None, 4)
    ]


def test_a_value_of_16_mib_passes():
    value = "ä" * (wire.MAX_VALUE_BYTES // 2)
    ((_, content, _),) = wire.unpack_changes(packed([["user:/a", value, {}, 0]]))
    assert content.value == value


def test_a_block_over_64_mib_is_refused_before_it_is_read():
    with pytest.raises(InvalidBlock, match="over 67108864"):
        wire.unpack_changes(bytes(wire.MAX_BLOCK_BYTES + 1))


@pytest.mark.parametrize("block", [b"\x90\x90", packed([1]), packed([["nowhere", "", {}, 1]])])
def test_what_is_no_answer_to_a_get_is_an_error(block):
    with pytest.raises(InvalidBlock):
        wire.unpack_keys(block)


def test_a_diff_has_old_and_new():
    diff = {
        A: Change(None, make("1", {"m": "x"})),
        B: Change(make(b"1", {"binary": ""}), Content("2")),
        b"\7": Change(Content("3"), None),
    }
    block = wire.pack_diff(diff)
    assert msgpack.unpackb(block)[0] == ["user:/a", None, ["1", {"m": "x"}]]
    assert wire.unpack_diff(block) == diff


def test_the_revisions_in_a_diff_stay_behind():
    block = wire.pack_diff({A: Change(Content("1", revision=5), None)})
    assert wire.unpack_diff(block) == {A: Change(Content("1"), None)}


@pytest.mark.parametrize("block", [b"", packed([["user:/a", 1, None]]), packed([["user:/a"]])])
def test_what_is_no_diff_is_an_error(block):
    with pytest.raises(InvalidBlock):
        wire.unpack_diff(block)


def test_the_keys_that_were_as_asked_come_with_their_revisions():
    assert wire.unpack_present(wire.pack_present({A: 3, B: 4})) == {A: 3, B: 4}
    assert wire.unpack_present(b"") == {}


@pytest.mark.parametrize("data", [b"\x90", b"\xc1", packed({"user:/a": "x"}), packed({"x": 1})])
def test_what_is_no_map_of_revisions_is_an_error(data):
    with pytest.raises(InvalidBlock):
        wire.unpack_present(data)


def test_only_what_the_table_names_goes_into_a_block():
    with pytest.raises(TypeError, match="a block holds no set"):
        wire.pack_keys([(A, Content({1}))])
