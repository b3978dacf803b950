"""Commits that change what is mounted: what appears, what vanishes, what goes where."""

import pytest
from core_state import (
    REVISION,
    content,
    drafted,
    error_of,
    key,
    mounted,
    mounts,
    stores,
    summary,
)

from kdb.model.errors import AccessDenied, InterfaceError, KeyNotFound, SyntacticError
from kdb.model.names import escape
from kdbd.core.commit import Caller, Commit, Draft, KeyChange, Structure
from kdbd.core.mounts import MOUNTPOINTS, MountSpec, declare, root_of
from kdbd.core.requests import SLICE_KEYS
from kdbd.core.structure import complete, is_structural, mount, specs_after, unmount

SPEC = MountSpec("user:/m", "m.ecf")
NOTHING_PERMANENT: frozenset[int] = frozenset()


def values(**keys):
    """Return keys of user:/ by their path, `m__a` for `m/a`, each with its value, of revision 3."""
    return {
        f"user:/{path.replace('__', '/')}": content(value, revision=3)
        for path, value in keys.items()
    }


def completed(before, after, *changes, permanent=NOTHING_PERMANENT):
    """Complete a commit of user:/ that has these changes of its own."""
    commit = Commit(REVISION, list(changes), Caller(), "client")
    list(complete(commit, {"user:/": before}, {"user:/": after}, permanent))
    return commit


def shown(backend, path, was, will, *, since=3):
    """Return the change of a key that appears, vanishes or differs by what is mounted."""
    old = None if was is None else content(was, revision=since)
    new = None if will is None else content(will, revision=REVISION)
    return KeyChange(backend, key(f"user:/{path}"), old, new, stored=False)


# What declares


def declaring(name, **options):
    return KeyChange(mounted(1, "system:/"), key(name), None, content("1"), **options)


def test_a_change_of_a_declaration_is_structural():
    below = f"{escape(root_of('user:/m'))}/definition/path"
    assert is_structural([declaring("user:/a"), declaring(below)])
    assert is_structural([declaring("system:/elektra/mountpoints")])


def test_other_changes_are_not_structural():
    assert not is_structural([])
    names = ("user:/elektra/mountpoints/a", "system:/elektra", "system:/elektra/mountpointsx")
    assert not is_structural([declaring(name) for name in names])


def test_what_a_deeper_mountpoint_hides_declares_nothing():
    hidden = declaring("system:/elektra/mountpoints/x", announced=False)
    assert not is_structural([hidden])
    assert list(specs_after(stores(), [hidden])) == []


def test_a_mount_declares_the_mountpoint():
    view = stores()
    backend = view.backend(MOUNTPOINTS)
    assert drafted(mount(view, SPEC)) == Draft(
        [
            KeyChange(backend, name, None, each._replace(revision=REVISION))
            for name, each in sorted(declare(SPEC).items())
        ]
    )


def test_a_mountpoint_is_not_mounted_twice():
    view = stores({escape(name): each for name, each in declare(SPEC).items()})
    assert error_of(drafted, mount(view, SPEC)) == (
        InterfaceError,
        "C01320",
        "user:/m is mounted already. Unmount it first, or mount elsewhere",
    )


def test_a_mount_in_place_of_another_changes_what_differs():
    before = MountSpec("user:/m", "old.ecf", announce_once=True)
    view = stores({escape(name): each for name, each in declare(before).items()})
    backend = view.backend(MOUNTPOINTS)
    old, new = declare(before), declare(SPEC)
    changes = [
        KeyChange(
            backend,
            name,
            view.future(name),
            new[name]._replace(revision=REVISION) if name in new else None,
        )
        for name in sorted(old)
        if name not in new or old[name].value != new[name].value
    ]
    assert len(changes) == 5
    assert drafted(mount(view, SPEC, replace=True)) == Draft(changes)
    assert drafted(mount(view, before, replace=True)) == Draft([])


def test_a_mountpoint_is_not_mounted_twice_also_while_the_first_is_prepared():
    view = stores()
    view.backend(MOUNTPOINTS).prepare(root_of("user:/m"), content("", revision=8), 8)
    assert error_of(drafted, mount(view, SPEC))[0] is InterfaceError


def test_an_unmount_takes_the_declaration_away():
    other = MountSpec("user:/mm", "mm.ecf")
    keys = declare(SPEC) | declare(other)
    view = stores({escape(name): each for name, each in keys.items()})
    backend = view.backend(MOUNTPOINTS)
    assert drafted(unmount(view, "user:/m")) == Draft(
        [KeyChange(backend, name, each, None) for name, each in sorted(declare(SPEC).items())]
    )


def test_what_is_not_mounted_is_not_unmounted():
    assert error_of(drafted, unmount(stores(), "user:/m")) == (
        KeyNotFound,
        "C01320",
        "Mountpoint user:/m does not exist",
    )


@pytest.mark.parametrize("mounted_now", [True, False])
def test_a_store_that_is_read_only_mounts_and_unmounts_nothing(mounted_now):
    refusal = AccessDenied("read-only")
    view = stores({}, mounted(1, "system:/elektra", refusal=refusal))
    if mounted_now:
        view.backend(MOUNTPOINTS).tree.update(declare(SPEC))
    request = unmount(view, "user:/m") if mounted_now else mount(view, SPEC)
    assert error_of(drafted, request) == (AccessDenied, "C01100", "read-only")


def test_the_declarations_after_a_change_set_are_those_stored_with_its_changes():
    base = "system:/elektra/mountpoints"
    view = stores(
        {
            "system:/elektra": content("no declaration"),
            **{f"{base}/{each}": content("1", revision=3) for each in "ac"},
        }
    )
    backend = view.backend(MOUNTPOINTS)
    old, new = content("1", revision=3), content("2", revision=REVISION)
    changes = [
        KeyChange(backend, key(f"{base}/c"), old, None),
        KeyChange(backend, key(f"{base}/none"), None, None),
        KeyChange(backend, key(f"{base}/b"), None, new),
        KeyChange(backend, key("user:/a"), None, new),
    ]
    assert list(specs_after(view, changes)) == [(key(f"{base}/a"), old), (key(f"{base}/b"), new)]


# What appears and vanishes


def test_with_a_mountpoint_its_keys_appear_and_what_it_hides_vanishes():
    user = mounted(1, "user:/", values(a="1", m="1", m__x="1", m__same="1", z="1"))
    new = mounted(2, "user:/m", values(m="2", m__y="2", m__same="1"))
    commit = completed(mounts(user), mounts(user, new))
    assert commit.structure == Structure(mounted=(new,))
    assert commit.changes == [
        shown(new, "m", "1", "2"),
        shown(new, "m/x", "1", None),
        shown(new, "m/y", None, "2"),
    ]


def test_without_a_mountpoint_its_keys_vanish_and_what_it_hid_appears():
    user = mounted(1, "user:/", values(a="1", m="1", m__x="1", m__same="1", z="1"))
    old = mounted(2, "user:/m", values(m="2", m__y="2", m__same="1"))
    commit = completed(mounts(user, old), mounts(user))
    assert commit.structure == Structure(unmounted=(old,))
    assert commit.changes == [
        shown(user, "m", "2", "1"),
        shown(user, "m/x", None, "1"),
        shown(user, "m/y", "2", None),
    ]


def test_a_key_that_stays_as_it_was_keeps_its_revision_in_a_new_backend():
    user = mounted(1, "user:/", values(m__a="1"))
    new = mounted(2, "user:/m", {"user:/m/a": content("1", revision=REVISION)})
    assert completed(mounts(user), mounts(user, new)).changes == []
    assert dict(new.tree) == {key("user:/m/a"): content("1", revision=3)}


def test_a_key_that_stays_as_it_was_keeps_its_revision_in_an_old_backend():
    user = mounted(1, "user:/", values(m__a="1", m__b="1"))
    seen = content("1", revision=7)
    old = mounted(2, "user:/m", {"user:/m/a": seen, "user:/m/b": content("1", revision=3)})
    commit = completed(mounts(user, old), mounts(user))
    assert commit.changes == [
        KeyChange(user, key("user:/m/a"), seen, seen, stored=False, announced=False)
    ]


def test_metadata_that_differ_are_a_change():
    one, other = content("1", {"m": "1"}, revision=3), content("1", revision=3)
    user = mounted(1, "user:/", {"user:/m/a": one})
    new = mounted(2, "user:/m", {"user:/m/a": other})
    (change,) = completed(mounts(user), mounts(user, new)).changes
    assert (change.kind, change.old, change.new) == (
        "changed",
        one,
        content("1", revision=REVISION),
    )


def test_what_is_mounted_deeper_stays_shown():
    user, deeper = mounted(1, "user:/"), mounted(2, "user:/m/d", values(m__d__a="1"))
    new = mounted(3, "user:/m", values(m__d__a="2", m__e="2"))
    commit = completed(mounts(user, deeper), mounts(user, deeper, new))
    assert commit.changes == [shown(new, "m/e", None, "2")]


def test_nested_mountpoints_come_and_go_at_once():
    user = mounted(1, "user:/", values(m="1", m__d="1"))
    outer, inner = mounted(2, "user:/m", values(m="2")), mounted(3, "user:/m/d", values(m__d="3"))
    without, with_both = mounts(user), mounts(user, outer, inner)
    came = completed(without, with_both)
    assert came.structure == Structure(mounted=(outer, inner))
    assert came.changes == [shown(outer, "m", "1", "2"), shown(inner, "m/d", "1", "3")]
    went = completed(with_both, without)
    assert went.structure == Structure(unmounted=(outer, inner))
    assert went.changes == [
        shown(user, "m", "2", "1", since=REVISION),
        shown(user, "m/d", "3", "1", since=REVISION),
    ]


def test_one_mountpoint_takes_the_place_of_another():
    user = mounted(1, "user:/")
    one, other = mounted(2, "user:/m", values(m__a="1")), mounted(3, "user:/m", values(m__b="2"))
    commit = completed(mounts(user, one), mounts(user, other))
    assert commit.structure == Structure(mounted=(other,), unmounted=(one,))
    assert commit.changes == [shown(other, "m/a", "1", None), shown(other, "m/b", None, "2")]


def test_a_mountpoint_at_the_root_hides_the_default_backend_which_is_kept():
    user = mounted(1, "user:/", values(a="1"))
    new = mounted(2, "user:/", values(b="2"))
    came = completed(mounts(user), mounts(new), permanent=frozenset({1}))
    assert came.structure == Structure(mounted=(new,))
    assert came.changes == [shown(new, "a", "1", None), shown(new, "b", None, "2")]
    went = completed(mounts(new), mounts(user), permanent=frozenset({1}))
    assert went.structure == Structure(unmounted=(new,))
    assert went.changes == [
        shown(user, "a", None, "1"),
        shown(user, "b", "2", None, since=REVISION),
    ]


def test_a_damaged_file_shows_what_is_known_of_it():
    user = mounted(1, "user:/", values(m__a="1"))
    damage = SyntacticError("no header", file="m.ecf", line=1)
    new = mounted(2, "user:/m", values(m__b="2"), damage=damage)
    assert completed(mounts(user), mounts(user, new)).changes == [
        shown(new, "m/a", "1", None),
        shown(new, "m/b", None, "2"),
    ]


def test_each_directory_is_a_root_of_its_own():
    backends = {}
    for number, directory in enumerate(("/here", "/there"), start=1):
        old = mounted(number, "dir:/", {"dir:/m": content("1", revision=3)}, directory=directory)
        new = mounted(number + 10, "dir:/m", directory=directory)
        backends[f"dir:/{directory}"] = (old, new)
    before = {root: mounts(old) for root, (old, _) in backends.items()}
    after = {root: mounts(old, new) for root, (old, new) in backends.items()}
    commit = Commit(REVISION, [], Caller(), "client")
    list(complete(commit, before, after, NOTHING_PERMANENT))
    assert summary(commit.changes) == [(11, "dir:/m", "1", None), (12, "dir:/m", "1", None)]


def test_an_own_change_in_one_directory_leaves_the_same_name_in_another():
    here = mounted(1, "dir:/", directory="/here")
    there = mounted(2, "dir:/", {"dir:/m/a": content("1", revision=3)}, directory="/there")
    new_here = mounted(11, "dir:/m", directory="/here")
    new_there = mounted(12, "dir:/m", directory="/there")
    own = KeyChange(here, key("dir:/m/a"), None, content("own", revision=REVISION))
    commit = Commit(REVISION, [own], Caller(), "client")
    before = {"dir://here": mounts(here), "dir://there": mounts(there)}
    after = {"dir://here": mounts(here, new_here), "dir://there": mounts(there, new_there)}
    list(complete(commit, before, after, NOTHING_PERMANENT))
    assert summary(commit.changes) == [
        (11, "dir:/m/a", None, "own"),
        (11, "dir:/m/a", None, "own"),
        (12, "dir:/m/a", "1", None),
    ]


def test_a_root_that_was_not_there_before_shows_nothing_new():
    here = mounted(1, "dir:/", {"dir:/a": content("1", revision=3)}, directory="/here")
    user = mounts(mounted(2, "user:/"))
    commit = Commit(REVISION, [], Caller(), "client")
    after = {"user:/": user, "dir://here": mounts(here)}
    list(complete(commit, {"user:/": user}, after, NOTHING_PERMANENT))
    assert commit.changes == []
    assert commit.structure == Structure(mounted=(here,))


def test_what_comes_holds_its_keys_as_after_the_commit():
    user = mounted(1, "user:/", values(m__same="1", m__other="1"))
    new = mounted(2, "user:/m", values(m__same="1", m__other="2", m__new="3"))
    new.tree[key("user:/m/same")] = content("1", revision=1)
    completed(mounts(user), mounts(user, new))
    assert dict(new.tree) == {
        key("user:/m/same"): content("1", revision=3),
        key("user:/m/other"): content("2", revision=REVISION),
        key("user:/m/new"): content("3", revision=REVISION),
    }


def test_an_own_change_to_what_the_file_holds_is_in_what_comes():
    user, new = mounted(1, "user:/"), mounted(2, "user:/m", values(m__a="2"))
    own = change(user, "m/a", None, "2")
    commit = completed(mounts(user), mounts(user, new), own)
    assert commit.changes == [shown(new, "m/a", None, "2")]
    assert dict(new.tree) == {key("user:/m/a"): content("2", revision=REVISION)}


def test_others_go_on_while_much_is_compared():
    many = {f"user:/m/{number:04}": content("1", revision=3) for number in range(2 * SLICE_KEYS)}
    user, new = mounted(1, "user:/", many), mounted(2, "user:/m")
    own = [
        KeyChange(user, key(f"user:/a/{number}"), None, content("1", revision=REVISION))
        for number in range(SLICE_KEYS)
    ]
    commit = Commit(REVISION, own, Caller(), "client")
    slices = complete(
        commit, {"user:/": mounts(user)}, {"user:/": mounts(user, new)}, NOTHING_PERMANENT
    )
    assert len(list(slices)) == 3
    assert len(commit.changes) == 3 * SLICE_KEYS


# The commit's own changes


def change(backend, path, was, will):
    return shown(backend, path, was, will)._replace(stored=True)


def test_own_changes_that_nothing_is_mounted_over_stay():
    user, new = mounted(1, "user:/", values(a="1")), mounted(2, "user:/m")
    own = change(user, "a", "1", "2")
    assert completed(mounts(user), mounts(user, new), own).changes == [own]


def test_own_changes_go_to_the_backend_that_is_mounted_by_the_commit():
    user = mounted(1, "user:/", values(m__a="1", m__b="1", m__c="1"))
    new = mounted(2, "user:/m", values(m__a="2", m__b="2", m__d="2"))
    commit = completed(
        mounts(user),
        mounts(user, new),
        change(user, "m/a", "1", "own"),
        change(user, "m/b", "1", None),
        change(user, "m/d", None, "own"),
        change(user, "m/e", None, "own"),
    )
    assert commit.changes == [
        change(new, "m/a", "2", "own")._replace(announced=False),
        shown(new, "m/a", "1", "own"),
        change(new, "m/b", "2", None)._replace(announced=False),
        shown(new, "m/b", "1", None),
        change(new, "m/d", "2", "own")._replace(announced=False),
        shown(new, "m/d", None, "own"),
        change(new, "m/e", None, "own")._replace(announced=False),
        shown(new, "m/e", None, "own"),
        shown(new, "m/c", "1", None),
    ]
    assert commit.names() == (
        [key("user:/m/d"), key("user:/m/e")],
        [key("user:/m/a")],
        [key("user:/m/b"), key("user:/m/c")],
    )


def test_own_changes_that_the_backend_holds_already_only_appear():
    user = mounted(1, "user:/", values(m__a="1", m__b="1"))
    new = mounted(2, "user:/m", values(m__a="own"))
    commit = completed(
        mounts(user),
        mounts(user, new),
        change(user, "m/a", "1", "own"),
        change(user, "m/b", "1", None),
    )
    assert commit.changes == [shown(new, "m/a", "1", "own"), shown(new, "m/b", "1", None)]


def test_own_changes_of_what_is_unmounted_go_to_its_surroundings():
    user, old = mounted(1, "user:/", values(m__a="1")), mounted(2, "user:/m", values(m__a="2"))
    commit = completed(mounts(user, old), mounts(user), change(old, "m/a", "2", "own"))
    assert commit.changes == [
        KeyChange(
            user,
            key("user:/m/a"),
            content("1", revision=3),
            content("own", revision=REVISION),
            announced=False,
        ),
        shown(user, "m/a", "2", "own"),
    ]


@pytest.mark.parametrize(
    "options",
    [
        {"damage": SyntacticError("no header")},
        {"refusal": AccessDenied("read-only")},
        {"damage": SyntacticError("no header"), "refusal": AccessDenied("read-only")},
    ],
)
def test_own_changes_go_to_no_backend_that_refuses_them(options):
    user, new = mounted(1, "user:/"), mounted(2, "user:/m", **options)
    wanted = {"damage": (SyntacticError, "C03100", "no header")}.get(
        next(iter(options)), (AccessDenied, "C01100", "read-only")
    )
    own = change(user, "m/a", None, "1")
    assert error_of(lambda: completed(mounts(user), mounts(user, new), own)) == wanted


def test_own_changes_that_are_hidden_stay_in_their_backend():
    elektra = mounted(1, "user:/elektra")
    built_in = mounted(2, "user:/elektra/version", refusal=InterfaceError("read-only"))
    user, new = mounted(3, "user:/"), mounted(4, "user:/m", values(m__a="1"))
    hidden = change(elektra, "elektra/version/x", None, "1")._replace(announced=False)
    commit = completed(
        mounts(user, elektra, built_in), mounts(user, elektra, built_in, new), hidden
    )
    assert commit.changes == [hidden, shown(new, "m/a", None, "1")]
