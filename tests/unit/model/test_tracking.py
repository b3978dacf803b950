"""What an application changed since it got a key set."""

import pytest

from kdb.model import tracking
from kdb.model.content import Content
from kdb.model.errors import InterfaceError
from kdb.model.names import unescape
from kdb.model.tracking import Put, Removed

BASE = {
    unescape(name): Content(name, revision=revision)
    for revision, name in enumerate(
        ["spec:/a", "dir:/a", "user:/a", "user:/a/b", "user:/ab", "system:/a"], 1
    )
}


def changes(parent="user:/", *, put=(), removed=(), base=BASE):
    contents = {name: content for name, content in BASE.items() if name not in removed} | dict(put)
    return tracking.changes(contents, base, unescape(parent))


def new(*names):
    return {unescape(name): Content("new") for name in names}


def test_nothing_changed():
    assert changes() == ([], [])
    assert changes("/") == ([], [])


def test_changes_come_in_order_with_the_revisions_that_they_replace():
    put = new("user:/z", "user:/a/b", "user:/0")
    assert changes(put=put, removed=[unescape("user:/ab"), unescape("user:/a")]) == (
        [
            Put(unescape("user:/0"), Content("new"), 0),
            Put(unescape("user:/a/b"), Content("new"), 4),
            Put(unescape("user:/z"), Content("new"), 0),
        ],
        [Removed(unescape("user:/a"), 3), Removed(unescape("user:/ab"), 5)],
    )


def test_a_key_that_is_as_it_was_is_not_put():
    name = unescape("user:/a")
    assert changes(put={name: Content("user:/a")}) == ([], [])


def test_one_added_and_one_removed_are_both_found():
    put, removed = changes(put=new("user:/c"), removed=[unescape("user:/a")])
    assert [each.name for each in put] == [unescape("user:/c")]
    assert [each.name for each in removed] == [unescape("user:/a")]


@pytest.mark.parametrize(
    ("parent", "covered"),
    [
        ("user:/a", "user:/a user:/a/b"),
        ("system:/", "system:/a"),
        ("/a", "spec:/a dir:/a user:/a user:/a/b system:/a"),
        ("user:/nothing", ""),
    ],
)
def test_only_what_the_parent_covers_counts(parent, covered):
    names = [unescape(name) for name in covered.split()]
    everything = {*BASE, *new("proc:/a", "default:/a", "proc:/b")}
    asked = changes(parent, put=dict.fromkeys(everything, Content("new")))
    assert [each.name for each in asked.put] == names
    assert asked.removed == []
    asked = changes(parent, removed=BASE)
    assert asked.put == []
    assert [each.name for each in asked.removed] == names


def test_without_a_base_everything_is_put():
    asked = changes("/", base={})
    assert asked == ([Put(name, content, 0) for name, content in BASE.items()], [])


@pytest.mark.parametrize("name", ["/a", "meta:/a"])
def test_what_no_namespace_can_store_is_refused_wherever_it_is(name):
    with pytest.raises(InterfaceError, match=f"the key set holds '{name}'"):
        changes("user:/other", put=new(name))


def test_touched_compares_identities():
    name = unescape("user:/a")
    assert tracking.touched(BASE, BASE) == []
    assert tracking.touched({name: Content("user:/a", revision=3)}, BASE) == [name]
