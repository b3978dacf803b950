"""Requests: what each comes to, what it refuses, and in which words."""

import pytest
from core_state import (
    REVISION,
    content,
    drafted,
    error_of,
    key,
    mounted,
    pauses,
    stores,
    summary,
)

from kdb.model.content import NO_META
from kdb.model.errors import (
    AccessDenied,
    Conflict,
    ConflictError,
    HistoryLost,
    InterfaceError,
    InvalidName,
    InvalidValue,
    KeyNotFound,
    SyntacticError,
)
from kdbd.core.commit import Draft, KeyChange
from kdbd.core.requests import (
    MAX_TOLD_CONFLICTS,
    SHORT_VALUE,
    SLICE_KEYS,
    Entry,
    apply_all,
    compare_entries,
    put,
    put_entries,
    remove,
    remove_meta,
    set_meta,
    set_string,
    writable,
)

DAMAGE = SyntacticError("no header", file="/etc/kdb/default.ecf", line=1)
REFUSAL = AccessDenied("The store is read-only. Nothing was stored")
BINARY = {"binary": ""}

# Every request that writes one key, for what they have in common.
WRITES = {
    "set_string": lambda view, name: set_string(view, name, "new"),
    "put": lambda view, name: put(view, name, content("new")),
    "set_meta": lambda view, name: set_meta(view, name, "m", "new"),
    "remove_meta": lambda view, name: remove_meta(view, name, "m"),
    "remove": lambda view, name: remove(view, name, recursive=False),
    "remove recursive": lambda view, name: remove(view, name, recursive=True),
    "apply_all put": lambda view, name: apply(view, puts=[(name, content("new"))]),
    "apply_all remove": lambda view, name: apply(view, removes=[name]),
    "put_entries": lambda view, name: put_entries(view, [Entry(name, content("new"))]),
}
OF_ONE_KEY = {name: WRITES[name] for name in list(WRITES)[:5]}


def never_removed(backend, name, revision):
    return False


def apply(view, *, puts=(), removes=(), expected=0, removed_since=never_removed):
    return apply_all(view, puts, removes, expected=expected, removed_since=removed_since)


def change(view, name, old, new):
    return KeyChange(view.backend(key(name)), key(name), old, new)


def conflict_of(request):
    with pytest.raises(ConflictError) as caught:
        drafted(request)
    return caught.value


# What may be written


def test_a_key_of_a_writable_backend_may_be_written():
    view = stores({}, mounted(1, "user:/m"))
    assert writable(view, key("user:/m/a")).identity == 1
    assert writable(view, key("user:/a")).identity == 102


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_a_write_to_a_damaged_mountpoint_is_its_damage(write):
    old = content("1", {"m": "1"}, revision=3)
    view = stores({}, mounted(1, "user:/m", {"user:/m/a": old}, damage=DAMAGE, refusal=REFUSAL))
    assert error_of(drafted, write(view, key("user:/m/a"))) == (
        SyntacticError,
        "C03100",
        "/etc/kdb/default.ecf:1: no header\nconfigfile: /etc/kdb/default.ecf",
    )


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_a_write_to_a_read_only_store_is_refused(write):
    old = content("1", {"m": "1"}, revision=3)
    view = stores({}, mounted(1, "user:/m", {"user:/m/a": old}, refusal=REFUSAL))
    assert error_of(drafted, write(view, key("user:/m/a"))) == (
        AccessDenied,
        "C01100",
        "The store is read-only. Nothing was stored",
    )


def test_what_is_refused_is_refused_also_where_nothing_would_change():
    old = content("1", {"m": "1"}, revision=3)
    view = stores({}, mounted(1, "user:/", {"user:/a": old}, refusal=REFUSAL))
    name = key("user:/a")
    for request in (
        set_string(view, name, "1"),
        put(view, name, old),
        set_meta(view, name, "m", "1"),
        apply(view, puts=[(name, old)]),
        put_entries(view, [Entry(name, old)]),
    ):
        assert error_of(drafted, request)[0] is AccessDenied


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
@pytest.mark.parametrize("name", ["proc:/a", "default:/a", "meta:/a"])
def test_a_namespace_that_is_not_stored_is_not_written_to(write, name):
    request = write(stores(), key(name))
    wanted = {
        InterfaceError: f"{name}: keys of this namespace are not stored. Use spec:/, dir:/, user:/"
        " or system:/",
        KeyNotFound: f"{name} is not there. Nothing was changed",
    }
    kind, number, text = error_of(drafted, request)
    assert (number, text) == ("C01320", wanted[kind])


@pytest.mark.parametrize("name", ["set_string", "put", "set_meta", "remove_meta"])
def test_a_cascading_name_that_finds_no_key_is_ambiguous(name):
    request = OF_ONE_KEY[name](stores(), key("/a"))
    text = (
        "No key is found for /a, so writing to it is ambiguous. Name the key with its namespace,"
        " for example user:/a"
    )
    assert error_of(drafted, request) == (InterfaceError, "C01320", text)


@pytest.mark.parametrize("name", ["set_string", "put", "set_meta", "remove_meta"])
def test_a_cascading_name_that_finds_a_default_is_ambiguous(name):
    view = stores({"spec:/a": content("", {"default": "1"}, revision=1)})
    assert error_of(drafted, OF_ONE_KEY[name](view, key("/a")))[2].startswith(
        "No key is found for /a, so"
    )


def test_a_cascading_name_stands_for_the_key_that_it_finds():
    old = content("1", {"m": "1"}, revision=3)
    view = stores({"system:/a": old, "spec:/b": content("", {"override/#0": "/a"})})
    for name in (key("/a"), key("/b")):
        assert drafted(set_string(view, name, "2")) == Draft(
            [change(view, "system:/a", old, content("2", {"m": "1"}, revision=REVISION))]
        )
        assert drafted(put(view, name, content("2"))) == Draft(
            [change(view, "system:/a", old, content("2", revision=REVISION))]
        )
        assert drafted(set_meta(view, name, "n", "2")) == Draft(
            [change(view, "system:/a", old, content("1", {"m": "1", "n": "2"}, revision=REVISION))]
        )
        assert drafted(remove_meta(view, name, "m")) == Draft(
            [change(view, "system:/a", old, content("1", revision=REVISION))]
        )
        assert drafted(remove(view, name, recursive=False)) == Draft(
            [change(view, "system:/a", old, None)], answer=1
        )


def test_requests_see_what_is_prepared():
    view = stores({"user:/a": content("1", revision=3), "user:/b": content("1", revision=3)})
    user = view.backend(key("user:/"))
    user.prepare(key("user:/a"), None, 8)
    user.prepare(key("user:/c"), content("2", revision=8), 8)
    assert drafted(set_string(view, key("user:/a"), "1")).changes == [
        change(view, "user:/a", None, content("1", revision=REVISION))
    ]
    assert drafted(set_string(view, key("/c"), "2")) == Draft([], unchanged_revision=8)
    assert summary(drafted(remove(view, key("user:/"), recursive=True)).changes) == [
        (102, "user:/b", "1", None),
        (102, "user:/c", "2", None),
    ]


# Setting a string


def test_set_string_makes_a_key_without_metadata():
    view = stores()
    assert drafted(set_string(view, key("user:/a"), "1")) == Draft(
        [change(view, "user:/a", None, content("1", revision=REVISION))]
    )


def test_set_string_keeps_the_metadata():
    old = content("1", {"m": "1"}, revision=3)
    view = stores({"user:/a": old})
    assert drafted(set_string(view, key("user:/a"), "2")) == Draft(
        [change(view, "user:/a", old, content("2", {"m": "1"}, revision=REVISION))]
    )


def test_set_string_makes_a_binary_key_a_string():
    old = content(b"1", {"binary": "", "m": "1"}, revision=3)
    view = stores({"user:/a": old})
    assert drafted(set_string(view, key("user:/a"), "1")) == Draft(
        [change(view, "user:/a", old, content("1", {"m": "1"}, revision=REVISION))]
    )


def test_set_string_to_the_same_value_changes_nothing_and_tells_the_revision():
    view = stores({"user:/a": content("1", {"m": "1"}, revision=3)})
    assert drafted(set_string(view, key("user:/a"), "1")) == Draft([], unchanged_revision=3)


def test_set_string_refuses_what_is_no_value():
    assert error_of(drafted, set_string(stores(), key("user:/a"), "a\0b")) == (
        InvalidValue,
        "C01320",
        "a value holds a NUL; remove it or make the key binary",
    )


# Putting


def test_put_makes_a_key_with_its_metadata():
    view = stores()
    assert drafted(put(view, key("user:/a"), content(b"\0", BINARY, revision=77))) == Draft(
        [change(view, "user:/a", None, content(b"\0", BINARY, revision=REVISION))]
    )


def test_put_replaces_value_and_metadata():
    old = content("1", {"m": "1"}, revision=3)
    view = stores({"user:/a": old})
    assert drafted(put(view, key("user:/a"), content("1", {"n": "1"}))) == Draft(
        [change(view, "user:/a", old, content("1", {"n": "1"}, revision=REVISION))]
    )


def test_put_of_what_is_there_changes_nothing_and_tells_the_revision():
    view = stores({"user:/a": content("1", {"m": "1"}, revision=3)})
    assert drafted(put(view, key("user:/a"), content("1", {"m": "1"}))) == Draft(
        [], unchanged_revision=3
    )


# Metadata


def test_set_meta_makes_a_key_that_is_not_there():
    view = stores()
    assert drafted(set_meta(view, key("user:/a"), "m", "1")) == Draft(
        [change(view, "user:/a", None, content("", {"m": "1"}, revision=REVISION))]
    )


@pytest.mark.parametrize("meta_name", ["n", "meta:/n", "n/"])
def test_set_meta_adds_to_the_metadata(meta_name):
    old = content("1", {"m": "1"}, revision=3)
    view = stores({"user:/a": old})
    draft = drafted(set_meta(view, key("user:/a"), meta_name, "2"))
    assert draft == Draft(
        [change(view, "user:/a", old, content("1", {"m": "1", "n": "2"}, revision=REVISION))]
    )


def test_set_meta_keeps_metadata_in_key_order():
    view = stores({"user:/a": content("1", {"m": "1"}, revision=3)})
    (made,) = drafted(set_meta(view, key("user:/a"), "a", "2")).changes
    assert list(made.new.meta.items()) == [("a", "2"), ("m", "1")]


def test_set_meta_replaces_a_metadatum():
    old = content("1", {"m": "1"}, revision=3)
    view = stores({"user:/a": old})
    assert drafted(set_meta(view, key("user:/a"), "m", "2")) == Draft(
        [change(view, "user:/a", old, content("1", {"m": "2"}, revision=REVISION))]
    )


def test_set_meta_to_the_same_changes_nothing_and_tells_the_revision():
    view = stores({"user:/a": content("1", {"m": "1"}, revision=3)})
    assert drafted(set_meta(view, key("user:/a"), "m", "1")) == Draft([], unchanged_revision=3)


def test_setting_binary_makes_the_value_binary():
    old = content("é\udcff", revision=3)
    view = stores({"user:/a": old})
    assert drafted(set_meta(view, key("user:/a"), "binary", "")) == Draft(
        [change(view, "user:/a", old, content(b"\xc3\xa9\xff", BINARY, revision=REVISION))]
    )


def test_setting_binary_makes_an_empty_binary_key():
    view = stores()
    assert drafted(set_meta(view, key("user:/a"), "binary", "")) == Draft(
        [change(view, "user:/a", None, content(b"", BINARY, revision=REVISION))]
    )


def test_other_metadata_leave_a_binary_value():
    old = content(b"\xff", BINARY, revision=3)
    view = stores({"user:/a": old})
    wanted = content(b"\xff", {"binary": "", "m": "1"}, revision=REVISION)
    assert drafted(set_meta(view, key("user:/a"), "m", "1")) == Draft(
        [change(view, "user:/a", old, wanted)]
    )


def test_set_meta_refuses_what_is_no_metadata():
    view = stores({"user:/a": content("1", revision=3)})
    assert error_of(drafted, set_meta(view, key("user:/a"), "m\\", "1")) == (
        InvalidName,
        "C01320",
        (
            "'meta:/m\\\\' has a backslash at the end that escapes nothing; "
            "write a backslash that is part of a name as \\\\"
        ),
    )
    assert error_of(drafted, set_meta(view, key("user:/a"), "m", "\0")) == (
        InvalidValue,
        "C01320",
        "the metadata 'm' holds a NUL; remove it or make the key binary",
    )


@pytest.mark.parametrize("meta_name", ["m", "meta:/m"])
def test_remove_meta_takes_one_metadatum_away(meta_name):
    old = content("1", {"m": "1", "n": "2"}, revision=3)
    view = stores({"user:/a": old})
    assert drafted(remove_meta(view, key("user:/a"), meta_name)) == Draft(
        [change(view, "user:/a", old, content("1", {"n": "2"}, revision=REVISION))]
    )


def test_the_last_metadatum_removed_leaves_none():
    view = stores({"user:/a": content("1", {"m": "1"}, revision=3)})
    (made,) = drafted(remove_meta(view, key("user:/a"), "m")).changes
    assert made.new.meta is NO_META


def test_remove_meta_of_no_key_finds_nothing():
    assert error_of(drafted, remove_meta(stores(), key("user:/a"), "m")) == (
        KeyNotFound,
        "C01320",
        "user:/a is not there. Nothing was changed",
    )


def test_remove_meta_of_no_metadatum_finds_nothing():
    view = stores({"user:/a": content("1", {"n": "1"}, revision=3)})
    assert error_of(drafted, remove_meta(view, key("user:/a"), "meta:/m")) == (
        KeyNotFound,
        "C01320",
        "user:/a has no metadata m. Nothing was changed",
    )


def test_removing_binary_makes_the_value_a_string():
    old = content("é".encode(), {"binary": "", "m": "1"}, revision=3)
    view = stores({"user:/a": old})
    assert drafted(remove_meta(view, key("user:/a"), "binary")) == Draft(
        [change(view, "user:/a", old, content("é", {"m": "1"}, revision=REVISION))]
    )


def test_bytes_that_are_no_string_stay_binary():
    view = stores({"user:/a": content(b"\xff", BINARY, revision=3)})
    request = remove_meta(view, key("user:/a"), "binary")
    text = (
        "user:/a holds bytes that are no UTF-8 string, so it must stay binary. Set a string value"
        " first"
    )
    assert error_of(drafted, request) == (InterfaceError, "C01320", text)


def test_bytes_with_a_nul_stay_binary():
    view = stores({"user:/a": content(b"a\0", BINARY, revision=3)})
    assert error_of(drafted, remove_meta(view, key("user:/a"), "binary")) == (
        InvalidValue,
        "C01320",
        "a value holds a NUL; remove it or make the key binary",
    )


# Removing


def test_remove_takes_one_key_away_and_leaves_those_below():
    old = content("1", revision=3)
    view = stores({"user:/a": old, "user:/a/b": old})
    assert drafted(remove(view, key("user:/a"), recursive=False)) == Draft(
        [change(view, "user:/a", old, None)], answer=1
    )


def test_remove_of_no_key_finds_nothing():
    view = stores({"user:/a/b": content("1", revision=3)})
    assert error_of(drafted, remove(view, key("user:/a"), recursive=False)) == (
        KeyNotFound,
        "C01320",
        "user:/a is not there. Nothing was removed",
    )


def test_remove_of_a_cascading_name_that_finds_no_stored_key_finds_nothing():
    wanted = (KeyNotFound, "C01320", "/a is not there. Nothing was removed")
    assert error_of(drafted, remove(stores(), key("/a"), recursive=False)) == wanted
    view = stores({"spec:/a": content("", {"default": "1"}, revision=1)})
    assert error_of(drafted, remove(view, key("/a"), recursive=False)) == wanted


def test_recursive_remove_takes_all_backends_keys_and_counts_them():
    old = content("1", revision=3)
    deeper = mounted(1, "user:/a/m")
    view = stores(
        {"user:/a": old, "user:/a/b": old, "user:/a/m/c": old, "user:/a/z": old, "user:/ab": old},
        deeper,
    )
    assert drafted(remove(view, key("user:/a"), recursive=True)) == Draft(
        [
            change(view, "user:/a", old, None),
            change(view, "user:/a/b", old, None),
            KeyChange(deeper, key("user:/a/m/c"), old, None),
            change(view, "user:/a/z", old, None),
        ],
        answer=4,
    )


def test_recursive_remove_of_a_cascading_name_takes_every_namespace():
    old = content("1", revision=3)
    view = stores({"system:/a/b": old, "user:/a": old, "spec:/a": old, "user:/b": old})
    draft = drafted(remove(view, key("/a"), recursive=True))
    assert summary(draft.changes) == [
        (101, "spec:/a", "1", None),
        (102, "user:/a", "1", None),
        (103, "system:/a/b", "1", None),
    ]
    assert draft.answer == 3


def test_recursive_remove_leaves_what_a_deeper_mountpoint_hides():
    view = stores({}, mounted(1, "user:/m"))
    view.backend(key("user:/")).tree[key("user:/m/hidden")] = content("1", revision=3)
    assert error_of(drafted, remove(view, key("user:/"), recursive=True)) == (
        KeyNotFound,
        "C01320",
        "No key is at or below user:/. Nothing was removed",
    )


@pytest.mark.parametrize("name", ["/a", "user:/a"])
def test_recursive_remove_of_nothing_finds_nothing(name):
    assert error_of(drafted, remove(stores(), key(name), recursive=True)) == (
        KeyNotFound,
        "C01320",
        f"No key is at or below {name}. Nothing was removed",
    )


# Apply


def test_apply_puts_and_removes_over_all_namespaces():
    old = content("1", revision=3)
    view = stores({"user:/a": old, "system:/a": old, "system:/b": old})
    request = apply(
        view,
        puts=[(key("spec:/a"), content("new")), (key("user:/a"), content("2", {"m": "1"}))],
        removes=[key("system:/b"), key("system:/a")],
    )
    assert drafted(request) == Draft(
        [
            change(view, "spec:/a", None, content("new", revision=REVISION)),
            change(view, "user:/a", old, content("2", {"m": "1"}, revision=REVISION)),
            change(view, "system:/b", old, None),
            change(view, "system:/a", old, None),
        ]
    )


def test_apply_leaves_out_what_is_as_asked():
    view = stores({"user:/a": content("1", {"m": "1"}, revision=3)})
    request = apply(
        view, puts=[(key("user:/a"), content("1", {"m": "1"}))], removes=[key("user:/none")]
    )
    assert drafted(request) == Draft([])


def test_a_change_of_type_alone_is_a_change():
    old = content("1", {"m": ""}, revision=3)
    view = stores({"user:/a": old})
    draft = drafted(apply(view, puts=[(key("user:/a"), content(b"1", BINARY))]))
    assert draft.changes == [change(view, "user:/a", old, content(b"1", BINARY, revision=REVISION))]


@pytest.mark.parametrize(
    ("puts", "removes"),
    [(["user:/a", "user:/a"], []), (["user:/a"], ["user:/a"]), ([], ["user:/a", "user:/a"])],
)
def test_apply_refuses_a_key_that_is_named_twice(puts, removes):
    request = apply(
        stores(),
        puts=[(key(name), content("1")) for name in puts],
        removes=[key(name) for name in removes],
    )
    assert error_of(drafted, request) == (
        InterfaceError,
        "C01320",
        "user:/a is named twice. Name each key once, to put or to remove it",
    )


def test_apply_does_not_write_to_a_cascading_name():
    view = stores({"user:/a": content("1", revision=3)})
    assert error_of(drafted, apply(view, puts=[(key("/a"), content("1"))])) == (
        InterfaceError,
        "C01320",
        "/a: a cascading name is a look-up. Name the key with its namespace",
    )


def test_apply_without_an_expected_revision_knows_no_conflict():
    old = content("1", revision=8)
    view = stores({"user:/a": old})

    def not_asked(backend, name, revision):
        raise AssertionError

    request = apply(
        view,
        puts=[(key("user:/a"), content("2")), (key("user:/b"), content("2"))],
        removed_since=not_asked,
    )
    assert [each.new for each in drafted(request).changes] == [content("2", revision=REVISION)] * 2


def test_apply_takes_what_did_not_change_after_the_expected_revision():
    old = content("1", revision=5)
    view = stores({"user:/a": old, "user:/b": old})
    asked = []

    def removed_since(backend, name, revision):
        asked.append((backend.identity, name, revision))
        return False

    request = apply(
        view,
        puts=[(key("user:/a"), content("2")), (key("user:/c"), content("2"))],
        removes=[key("user:/b")],
        expected=5,
        removed_since=removed_since,
    )
    assert drafted(request) == Draft(
        [
            change(view, "user:/a", old, content("2", revision=REVISION)),
            change(view, "user:/c", None, content("2", revision=REVISION)),
            change(view, "user:/b", old, None),
        ]
    )
    assert asked == [(102, key("user:/c"), 5)]


def test_apply_names_every_key_that_changed_after_the_expected_revision():
    late = content("2", {"m": "1"}, revision=6)
    view = stores({"user:/a": late, "user:/b": late, "user:/c": content("1", revision=5)})
    request = apply(
        view,
        puts=[
            (key("user:/a"), content("3")),
            (key("user:/c"), content("3")),
            (key("user:/gone"), content("3")),
        ],
        removes=[key("user:/b")],
        expected=5,
        removed_since=lambda backend, name, revision: name == key("user:/gone"),
    )
    conflict = conflict_of(request)
    assert conflict.conflicts == (
        Conflict("user:/a", 5, "'3'", "'2' with 1 metadata"),
        Conflict("user:/gone", 5, "'3'", "removed"),
        Conflict("user:/b", 5, "removed", "'2' with 1 metadata"),
    )
    assert conflict.number == "C02000"
    assert str(conflict) == (
        "Somebody else changed 3 keys since you read. Nothing was stored; get again, then set\n"
        "user:/a: base 5, ours '3', theirs '2' with 1 metadata\n"
        "user:/gone: base 5, ours '3', theirs removed\n"
        "user:/b: base 5, ours removed, theirs '2' with 1 metadata"
    )


def test_what_is_as_asked_is_no_conflict_for_apply():
    view = stores({"user:/a": content("2", revision=6)})
    request = apply(
        view,
        puts=[(key("user:/a"), content("2"))],
        removes=[key("user:/gone")],
        expected=5,
        removed_since=lambda backend, name, revision: True,
    )
    assert drafted(request) == Draft([])


def test_apply_hands_on_that_the_history_is_lost():
    def removed_since(backend, name, revision):
        raise HistoryLost("too long ago")

    request = apply(
        stores(), puts=[(key("user:/a"), content("1"))], expected=1, removed_since=removed_since
    )
    assert error_of(drafted, request) == (HistoryLost, "C01320", "too long ago")


# A handle's set


def test_entries_with_the_right_base_are_changes():
    old = content("1", revision=3)
    view = stores({"user:/a": old, "user:/b": old})
    request = put_entries(
        view,
        [
            Entry(key("user:/a"), content("2", {"m": "1"}), 3),
            Entry(key("user:/b"), None, 3),
            Entry(key("user:/c"), content("2"), 0),
        ],
    )
    assert drafted(request) == Draft(
        [
            change(view, "user:/a", old, content("2", {"m": "1"}, revision=REVISION)),
            change(view, "user:/b", old, None),
            change(view, "user:/c", None, content("2", revision=REVISION)),
        ],
        answer={},
    )


def test_entries_are_compared_and_nothing_is_changed():
    old = content("1", revision=3)
    view = stores({"user:/a": old, "user:/b": old})
    entries = [Entry(key("user:/a"), content("2"), 3), Entry(key("user:/b"), content("1"), 3)]
    changes = [change(view, "user:/a", old, content("2", revision=REVISION))]
    assert drafted(compare_entries(view, entries)) == Draft([], answer=changes)


def test_entries_that_are_as_asked_are_no_change_whatever_their_base():
    view = stores({"user:/a": content("1", revision=3), "user:/b": content("1", revision=4)})
    request = put_entries(
        view,
        [
            Entry(key("user:/a"), content("1")),
            Entry(key("user:/b"), content("1"), 4),
            Entry(key("user:/gone"), None, 2),
        ],
    )
    assert drafted(request) == Draft([], answer={key("user:/a"): 3, key("user:/b"): 4})


@pytest.mark.parametrize(
    ("there", "asked", "base", "ours", "theirs"),
    [
        pytest.param("2", "3", 3, "'3'", "'2'", id="changed and changed"),
        pytest.param("2", "3", 0, "'3'", "'2'", id="added and added"),
        pytest.param(None, "3", 3, "'3'", "removed", id="removed and changed"),
        pytest.param("2", None, 3, "removed", "'2'", id="changed and removed"),
        pytest.param("2", None, 0, "removed", "'2'", id="never seen and removed"),
    ],
)
def test_entries_with_another_base_are_conflicts(there, asked, base, ours, theirs):
    view = stores({} if there is None else {"user:/a": content(there, revision=4)})
    ours_content = None if asked is None else content(asked)
    conflict = conflict_of(put_entries(view, [Entry(key("user:/a"), ours_content, base)]))
    assert conflict.conflicts == (Conflict("user:/a", base, ours, theirs),)
    assert str(conflict) == (
        "Somebody else changed one key since you read. Nothing was stored; get again, then set\n"
        f"user:/a: base {base}, ours {ours}, theirs {theirs}"
    )


def test_a_conflict_names_all_keys_in_conflict_and_only_these():
    view = stores({f"user:/{each}": content("1", revision=4) for each in "abc"})
    conflict = conflict_of(
        put_entries(
            view,
            [
                Entry(key("user:/a"), content("2"), 3),
                Entry(key("user:/b"), content("2"), 4),
                Entry(key("user:/c"), None, 5),
                Entry(key("user:/d"), content("2"), 0),
            ],
        )
    )
    assert [each.name for each in conflict.conflicts] == ["user:/a", "user:/c"]
    assert conflict.reason.startswith("Somebody else changed 2 keys since you read.")


def test_a_conflict_tells_a_bounded_number_of_keys():
    names = [key(f"user:/{number}") for number in range(MAX_TOLD_CONFLICTS + 1)]
    request = put_entries(stores(), [Entry(name, content("1"), 3) for name in names])
    conflict = conflict_of(request)
    assert len(conflict.conflicts) == MAX_TOLD_CONFLICTS
    assert conflict.reason.startswith("Somebody else changed 1001 keys since you read.")


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("", "''"),
        ("a\nb'\udcff", '"a\\nb\'\\udcff"'),
        ("x" * SHORT_VALUE, repr("x" * SHORT_VALUE)),
        ("x" * 41, f"{'x' * SHORT_VALUE!r}... (41 long)"),
    ],
)
def test_a_conflict_shows_values_short_and_on_one_line(value, shown):
    view = stores({"user:/a": content(value, revision=4)})
    conflict = conflict_of(put_entries(view, [Entry(key("user:/a"), None, 3)]))
    assert conflict.conflicts == (Conflict("user:/a", 3, "removed", shown),)


def test_a_conflict_shows_binary_values_as_bytes():
    view = stores({"user:/a": content(b"\xff" * 50, BINARY, revision=4)})
    conflict = conflict_of(put_entries(view, [Entry(key("user:/a"), content("1"), 3)]))
    shown = repr(b"\xff" * SHORT_VALUE)
    assert conflict.conflicts == (
        Conflict("user:/a", 3, "'1'", f"{shown}... (50 long) with 1 metadata"),
    )


def test_entries_may_be_drafted_again():
    view = stores()
    request = put_entries(view, [Entry(key("user:/a"), content("1"))])
    assert drafted(request, 10).changes == [
        change(view, "user:/a", None, content("1", revision=10))
    ]
    assert drafted(request, 11).changes == [
        change(view, "user:/a", None, content("1", revision=11))
    ]


# Long requests


def test_long_requests_let_others_go_on():
    names = [key(f"user:/{number}") for number in range(2 * SLICE_KEYS)]
    view = stores()
    entries = [Entry(name, content("1")) for name in names]
    assert pauses(put_entries(view, entries)) == 2
    assert pauses(put_entries(view, entries[:-1])) == 1
    assert pauses(apply(view, puts=[(name, content("1")) for name in names])) == 2
    view.backend(key("user:/")).tree.update(dict.fromkeys(names, content("1", revision=3)))
    assert pauses(remove(view, key("user:/"), recursive=True)) == 2
    assert pauses(put_entries(view, entries)) == 2


def test_what_is_applied_meanwhile_does_not_disturb_a_long_remove():
    names = [key(f"user:/{number}") for number in range(2 * SLICE_KEYS)]
    view = stores()
    user = view.backend(key("user:/"))
    for name in names:
        user.prepare(name, content("1", revision=8), 8)
    steps = remove(view, key("user:/"), recursive=True)(REVISION)
    next(steps)
    for name in names:
        user.apply(name, content("1", revision=8), 8)
    assert drafted(lambda revision: steps).answer == len(names)
