"""What a key set remembers of its gets."""

import pytest

from kdb import base as bases
from kdb.base import NOTHING, Base, after_get, after_set, covers, nearest, within
from kdb.model.content import Content
from kdb.model.names import unescape


def keys(revision, *names):
    return [(unescape(name), Content(name, revision=revision)) for name in names]


def names(base):
    return {name: content.revision for name, content in base.items()}


def by_name(revisions):
    return {unescape(name): revision for name, revision in revisions.items()}


@pytest.mark.parametrize(
    ("upper", "lower", "expected"),
    [
        ("user:/", "user:/a", True),
        ("user:/a", "user:/a", True),
        ("user:/a", "user:/ab", False),
        ("user:/a", "user:/", False),
        ("/", "user:/a", True),
        ("/a", "system:/a/b", True),
        ("/a", "/a/b", True),
        ("user:/", "/a", False),
        ("user:/", "system:/", False),
    ],
)
def test_a_get_of_a_parent_is_one_of_what_is_below(upper, lower, expected):
    assert covers(unescape(upper), unescape(lower)) is expected


def test_a_first_get_is_all_that_is_known():
    base = after_get(None, unescape("user:/"), 7, keys(3, "user:/a"))
    assert names(base) == by_name({"user:/a": 3})
    assert base.gets == by_name({"user:/": 7})
    assert base.since(unescape("user:/a/b")) == 7
    assert base.since(unescape("/")) is None


def test_a_get_replaces_what_is_at_and_below_its_parent():
    base = after_get(None, unescape("user:/"), 7, keys(3, "user:/a", "user:/a/b", "user:/c"))
    after = after_get(base, unescape("user:/a"), 9, keys(8, "user:/a/z"))
    assert names(after) == by_name({"user:/c": 3, "user:/a/z": 8})
    assert after.gets == by_name({"user:/": 7, "user:/a": 9})
    assert after.since(unescape("user:/a")) == 9
    assert after.since(unescape("user:/c")) == 7
    assert names(base) == by_name({"user:/a": 3, "user:/a/b": 3, "user:/c": 3})


def test_a_wider_get_forgets_the_narrower_ones():
    base = after_get(None, unescape("user:/a"), 7, keys(3, "user:/a"))
    after = after_get(base, unescape("/"), 9, keys(8, "system:/a"))
    assert names(after) == by_name({"system:/a": 8})
    assert after.gets == by_name({"/": 9})


def test_a_set_teaches_the_revisions_of_what_it_wrote_and_of_nothing_else():
    base = after_get(None, unescape("user:/"), 7, keys(3, "user:/a", "user:/b", "user:/c"))
    written = [
        (unescape("user:/a"), Content("new"), 3),
        (unescape("user:/b"), None, 3),
        (unescape("user:/d"), Content("same"), 0),
        (unescape("user:/gone"), None, 2),
    ]
    after = after_set(base, written, 20, {unescape("user:/d"): 12})
    assert names(after) == by_name({"user:/a": 20, "user:/c": 3, "user:/d": 12})
    assert after[unescape("user:/a")].value == "new"
    assert after.gets == by_name({"user:/": 7})


def test_a_set_right_after_a_get_counts_as_got():
    base = after_get(None, unescape("user:/"), 7, [])
    after = after_set(base, [(unescape("user:/a"), Content("1"), 0)], 8, {})
    assert after.gets == by_name({"user:/": 8})
    assert base.gets == by_name({"user:/": 7})


def test_the_nearest_parent_that_was_got_is_taken():
    root, a, cascading = Base(), Base(), Base()
    known = {unescape("user:/"): root, unescape("user:/a"): a, unescape("/a"): cascading}
    assert nearest(known, unescape("user:/a/b")) is a
    assert nearest(known, unescape("user:/a")) is a
    assert nearest(known, unescape("user:/b")) is root
    assert nearest(known, unescape("system:/a/b")) is cascading
    assert nearest(known, unescape("system:/b")) is None


def test_within_a_cascading_parent_are_the_keys_of_all_namespaces():
    some = dict(keys(1, "spec:/a", "user:/a/b", "user:/b", "proc:/a"))
    assert set(within(some, unescape("/a"))) == {unescape("spec:/a"), unescape("user:/a/b")}


def test_what_is_no_base_yet_is_made_one():
    base = Base()
    assert bases.of(None) is None
    assert bases.of(base) is base
    made = bases.of({unescape("user:/a"): Content("1")})
    assert made == {unescape("user:/a"): Content("1")}
    assert made.gets == {}
    assert NOTHING == {}
