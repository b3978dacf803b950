"""A list of recently opened files: an array of keys with metadata, kept at three."""

import kdb

RECENT = "user:/sw/org/editor/#0/current/recent"
KEPT = 3


def opened(path):
    with kdb.KDB() as db:
        ks = kdb.KeySet()
        db.get(ks, RECENT)
        elements = ks.filter_below(kdb.Key(RECENT))
        others = [key for key in elements if key.value != path]
        ks.cut(kdb.Key(RECENT))
        for index, key in enumerate([kdb.Key("/", path, {"opened": "1"}), *others][:KEPT]):
            element = kdb.Key(f"{RECENT}/#{index}", key.value)
            element.copyAllMeta(key)
            ks.append(element)
        ks.append(kdb.Key(RECENT, "", {"array": f"#{len(ks) - 1}"}))
        db.set(ks, RECENT)


for path in ("/etc/fstab", "notes.txt", "ä b/c.py", "/etc/fstab", "todo"):
    opened(path)

with kdb.KDB() as db:
    ks = kdb.KeySet()
    db.get(ks, "/sw/org/editor")
    print("last index:", ks[RECENT].getMeta("array").value)
    for key in ks.filter_below(kdb.Key(RECENT)):
        element = key.array_elements()
        print(element.index, element.basename, key.value, key.getMeta("opened").value)
