"""Key: the constructor's forms, names, values, metadata, locks, copies, Python's protocols."""

import copy

import pytest

from kdb.model import key as keys
from kdb.model.constants import (
    KEY_BINARY,
    KEY_CP_ALL,
    KEY_CP_META,
    KEY_CP_NAME,
    KEY_CP_STRING,
    KEY_CP_VALUE,
    KEY_END,
    KEY_FLAGS,
    KEY_LOCK_META,
    KEY_LOCK_NAME,
    KEY_LOCK_VALUE,
    KEY_META,
    KEY_NS_NONE,
    KEY_NS_SYSTEM,
    KEY_NS_USER,
    KEY_SIZE,
    KEY_VALUE,
)
from kdb.model.content import MAX_VALUE_BYTES, Content
from kdb.model.errors import InvalidName, InvalidValue
from kdb.model.exceptions import (
    KeyException,
    KeyInvalidName,
    KeyInvalidValue,
    KeyTypeMismatch,
)
from kdb.model.key import Key
from kdb.model.names import MAX_NAME_BYTES

TOO_LONG = "a" * MAX_NAME_BYTES


def metadata(key):
    return {each.name: each.value for each in key.getMeta()}


def locked(flags=KEY_LOCK_NAME | KEY_LOCK_VALUE | KEY_LOCK_META):
    return Key("user:/locked", "old", {"m": "1"}, KEY_FLAGS, flags)


# --- constructor


@pytest.mark.parametrize(
    ("arguments", "value", "meta"),
    [
        ((), "", {}),
        (("text",), "text", {}),
        (("",), "", {}),
        ((b"\0\xff",), b"\0\xff", {"meta:/binary": ""}),
        ((b"",), b"", {"meta:/binary": ""}),
        (({"b": "2", "meta:/a": "1"},), "", {"meta:/a": "1", "meta:/b": "2"}),
        (("text", {"a": "1"}), "text", {"meta:/a": "1"}),
        (
            (KEY_VALUE, "t", KEY_META, "b", "2", KEY_META, "a", "1"),
            "t",
            {"meta:/a": "1", "meta:/b": "2"},
        ),
        ((KEY_VALUE, 5), "5", {}),
        ((KEY_VALUE, b"x", KEY_END, KEY_META, "lost", "1"), b"x", {"meta:/binary": ""}),
        ((KEY_SIZE, 100, KEY_VALUE, "text", KEY_END), "text", {}),
        ((KEY_FLAGS, KEY_BINARY), b"", {"meta:/binary": ""}),
    ],
)  # fmt: skip
def test_constructor(arguments, value, meta):
    key = Key("user:/a", *arguments)
    assert key.name == "user:/a"
    assert key.value == value
    assert metadata(key) == meta
    assert not key.isNameLocked()


def test_constructor_without_a_name_gives_the_cascading_root():
    assert Key().name == "/"


def test_constructor_locks_what_flags_say():
    key = locked(KEY_LOCK_VALUE)
    assert key.value == "old"
    assert (key.isNameLocked(), key.isValueLocked(), key.isMetaLocked()) == (False, True, False)


@pytest.mark.parametrize("name", ["wrongname", "", "user", "unknown:/a", f"/{TOO_LONG}"])
def test_an_invalid_name_is_refused(name):
    with pytest.raises(KeyInvalidName):
        Key(name)


def test_an_invalid_name_is_told_with_the_reason_of_the_inner_error():
    with pytest.raises(InvalidName) as inner:
        keys.names.unescape("wrongname")
    with pytest.raises(KeyInvalidName) as outer:
        Key("wrongname")
    assert str(outer.value) == str(inner.value) == outer.value.what()


@pytest.mark.parametrize("name", [5, None, b"user:/a"])
def test_a_name_of_another_type_is_refused(name):
    with pytest.raises(TypeError, match=f"^a key name is a str, not {type(name).__name__}$"):
        Key(name)


def test_a_key_of_a_key_is_that_key():
    key = Key("user:/a", "1")
    same = Key(key)
    same.value = "2"
    assert key.value == "2"
    assert same.getKey() == key.getKey()
    with pytest.raises(TypeError, match="takes no options"):
        Key(key, "value")


# --- the name


def test_name_is_canonical_and_can_be_assigned():
    key = Key("user://a/./b/#10/")
    assert key.name == str(key) == "user:/a/b/#_10"
    key.name = "system:/x/"
    assert key.name == "system:/x"
    with pytest.raises(KeyInvalidName):
        key.name = "x"
    assert key.name == "system:/x"


def test_basename_is_unescaped_and_can_be_assigned():
    key = Key("user:/a\\/b")
    assert key.basename == "a/b"
    key.basename = "c/d"
    assert key.name == "user:/c\\/d"
    for wrong in ("\0", TOO_LONG):
        with pytest.raises(KeyInvalidName):
            key.basename = wrong
    root = Key("user:/")
    assert root.basename == ""
    with pytest.raises(KeyInvalidName):
        root.basename = "a"


def test_names_are_extended_and_shortened():
    key = Key("user:/")
    key.addName("a/b\\/c/../d")
    assert key.name == "user:/a/d"
    key.addBaseName("x/y")
    assert key.name == "user:/a/d/x\\/y"
    key.delBaseName()
    assert key.name == "user:/a/d"
    for wrong in ("\\x", TOO_LONG):
        with pytest.raises(KeyInvalidName):
            key.addName(wrong)
    for wrong in ("\0", TOO_LONG):
        with pytest.raises(KeyInvalidName):
            key.addBaseName(wrong)
    with pytest.raises(KeyInvalidName, match="has no base name"):
        Key("user:/").delBaseName()


def test_namespace_can_be_changed():
    key = Key("user:/a/b")
    assert key.getNamespace() == KEY_NS_USER
    key.setNamespace(KEY_NS_SYSTEM)
    assert key.name == "system:/a/b"
    for wrong in (KEY_NS_NONE, 9, -1):
        with pytest.raises(KeyInvalidName, match="is no namespace"):
            key.setNamespace(wrong)
    longest = Key("/" + TOO_LONG[:-1])
    with pytest.raises(KeyInvalidName):
        longest.setNamespace(KEY_NS_USER)


@pytest.mark.parametrize("namespace", ["Cascading", "Spec", "Proc", "Dir", "User", "System"])
def test_namespace_is_told(namespace):
    names = ["/a", "meta:/a", "spec:/a", "proc:/a", "dir:/a", "user:/a", "system:/a", "default:/a"]
    told = [name for name in names if getattr(Key(name), f"is{namespace}")()]
    assert told == ["/a" if namespace == "Cascading" else f"{namespace.lower()}:/a"]


@pytest.mark.parametrize(
    ("name", "other", "below", "below_or_same", "direct"),
    [
        ("user:/a/b", "user:/a", True, True, True),
        ("user:/a/b/c", "user:/a", True, True, False),
        ("user:/a", "user:/a", False, True, False),
        ("user:/ab", "user:/a", False, False, False),
        ("user:/a", "user:/a/b", False, False, False),
        ("system:/a/b", "user:/a", False, False, False),
        ("user:/a/b", "/a", True, True, True),
        ("/a/b", "user:/a", True, True, True),
    ],
)
def test_relations(name, other, below, below_or_same, direct):
    key = Key(name)
    for form in (other, Key(other)):
        assert key.isBelow(form) is below
        assert key.isBelowOrSame(form) is below_or_same
        assert key.isDirectBelow(form) is direct


def test_relations_need_a_key_or_a_name():
    with pytest.raises(TypeError, match=r"^a key or its name is needed, not int$"):
        Key("user:/a").isBelow(5)
    with pytest.raises(KeyInvalidName):
        Key("user:/a").isBelow("a")


def test_array_elements():
    assert Key("user:/some/array/#_12").array_elements() == (12, "user:/some/array", "array")
    element = Key("user:/#0").array_elements()
    assert isinstance(element, Key.Array)
    assert (element.index, element.name, element.basename) == (0, "user:/", "")
    for name in ("user:/noarray", "user:/a/#b", "user:/", "user:/a/#"):
        with pytest.raises(ValueError, match="does not end in an array index"):
            Key(name).array_elements()


# --- the value


def test_bytes_make_a_key_binary_and_strings_make_it_a_string():
    key = Key("user:/a", "text", {"m": "1"})
    assert (key.isString(), key.isBinary(), key.get()) == (True, False, "text")
    key.value = b"\0"
    assert (key.isString(), key.isBinary(), key.get()) == (False, True, b"\0")
    assert metadata(key) == {"meta:/binary": "", "meta:/m": "1"}
    key.set("again")
    assert (key.isString(), key.isBinary(), key.value) == (True, False, "again")
    assert metadata(key) == {"meta:/m": "1"}


def test_other_values_are_stored_as_their_text():
    key = Key("user:/a")
    key.value = 12
    assert key.value == "12"


def test_a_new_string_drops_the_value_before_normalisation():
    key = Key("user:/a", "1", {"origvalue": "yes", "type": "boolean"})
    key.value = "0"
    assert metadata(key) == {"meta:/type": "boolean"}


@pytest.mark.parametrize("value", ["a\0b", "\ud800", "x" * (MAX_VALUE_BYTES + 1)])
def test_a_value_that_no_key_may_have_is_refused(value):
    key = Key("user:/a", "old")
    with pytest.raises(KeyInvalidValue):
        key.value = value
    assert key.value == "old"


def test_a_refused_value_is_an_inner_error_too():
    with pytest.raises(InvalidValue, match="holds a NUL"):
        Key("user:/a", "\0")


def test_a_key_is_never_null():
    assert not Key().isNull()
    assert Key().isValid()
    assert Key()


# --- the metadata


def test_metadata_are_locked_keys():
    key = Key("user:/a", {"owner": "me"})
    for name in ("owner", "meta:/owner", "meta:///owner", Key("meta:/owner")):
        found = key.getMeta(name)
        assert isinstance(found, Key)
        assert (found.name, found.value) == ("meta:/owner", "me")
        assert found.isNameLocked()
        assert found.isValueLocked()
        assert found.isMetaLocked()
        assert key.hasMeta(name)


@pytest.mark.parametrize("name", ["other", "meta:/other", "", "a\\", "user:/owner"])
def test_metadata_that_is_not_there(name):
    key = Key("user:/a", {"owner": "me"})
    assert key.getMeta(name) is None
    assert not key.hasMeta(name)


def test_set_and_remove_metadata():
    key = Key("user:/a")
    key.setMeta("b", "1")
    key.setMeta("meta:/a", "2")
    key.setMeta("b", "3")
    key.setMeta(Key("meta:/c"), "4")
    assert list(metadata(key).items()) == [("meta:/a", "2"), ("meta:/b", "3"), ("meta:/c", "4")]
    key.delMeta("meta:/a")
    key.delMeta(Key("meta:/c"))
    key.delMeta("nothing")
    assert metadata(key) == {"meta:/b": "3"}


@pytest.mark.parametrize(
    ("name", "text", "error"),
    [
        ("a", 1, TypeError),
        (1, "a", TypeError),
        ("a\\", "1", KeyInvalidName),
        (TOO_LONG, "1", KeyInvalidName),
        ("a", "\0", KeyInvalidValue),
    ],
)
def test_wrong_metadata_are_refused(name, text, error):
    key = Key("user:/a")
    with pytest.raises(error):
        key.setMeta(name, text)
    assert metadata(key) == {}


def test_a_metadata_name_may_be_empty():
    key = Key("user:/a")
    key.setMeta("", "1")
    assert metadata(key) == {"meta:/": "1"}
    assert key.getMeta("meta:/").value == "1"
    key.delMeta("nothing")
    assert key.hasMeta("")
    key.delMeta("")
    assert metadata(key) == {}


def test_metadata_in_the_constructor_are_checked():
    with pytest.raises(TypeError, match=r"^metadata are str, not str: int$"):
        Key("user:/a", {"a": 1})


def test_the_metadata_binary_decides_about_the_type():
    key = Key("user:/a", "ä")
    key.setMeta("binary", "")
    assert key.value == "ä".encode()
    key.setMeta("binary", "again")
    assert key.value == "ä".encode()
    key.delMeta("binary")
    assert key.value == "ä"
    with pytest.raises(KeyInvalidValue):
        Key("user:/a", b"\0").delMeta("binary")


def test_copy_metadata():
    source = Key("user:/a", {"x": "1", "y": "2"})
    key = Key("user:/b", {"y": "old", "z": "3"})
    key.copyMeta(source, "meta:/y")
    assert metadata(key) == {"meta:/y": "2", "meta:/z": "3"}
    key.copyMeta(source, "z")
    assert metadata(key) == {"meta:/y": "2"}
    key.copyAllMeta(Key("user:/c", {"y": "4", "a": "5"}))
    assert metadata(key) == {"meta:/a": "5", "meta:/y": "4"}


# --- locks


def test_a_locked_name_cannot_be_changed():
    key = locked(KEY_LOCK_NAME)
    changes = [
        lambda: setattr(key, "name", "user:/a"),
        lambda: setattr(key, "basename", "a"),
        lambda: key.addName("a"),
        lambda: key.addBaseName("a"),
        key.delBaseName,
        lambda: key.setNamespace(KEY_NS_SYSTEM),
        key.clear,
        lambda: key.copy(Key("user:/a")),
    ]
    for change in changes:
        with pytest.raises(KeyInvalidName, match=r"^the name of 'user:/locked' is locked"):
            change()
    key.value = "new"
    key.setMeta("m", "2")
    key.copy(Key("user:/a", "copied"), KEY_CP_VALUE)
    assert (key.name, key.value, metadata(key)) == ("user:/locked", "copied", {"meta:/m": "2"})


def test_a_locked_value_and_locked_metadata_cannot_be_changed():
    key = locked(KEY_LOCK_VALUE | KEY_LOCK_META)
    changes = [
        lambda: key.set("new"),
        lambda: key.setMeta("a", "1"),
        lambda: key.delMeta("m"),
        lambda: key.copyMeta(Key("user:/a", {"a": "1"}), "a"),
        lambda: key.copyAllMeta(Key("user:/a")),
        lambda: key.copy(Key(), KEY_CP_VALUE),
        lambda: key.copy(Key(), KEY_CP_META),
        key.clear,
    ]
    for change in changes:
        with pytest.raises(KeyException, match=r"^'user:/locked' is locked"):
            change()
    assert (key.value, metadata(key)) == ("old", {"meta:/m": "1"})
    key.name = "user:/a"


# --- copies


def test_copies_are_independent_and_unlocked():
    key = locked()
    for same in (key.dup(), copy.copy(key), copy.deepcopy(key), key.dup(KEY_CP_ALL)):
        assert same == key
        assert (same.value, metadata(same)) == ("old", {"meta:/m": "1"})
        assert same.getKey() != key.getKey()
        same.name = "user:/other"
        same.value = "new"
    assert (key.name, key.value) == ("user:/locked", "old")


@pytest.mark.parametrize(
    ("flags", "name", "value", "meta"),
    [
        (KEY_CP_NAME, "user:/a", "", {}),
        (KEY_CP_VALUE, "/", b"1", {"binary": ""}),
        (KEY_CP_META, "/", b"", {"binary": "", "m": "1"}),
        (KEY_CP_VALUE | KEY_CP_META, "/", b"1", {"binary": "", "m": "1"}),
        (0, "/", "", {}),
    ],
)
def test_parts_of_a_binary_key_are_copied(flags, name, value, meta):
    key = Key("user:/a", b"1", {"m": "1"}).dup(flags)
    assert (key.name, key.value) == (name, value)
    assert metadata(key) == {f"meta:/{each}": text for each, text in meta.items()}


def test_a_string_is_copied_over_a_binary_key():
    key = Key("user:/a", b"\0", {"m": "1"})
    key.copy(Key("user:/b", "text", {"n": "1"}), KEY_CP_STRING)
    assert (key.name, key.value, metadata(key)) == ("user:/a", "text", {"meta:/m": "1"})


def test_contradicting_copies_are_refused():
    key = Key("user:/a", "old")
    with pytest.raises(KeyTypeMismatch, match="is binary"):
        key.copy(Key("user:/b", b"1"), KEY_CP_STRING)
    with pytest.raises(KeyException, match="exclude each other"):
        key.copy(Key("user:/b"), KEY_CP_STRING | KEY_CP_VALUE)
    assert key.value == "old"


def test_clear_leaves_the_empty_cascading_root():
    key = Key("user:/a", b"1", {"m": "1"})
    key.clear()
    assert (key.name, key.value, metadata(key)) == ("/", "", {})


def test_a_changed_key_has_a_new_content_without_a_revision():
    content = Content("1", revision=7)
    key = Key._of(keys.unescape("user:/a"), content)
    assert key.dup()._content is content
    key.value = "1"
    assert key._content is not content
    assert key._content == Content("1")
    key = Key._of(keys.unescape("user:/a"), content)
    key.setMeta("m", "1")
    assert key._content == Content("1", {"m": "1"})


# --- Python's protocols


def test_equality_and_order_look_at_names_only():
    low, high = Key("user:/a", "1"), Key("user:/a/b", "0")
    assert low == Key("user:/a", "2", {"m": "1"})
    assert low != high
    assert low < high
    assert low <= high
    assert low <= Key("user:/a")
    assert high > low
    assert high >= low
    assert not high < low
    assert Key() == Key()
    assert (low == "user:/a") is False
    for compare in ("__lt__", "__le__", "__gt__", "__ge__"):
        assert getattr(low, compare)("user:/a") is NotImplemented


def test_only_a_locked_name_has_a_hash():
    with pytest.raises(TypeError, match=r"^unhashable: .*user:/a.* is not locked"):
        hash(Key("user:/a"))
    assert hash(Key("user:/a", KEY_FLAGS, KEY_LOCK_NAME)) == hash(
        Key("user:/a", "other", KEY_FLAGS, KEY_LOCK_NAME)
    )


def test_text_forms():
    key = Key("user:/foo")
    assert str(key) == "user:/foo"
    assert repr(key) == "kdb.Key('user:/foo')"


def test_a_key_iterates_over_namespace_and_parts():
    key = Key("user:/a\\/b/c")
    assert len(key) == 3
    assert list(key) == ["\x06", "a/b", "c"]
    assert list(reversed(key)) == ["c", "a/b", "\x06"]
    assert iter(key).value() == chr(KEY_NS_USER)
    assert reversed(key).value() == "c"
    assert len(Key("user:/")) == 1
