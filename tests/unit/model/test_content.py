"""Contents: values, metadata, what no key may hold."""

import pytest

from kdb.model.content import MAX_VALUE_BYTES, NO_META, Content, is_utf8, make, meta
from kdb.model.errors import InvalidName, InvalidValue, NameTooLong, ValueTooLarge


def test_metadata_are_named_without_prefix_canonical_and_in_key_order():
    given = {"meta:/type": "long", "check//range/": "1-2", "a b": "", "a": "", "a/#10": "x"}
    assert list(meta(given).items()) == [
        ("a", ""),
        ("a/#_10", "x"),
        ("a b", ""),
        ("check/range", "1-2"),
        ("type", "long"),
    ]


def test_metadata_cannot_be_changed():
    with pytest.raises(TypeError):
        meta({"a": "1"})["a"] = "2"


def test_no_metadata_are_shared():
    assert meta({}) is NO_META
    assert make("x").meta is NO_META


@pytest.mark.parametrize("name", ["", "meta:/", "/", "a/..", "."])
def test_a_metadata_name_may_be_empty(name):
    assert list(meta({"a": "1", name: "2"}).items()) == [("", "2"), ("a", "1")]


def test_metadata_names_follow_the_rules_of_names():
    with pytest.raises(InvalidName, match="backslash"):
        meta({"a\\": ""})
    with pytest.raises(NameTooLong):
        meta({"a" * 65_536: ""})


def test_a_metadata_name_in_two_spellings_is_refused():
    with pytest.raises(InvalidName, match="'a', 'meta:/a' name a metadata key twice; send one"):
        meta({"a": "1", "meta:/a": "2"})


def test_a_content_is_value_metadata_and_revision_zero():
    assert make("x", {"meta:/type": "any"}) == Content("x", {"type": "any"}, 0)
    assert make(b"\0\xff", {"binary": ""}) == Content(b"\0\xff", {"binary": ""}, 0)


def test_contents_are_the_same_whatever_the_revision():
    assert Content("x", {"a": "1"}, 3).same_as(Content("x", {"a": "1"}, 4))
    assert not Content("x").same_as(Content("y"))
    assert not Content("x").same_as(Content(b"x"))
    assert not Content("x", {"a": "1"}).same_as(Content("x", {"a": "2"}))


@pytest.mark.parametrize(
    ("value", "metadata", "text"),
    [
        (b"x", {}, "add it or send a string"),
        ("x", {"binary": ""}, "remove it or send bytes"),
    ],
)
def test_a_value_is_bytes_exactly_when_the_metadata_has_binary(value, metadata, text):
    with pytest.raises(InvalidValue, match=f"binary exactly when .* 'binary'; {text}"):
        make(value, metadata)


def test_a_string_holds_no_nul_and_no_half_of_a_surrogate_pair():
    with pytest.raises(InvalidValue, match="a value holds a NUL; remove it or make the key binary"):
        make("a\0b")
    with pytest.raises(InvalidValue, match="the metadata 'type' holds a NUL"):
        make("a", {"type": "a\0b"})
    with pytest.raises(InvalidValue, match="half of a surrogate pair, which UTF-8 cannot carry"):
        make("\ud83d")


def test_bytes_from_files_that_are_no_utf8_are_kept():
    assert make("a\udcff").value == "a\udcff"


@pytest.mark.parametrize("character", ["x", "ä"])
def test_a_value_has_at_most_16_mib_of_utf8(character):
    fits = character * (MAX_VALUE_BYTES // len(character.encode()))
    assert make(fits).value is fits
    with pytest.raises(ValueTooLarge, match="bytes, at most 16777216 are kept; store it in a file"):
        make(fits + character)


def test_a_binary_value_and_metadata_are_bounded_too():
    with pytest.raises(ValueTooLarge, match="a value has 16777217 bytes"):
        make(bytes(MAX_VALUE_BYTES + 1), {"binary": ""})
    with pytest.raises(ValueTooLarge, match="the metadata 'a' has 16777217 bytes"):
        make("", {"a": "x" * (MAX_VALUE_BYTES + 1)})


@pytest.mark.parametrize(
    ("text", "is_one"), [("", True), ("a", True), ("\u00e4\U0001f600", True), ("a\udcff", False)]
)
def test_bytes_of_files_that_are_no_utf8_are_told_apart(text, is_one):
    assert is_utf8(text) is is_one
