"""Which names a parent covers."""

import pytest

from kdb.model import subtree
from kdb.model.names import PERSISTABLE, escape, unescape

NAMES = sorted(
    map(
        unescape,
        [
            "/a", "meta:/a", "spec:/a/x", "proc:/a", "dir:/a/%", "user:/", "user:/a", "user:/a/b",
            "user:/a-", "user:/ab", "system:/a", "default:/a/b",
        ],
    )
)  # fmt: skip


@pytest.mark.parametrize(
    ("parent", "namespaces", "covered"),
    [
        ("user:/a", subtree.EVERYWHERE, "user:/a user:/a/b"),
        ("user:/a", PERSISTABLE, "user:/a user:/a/b"),
        ("proc:/a", PERSISTABLE, ""),
        ("user:/a/b", subtree.EVERYWHERE, "user:/a/b"),
        ("user:/", subtree.EVERYWHERE, "user:/ user:/a user:/a/b user:/a- user:/ab"),
        ("dir:/b", subtree.EVERYWHERE, ""),
        (
            "/a",
            subtree.EVERYWHERE,
            "/a meta:/a spec:/a/x proc:/a dir:/a/% user:/a user:/a/b system:/a default:/a/b",
        ),
        ("/a", PERSISTABLE, "spec:/a/x dir:/a/% user:/a user:/a/b system:/a"),
    ],
)
def test_a_parent_covers_itself_and_what_is_below(parent, namespaces, covered):
    name = unescape(parent)
    is_covered = subtree.covers(name, namespaces)
    assert [escape(name) for name in NAMES if is_covered(name)] == covered.split()
    slices = subtree.find(NAMES, name, namespaces)
    assert [escape(name) for part in slices for name in NAMES[part]] == covered.split()


def test_ranges_are_in_the_order_of_names():
    spans = subtree.ranges(unescape("/a"), PERSISTABLE)
    assert [escape(start) for start, _ in spans] == ["spec:/a", "dir:/a", "user:/a", "system:/a"]
    assert all(start < end for start, end in spans)
