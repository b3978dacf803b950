"""A tour of Key: names, values, metadata, copies, locks."""

import copy

import kdb

print("# made")
key = kdb.Key(
    "user:/sw/app/colour",
    kdb.KEY_SIZE, 4,
    kdb.KEY_VALUE, "blue",
    kdb.KEY_META, "comment", "of the window",
    kdb.KEY_META, "meta:/type", "string",
    kdb.KEY_END,
    kdb.KEY_META, "lost", "1",
)  # fmt: skip
picture = kdb.Key("user:/sw/app/icon", b"\x89PNG\0")
empty = kdb.Key("user:/sw/app/empty", kdb.KEY_FLAGS, kdb.KEY_BINARY)
print(kdb.Key(), key, repr(key), bool(key), len(key))
print(key.value, picture.value, empty.value)
print(key.isString(), picture.isBinary(), empty.isBinary(), key.isNull(), key.isValid())
print(kdb.Key("user:/size", "10", {"type": "long"}).getMeta("type").value)

print("# names")
print(key.name, key.basename, list(key), list(reversed(key)), iter(key).value() == "\x06")
print(ord(next(iter(key))) == key.getNamespace() == kdb.KEY_NS_USER == kdb.ElektraNamespace_USER)
moved = key.dup()
moved.setNamespace(kdb.KEY_NS_SYSTEM)
moved.addName("dark/#10")
print(moved)
moved.delBaseName()
moved.addBaseName("a/b")
print(moved)
moved.basename = "light"
print(moved, moved.isSystem(), key.isUser())
moved.name = "dir:/x"
print(moved.isDir(), kdb.Key("spec:/x").isSpec(), kdb.Key("proc:/x").isProc())
print(kdb.Key("/x").isCascading(), kdb.Key("user:/../x/./y//z/"))

print("# relations")
parent = kdb.Key("user:/sw")
print(key.isBelow(parent), parent.isBelow(key), key.isDirectBelow(parent))
print(key.isBelowOrSame(key), key.isBelow(key), key.isDirectBelow(kdb.Key("user:/sw/app")))
element = kdb.Key("user:/sw/files/#_12").array_elements()
print(element.index, element.name, element.basename, isinstance(element, kdb.Key.Array))
try:
    key.array_elements()
except ValueError:
    print("no element")
print(kdb.Key("user:/a") < kdb.Key("user:/a/b") <= kdb.Key("user:/b") < kdb.Key("system:/a"))
print(kdb.Key("user:/a", "1") == kdb.Key("user:/a", "2"), kdb.Key("user:/a") != kdb.Key("user:/b"))

print("# metadata")
print([(meta.name, meta.value) for meta in key.getMeta()])
print(key.hasMeta("meta:/comment"), key.hasMeta("lost"), key.getMeta("lost"))
key.setMeta("comment", "of the frame")
picture.copyMeta(key, "comment")
empty.copyAllMeta(key)
key.delMeta("comment")
print([meta.name for meta in picture.getMeta()], sum(1 for _ in empty.getMeta()))
meta = picture.getMeta("comment")
print(meta.isNameLocked(), meta.isValueLocked(), meta.isMetaLocked(), meta.value)

print("# values")
key.set("green")
print(key.get(), key.isBinary())
key.value = b"\0\1"
print(key.get(), key.getMeta("binary").name)
key.value = 5
print(repr(key.value), key.isString())

print("# copies")
again, other = kdb.Key(key), copy.copy(key)
print(again.getKey() == key.getKey(), other.getKey() == key.getKey(), other == key)
only = kdb.Key("user:/name", "value", {"m": "1"})
only.copy(key, kdb.KEY_CP_VALUE)
print(only, only.value, only.hasMeta("m"))
only.copy(key, kdb.KEY_CP_NAME | kdb.KEY_CP_META)
print(only, only.hasMeta("m"), only.hasMeta("type"), key.dup(kdb.KEY_CP_NAME).value == "")
only.copy(kdb.Key("user:/text", "text"), kdb.KEY_CP_STRING)
print(only.value, only == key.dup(kdb.KEY_CP_ALL))
only.clear()
print(only, repr(only.value))

print("# locks")
locked = kdb.Key(
    "user:/a", kdb.KEY_FLAGS, kdb.KEY_LOCK_NAME | kdb.KEY_LOCK_VALUE | kdb.KEY_LOCK_META
)
print(locked.isNameLocked(), locked.isValueLocked(), locked.isMetaLocked(), hash(locked) != 0)
for change in (
    lambda: setattr(locked, "name", "user:/b"),
    lambda: locked.set("1"),
    lambda: locked.setMeta("m", "1"),
    lambda: hash(key),
    lambda: kdb.Key("no name"),
    lambda: kdb.Key("user:/a").copy(kdb.Key("user:/b", b"1"), kdb.KEY_CP_STRING),
):
    try:
        change()
    except kdb.KeyInvalidName:
        print("KeyInvalidName")
    except (kdb.KeyTypeMismatch, kdb.KeyTypeConversion, kdb.KeyNotFoundException) as error:
        print(type(error).__name__)
    except kdb.KeyException:
        print("KeyException")
    except TypeError:
        print("TypeError")
