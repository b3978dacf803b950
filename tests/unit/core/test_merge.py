"""Edited files: what of them is taken in, and what the file lacks then."""

import pytest
from core_state import REVISION, content, drafted, key, mounted, mounts, pauses

from kdbd.core.commit import Draft, KeyChange
from kdbd.core.merge import merge_file, same, unwritten_after
from kdbd.core.requests import SLICE_KEYS

NAME = key("user:/a")

# What the file was (the base), what is committed since (ours), what the file is now (theirs), and
# what the key becomes.
CASES = {
    "nothing happened": ("1", "1", "1", "1"),
    "edited": ("1", "1", "2", "2"),
    "removed from the file": ("1", "1", None, None),
    "added to the file": (None, None, "1", "1"),
    "committed only": ("1", "2", "1", "2"),
    "added by a commit only": (None, "1", None, "1"),
    "removed by a commit only": ("1", None, "1", None),
    "both the same": ("1", "2", "2", "2"),
    "both added the same": (None, "2", "2", "2"),
    "both removed": ("1", None, None, None),
    "both changed": ("1", "2", "3", "3"),
    "both added": (None, "1", "2", "2"),
    "committed and removed from the file": ("1", "2", None, None),
    "removed by a commit and edited": ("1", None, "2", "2"),
    "taken back in the file": ("1", "2", "1", "2"),
}


def merged(base, ours, theirs):
    """Return the draft of one key's merge, and what the file lacks after it."""
    backend = mounted(1, "user:/")
    if ours is not None:
        backend.tree[NAME] = content(ours, revision=3)
    keys = {} if theirs is None else {NAME: content(theirs)}
    unwritten = {} if base == ours else {NAME: None if base is None else content(base)}
    draft = drafted(merge_file(keys, backend, unwritten, mounts(backend)))
    for change in draft.changes:
        backend.apply(change.name, change.new, REVISION)
    return backend, draft, unwritten_after(backend, keys, unwritten)


@pytest.mark.parametrize(("base", "ours", "theirs", "result"), CASES.values(), ids=CASES)
def test_an_edit_stands_and_so_does_a_commit_of_another_key(base, ours, theirs, result):
    backend, draft, lacking = merged(base, ours, theirs)
    old = None if ours is None else content(ours, revision=3)
    if result == ours:
        assert draft == Draft([])
    else:
        new = None if result is None else content(result, revision=REVISION)
        assert draft == Draft([KeyChange(backend, NAME, old, new)])
    written = None if theirs is None else content(theirs)
    assert lacking == ({} if result == theirs else {NAME: written})


def test_changes_come_in_key_order():
    backend = mounted(1, "user:/", {"user:/b": content("1", revision=3)})
    keys = {key(name): content("2") for name in ("user:/c", "user:/a")}
    draft = drafted(merge_file(keys, backend, {}, mounts(backend)))
    assert draft == Draft(
        [
            KeyChange(backend, key("user:/a"), None, content("2", revision=REVISION)),
            KeyChange(backend, key("user:/b"), content("1", revision=3), None),
            KeyChange(backend, key("user:/c"), None, content("2", revision=REVISION)),
        ]
    )


def test_metadata_and_type_are_part_of_an_edit():
    backend = mounted(1, "user:/", {"user:/a": content("1", revision=3)})
    for theirs in (content("1", {"m": ""}), content(b"1", {"binary": ""})):
        (change,) = drafted(merge_file({NAME: theirs}, backend, {}, mounts(backend))).changes
        assert change.new == theirs._replace(revision=REVISION)


def test_what_a_deeper_mountpoint_hides_is_taken_in_but_not_announced():
    backend = mounted(1, "user:/")
    shown = mounts(backend, mounted(2, "user:/m"))
    name = key("user:/m/a")
    draft = drafted(merge_file({name: content("1")}, backend, {}, shown))
    assert draft == Draft(
        [KeyChange(backend, name, None, content("1", revision=REVISION), announced=False)]
    )


def test_what_another_backend_hides_whole_is_not_announced():
    hidden = mounted(1, "user:/", {"user:/a": content("1", revision=3)})
    (change,) = drafted(merge_file({}, hidden, {}, mounts(mounted(2, "user:/")))).changes
    assert change == KeyChange(hidden, NAME, content("1", revision=3), None, announced=False)


def test_a_long_merge_lets_others_go_on():
    backend = mounted(1, "user:/")
    keys = {key(f"user:/{number}"): content("1") for number in range(2 * SLICE_KEYS)}
    assert pauses(merge_file(keys, backend, {}, mounts(backend))) == 2


def test_contents_are_the_same_whatever_their_revisions():
    assert same(None, None)
    assert same(content("1", revision=3), content("1", revision=4))
    assert not same(content("1"), content("2"))
    assert not same(None, content(""))
    assert not same(content(""), None)
