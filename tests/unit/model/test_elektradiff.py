"""ElektraDiff: the binding's view of a diff."""

import pytest

from kdb.model.content import Content
from kdb.model.diff import Change, Diff
from kdb.model.elektradiff import ElektraDiff
from kdb.model.exceptions import KeyInvalidName
from kdb.model.key import Key
from kdb.model.keyset import KeySet
from kdb.model.names import unescape


def old_keys():
    return KeySet(
        10,
        Key("user:/test/same", "1"),
        Key("user:/test/removed", "1", {"r": "1"}),
        Key("user:/test/value", "old"),
        Key("user:/test/meta", "1", {"gone": "1", "other": "old"}),
        Key("user:/outside", "old"),
        Key("system:/test/removed", "1"),
        Key("/test/cascading", "old"),
    )


def new_keys():
    return KeySet(
        10,
        Key("user:/test/same", "1"),
        Key("user:/test/value", "new"),
        Key("user:/test/meta", "1", {"other": "new", "added": "1"}),
        Key("user:/test/added", "1", {"a": "1"}),
        Key("user:/outside", "new"),
        Key("/test/cascading", "new"),
    )


def calculated(parent="user:/test"):
    return ElektraDiff.calculateDiff(new_keys(), old_keys(), parent)


def values(ks):
    return {key.name: key.value for key in ks}


def kinds(diff):
    key_sets = (diff.getAddedKeys(), diff.getRemovedKeys(), diff.getModifiedKeys())
    return [sorted(ks.unpack_names()) for ks in key_sets]


@pytest.mark.parametrize("parent", ["user:/test", Key("user:/test")])
def test_calculate_finds_each_kind_below_the_parent(parent):
    diff = calculated(parent)
    assert not diff.isEmpty()
    assert values(diff.getAddedKeys()) == {"user:/test/added": "1"}
    assert values(diff.getRemovedKeys()) == {"user:/test/removed": "1"}
    assert values(diff.getModifiedKeys()) == {"user:/test/meta": "1", "user:/test/value": "old"}
    assert diff.getModifiedKeys()["user:/test/meta"].getMeta("gone").value == "1"


def test_a_cascading_parent_covers_all_namespaces_and_no_cascading_keys():
    assert kinds(calculated("/test")) == [
        ["user:/test/added"],
        ["system:/test/removed", "user:/test/removed"],
        ["user:/test/meta", "user:/test/value"],
    ]


def test_calculate_needs_a_valid_parent():
    with pytest.raises(KeyInvalidName):
        calculated("wrongname")


def test_nothing_changed():
    assert ElektraDiff().isEmpty()
    assert ElektraDiff.calculateDiff(old_keys(), old_keys(), "/").isEmpty()
    assert ElektraDiff.calculateDiff(new_keys(), old_keys(), "dir:/").isEmpty()


@pytest.mark.parametrize("form", [str, Key])
def test_metadata(form):
    diff = calculated()
    meta, value, added, removed = (
        form(f"user:/test/{name}") for name in ("meta", "value", "added", "removed")
    )
    assert values(diff.getAddedMetaKeys(meta)) == {"meta:/added": "1"}
    assert values(diff.getRemovedMetaKeys(meta)) == {"meta:/gone": "1"}
    assert values(diff.getModifiedMetaKeys(meta)) == {"meta:/other": "old"}
    assert values(diff.getAddedMetaKeys(value)) == {}
    assert values(diff.getAddedMetaKeys(added)) == {"meta:/a": "1"}
    assert values(diff.getRemovedMetaKeys(removed)) == {"meta:/r": "1"}


def test_remove_key():
    diff = calculated()
    diff.removeKey("user:/test/added")
    diff.removeKey(Key("user:/test/value"))
    diff.removeKey("user:/not/there")
    assert kinds(diff) == [[], ["user:/test/removed"], ["user:/test/meta"]]


def test_remove_same_or_below_and_other():
    diff = calculated("/")
    diff.removeSameOrBelow("user:/test")
    assert kinds(diff) == [[], ["system:/test/removed"], ["user:/outside"]]
    diff.removeOther(Key("system:/"))
    assert kinds(diff) == [[], ["system:/test/removed"], []]


def test_cut_takes_out_and_gives():
    diff = calculated("/")
    part = diff.cut("user:/test")
    assert kinds(part) == kinds(calculated("user:/test"))
    assert kinds(diff) == [[], ["system:/test/removed"], ["user:/outside"]]


def test_dup_is_independent():
    diff = calculated()
    copy = diff.dup()
    diff.removeOther("user:/nothing")
    assert diff.isEmpty()
    assert kinds(copy) == kinds(calculated())


def test_what_is_handed_out_can_be_changed_without_harm():
    diff = calculated()
    diff.getAddedKeys()[0].value = "changed"
    diff.getAddedKeys().clear()
    assert values(diff.getAddedKeys()) == {"user:/test/added": "1"}


def test_undo_leads_back():
    ks, old = new_keys(), old_keys()
    ElektraDiff.calculateDiff(ks, old, "/").undo(ks)
    cascading = ks["/test/cascading"]
    assert values(ks) == {**values(old), cascading.name: "new"}
    assert {meta.name for meta in ks["user:/test/meta"].getMeta()} == {"meta:/gone", "meta:/other"}


def test_undo_overwrites_whatever_is_there():
    diff = calculated()
    ks = KeySet(2, Key("user:/test/value", "third"), Key("user:/test/removed", "third"))
    diff.undo(ks)
    assert values(ks) == {
        "user:/test/meta": "1", "user:/test/removed": "1", "user:/test/value": "old",
    }  # fmt: skip


def test_a_diff_can_be_wrapped():
    name = unescape("user:/a")
    diff = ElektraDiff(Diff({name: Change(None, Content("1", revision=3))}))
    assert values(diff.getAddedKeys()) == {"user:/a": "1"}
