"""The options of the constructor of a key, and what is wrong with them."""

import pytest

from kdb.model.constants import (
    KEY_BINARY,
    KEY_END,
    KEY_FLAGS,
    KEY_LOCK_NAME,
    KEY_META,
    KEY_SIZE,
    KEY_VALUE,
)
from kdb.model.keyoptions import parse


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ((), (None, {}, 0)),
        (("v",), ("v", {}, 0)),
        ((b"v", {"a": "1"}), (b"v", {"a": "1"}, 0)),
        (({"a": "1"}, KEY_VALUE, "v", {"b": "2"}), ("v", {"a": "1", "b": "2"}, 0)),
        ((KEY_META, "a", "1", KEY_META, "a", "2"), (None, {"a": "2"}, 0)),
        ((KEY_FLAGS, KEY_BINARY, KEY_FLAGS, KEY_LOCK_NAME), (None, {}, KEY_BINARY | KEY_LOCK_NAME)),
        ((KEY_SIZE, KEY_VALUE, KEY_VALUE, "v"), ("v", {}, 0)),
        ((KEY_END, KEY_VALUE), (None, {}, 0)),
    ],
)
def test_options(options, expected):
    assert parse(options) == expected


@pytest.mark.parametrize(
    ("options", "missing"),
    [
        ((KEY_SIZE,), "KEY_SIZE"),
        ((KEY_VALUE,), "KEY_VALUE"),
        ((KEY_META,), "KEY_META"),
        ((KEY_META, "a"), "KEY_META"),
        ((KEY_FLAGS,), "KEY_FLAGS"),
    ],
)
def test_a_missing_operand_is_refused(options, missing):
    with pytest.raises(TypeError, match=f"^nothing follows {missing}$"):
        parse(options)


def test_flags_are_a_number():
    with pytest.raises(TypeError, match=r"^a number follows KEY_FLAGS, not 'x'$"):
        parse((KEY_FLAGS, "x"))


def test_a_flag_on_its_own_is_taken_with_a_warning():
    with pytest.warns(DeprecationWarning, match=r"^write KEY_FLAGS before the flag 16$"):
        assert parse((KEY_BINARY,)) == (None, {}, KEY_BINARY)


def test_an_unknown_option_is_ignored_with_a_warning():
    with pytest.warns(RuntimeWarning, match=r"^the unknown option 1\.5 is ignored$"):
        assert parse((1.5, KEY_VALUE, "v")) == ("v", {}, 0)
