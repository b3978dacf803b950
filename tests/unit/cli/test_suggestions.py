"""How begun names go on: the same as what reading everything tells, and little is read for it."""

from bisect import bisect_right

import pytest
from hypothesis import given
from hypothesis import strategies as st
from key_names import from_parts

from kdb.cli.suggestions import suggestions
from kdb.model.names import Namespace, end_of_subtree, escape, is_below, unescape

ROOTS = (Namespace.SPEC, Namespace.DIR, Namespace.USER, Namespace.SYSTEM)


class Bus:
    """kdbd's List over some names; it counts what it answered."""

    def __init__(self, names):
        self.names = sorted(map(unescape, names))
        self.calls = 0
        self.answered = 0

    def call(self, member, signature, parent, after, limit):
        assert (member, signature) == ("List", "ssu")
        start, end = unescape(parent), end_of_subtree(unescape(parent))
        at = bisect_right(self.names, unescape(after)) if after else 0
        found = [name for name in self.names[at:] if start <= name < end]
        page = found[: limit or 10_000]
        self.calls += 1
        self.answered += len(page)
        return [escape(name) for name in page], len(page) < len(found)


def texts(names, begun, most=None):
    return [each.text for each in suggestions(Bus(names), begun, most=most)]


NAMES = ["user:/t/a", "user:/t/b", "user:/t/b/c", "user:/t/b/d/e", "system:/t/s"]


@pytest.mark.parametrize(
    ("begun", "most", "expected"),
    [
        ("", 1, ["spec:/", "proc:/", "dir:/", "user:/", "system:/"]),
        ("s", 1, ["spec:/", "system:/"]),
        ("user:", 2, ["user:/", "user:/t/"]),
        ("user:/", 1, ["user:/t/"]),
        ("user:/t/", 1, ["user:/t/a", "user:/t/b/"]),
        ("user:/t/b", None, ["user:/t/b/", "user:/t/b/c", "user:/t/b/d/", "user:/t/b/d/e"]),
        ("user:/t/b/", 1, ["user:/t/b/c", "user:/t/b/d/"]),
        ("user://t/../t/a", 1, ["user:/t/a"]),
        ("/t/", 1, ["user:/t/a", "user:/t/b/", "system:/t/s"]),
        ("/", 1, ["user:/t/", "system:/t/"]),
        ("proc:/", None, []),
        ("default:/t/", None, []),
        ("meta:/", None, []),
        ("wrong:/t", None, []),
        ("t/a", None, []),
        ("user:/\\x/", None, []),
        ("+", 1, ["user:/t/", "system:/t/"]),
        ("+b", None, []),
    ],
)
def test_a_name_goes_on(begun, most, expected):
    assert texts(NAMES, begun, most) == expected


def test_a_key_with_keys_below_is_both():
    (found,) = suggestions(Bus(NAMES), "user:/t/b", most=1)
    assert (found.is_key, found.has_keys_below, found.part) == (True, True, "b")


PARTS = st.text("ab#%./\\\x01é\U0010ffff", max_size=3)
KEYS = st.sets(
    st.builds(
        lambda root, parts: escape(from_parts(root, parts)),
        st.sampled_from(ROOTS),
        st.lists(PARTS, min_size=1, max_size=3),
    ),
    max_size=12,
)


@given(KEYS, st.data())
def test_suggestions_are_all_that_begin_so(names, data):
    name = data.draw(st.sampled_from(sorted(names))) if names else "user:/a"
    begun = name[: data.draw(st.integers(name.index("/") + 1, len(name)))]
    most = data.draw(st.sampled_from([None, 1, 2]))
    level, parents = _level(begun)
    expected = set()
    for each in map(unescape, names):
        for parent in parents:
            if is_below(each, parent):
                rest = each[len(parent) + 1 :].split(b"\0")
                for depth in range(1, min(len(rest), most or len(rest)) + 1):
                    path = escape(parent + b"\0" + b"\0".join(rest[:depth]))
                    if path.startswith(begun):
                        expected.add(unescape(path))
    found = [unescape(each.name) for each in suggestions(Bus(names), begun, most=most)]
    assert found == sorted(expected), level


def _level(begun):
    """Cut a canonical beginning after the last slash that is no part of a part."""
    at = len(begun)
    while begun[at - 1] != "/" or (len(begun[: at - 1]) - len(begun[: at - 1].rstrip("\\"))) % 2:
        at -= 1
    return begun[:at], [unescape(begun[:at])]


def test_little_is_read_for_a_narrow_beginning():
    names = [f"user:/wide/{group:03}/{number:02}" for group in range(1000) for number in range(50)]
    names += [f"user:/long/{number:05}" for number in range(50_000)]
    for begun, most, count in (
        ("user:/long/31415", None, 1),
        ("user:/wide/777/", 1, 50),
        ("user:/wide/77", 1, 10),
        ("user:/", 1, 2),
        ("user:/wide/777/7", None, 0),
    ):
        bus = Bus(names)
        found = list(suggestions(bus, begun, most=most))
        assert len(found) == count, begun
        assert bus.calls <= 4, (begun, bus.calls)
        assert bus.answered <= 1_500, (begun, bus.answered)
