"""Views: which backend a key belongs to, and what a read shows of several backends."""

import pytest
from core_state import content, error_of, items, key, mounted, mounts, stores

from kdb.model.errors import InterfaceError, SyntacticError
from kdb.model.names import Namespace as Ns
from kdb.model.names import end_of_subtree, escape
from kdbd.core.view import Segment, View, root_name

DAMAGE = SyntacticError("no header", file="/home/me/.config/m.ecf", line=1)
DAMAGED = (
    SyntacticError,
    "C03100",
    "/home/me/.config/m.ecf:1: no header\nconfigfile: /home/me/.config/m.ecf",
)


def ranges(segments):
    """Return of each segment its start, escaped, its end, and its backend's identity."""
    return [(escape(s.start), s.end, s.backend.identity) for s in segments]


def keys_of(*names):
    return {name: content(name, revision=1) for name in names}


def identities(backends):
    return [backend.identity for backend in backends]


def nested():
    """Return mounts at user:/, and below it at a, a/b and c."""
    return mounts(
        mounted(1, "user:/"),
        mounted(2, "user:/a"),
        mounted(3, "user:/a/b"),
        mounted(4, "user:/c"),
    )


# Mounts


def test_mounts_are_iterated_in_the_order_of_their_mountpoints():
    table = mounts(mounted(4, "user:/c"), mounted(3, "user:/a/b"), mounted(1, "user:/"))
    assert identities(table) == [1, 3, 4]


def test_mounts_tell_what_is_mounted_at_a_name():
    table = nested()
    assert table.at(key("user:/a/b")).identity == 3
    assert table.at(key("user:/b")) is None


@pytest.mark.parametrize(
    ("name", "identity"),
    [
        ("user:/", 1),
        ("user:/%", 1),
        ("user:/ab", 1),
        ("user:/a", 2),
        ("user:/a/%", 2),
        ("user:/a/ba/x", 2),
        ("user:/a/b", 3),
        ("user:/a/b/x/y", 3),
        ("user:/c/x", 4),
        ("user:/d/a/b", 1),
    ],
)
def test_a_key_belongs_to_the_longest_mountpoint_at_or_above_it(name, identity):
    assert nested().responsible(key(name)).identity == identity


def test_every_key_belongs_to_the_only_backend():
    assert mounts(mounted(1, "user:/")).responsible(key("user:/a/b")).identity == 1


def test_a_range_is_cut_at_each_mountpoint():
    start, end = key("user:/"), end_of_subtree(key("user:/"))
    a, b, c = (key(name) for name in ("user:/a", "user:/a/b", "user:/c"))
    table = nested()
    backends = {backend.identity: backend for backend in table}
    assert list(table.segments(start, end, start)) == [
        Segment(start, a, backends[1]),
        Segment(a, b, backends[2]),
        Segment(b, end_of_subtree(b), backends[3]),
        Segment(end_of_subtree(b), end_of_subtree(a), backends[2]),
        Segment(end_of_subtree(a), c, backends[1]),
        Segment(c, end_of_subtree(c), backends[4]),
        Segment(end_of_subtree(c), end, backends[1]),
    ]


def test_a_range_that_ends_with_a_mountpoint_has_no_empty_rest():
    user, c = key("user:/"), key("user:/c")
    table = mounts(mounted(1, "user:/"), mounted(4, "user:/c"))
    assert ranges(table.segments(user, end_of_subtree(c), user)) == [
        ("user:/", c, 1),
        ("user:/c", end_of_subtree(c), 4),
    ]


def test_a_range_that_begins_within_a_mountpoint_goes_on_with_its_surroundings():
    a, b = key("user:/a"), key("user:/a/b")
    segments = list(nested().segments(key("user:/a/b/x"), end_of_subtree(a), a))
    assert ranges(segments) == [
        ("user:/a/b/x", end_of_subtree(b), 3),
        (escape(end_of_subtree(b)), end_of_subtree(a), 2),
    ]


def test_concealed_mountpoints_are_left_out_with_all_that_is_mounted_below():
    table = mounts(
        mounted(1, "user:/"), mounted(2, "user:/c", concealed=True), mounted(3, "user:/c/d")
    )
    user, c = key("user:/"), key("user:/c")
    end = end_of_subtree(user)
    shown = [("user:/", c, 1), (escape(end_of_subtree(c)), end, 1)]
    assert ranges(table.segments(user, end, user)) == shown
    assert ranges(table.segments(key("user:/c/a"), end, user)) == shown[1:]


@pytest.mark.parametrize("parent", ["user:/c", "user:/c/a"])
def test_a_concealed_mountpoint_shows_itself(parent):
    table = mounts(mounted(1, "user:/"), mounted(2, "user:/c", concealed=True))
    end = end_of_subtree(key(parent))
    segments = table.segments(key(parent), end, key(parent))
    assert ranges(segments) == [(parent, end, 2)]


# Views


def test_a_view_has_a_backend_for_each_stored_namespace():
    view = stores({}, mounted(1, "user:/m"))
    assert [view.backend(key(name)).identity for name in ("spec:/a", "user:/a", "user:/m/a")] == [
        101,
        102,
        1,
    ]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (
            "dir:/a",
            (
                "dir:/a: dir:/ belongs to a directory. Open a handle with the contract entry"
                " 'directory' and use that"
            ),
        ),
        ("/a", "/a: a cascading name is a look-up. Name the key with its namespace"),
        *(
            (
                name,
                (
                    f"{name}: keys of this namespace are not stored. Use spec:/, dir:/, user:/ or"
                    " system:/"
                ),
            )
            for name in ("proc:/a", "default:/a", "meta:/a")
        ),
    ],
)
def test_a_view_has_no_backend_for_what_it_does_not_store(name, text):
    view = stores()
    assert error_of(view.backend, key(name)) == (InterfaceError, "C01320", text)
    assert (view.get(key(name)), view.future(key(name))) == (None, None)


def test_a_view_answers_a_key_or_none():
    stored = content("1", {"m": "1"}, revision=3)
    view = stores({"user:/a": stored})
    assert (view.get(key("user:/a")), view.future(key("user:/a"))) == (stored, stored)
    assert (view.get(key("user:/b")), view.future(key("user:/b"))) == (None, None)


def test_a_key_below_a_mountpoint_is_that_of_the_mountpoint():
    view = stores({"user:/m/a": content("mounted")}, mounted(1, "user:/m"))
    view.backend(key("user:/")).tree[key("user:/m/a")] = content("hidden")
    view.backend(key("user:/")).tree[key("user:/m/b")] = content("hidden")
    assert view.get(key("user:/m/a")) == content("mounted")
    assert view.get(key("user:/m/b")) is None
    assert items(view.items(key("user:/"))) == [("user:/m/a", "mounted")]


def test_only_the_future_has_what_is_prepared():
    old, new = content("1", revision=3), content("2", revision=4)
    view = stores({"user:/a": old, "user:/b": old})
    user = view.backend(key("user:/"))
    user.prepare(key("user:/a"), new, 4)
    user.prepare(key("user:/b"), None, 4)
    user.prepare(key("user:/c"), new, 4)
    names = [key(f"user:/{each}") for each in "abc"]
    assert [view.get(name) for name in names] == [old, old, None]
    assert [view.future(name) for name in names] == [new, None, new]
    assert list(view.items(key("user:/"))) == [(names[0], old), (names[1], old)]
    assert view.future_names(key("user:/")) == [names[0], names[2]]


def test_a_damaged_mountpoint_answers_for_its_keys_and_every_range_that_touches_it():
    view = stores(keys_of("user:/a", "user:/n"), mounted(1, "user:/m", damage=DAMAGE))
    assert error_of(view.get, key("user:/m/a")) == DAMAGED
    assert error_of(view.future, key("user:/m/a")) == DAMAGED
    for parent in ("/", "user:/", "user:/m", "user:/m/a/b"):
        assert error_of(lambda name: list(view.items(name)), key(parent)) == DAMAGED
        assert error_of(view.future_names, key(parent)) == DAMAGED
    assert view.get(key("user:/a")) == content("user:/a", revision=1)
    assert items(view.items(key("user:/n"))) == [("user:/n", "user:/n")]


def test_items_come_in_key_order_over_all_backends():
    names = ["user:/", "user:/a", "user:/a/b", "user:/a/b/x", "user:/a/c", "user:/ab", "user:/c/x"]
    view = stores({}, *nested())
    for name in reversed(names):
        view.backend(key(name)).tree[key(name)] = content(name)
    assert items(view.items(key("user:/"))) == [(name, name) for name in names]
    assert items(view.items(key("user:/a"))) == [(name, name) for name in names[1:5]]
    assert items(view.items(key("user:/a/b"))) == [(name, name) for name in names[2:4]]


def test_a_cascading_parent_stands_for_every_stored_namespace_in_their_order():
    view = stores(
        keys_of("system:/a", "user:/a/b", "spec:/a", "dir:/a", "user:/b"),
        mounted(1, "dir:/", directory="/here"),
    )
    for parent, names in (
        ("/a", ["spec:/a", "dir:/a", "user:/a/b", "system:/a"]),
        ("/", ["spec:/a", "dir:/a", "user:/a/b", "user:/b", "system:/a"]),
    ):
        assert items(view.items(key(parent))) == [(name, name) for name in names]


@pytest.mark.parametrize("parent", ["dir:/", "proc:/", "default:/a", "meta:/"])
def test_nothing_is_shown_of_a_namespace_that_is_not_stored(parent):
    view = stores(keys_of("user:/a"))
    assert list(view.segments(key(parent))) == []
    assert list(view.items(key(parent))) == []
    assert view.future_names(key(parent)) == []
    assert view.backends(key(parent)) == []


@pytest.mark.parametrize("parent", ["/", "user:/"])
def test_pages_go_on_after_any_name(parent):
    names = ["user:/", "user:/a", "user:/a/b", "user:/a/b/x", "user:/a/c", "user:/ab", "user:/c/x"]
    view = stores({}, *nested())
    for name in names:
        view.backend(key(name)).tree[key(name)] = content(name)
    for count, after in enumerate(names, start=1):
        rest = [(name, name) for name in names[count:]]
        assert items(view.items(key(parent), key(after))) == rest


def test_a_page_after_a_key_begins_with_those_below_it():
    view = stores(keys_of("user:/a", "user:/a/%", "user:/a/b", "user:/b"))
    assert items(view.items(key("user:/"), key("user:/a"))) == [
        (name, name) for name in ("user:/a/%", "user:/a/b", "user:/b")
    ]


@pytest.mark.parametrize(
    ("after", "names"),
    [
        ("spec:/z", ["user:/a", "user:/b", "system:/a"]),
        ("user:/a", ["user:/b", "system:/a"]),
        ("user:/c", ["system:/a"]),
        ("system:/a", []),
    ],
)
def test_pages_of_a_cascading_parent_go_on_in_the_next_namespace(after, names):
    view = stores(keys_of("spec:/a", "user:/a", "user:/b", "system:/a"))
    assert items(view.items(key("/"), key(after))) == [(name, name) for name in names]


def test_a_page_touches_no_damage_that_lies_before_it():
    view = stores(keys_of("user:/n"), mounted(1, "user:/m", damage=DAMAGE))
    assert items(view.items(key("user:/"), key("user:/mm"))) == [("user:/n", "user:/n")]
    assert error_of(lambda: list(view.items(key("user:/"), key("user:/l")))) == DAMAGED


# Which backends a request touches


def test_a_request_touches_the_backends_at_and_below_its_parent():
    view = stores({}, *nested())
    assert identities(view.backends(key("user:/"))) == [1, 2, 3, 4]
    assert identities(view.backends(key("user:/a"))) == [2, 3]
    assert identities(view.backends(key("user:/a/x"))) == [2]
    assert identities(view.backends(key("user:/x"))) == [1]


def test_a_cascading_request_touches_the_backends_of_every_namespace():
    view = stores({}, mounted(1, "user:/a"), mounted(2, "system:/a/b"), mounted(3, "user:/b"))
    assert identities(view.backends(key("/a"))) == [101, 1, 103, 2]


def test_a_concealed_backend_is_touched_at_or_below_its_mountpoint_only():
    view = stores({}, mounted(1, "user:/c", concealed=True))
    assert identities(view.backends(key("user:/"))) == [102]
    assert identities(view.backends(key("user:/c"))) == [1]
    assert identities(view.backends(key("user:/c/a"))) == [1]


@pytest.mark.parametrize(
    ("parent", "shown"),
    [
        ("user:/", []),
        ("/", []),
        ("user:/elektra", ["user:/elektra/c", "user:/elektra/c/x", "user:/elektra/c/x/d"]),
        ("/elektra", ["user:/elektra/c", "user:/elektra/c/x", "user:/elektra/c/x/d"]),
        ("user:/elektra/c/x", ["user:/elektra/c/x", "user:/elektra/c/x/d"]),
        ("user:/elektrad", []),
    ],
)
def test_what_is_concealed_shows_to_reads_that_begin_within_elektra(parent, shown):
    outer = mounted(1, "user:/elektra/c", keys_of("user:/elektra/c"), concealed=True)
    below = keys_of("user:/elektra/c/x", "user:/elektra/c/x/d")
    inner = mounted(2, "user:/elektra/c/x", below, concealed=True)
    view = stores({}, outer, inner)
    assert [escape(name) for name, _ in view.items(key(parent))] == shown
    assert view.future_names(key("user:/elektra")) == []


def test_a_view_without_namespaces_shows_nothing():
    assert list(View({}).items(key("/"))) == []


def test_a_root_is_named_by_its_namespace_and_directory():
    assert root_name(Ns.USER) == "user:/"
    assert root_name(Ns.DIR, "/home/me") == "dir://home/me"
