"""Unescaped names: relations, order, parts, and names recorded from libelektra."""

import json
from pathlib import Path

import pytest
from key_names import from_parts

from kdb.model import names
from kdb.model.errors import InvalidName, NameTooLong
from kdb.model.names import MAX_NAME_BYTES, PERSISTABLE, Namespace, escape, unescape

ORACLE = Path(__file__).parents[2] / "data" / "oracle"


def recorded(name):
    return json.loads((ORACLE / f"{name}.json").read_text())


def contradicts_itself(entry):
    """Tell whether the recorded name does not stand for the recorded parts.

    libelektra makes such names of `/%`, which it takes for the root, and of parts such as `#10b`,
    in which it escapes what its own parser refuses. A name stands for its parts; so test that.
    """
    try:
        return list(names.parts(unescape(entry["result"]))) != entry["parts"]
    except InvalidName:
        return True


@pytest.mark.parametrize("entry", recorded("keynames"), ids=lambda entry: repr(entry["input"]))
def test_recorded_key_name(entry):
    if not entry["valid"]:
        with pytest.raises(InvalidName):
            unescape(entry["input"])
        with pytest.raises(InvalidName):
            names.canonical(entry["input"])
        return
    name = unescape(entry["input"])
    assert names.canonical(entry["input"]) == entry["canonical_name"]
    assert unescape(entry["canonical_name"]) == name
    assert names.namespace_name(names.namespace(name)) == entry["namespace"]
    assert list(names.parts(name)) == entry["unescaped_parts"]
    assert names.base_name(name) == entry["base_name"]
    assert escape(names.parent(name)) == (entry["parent"] or entry["canonical_name"])
    # libelektra ends each part with a NUL, and the root with two.
    assert name[:1] + b"\0" + name[2:] + b"\0" == bytes.fromhex(entry["unescaped_hex"])


@pytest.mark.parametrize("entry", recorded("addname"), ids=repr)
def test_recorded_change_of_a_name(entry):
    name, base = unescape(entry["name"]), entry["arg"]
    if base is None:
        # The binding's delBaseName; the other two take no missing argument.
        if entry["ok"]:
            assert escape(names.parent(name)) == entry["result"]
        return
    change = {
        "keyAddName": names.add_name,
        "keyAddBaseName": names.add_base_name,
        "keySetBaseName": names.set_base_name,
    }[entry["op"]]
    if not entry["ok"]:
        with pytest.raises(InvalidName):
            change(name, base)
        return
    changed = change(name, base)
    if contradicts_itself(entry):
        assert entry["op"] != "keyAddName"
        kept = name if entry["op"] == "keyAddBaseName" else names.parent(name)
        assert names.parts(changed) == (*names.parts(kept), base)
        assert unescape(escape(changed)) == changed
        return
    assert names.canonical(entry["result"]) == entry["result"]
    assert changed == unescape(entry["result"])
    assert names.base_name(changed) == entry["base_name"]
    assert list(names.parts(changed)) == entry["parts"]


@pytest.mark.parametrize("entry", recorded("ordering"), ids=range(len(recorded("ordering"))))
def test_recorded_order(entry):
    assert sorted({unescape(name) for name in entry["input"]}) == [
        unescape(name) for name in entry["iteration"]
    ]


@pytest.mark.parametrize("entry", recorded("relations"), ids=repr)
def test_recorded_relation(entry):
    above, below = unescape(entry["a"]), unescape(entry["b"])
    related = names.related(below, above)
    assert names.is_below(*related) == bool(entry["isBelow"])
    assert names.is_directly_below(*related) == bool(entry["isDirectlyBelow"])
    assert names.is_below_or_same(*related) == bool(entry["isBelowOrSame"])
    sign = entry["cmp_sign"]
    if {above, below} == {above[:1], above[:1] + b"\0"}:
        # libelektra takes `user:/%` for the root, and would lose one of the two in a key set. They
        # have different parts, so here they are different keys, the root first.
        sign = len(above) - len(below)
    assert (above > below) - (above < below) == sign


@pytest.mark.parametrize(
    ("name", "unescaped"),
    [
        ("/", b"\x01"),
        ("user:/", b"\x06"),
        ("user:/%", b"\x06\0"),
        ("user:/a/b", b"\x06\0a\0b"),
        ("user:/%/a", b"\x06\0\0a"),
        ("default:/a\\/ä\udcff", b"\x08\0a/\xc3\xa4\xff"),
    ],
)
def test_an_unescaped_name_is_a_namespace_and_parts_led_by_nul(name, unescaped):
    assert unescape(name) == unescaped
    assert escape(unescaped) == name
    assert from_parts(Namespace(unescaped[0]), names.parts(unescaped)) == unescaped


def test_namespaces_are_in_the_order_of_key_sets():
    assert [names.namespace_name(namespace) for namespace in Namespace] == (
        ["none", "cascading", "meta", "spec", "proc", "dir", "user", "system", "default"]
    )
    assert list(map(names.namespace_name, PERSISTABLE)) == ["spec", "dir", "user", "system"]
    assert names.namespace(unescape("system:/a")) is Namespace.SYSTEM


def test_below_means_in_the_same_namespace_and_with_more_parts():
    parent, child, grandchild = map(unescape, ("user:/a", "user:/a/b", "user:/a/b/c"))
    beside, elsewhere, cascading = map(unescape, ("user:/ab", "system:/a/b", "/a/b"))
    below = {
        name
        for name in (parent, child, grandchild, beside, elsewhere, cascading)
        if names.is_below(name, parent)
    }
    assert below == {child, grandchild}
    assert names.is_below_or_same(parent, parent)
    assert names.is_below_or_same(child, parent)
    assert not names.is_below_or_same(beside, parent)
    assert names.is_directly_below(child, parent)
    assert not names.is_directly_below(grandchild, parent)
    assert not names.is_directly_below(parent, parent)
    assert names.is_directly_below(unescape("user:/%"), unescape("user:/"))


def test_the_end_of_a_subtree_is_behind_all_below_and_before_the_next():
    name = unescape("user:/a")
    end = names.end_of_subtree(name)
    assert name < unescape("user:/a/%") < unescape("user:/a/\x7f/z") < end
    assert end <= unescape("user:/a\x01") < unescape("user:/ab")


def test_a_path_moves_between_namespaces():
    assert names.in_namespace(unescape("/a/b"), Namespace.SPEC) == unescape("spec:/a/b")
    assert names.in_namespace(unescape("user:/"), Namespace.DEFAULT) == unescape("default:/")


@pytest.mark.parametrize(
    ("name", "parent", "relative"),
    [
        ("user:/a", "user:/a", ""),
        ("user:/a/b/c", "user:/a", "b/c"),
        ("user:/a/#10", "user:/", "a/#_10"),
        ("user:/a/\\.", "user:/a", "\\."),
        ("user:/a/\\%/%", "user:/a", "\\%/%"),
        ("user:/%", "user:/", "%"),
        ("user:/%/b\\/c", "user:/%", "b\\/c"),
    ],
)
def test_a_relative_name_is_what_follows_the_parent(name, parent, relative):
    name, parent = unescape(name), unescape(parent)
    assert names.relative(name, parent) == relative
    assert names.add_name(parent, f"/{relative}") == name


def test_a_name_elsewhere_is_not_relative():
    with pytest.raises(ValueError, match="'user:/ab' is not below 'user:/a'"):
        names.relative(unescape("user:/ab"), unescape("user:/a"))


def test_the_root_has_no_base_name_to_replace():
    root = unescape("user:/")
    assert (names.base_name(root), names.parent(root)) == ("", root)
    with pytest.raises(InvalidName, match="'user:/' has no base name to replace; add one"):
        names.set_base_name(root, "a")


def test_parts_hold_no_nul():
    name = unescape("user:/a")
    for change in (names.add_base_name, names.set_base_name):
        with pytest.raises(InvalidName, match=r"'b\\x00' contains a NUL"):
            change(name, "b\0")


def test_names_made_of_others_are_bounded():
    longest = unescape("/" + "a" * (MAX_NAME_BYTES - 1))
    for make in (
        lambda: names.in_namespace(longest, Namespace.USER),
        lambda: names.add_base_name(longest, ""),
        lambda: names.add_name(longest, "b"),
        lambda: names.add_name(unescape("/"), "a" * (MAX_NAME_BYTES + 1)),
        lambda: names.set_base_name(longest, "/" * (MAX_NAME_BYTES // 2)),
    ):
        with pytest.raises(NameTooLong, match="may have 65536 bytes of UTF-8; shorten it"):
            make()
    assert names.set_base_name(longest, "b" * (MAX_NAME_BYTES - 1)) > longest
