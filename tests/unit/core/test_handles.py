"""Handles: what was got decides what may be set."""

import pytest
from core_state import error_of, key, stores

from kdb.model.errors import Conflict, ConflictError, InterfaceError
from kdbd.core.handles import GOT_PARENTS, Handle, parent_key
from kdbd.core.view import View

CONFLICT = ConflictError("changed", conflicts=(Conflict("user:/a", 3, "'1'", "'2'"),))
CONFLICTING = (ConflictError, "C02000", "changed\nuser:/a: base 3, ours '1', theirs '2'")


def handle(*got):
    made = Handle(1, ":1.7", "/home/me/deep", "/home/me", View({}))
    for parent in got:
        made.note_get(key(parent))
    return made


def full():
    """Return a handle that remembers as many parents as it may, `user:/` among them."""
    made = handle("user:/")
    for number in range(GOT_PARENTS - 1):
        made.note_get(key(f"system:/{number}"))
    return made


def allowed(made, *parents):
    """Return of which parents a set is allowed."""
    passed = []
    for parent in parents:
        try:
            made.require_get(key(parent))
        except (InterfaceError, ConflictError):
            continue
        passed.append(parent)
    return passed


def test_a_new_handle_got_nothing():
    made = handle()
    assert made.got == {}
    assert not made.has_got(key("user:/"))
    text = (
        "The set of user:/a needs a get of it, or of a parent above it, on the same handle; this"
        " handle got nothing. Get user:/a first"
    )
    assert error_of(made.require_get, key("user:/a")) == (InterfaceError, "C01320", text)


def test_a_set_needs_a_get_of_its_parent_or_of_one_above():
    made = handle("user:/a", "system:/")
    wanted = ["user:/a", "user:/a/b", "system:/", "system:/x/y"]
    others = ["user:/", "user:/ab", "spec:/a", "/", "/a"]
    assert allowed(made, *others, *wanted) == wanted
    assert [parent for parent in (*others, *wanted) if made.has_got(key(parent))] == wanted


def test_the_refusal_names_both_what_is_set_and_what_was_got():
    made = handle("user:/b", "user:/a")
    text = (
        "The set of user:/ needs a get of it, or of a parent above it, on the same handle; this"
        " handle got user:/a, user:/b. Get user:/ first"
    )
    assert error_of(made.require_get, key("user:/")) == (InterfaceError, "C01320", text)


def test_a_cascading_get_is_one_of_every_namespace():
    made = handle("/a")
    wanted = ["/a", "/a/b", "user:/a", "system:/a/b", "dir:/a"]
    assert allowed(made, *wanted, "/", "user:/", "user:/b") == wanted


def test_after_a_conflict_every_set_that_overlaps_it_is_refused():
    made = handle("/")
    made.note_conflict(key("user:/a"), CONFLICT)
    for parent in ("user:/a", "user:/a/b", "user:/", "/", "/a"):
        assert error_of(made.require_get, key(parent)) == CONFLICTING
    others = ["user:/b", "system:/a", "/b"]
    assert allowed(made, *others) == others


@pytest.mark.parametrize("parent", ["user:/a", "user:/", "/", "/a"])
def test_a_get_of_the_parent_or_above_ends_the_conflict(parent):
    made = handle("/")
    made.note_conflict(key("user:/a"), CONFLICT)
    made.note_get(key(parent))
    wanted = ["user:/a", "user:/a/b", "user:/", "/"]
    assert allowed(made, *wanted) == wanted


@pytest.mark.parametrize("parent", ["user:/a/b", "user:/b", "system:/"])
def test_a_get_of_less_leaves_the_conflict(parent):
    made = handle("/")
    made.note_conflict(key("user:/a"), CONFLICT)
    made.note_get(key(parent))
    assert error_of(made.require_get, key("user:/a")) == CONFLICTING


def test_a_handle_remembers_a_bounded_number_of_parents():
    made = full()
    text = f"This handle got {GOT_PARENTS} different parents already. Open another handle"
    assert error_of(made.note_get, key("spec:/")) == (InterfaceError, "C01320", text)
    made.note_get(key("user:/"))
    assert len(made.got) == GOT_PARENTS


def test_a_conflict_of_a_full_handle_is_noted_at_the_parents_above():
    made = full()
    made.note_conflict(key("user:/a"), CONFLICT)
    assert len(made.got) == GOT_PARENTS
    assert error_of(made.require_get, key("user:/b")) == CONFLICTING
    assert allowed(made, "system:/1") == ["system:/1"]
    made.note_get(key("user:/"))
    assert allowed(made, "user:/a") == ["user:/a"]


def test_a_conflict_of_a_got_parent_is_noted_also_in_a_full_handle():
    made = full()
    made.note_conflict(key("system:/1"), CONFLICT)
    assert error_of(made.require_get, key("system:/1")) == CONFLICTING
    assert allowed(made, "user:/") == ["user:/"]


def test_a_handle_that_moves_to_another_directory_forgets_what_it_got_of_the_one_before():
    made = handle("/a", "dir:/", "dir:/b", "user:/c")
    view = stores()
    made.move("/home", view)
    assert (made.directory, made.root, made.view) == ("/home/me/deep", "/home", view)
    assert made.got == {key("user:/c"): None}


@pytest.mark.parametrize("name", ["/", "/a", "spec:/", "proc:/a", "dir:/", "user:/a", "system:/"])
def test_a_parent_key_is_one_of_a_namespace_with_keys_or_cascading(name):
    assert parent_key(key(name)) == key(name)


@pytest.mark.parametrize("name", ["meta:/", "meta:/a", "default:/a"])
def test_metadata_and_defaults_have_no_parent_key(name):
    text = (
        f"{name} cannot be a parent key: its namespace is not stored. Use a parent in spec:/,"
        " dir:/, user:/, system:/ or a cascading one"
    )
    assert error_of(parent_key, key(name)) == (InterfaceError, "C01320", text)
