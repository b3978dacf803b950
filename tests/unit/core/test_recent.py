"""The names that changed last."""

import pytest
from core_state import key

from kdbd.core.recent import RECENT_NAMES, RecentChanges

NOWHERE: frozenset[str] = frozenset()


def recent(*commits, revision=10):
    """Return what remembers these commits' names, the first of revision 11."""
    made = RecentChanges(revision)
    for number, names in enumerate(commits, start=revision + 1):
        made.note(number, [("", key(name)) for name in names])
    return made


def test_at_first_nothing_changed_since_the_start_and_nothing_is_known_of_before():
    made = recent()
    assert made.since == 10
    assert made.changed(key("user:/"), 10, NOWHERE) is False
    assert made.changed(key("user:/"), 9, NOWHERE) is None
    assert made.has("", key("user:/a"), 10) is False


@pytest.mark.parametrize(
    ("parent", "since", "changed"),
    [
        ("user:/", 10, True),
        ("user:/", 11, False),
        ("user:/a", 10, True),
        ("user:/a/b", 10, True),
        ("user:/a/b/c", 10, False),
        ("user:/ab", 10, False),
        ("system:/", 11, True),
        ("system:/", 12, False),
        ("spec:/", 10, False),
        ("/", 11, True),
        ("/", 12, False),
        ("/a", 10, True),
        ("/a", 11, False),
        ("/x", 11, True),
    ],
)
def test_a_subtree_changed_when_a_key_at_or_below_it_did(parent, since, changed):
    made = recent(["user:/a/b"], ["system:/x"])
    assert made.changed(key(parent), since, NOWHERE) is changed


def test_of_dir_only_the_given_directories_count():
    made = RecentChanges(10)
    made.note(11, [("/here", key("dir:/a")), ("/there", key("dir:/b"))])
    assert made.changed(key("dir:/a"), 10, frozenset({"/here"})) is True
    assert made.changed(key("dir:/b"), 10, frozenset({"/here"})) is False
    assert made.changed(key("/"), 10, frozenset({"/there", "/elsewhere"})) is True
    assert made.changed(key("/"), 10, NOWHERE) is False


def test_a_name_is_known_by_revision_and_directory():
    made = RecentChanges(10)
    made.note(11, [("", key("user:/a")), ("/here", key("dir:/a"))])
    made.note(12, [("", key("user:/b"))])
    assert made.has("", key("user:/a"), 10) is True
    assert made.has("", key("user:/a"), 11) is False
    assert made.has("", key("user:/b"), 11) is True
    assert made.has("", key("user:/b/c"), 10) is False
    assert made.has("/here", key("dir:/a"), 10) is True
    assert made.has("/there", key("dir:/a"), 10) is False


def test_beyond_the_bound_whole_commits_are_forgotten_the_oldest_first():
    made = recent(["user:/a", "user:/b"], ["user:/c"])
    made.note(13, [("", key(f"system:/{number}")) for number in range(RECENT_NAMES - 3)])
    assert made.since == 10
    made.note(14, [("", key("user:/d"))])
    assert made.since == 11
    assert made.changed(key("user:/a"), 10, NOWHERE) is None
    assert made.changed(key("user:/a"), 11, NOWHERE) is False
    assert made.changed(key("user:/c"), 11, NOWHERE) is True


def test_a_commit_as_large_as_the_bound_is_remembered():
    made = recent(["user:/a"])
    made.note(12, [("", key(f"system:/{number}")) for number in range(RECENT_NAMES)])
    assert made.since == 11
    assert made.changed(key("system:/0"), 11, NOWHERE) is True


def test_a_commit_beyond_the_bound_forgets_all():
    made = recent(["user:/a"])
    made.note(12, [("", key(f"system:/{number}")) for number in range(RECENT_NAMES + 1)])
    assert made.since == 12
    assert made.changed(key("system:/0"), 11, NOWHERE) is None
    assert made.changed(key("system:/0"), 12, NOWHERE) is False
