"""A tour of KeySet: looking up, adding, removing, cutting, copying."""

import copy

import kdb

ks = kdb.KeySet(
    10,
    kdb.Key("user:/app/size", "10"),
    kdb.Key("system:/app/size", "8"),
    kdb.Key("system:/app/font", "serif"),
    kdb.KS_END,
    kdb.Key("user:/lost"),
)

print("# looking")
print(len(ks), ks)
print(repr(kdb.KeySet(1, kdb.Key("user:/a"))))
print(ks[0], ks[-1], [str(key) for key in ks[1:3]], ks.lookup(0), ks.lookup(-1).value)
print(ks["user:/app/size"].value, ks[kdb.Key("system:/app/font")].value)
print(ks["/app/size"].value, ks["/app/font"].value, ks.lookup("/app/none"), ks.lookup(9))
print("user:/app/size" in ks, kdb.Key("user:/app/font") in ks, "/app/font" in ks)
print(ks.search("user:/app/size"), ks.search("user:/app/z") < 0)
for wrong in ("user:/none", 9, -9):
    try:
        ks[wrong]
    except (KeyError, IndexError) as error:
        print(type(error).__name__)

print("# walking")
for key in ks:
    print(key, key.isNameLocked(), key.isValueLocked())
print([key.basename for key in reversed(ks)], iter(ks).value())

print("# adding")
print(ks.append("user:/app/colour"), ks.append(kdb.Key("user:/b"), kdb.Key("user:/a")))
print(ks.append("user:/c", "value", {"meta": "data"}), ks["user:/c"].value)
print(ks.extend([kdb.Key("user:/d"), kdb.Key("user:/a", "again")]), ks["user:/a"].value)
try:
    ks["user:/a"].name = "user:/z"
except kdb.KeyInvalidName:
    print("its name is locked")

print("# removing")
print(ks.remove("user:/a"), ks.remove(kdb.Key("user:/b")), ks.pop(), len(ks))
try:
    ks.remove("user:/a")
except ValueError:
    print("no user:/a")
cut = ks.cut(kdb.Key("user:/app"))
print(cut, ks)
try:
    kdb.KeySet().pop()
except kdb.KeyException:
    print("nothing to pop")

print("# choosing")
every = kdb.KeySet(0, kdb.Key("user:/t/a"), kdb.Key("user:/t/a/b"), kdb.Key("user:/t/c", "1"))
print(every.filter(lambda key: key.value == "1"), every.filter_below(kdb.Key("user:/t")))
print(sorted(every.unpack_names()), sorted(every.unpack_basenames()))

print("# copying")
shallow, deep, same = copy.copy(every), copy.deepcopy(every), kdb.KeySet(every.dup())
every["user:/t/c"].value = "2"
print(shallow["user:/t/c"].value, deep["user:/t/c"].value, same["user:/t/c"].value)
print(
    shallow == deep, shallow[0].getKey() == every[0].getKey(), deep[0].getKey() == every[0].getKey()
)
print(every.getKeySet() == every.getKeySet(), every.getKeySet() == shallow.getKeySet())
shallow.pop()
print(len(shallow), len(every))
shallow.copy(cut)
print(shallow)
shallow.clear()
print(len(shallow), shallow == kdb.KeySet(0))
