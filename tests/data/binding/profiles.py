"""Two profiles of an application: one is copied, changed and compared, and the change undone."""

import kdb

APP = "user:/sw/org/player/#0"


def renamed(ks, old, new):
    moved = kdb.KeySet(len(ks))
    for key in ks:
        copy = key.dup()
        copy.name = new + key.name[len(old) :]
        moved.append(copy)
    return moved


with kdb.KDB() as db:
    ks = kdb.KeySet()
    db.get(ks, APP)
    ks.append(kdb.Key(f"{APP}/home/volume", "70", {"type": "long", "unit": "percent"}))
    ks.append(kdb.Key(f"{APP}/home/logo", b"\x00\xff"))
    ks.append(kdb.Key(f"{APP}/home/mute", "0"))
    ks.append(renamed(ks, f"{APP}/home", f"{APP}/travel"))
    print("stored", db.set(ks, APP), "with", len(ks), "keys")

with kdb.KDB() as db:
    ks = kdb.KeySet()
    db.get(ks, APP)
    volume = ks[f"{APP}/travel/volume"]
    volume.value = "30"
    volume.setMeta("check", "range")
    volume.setMeta("unit", "dB")
    volume.delMeta("type")
    ks.remove(f"{APP}/travel/mute")
    ks.append(kdb.Key(f"{APP}/travel/equaliser", "flat"))

    changes = db.calculateChanges(ks, kdb.Key(APP))
    print("added", changes.getAddedKeys())
    print("removed", changes.getRemovedKeys())
    print("modified", [(key.basename, key.value) for key in changes.getModifiedKeys()])
    for kind, metadata in (
        ("added", changes.getAddedMetaKeys(volume)),
        ("removed", changes.getRemovedMetaKeys(volume.name)),
        ("modified", changes.getModifiedMetaKeys(volume)),
    ):
        print("metadata", kind, [(meta.name, meta.value) for meta in metadata])

    kept = changes.dup()
    kept.removeKey(volume)
    print("without the volume:", kept.getModifiedKeys(), kept.isEmpty())
    kept.removeSameOrBelow(kdb.Key(f"{APP}/travel/mute"))
    kept.removeOther(kdb.Key(f"{APP}/travel/equaliser"))
    print("only the equaliser:", kept.getAddedKeys(), kept.getRemovedKeys())
    taken = kept.cut(f"{APP}/travel")
    print("cut:", len(taken.getAddedKeys()), kept.isEmpty())

    db.set(ks, APP)
    changes.undo(ks)
    print("undone", db.set(ks, APP))

with kdb.KDB() as db:
    ks = kdb.KeySet()
    db.get(ks, APP)
    home = ks.cut(kdb.Key(f"{APP}/home"))
    travel = renamed(ks.cut(kdb.Key(f"{APP}/travel")), f"{APP}/travel", f"{APP}/home")
    diff = kdb.ElektraDiff.calculateDiff(travel, home, kdb.Key(APP))
    print("as before:", diff.isEmpty(), travel[f"{APP}/home/logo"].value)
