"""Change sets, and what a commit says of itself."""

import pytest
from core_state import content, key, mounted

from kdbd.core.commit import (
    REBUILD_CHANGES,
    Caller,
    Commit,
    Draft,
    KeyChange,
    Structure,
    rebuild,
)

OLD, NEW = content("1", revision=3), content("2", revision=4)


def commit(*changes, revision=4):
    return Commit(revision, list(changes), Caller(), "client")


def change(backend, name, old=None, new=NEW, **options):
    return KeyChange(backend, key(name), old, new, **options)


@pytest.mark.parametrize(
    ("old", "new", "kind"),
    [(None, NEW, "added"), (OLD, NEW, "changed"), (OLD, None, "removed")],
)
def test_a_change_knows_its_kind(old, new, kind):
    assert change(mounted(1, "user:/"), "user:/a", old, new).kind == kind


def test_a_change_is_stored_and_announced_unless_told_otherwise():
    assert change(mounted(1, "user:/"), "user:/a")[4:] == (True, True)


def test_a_key_that_appears_is_shown_in_its_backend():
    backend = mounted(1, "user:/", {"user:/a": OLD, "user:/b": OLD})
    change(backend, "user:/a", stored=False).show()
    change(backend, "user:/b", OLD, None, stored=False).show()
    assert dict(backend.tree) == {key("user:/a"): NEW, key("user:/b"): OLD}


def test_what_nobody_asked_for_has_no_caller():
    assert Caller() == Caller(sender="", uid=-1, pid=-1, program="")


def test_a_draft_tells_nothing_unless_told():
    assert Draft([]) == Draft([], answer=None, unchanged_revision=0)


def test_a_commit_has_no_reason_and_no_structure_unless_told():
    plain = commit()
    assert (plain.revision, plain.changes, plain.origin) == (4, [], "client")
    assert (plain.reason, plain.structure) == ("", None)
    assert Structure() == Structure(mounted=(), unmounted=())


def test_the_names_of_a_commit_come_by_kind_in_key_order():
    one, other = mounted(1, "user:/"), mounted(2, "user:/m")
    names = commit(
        change(one, "user:/z", OLD, None),
        change(other, "user:/m/b"),
        change(one, "user:/b"),
        change(one, "user:/y", OLD, NEW),
        change(other, "user:/m/a"),
        change(one, "user:/a", OLD, None),
        change(one, "user:/x", OLD, NEW),
    ).names()
    assert names == (
        [key("user:/b"), key("user:/m/a"), key("user:/m/b")],
        [key("user:/x"), key("user:/y")],
        [key("user:/a"), key("user:/z")],
    )


def test_keys_that_appear_are_named_and_hidden_ones_are_not():
    one, other = mounted(1, "user:/"), mounted(2, "user:/m")
    names = commit(
        change(one, "user:/m/a", announced=False),
        change(other, "user:/m/b", stored=False),
        change(other, "user:/m/c", OLD, NEW, announced=False),
        change(other, "user:/m/c", OLD, None, stored=False),
    ).names()
    assert names == ([key("user:/m/b")], [], [key("user:/m/c")])


def test_few_changes_rebuild_nothing():
    one = mounted(1, "user:/")
    changes = [change(one, f"user:/{number}") for number in range(REBUILD_CHANGES - 1)]
    assert rebuild([]) == {}
    assert rebuild([commit(*changes)]) == {}


def test_many_changes_of_a_batch_rebuild_its_backend_as_after_the_whole_batch():
    one = mounted(1, "user:/", {"user:/old": OLD, "user:/0": OLD})
    half = REBUILD_CHANGES // 2
    first = [change(one, f"user:/{number}") for number in range(half)]
    second = [change(one, f"user:/{number}") for number in range(half, REBUILD_CHANGES - 1)]
    second.append(change(one, "user:/0", NEW, None))
    rebuilt = rebuild([commit(*first), commit(*second, revision=5)])
    assert list(rebuilt) == [one]
    names = sorted(["user:/old", *(f"user:/{number}" for number in range(1, REBUILD_CHANGES - 1))])
    assert list(rebuilt[one]) == sorted(map(key, names))
    assert dict(one.tree) == {key("user:/old"): OLD, key("user:/0"): OLD}


def test_only_backends_of_which_much_changes_are_rebuilt():
    many, few = mounted(1, "user:/"), mounted(2, "user:/m")
    appearing, vanishing = mounted(3, "user:/n"), mounted(4, "user:/o")
    numbers = range(REBUILD_CHANGES)
    changes = [change(many, f"user:/{number}") for number in numbers]
    changes += [change(few, f"user:/m/{number}") for number in numbers[1:]]
    changes += [change(appearing, f"user:/n/{number}", stored=False) for number in numbers]
    changes += [
        change(vanishing, f"user:/o/{number}", OLD, None, stored=False) for number in numbers
    ]
    rebuilt = rebuild([commit(*changes)])
    assert {backend: len(tree) for backend, tree in rebuilt.items()} == {
        many: REBUILD_CHANGES,
        appearing: REBUILD_CHANGES,
    }


def test_what_is_mounted_has_its_keys_already():
    new = mounted(1, "user:/m")
    shown = commit(
        *[change(new, f"user:/m/{number}", stored=False) for number in range(REBUILD_CHANGES)]
    )
    shown.structure = Structure(mounted=(new,))
    assert rebuild([shown]) == {}
