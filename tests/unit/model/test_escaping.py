"""The escaped form: what is refused and with which words, canonical text, array parts."""

import re

import pytest

from kdb.model.errors import InvalidName, NameTooLong
from kdb.model.escaping import (
    MAX_INDEX,
    MAX_NAME_BYTES,
    array_index,
    array_part,
    canonical,
    encode_part,
    escape,
    parts,
    unescape,
    unescape_below,
)


@pytest.mark.parametrize(
    "name", ["", "a", "a/b", "user", "user:", "user:a", "User:/", "sys:/", "none:/"]
)
def test_a_name_begins_with_a_slash_or_a_namespace_and_a_slash(name):
    with pytest.raises(InvalidName) as caught:
        unescape(name)
    assert str(caught.value) == (
        f"{name!r} does not begin with a slash or a namespace and a slash; write meta:/, spec:/, "
        "proc:/, dir:/, user:/, system:/, default:/ or, to look up in all of them, /"
    )


@pytest.mark.parametrize(
    ("name", "where"),
    [
        ("/a\\", "at the end"),
        ("/\\\\\\", "at the end"),
        ("/a\\b", "before 'b'"),
        ("/a\\.", "before '.'"),
        ("/\\...", "before '.'"),
        ("/\\%a", "before '%'"),
        ("/\\\\\\%", "before '%'"),
        ("/\\#a", "before '#'"),
        ("/\\#01", "before '#'"),
        ("/\\#9223372036854775808", "before '#'"),
        ("/\\\n", r"before '\n'"),
    ],
)
def test_a_backslash_that_escapes_nothing_is_refused(name, where):
    with pytest.raises(InvalidName) as caught:
        unescape(name)
    assert str(caught.value) == (
        f"{name!r} has a backslash {where} that escapes nothing; "
        "write a backslash that is part of a name as \\\\"
    )


def test_a_nul_is_refused():
    with pytest.raises(InvalidName) as caught:
        unescape("user:/a\0b")
    assert str(caught.value) == r"'user:/a\x00b' contains a NUL, which no name may; remove it"


def test_half_of_a_surrogate_pair_is_refused():
    with pytest.raises(InvalidName) as caught:
        unescape("user:/\ud83d")
    assert str(caught.value) == (
        r"'user:/\ud83d' contains half of a surrogate pair; write the character itself"
    )


def test_a_long_name_is_cut_in_the_message():
    with pytest.raises(InvalidName, match=rf"'{'a' * 100}\.\.\.' does not begin"):
        unescape("a" * 1000)


@pytest.mark.parametrize("character", ["a", "ä", "🙂", "\udcff"])
def test_a_name_has_at_most_65536_bytes(character):
    size = len(character.encode(errors="surrogateescape"))
    count = (MAX_NAME_BYTES - len("/")) // size
    fits = "/" + character * count
    assert escape(unescape(fits)) == fits
    for parse in (unescape, canonical):
        with pytest.raises(NameTooLong) as caught:
            parse(fits + character)
        assert str(caught.value) == "a key name may have 65536 bytes of UTF-8; shorten it"


def test_the_canonical_form_is_bounded_too():
    grows = "/#10" * (MAX_NAME_BYTES // 4)
    for parse in (unescape, canonical):
        with pytest.raises(NameTooLong):
            parse(grows)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("user:/", "user:/"),
        ("//", "/"),
        ("user:/a/#0/b", "user:/a/#0/b"),
        ("user://a/./b/../#10/c//", "user:/a/#_10/c"),
        ("/../..", "/"),
        ("/%/.a/%b", "/%/.a/%b"),
    ],
)
def test_the_canonical_text_is_what_the_parsed_name_prints(name, text):
    assert canonical(name) == escape(unescape(name)) == text


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("/\\#", "/#"),
        ("user:/\\#1", "user:/#1"),
        ("/a/#\\#/b", "/a/##/b"),
        ("/\\\\\\#10", "/\\\\#10"),
        ("/a\\/\\.", "/a\\/."),
    ],
)
def test_a_backslash_that_says_nothing_stays_in_the_canonical_text_only(text, escaped):
    assert canonical(text) == text
    assert escape(unescape(text)) == escaped


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("/a:b/../c:d", ["c:d"]),
        ("/:/..", []),
        ("/a\\/../b", ["a/..", "b"]),
        ("/#9223372036854775807", ["#__________________9223372036854775807"]),
        ("/#9223372036854775808", ["#9223372036854775808"]),
        ("/#" + "9" * 5000, ["#" + "9" * 5000]),
        ("/\\#" + "1" * 5000, ["#" + "1" * 5000]),
        ("/#۱۲", ["#۱۲"]),
    ],
)
def test_parts_beyond_what_was_recorded(name, found):
    assert list(parts(unescape(name))) == found


@pytest.mark.parametrize(
    ("part", "escaped"),
    [
        ("", "%"),
        ("%", "\\%"),
        (".", "\\."),
        ("..", "\\.."),
        ("...", "..."),
        ("%a", "%a"),
        ("#10", "\\#10"),
        ("#_10", "#_10"),
        ("#1", "#1"),
        ("#01", "#01"),
        ("#10b", "#10b"),
        ("a/b\\c", "a\\/b\\\\c"),
    ],
)
def test_a_part_is_escaped_where_it_would_mean_something_else(part, escaped):
    for name in (f"user:/{escaped}", f"user:/x/{escaped}", f"user:/{escaped}/x"):
        assert escape(unescape(name)) == name
        assert part in parts(unescape(name))


@pytest.mark.parametrize(
    ("suffix", "result"),
    [
        ("", "user:/a/\\%/#_10"),
        ("/", "user:/a/\\%/#_10"),
        ("b//#11/", "user:/a/\\%/#_10/b/#_11"),
        ("..", "user:/a/\\%"),
        ("../../../../b", "user:/b"),
        ("system:/b", "user:/a/\\%/#_10/system:/b"),
        ("/\\.", "user:/a/\\%/#_10/\\."),
        ("\\#12", "user:/a/\\%/#_10/\\#12"),
    ],
)
def test_a_suffix_is_parsed_below_a_name(suffix, result):
    assert escape(unescape_below(unescape("user:/a/\\%/#10"), suffix)) == result


def test_a_suffix_cannot_begin_with_the_backslash_of_a_dot():
    with pytest.raises(InvalidName, match=re.escape("'\\\\.' has a backslash before '.'")):
        unescape_below(unescape("user:/a"), "\\.")


@pytest.mark.parametrize("index", [0, 9, 10, 99, 100, MAX_INDEX])
def test_an_array_part_counts_its_digits_with_underscores(index):
    part = array_part(index)
    assert part == "#" + "_" * (len(str(index)) - 1) + str(index)
    assert array_index(part) == index
    assert parts(unescape(f"/#{index}")) == (part,)


@pytest.mark.parametrize(
    "part",
    ["", "#", "#10", "#_1", "#01", "#_01", "#1a", "a", "#__", "#۱", f"#{'_' * 18}{MAX_INDEX + 1}"],
)
def test_other_parts_have_no_index(part):
    assert array_index(part) is None


@pytest.mark.parametrize("index", [-1, MAX_INDEX + 1])
def test_indices_are_bounded(index):
    with pytest.raises(ValueError, match=f"{index} is no array index; indices go from 0 to"):
        array_part(index)


def test_a_suffix_is_bounded_however_short_its_result():
    with pytest.raises(NameTooLong):
        unescape_below(unescape("user:/a"), "/" * (MAX_NAME_BYTES + 1))


def test_a_part_is_encoded_with_the_nul_before_it():
    assert encode_part("ä\udcff") == b"\0\xc3\xa4\xff"
    with pytest.raises(InvalidName) as caught:
        encode_part("a\0")
    assert str(caught.value) == r"'a\x00' contains a NUL, which no part of a name may; remove it"
