"""KeySet: order, look-up, changing what is in it, copies, and what kdb.KDB needs of it."""

import base64
import copy
import json
import random
from pathlib import Path

import pytest

from kdb.model.constants import KEY_LOCK_NAME, KEY_META, KS_END
from kdb.model.content import Content
from kdb.model.exceptions import KDBException, KeyException, KeyInvalidName
from kdb.model.key import Key
from kdb.model.keyset import KeySet
from kdb.model.names import MAX_NAME_BYTES, unescape
from kdb.model.tracking import Put, Removed

ORACLE = Path(__file__).parents[2] / "data" / "oracle"


def recorded(name):
    return json.loads((ORACLE / f"{name}.json").read_text())


def of(*names):
    return KeySet(len(names), *map(Key, names))


def names(ks):
    return [key.name for key in ks]


def filled(*pairs, parent="user:/"):
    """Return a key set as a get leaves it: `pairs` are names and revisions."""
    ks = KeySet()
    contents = [(unescape(name), Content(name, revision=revision)) for name, revision in pairs]
    ks._fill(unescape(parent), contents)
    ks._base = dict(contents)
    return ks


# --- as recorded


@pytest.mark.parametrize("entry", recorded("ordering"), ids=lambda entry: str(entry["input"])[:60])
def test_recorded_order(entry):
    assert names(of(*entry["input"])) == entry["iteration"]
    one_by_one = KeySet()
    for name in entry["input"]:
        one_by_one.append(name)
        assert names(one_by_one) == sorted(names(one_by_one), key=unescape)
    assert names(one_by_one) == entry["iteration"]


def recorded_value(key):
    return base64.b64decode(key["value_b64"]) if key.get("binary") else key["value"]


def recorded_key(key):
    return Key(key["name"], recorded_value(key), key["meta"])


def everything(ks):
    return [(key.name, key.value, {meta.name: meta.value for meta in key.getMeta()}) for key in ks]


@pytest.mark.parametrize("entry", recorded("diff"), ids=lambda entry: str(entry["case"]))
def test_recorded_operations_on_keys_and_key_sets(entry):
    ks = KeySet(0, *map(recorded_key, entry["base"]))
    for step, state in zip(entry["steps"], entry["states"], strict=True):
        # The key of an addition was written down after the whole recording, changed by later steps.
        after = {key["name"]: key for key in state}
        for operation in step:
            match operation:
                case {"op": "add" | "replace", "key": key}:
                    ks.append(recorded_key(after.get(key["name"], key)))
                case {"op": "rm", "name": name}:
                    ks.remove(name)
                case {"op": "set", "name": name}:
                    ks[name].value = recorded_value(operation)
                case {"op": "meta", "name": name, "meta": meta, "value": text}:
                    ks[name].setMeta(meta, text)
                case {"op": "metarm", "name": name, "meta": meta}:
                    ks[name].delMeta(meta)
                case _:
                    raise AssertionError(operation)
        expected = [(key["name"], recorded_value(key), key["meta"]) for key in state]
        assert everything(ks) == sorted(expected, key=lambda key: unescape(key[0]))


# --- constructor


def test_constructor_takes_keys_up_to_the_end():
    ks = KeySet(100, Key("user:/b"), "user:/a", of("user:/c"), KS_END, Key("user:/lost"))
    assert names(ks) == ["user:/a", "user:/b", "user:/c"]
    assert names(KeySet()) == names(KeySet(5)) == []


def test_constructor_with_a_key_set_shares_its_keys():
    ks = of("user:/a")
    more = KeySet(ks, Key("user:/b"))
    assert names(more) == ["user:/a", "user:/b"]
    assert names(ks) == ["user:/a"]
    assert more[0].getKey() == ks[0].getKey()


def test_constructor_refuses_other_types():
    with pytest.raises(TypeError, match=r"^a size or a key set comes first, not str$"):
        KeySet("user:/a")
    with pytest.raises(TypeError, match=r"^a key, a name or a key set is needed, not int$"):
        KeySet(2, 5)


# --- looking at keys


def test_positions_slices_and_names():
    ks = of("user:/a", "user:/b", "user:/c")
    assert (ks[0].name, ks[-1].name) == ("user:/a", "user:/c")
    assert ks[1:3] == [ks[1], ks[2]]
    assert ks[::-2] == [ks[2], ks[0]]
    assert ks["user:/b"] is ks[1]
    assert ks[Key("user:/b")] is ks[1]
    for position in (3, -4):
        with pytest.raises(IndexError, match=rf"^no key {position} in a key set of 3$"):
            ks[position]
    for name in ("user:/x", "wrongname", "/x"):
        with pytest.raises(KeyError, match=name):
            ks[name]
    with pytest.raises(KeyError, match="user:/x"):
        ks[Key("user:/x")]
    with pytest.raises(TypeError):
        ks[1.5]


def test_lookup_finds_or_gives_none():
    ks = of("user:/a", "user:/b")
    assert ks.lookup("user:/a") is ks.lookup(Key("user:/a")) is ks.lookup(0) is ks[0]
    assert ks.lookup(-1) is ks[1]
    for missing in ("user:/x", "wrongname", Key("user:/x"), 2, -3):
        assert ks.lookup(missing) is None


def test_membership():
    ks = of("user:/a")
    assert "user:/a" in ks
    assert Key("user:/a") in ks
    assert "/a" in ks
    assert "user:/b" not in ks
    assert "wrongname" not in ks
    for other in (0, None):
        with pytest.raises(TypeError):
            assert other in ks


def test_cascading_names_resolve():
    ks = of("user:/a", "system:/a", "system:/b", "default:/c", "/d", "user:/a/x")
    assert ks["/a"].name == "user:/a"
    assert ks["/b"].name == "system:/b"
    assert ks["/c"] is ks["default:/c"]
    assert ks["/d"].name == "/d"
    assert ks.lookup("/e") is None


def test_specifications_direct_the_look_up():
    ks = of("user:/a", "system:/a", "user:/other")
    ks.append("spec:/a", KEY_META, "override/#0", "/other")
    ks.append("spec:/b", {"fallback/#0": "/nothing", "default": "5"})
    assert ks["/a"].name == "user:/other"
    found = ks["/b"]
    assert (found.name, found.value) == ("default:/b", "5")
    assert "default:/b" not in ks
    with pytest.raises(ValueError, match="'/b' is not in the key set"):
        ks.remove("/b")


def test_specifications_that_link_too_deep_are_an_error():
    ks = KeySet()
    for number in range(100):
        ks.append(f"spec:/{number}", {"override/#0": f"/{number + 1}"})
    with pytest.raises(KDBException, match="C03200"):
        ks.lookup("/0")
    with pytest.raises(KDBException, match="C01320"):
        ks.lookup("/" + "a" * (MAX_NAME_BYTES - 1))


def test_search_tells_the_position():
    ks = of("user:/a", "user:/c")
    assert [ks.search("user:/a"), ks.search(Key("user:/c"))] == [0, 1]
    assert [ks.search(f"user:/{each}") for each in "0bd"] == [-1, -2, -3]
    with pytest.raises(KeyInvalidName):
        ks.search("wrongname")


def test_iteration_is_over_the_keys_that_were_there():
    ks = of("user:/b", "user:/a")
    assert iter(ks).value() is ks["user:/a"]
    assert reversed(ks).value() is ks["user:/b"]
    assert [key.name for key in reversed(ks)] == ["user:/b", "user:/a"]
    for key in ks:
        ks.append(f"{key.name}/below")
    assert len(ks) == 4


def test_equality_looks_at_names():
    assert of("user:/a", "user:/b") == of("user:/b", "user:/a")
    assert KeySet(1, Key("user:/a", "1")) == KeySet(1, Key("user:/a", "2"))
    assert of("user:/a") != of("user:/a", "user:/b")
    assert (of("user:/a") == ["user:/a"]) is False
    with pytest.raises(TypeError):
        hash(KeySet())


def test_text_forms():
    ks = of("user:/b", "user:/a")
    assert str(ks) == "['user:/a', 'user:/b']"
    assert repr(ks) == "kdb.KeySet(2, kdb.Key('user:/a'), kdb.Key('user:/b'))"
    assert repr(KeySet()) == "kdb.KeySet(0)"


def test_helpers():
    ks = of("user:/a", "user:/a/b", "user:/a/c", "user:/a/c/d", "user:/x\\/y")
    assert ks.unpack_names() == {"user:/a", "user:/a/b", "user:/a/c", "user:/a/c/d", "user:/x\\/y"}
    assert ks.unpack_basenames() == {"a", "b", "c", "d", "x/y"}
    for parent in ("user:/a", Key("user:/a")):
        assert names(ks.filter_below(parent)) == ["user:/a/b", "user:/a/c"]
    part = ks.filter(lambda key: len(key) == 2)
    assert names(part) == ["user:/a", "user:/x\\/y"]
    assert part[0] is ks[0]
    assert len(ks) == 5


# --- changing what is in it


def test_append_and_extend_tell_the_size():
    ks = KeySet()
    assert ks.append(Key("user:/foo")) == 1
    assert ks.append(Key("user:/bar"), Key("user:/bar2")) == 3
    assert ks.append("user:/nice") == 4
    assert ks.extend([Key("user:/baz"), "user:/baz2"]) == 6
    assert ks.append(of("user:/foo", "user:/other")) == 7
    assert ks.extend([]) == 7
    assert ks.extend(of("user:/last")) == 8


def test_append_of_a_name_takes_the_options_of_a_key():
    ks = KeySet()
    ks.append("user:/a", "value", {"m": "1"})
    assert (ks[0].value, ks[0].getMeta("m").value) == ("value", "1")
    with pytest.raises(KeyInvalidName):
        ks.append("wrongname")


def test_append_replaces_the_key_of_the_same_name():
    old, new = Key("user:/a", "old"), Key("user:/a", "new")
    ks = KeySet(1, old)
    assert ks.append(new) == 1
    assert ks[0] is new
    assert ks.append(new) == 1


def test_a_key_set_locks_the_names_of_its_keys():
    key = Key("user:/a")
    ks = KeySet(1, key)
    assert isinstance(hash(ks[0]), int)
    assert key.isNameLocked()
    assert not key.isValueLocked()
    assert not key.isMetaLocked()
    with pytest.raises(KeyInvalidName):
        key.name = "user:/b"
    assert ks.pop().isNameLocked()


def test_a_changed_key_is_seen_by_all_that_share_it():
    key = Key("user:/a", "old")
    ks, other = KeySet(1, key), KeySet(1, key)
    key.value = "new"
    ks["user:/a"].setMeta("m", "1")
    assert other["/a"].value == "new"
    assert other._contents() == ks._contents() == {unescape("user:/a"): Content("new", {"m": "1"})}


def test_pop_takes_the_last():
    ks = of("user:/a", "user:/c", "user:/b")
    assert [ks.pop().name, ks.pop().name, len(ks)] == ["user:/c", "user:/b", 1]
    ks.pop()
    with pytest.raises(KeyException, match="empty"):
        ks.pop()


def test_remove_takes_by_name():
    ks = of("user:/a", "user:/b", "user:/c")
    assert ks.remove("user:/b").name == "user:/b"
    assert ks.remove("/c").name == "user:/c"
    assert ks.remove(Key("user:/a")).name == "user:/a"
    for missing in (Key("user:/a"), "user:/a", "wrongname"):
        with pytest.raises(ValueError, match="is not in the key set"):
            ks.remove(missing)
    with pytest.raises(TypeError):
        ks.remove(0)
    assert names(ks) == []


def test_cut_takes_a_key_and_all_below():
    ks = of("user:/1", "user:/2", "user:/2/a", "user:/2/a/b", "user:/2-", "user:/3")
    kept = ks["user:/2/a"]
    part = ks.cut(Key("user:/2"))
    assert names(part) == ["user:/2", "user:/2/a", "user:/2/a/b"]
    assert part["user:/2/a"] is kept
    assert names(ks) == ["user:/1", "user:/2-", "user:/3"]
    assert names(ks.cut("user:/does/not/exist")) == []
    assert len(ks) == 3


def test_cut_of_a_cascading_key_takes_it_in_all_namespaces():
    everywhere = ["/a", "spec:/a", "proc:/a", "dir:/a", "user:/a/b", "system:/a", "default:/a"]
    ks = of(*everywhere, "user:/b")
    assert names(ks.cut("/a")) == everywhere
    assert names(ks) == ["user:/b"]


def test_clear_and_copy():
    ks, other = of("user:/a"), of("user:/b", "user:/c")
    ks.copy(other)
    assert names(ks) == ["user:/b", "user:/c"]
    assert ks[0] is other[0]
    other.clear()
    assert (len(other), len(ks)) == (0, 2)


def test_shallow_copies_share_keys_and_deep_copies_do_not():
    ks = filled(("user:/a", 1), ("user:/b", 2))
    ks["user:/b"].value = "before"
    for same in (copy.copy(ks), ks.dup(), KeySet(ks)):
        assert same == ks
        assert same.getKeySet() != ks.getKeySet()
        assert [key.getKey() for key in same] == [key.getKey() for key in ks]
        assert same._base is ks._base
        same.pop()
    deep = copy.deepcopy(ks)
    assert deep == ks
    assert deep._base is ks._base
    assert everything(deep) == everything(ks)
    assert all(mine.getKey() != other.getKey() for mine, other in zip(deep, ks, strict=True))
    deep[0].setMeta("m", "1")
    ks[0].value = "after"
    assert (deep[0].value, ks[0].hasMeta("m"), deep[0].isNameLocked()) == ("user:/a", False, True)
    assert ks.getKeySet() == ks.getKeySet()


def test_order_survives_any_mixture_of_changes():
    chance = random.Random(7)
    ks, expected = KeySet(), set()
    for _ in range(2_000):
        name = f"user:/{chance.randrange(60)}/{chance.randrange(3)}"
        match chance.randrange(6):
            case 0 if expected:
                expected.discard(ks.pop().name)
            case 1 if name in expected:
                expected.discard(ks.remove(name).name)
            case 2 if chance.random() < 0.1:
                expected -= {key.name for key in ks.cut(name.rpartition("/")[0])}
            case 3:
                assert names(ks) == sorted(expected, key=unescape)
            case _:
                ks.append(name)
                expected.add(name)


# --- for kdb.KDB


def test_fill_replaces_what_the_parent_covers():
    ks = of("user:/a", "user:/a/local", "user:/b", "proc:/a", "system:/a")
    kept = ks["user:/b"]
    ks["user:/a"].value = "local"
    ks._fill(
        unescape("user:/a"),
        [(unescape("user:/a/x"), Content("1")), (unescape("user:/a"), Content("2"))],
    )
    assert [(key.name, key.value) for key in ks] == [
        ("proc:/a", ""), ("user:/a", "2"), ("user:/a/x", "1"), ("user:/b", ""), ("system:/a", ""),
    ]  # fmt: skip
    assert ks["user:/b"] is kept
    assert ks["user:/a"].isNameLocked()


def test_fill_of_a_cascading_parent_leaves_what_is_not_stored():
    ks = of("/a", "spec:/a", "proc:/a", "user:/a", "default:/a")
    ks._fill(
        unescape("/"),
        [(unescape("system:/x"), Content("1")), (unescape("default:/a"), Content("2"))],
    )
    assert names(ks) == ["/a", "proc:/a", "system:/x", "default:/a"]
    assert ks["default:/a"].value == "2"


def test_changes_are_those_against_the_base():
    ks = filled(("user:/a", 1), ("user:/b", 2), ("user:/c", 3), ("user:/d", 4))
    assert ks._changes(unescape("user:/")) == ([], [])
    ks["user:/a"].value = "new"
    ks["user:/b"].value = "user:/b"
    assert ks["user:/d"].value == "user:/d"
    ks.remove("user:/c")
    ks.append("user:/0", "added")
    assert ks._changes(unescape("user:/")) == (
        [
            Put(unescape("user:/0"), Content("added"), 0),
            Put(unescape("user:/a"), Content("new"), 1),
        ],
        [Removed(unescape("user:/c"), 3)],
    )
    assert ks._changes(unescape("user:/d")) == ([], [])
    ks._base = None
    assert [put.base for put in ks._changes(unescape("/")).put] == [0, 0, 0, 0]


@pytest.mark.parametrize(
    "part",
    [
        copy.copy,
        copy.deepcopy,
        KeySet.dup,
        lambda ks: ks.cut("user:/a"),
        lambda ks: ks.filter(lambda key: "a" in key.name),
    ],
)
def test_what_is_made_of_a_key_set_has_its_base(part):
    ks = filled(("user:/a", 1), ("user:/a/b", 2))
    made = part(ks)
    made.pop()
    assert made._changes(unescape("user:/a")) == ([], [Removed(unescape("user:/a/b"), 2)])


@pytest.mark.parametrize("written", [None, "those"])
def test_rebase_gives_written_keys_their_new_revision(written):
    ks = filled(("user:/a", 1), ("user:/b", 2), ("user:/c", 3), ("user:/d", 4))
    ks["user:/a"].value = "new"
    ks["user:/c"].value = "new"
    ks.remove("user:/d")
    ks.append("user:/e", "new")
    asked = ks._changes(unescape("user:/"))
    base = dict(ks._base)
    for name, content, _ in asked.put:
        base[name] = content._replace(revision=9)
    for name, _ in asked.removed:
        del base[name]
    ks["user:/c"].value = "changed again"
    ks.pop()
    ks._rebase(base, written and [*(put.name for put in asked.put), unescape("user:/d")])
    assert ks._base is base
    assert [key._content.revision for key in ks] == [9, 2, 0]
    assert ks._contents()[unescape("user:/a")] is base[unescape("user:/a")]
    assert ks._changes(unescape("user:/")) == (
        [Put(unescape("user:/c"), Content("changed again"), 9)],
        [Removed(unescape("user:/e"), 9)],
    )


def test_rebase_reaches_keys_that_were_never_looked_at():
    ks = filled(("user:/a", 1))
    base = {unescape("user:/a"): Content("user:/a", revision=5)}
    ks._rebase(base)
    assert ks["user:/a"]._content is base[unescape("user:/a")]


def test_locks_of_filled_keys():
    ks = filled(("user:/a", 1))
    assert ks[0]._locks == KEY_LOCK_NAME
