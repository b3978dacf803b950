"""The database: prepare, apply, forget, and what changed since."""

import pytest
from core_state import content, error_of, items, key, mounted, mounts

from kdb.model.errors import HistoryLost, InterfaceError, KeyNotFound, SyntacticError
from kdb.model.names import Namespace as Ns
from kdbd.core.commit import REBUILD_CHANGES, Caller, Draft, KeyChange, Structure, rebuild
from kdbd.core.database import Database
from kdbd.core.recent import RECENT_NAMES
from kdbd.core.requests import (
    SLICE_KEYS,
    Entry,
    apply_all,
    put,
    put_entries,
    remove,
    set_string,
)

ROOTS = ("spec:/", "user:/", "system:/")
CALLER = Caller(":1.7", 1000, 42, "kdb")


def database(keys=None, *, revision=10):
    """Return a database of spec:/, user:/ and system:/ with these keys, of revision 3."""
    roots = {name: mounts(mounted(number, name)) for number, name in enumerate(ROOTS)}
    made = Database(revision, roots)
    for name, value in (keys or {}).items():
        made.view.backend(key(name)).tree[key(name)] = content(value, revision=3)
    return made


def directory(identity, where, *names):
    """Return the mounts of a directory with these keys, of revision 3."""
    stored = {name: content(where, revision=3) for name in names}
    return mounts(mounted(identity, "dir:/", stored, directory=where))


def finished(steps):
    """Return what a generator returns, and how often it let others go on."""
    pauses = 0
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value, pauses
        pauses += 1


def prepared(made, request, **options):
    """Return a request's commit, prepared."""
    return finished(made.admit(made.drafted(request), CALLER, **options))[0]


def committed(made, request):
    """Return a request's commit, prepared and applied."""
    commit = prepared(made, request)
    made.apply([commit])
    return commit


def setting(made, name, value="1"):
    return set_string(made.view, key(name), value)


def removing(made, name):
    return remove(made.view, key(name), recursive=False)


def shown(made):
    return items(made.view.items(key("/")))


# Prepare


def test_a_database_begins_at_its_revision_with_nothing_prepared():
    made = database({"user:/a": "1", "spec:/b": "2"})
    assert (made.revision, made.prepared, made.recent.since) == (10, 10, 10)
    assert shown(made) == [("spec:/b", "2"), ("user:/a", "1")]
    assert [backend.identity for backend in made.backends()] == [0, 1, 2]


def test_a_draft_changes_nothing():
    made = database({"user:/a": "1"})
    draft = made.drafted(setting(made, "user:/a", "2"))
    user = made.view.backend(key("user:/"))
    wanted = KeyChange(user, key("user:/a"), content("1", revision=3), content("2", revision=11))
    assert draft == Draft([wanted])
    assert (made.revision, made.prepared, user.ahead) == (10, 10, {})
    assert shown(made) == [("user:/a", "1")]


def test_a_draft_raises_the_callers_error():
    made = database()
    assert error_of(made.drafted, removing(made, "user:/a"))[0] is KeyNotFound


def test_long_drafts_and_admissions_let_others_go_on():
    made = database()
    entries = [Entry(key(f"user:/{number}"), content("1")) for number in range(2 * SLICE_KEYS)]
    draft, pauses = finished(made.draft(put_entries(made.view, entries)))
    assert (len(draft.changes), pauses) == (2 * SLICE_KEYS, 2)
    assert made.drafted(put_entries(made.view, entries)) == draft
    commit, pauses = finished(made.admit(draft, CALLER))
    assert (commit.changes, pauses) == (draft.changes, 2)


def test_an_admitted_draft_is_the_commit_of_the_next_revision():
    made = database()
    draft = made.drafted(setting(made, "user:/a"))
    commit, _ = finished(made.admit(draft, CALLER, "file", "edited"))
    assert (commit.revision, commit.changes) == (11, draft.changes)
    assert (commit.caller, commit.origin, commit.reason) == (CALLER, "file", "edited")
    assert commit.structure is None
    plain = prepared(made, setting(made, "user:/b"))
    assert (plain.revision, plain.origin, plain.reason) == (12, "client", "")


def test_requests_are_drafted_against_what_is_prepared_and_readers_do_not_see_it():
    made = database({"user:/a": "1"})
    first = prepared(made, setting(made, "user:/a", "2"))
    second = prepared(made, setting(made, "user:/a", "3"))
    third = prepared(made, removing(made, "user:/a"))
    assert [(each.revision, each.changes[0].old.value) for each in (first, second, third)] == [
        (11, "1"),
        (12, "2"),
        (13, "3"),
    ]
    assert error_of(made.drafted, removing(made, "user:/a"))[0] is KeyNotFound
    assert (made.revision, made.prepared) == (10, 13)
    assert shown(made) == [("user:/a", "1")]


# Apply


def test_applied_commits_are_seen_in_the_order_of_their_revisions():
    made = database({"user:/a": "1"})
    first = prepared(made, setting(made, "user:/a", "2"))
    second = prepared(made, setting(made, "system:/b", "3"))
    third = prepared(made, removing(made, "user:/a"))
    made.apply([first])
    assert (made.revision, shown(made)) == (11, [("user:/a", "2")])
    made.apply([second, third])
    assert (made.revision, made.prepared, shown(made)) == (13, 13, [("system:/b", "3")])
    assert made.view.get(key("system:/b")) == content("3", revision=12)
    assert all(backend.ahead == {} for backend in made.backends())


def test_backends_are_not_kept_once_nothing_is_prepared():
    made = database()
    user = made.view.backend(key("user:/"))
    first = prepared(made, setting(made, "user:/a"))
    second = prepared(made, setting(made, "user:/b"))
    made.apply([first])
    assert made._ahead == {user}
    made.apply([second])
    assert made._ahead == set()


def test_commits_are_not_applied_out_of_order():
    made = database()
    prepared(made, setting(made, "user:/a"))
    second = prepared(made, setting(made, "user:/b"))
    with pytest.raises(AssertionError):
        made.apply([second])


def test_rebuilt_keys_take_the_place_of_many_changes():
    made = database({"user:/old": "1", "system:/a": "1"})
    puts = [(key(f"user:/{number}"), content("1")) for number in range(REBUILD_CHANGES)]
    many = apply_all(
        made.view, puts, [key("system:/a")], expected=0, removed_since=made.removed_since
    )
    commits = [prepared(made, many), prepared(made, setting(made, "user:/old", "2"))]
    later = prepared(made, setting(made, "user:/0", "later"))
    rebuilt = rebuild(commits)
    assert [backend.mountpoint for backend in rebuilt] == [key("user:/")]
    made.apply(commits, rebuilt)
    user = made.view.backend(key("user:/"))
    assert user.tree is rebuilt[user]
    assert made.revision == 12
    assert shown(made) == [
        *((name, "1") for name in sorted(f"user:/{number}" for number in range(REBUILD_CHANGES))),
        ("user:/old", "2"),
    ]
    assert user.ahead == {key("user:/0"): (13, content("later", revision=13))}
    made.apply([later])
    assert made.view.get(key("user:/0")) == content("later", revision=13)


def test_keys_that_appear_are_shown_and_those_that_vanish_stay_in_their_backend():
    made = database({"user:/a": "1", "user:/b": "1"})
    user = made.view.backend(key("user:/"))
    old, new = content("1", revision=3), content("2", revision=11)
    draft = Draft(
        [
            KeyChange(user, key("user:/a"), old, new, stored=False),
            KeyChange(user, key("user:/b"), old, None, stored=False),
        ]
    )
    commit, _ = finished(made.admit(draft, CALLER))
    list(made.readmit(commit))
    assert user.ahead == {}
    made.apply([commit])
    assert dict(user.tree) == {key("user:/a"): new, key("user:/b"): old}


def test_what_is_mounted_shows_its_keys_already():
    made = database()
    new = mounted(9, "user:/m", {"user:/m/a": content("2", revision=11)})
    appearing = KeyChange(new, key("user:/m/a"), None, content("2", revision=11), stored=False)
    commit, _ = finished(made.admit(Draft([appearing]), CALLER))
    commit.structure = Structure(mounted=(new,))
    before = new.tree[key("user:/m/a")]
    made.apply([commit])
    assert new.tree[key("user:/m/a")] is before


def test_others_go_on_while_much_is_prepared_again():
    made = database()
    commit = prepared(made, setting(made, "user:/a", "1"))
    user = made.view.backend(key("user:/"))
    commit.changes[:] = [
        KeyChange(user, key(f"user:/{number}"), None, content("1", revision=11))
        for number in range(2 * SLICE_KEYS)
    ]
    assert len(list(made.readmit(commit))) == 2
    assert len(user.ahead) == 2 * SLICE_KEYS


# Forget


def test_what_is_forgotten_never_was():
    made = database({"user:/a": "1"})
    first = prepared(made, setting(made, "user:/a", "2"))
    prepared(made, setting(made, "user:/a", "3"))
    prepared(made, setting(made, "system:/b", "3"))
    made.apply([first])
    made.forget()
    assert (made.revision, made.prepared) == (11, 11)
    assert all(backend.ahead == {} for backend in made.backends())
    assert shown(made) == [("user:/a", "2")]
    again = committed(made, setting(made, "user:/a", "4"))
    assert (again.revision, again.changes[0].old) == (12, content("2", revision=11))


def test_a_commit_whose_changes_became_others_is_prepared_again():
    made = database({"user:/a": "1"})
    commit = prepared(made, setting(made, "user:/a", "2"))
    user, system = (made.view.backend(key(name)) for name in ("user:/", "system:/"))
    new = content("2", revision=11)
    commit.changes[:] = [
        KeyChange(system, key("system:/a"), None, new),
        KeyChange(user, key("user:/b"), None, new, stored=False),
    ]
    list(made.readmit(commit))
    assert (made.revision, made.prepared) == (10, 11)
    assert (user.ahead, system.ahead) == ({}, {key("system:/a"): (11, new)})
    made.forget()
    assert (made.prepared, system.ahead) == (10, {})


# Mounts and directories


def test_after_a_remount_the_view_shows_what_is_mounted():
    made = database({"user:/a": "1"})
    view = made.view
    user, new = view.backend(key("user:/")), mounted(9, "user:/m", {"user:/m/a": content("2")})
    made.remount({"user:/": mounts(user, new)})
    assert made.view is view
    assert shown(made) == [("user:/a", "1"), ("user:/m/a", "2")]
    assert [backend.identity for backend in made.backends()] == [1, 9]


def test_a_directory_is_shown_in_its_own_view_only():
    made = database({"user:/a": "1"})
    here = made.load_directory("/here", directory(7, "/here", "dir:/a"))
    there = made.load_directory("/there", directory(8, "/there", "dir:/b"))
    assert made.directory_view("/here") is here
    assert shown(made) == [("user:/a", "1")]
    assert items(here.items(key("/"))) == [("dir:/a", "/here"), ("user:/a", "1")]
    assert items(there.items(key("/"))) == [("dir:/b", "/there"), ("user:/a", "1")]
    assert sorted(backend.identity for backend in made.backends()) == [0, 1, 2, 7, 8]
    assert error_of(made.view.backend, key("dir:/a"))[0] is InterfaceError


def test_a_directorys_view_shows_what_is_mounted_later():
    made = database()
    here = made.load_directory("/here", directory(7, "/here", "dir:/a"))
    roots = {
        "system:/": mounts(mounted(9, "system:/", {"system:/b": content("2")})),
        "dir://here": directory(10, "/here", "dir:/c"),
    }
    made.remount(roots)
    assert items(here.items(key("/"))) == [("dir:/c", "/here"), ("system:/b", "2")]
    assert sorted(here.mounts) == [Ns.DIR, Ns.SYSTEM]


def test_an_unloaded_directory_is_gone():
    made = database()
    made.load_directory("/here", directory(7, "/here", "dir:/a"))
    made.unload_directory("/here")
    assert [backend.identity for backend in made.backends()] == [0, 1, 2]
    with pytest.raises(KeyError):
        made.directory_view("/here")


# What changed since


def forget_history(made):
    """Commit so much to spec:/ that the recent names reach back to now only."""
    names = [key(f"spec:/{number}") for number in range(RECENT_NAMES + 1)]
    committed(made, put_entries(made.view, [Entry(name, content("1")) for name in names]))


def test_since_now_nothing_changed():
    made = database({"user:/a": "1"})
    assert made.changed_since(key("user:/"), 10, made.view) is False


def test_since_a_revision_that_is_not_ours_everything_may_have_changed():
    made = database({"user:/a": "1"})
    assert made.changed_since(key("user:/"), 11, made.view) is True


def test_recent_changes_are_known_from_their_names():
    made = database({"user:/a": "1"})
    committed(made, setting(made, "user:/a/b"))
    committed(made, setting(made, "system:/c"))
    committed(made, removing(made, "user:/a"))
    since = {
        name: [made.changed_since(key(name), since, made.view) for since in (10, 11, 12)]
        for name in ("user:/", "user:/a/b", "system:/", "/c", "spec:/")
    }
    assert since == {
        "user:/": [True, True, True],
        "user:/a/b": [True, False, False],
        "system:/": [True, True, False],
        "/c": [True, True, False],
        "spec:/": [False, False, False],
    }


def test_older_changes_are_known_from_the_keys():
    made = database({"user:/a": "1"})
    committed(made, setting(made, "user:/b"))
    forget_history(made)
    assert made.recent.since == 12
    assert made.changed_since(key("user:/"), 10, made.view) is True
    assert made.changed_since(key("user:/"), 12, made.view) is False


def test_older_removals_are_not_known():
    made = database({"user:/a": "1", "user:/b": "1"})
    committed(made, removing(made, "user:/b"))
    forget_history(made)
    assert made.changed_since(key("user:/"), 10, made.view) is None


def test_a_directorys_changes_count_in_its_view_only():
    made = database()
    here = made.load_directory("/here", directory(7, "/here"))
    there = made.load_directory("/there", directory(8, "/there"))
    committed(made, put(here, key("dir:/a"), content("1")))
    assert made.changed_since(key("dir:/"), 10, here) is True
    assert made.changed_since(key("/"), 10, here) is True
    assert made.changed_since(key("dir:/"), 10, there) is False
    assert made.changed_since(key("/"), 10, there) is False
    assert made.changed_since(key("/"), 10, made.view) is False


def test_what_readers_never_saw_is_no_change():
    made = database({"user:/a": "1"})
    user = made.view.backend(key("user:/"))
    new = content("2", revision=11)
    hidden = KeyChange(user, key("user:/m/a"), None, new, announced=False)
    commit, _ = finished(made.admit(Draft([hidden]), CALLER))
    made.apply([commit])
    assert made.revision == 11
    assert user.tree[key("user:/m/a")] == new
    assert made.changed_since(key("user:/"), 10, made.view) is False


@pytest.mark.parametrize("since", [10, 11, 12])
def test_what_changed_since_in_a_damaged_file_is_its_damage(since):
    made = database({"system:/a": "1"})
    committed(made, setting(made, "user:/a"))
    made.view.backend(key("user:/")).damage = SyntacticError("no header")
    wanted = (SyntacticError, "C03100", "no header")
    for parent in ("user:/", "user:/a/b", "/"):
        assert error_of(made.changed_since, key(parent), since, made.view) == wanted
    assert made.changed_since(key("system:/"), 10, made.view) is False


# What was removed since


def removed_since(made, name, revision):
    return made.removed_since(made.view.backend(key(name)), key(name), revision)


def test_a_removal_is_known_by_its_revision():
    made = database({"user:/a": "1"})
    committed(made, setting(made, "user:/b"))
    committed(made, removing(made, "user:/a"))
    assert [removed_since(made, "user:/a", since) for since in (10, 11, 12)] == [True, True, False]
    assert removed_since(made, "user:/never", 10) is False


def test_a_removal_that_is_prepared_comes_after_every_revision():
    made = database({"user:/a": "1"})
    prepared(made, removing(made, "user:/a"))
    assert removed_since(made, "user:/a", 10) is True
    assert removed_since(made, "user:/a", 3) is True


def test_a_removal_too_long_ago_is_not_known():
    made = database({"user:/a": "1"})
    text = (
        "Revision 9 is too long ago to tell whether user:/gone was removed since. Read again, and"
        " apply with the revision of that"
    )
    assert error_of(removed_since, made, "user:/gone", 9) == (HistoryLost, "C01320", text)


def test_a_removal_in_another_directory_is_another_keys():
    made = database()
    here = made.load_directory("/here", directory(7, "/here", "dir:/a"))
    there = made.load_directory("/there", directory(8, "/there"))
    committed(made, remove(here, key("dir:/a"), recursive=False))
    name = key("dir:/a")
    assert made.removed_since(here.backend(name), name, 10) is True
    assert made.removed_since(there.backend(name), name, 10) is False
