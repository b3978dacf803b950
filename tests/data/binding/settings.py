"""An application's settings: read with defaults, changed, stored, read again by another start."""

import kdb

PARENT = "user:/sw/org/weather/#0/current"
DEFAULTS = {"city": "Vienna", "unit": "celsius", "refresh": "15"}


def load(db):
    ks = kdb.KeySet(100)
    db.get(ks, PARENT)
    for name, value in DEFAULTS.items():
        if f"{PARENT}/{name}" not in ks:
            ks.append(kdb.Key(f"{PARENT}/{name}", value, {"default": "1"}))
    return ks


def show(ks):
    for key in ks:
        origin = "default" if key.hasMeta("default") else "set"
        print(f"{key.basename} = {key.value} ({origin})")


print(f"for libelektra {kdb.VERSION_MAJOR}.{kdb.VERSION_MINOR}.{kdb.VERSION_PATCH}")
for _ in range(2):
    with kdb.KDB() as db:
        settings = load(db)
        show(settings)
        try:
            city = settings[f"{PARENT}/city"]
        except KeyError:
            city = None
        if city.value == DEFAULTS["city"]:
            city.value = "Graz"
            city.delMeta("default")
        print("stored:", db.set(settings, PARENT))

with kdb.KDB() as db:
    version = kdb.KeySet()
    db.get(version, "system:/elektra")
    print(version["system:/elektra/version/constants/KDB_VERSION"].value == kdb.VERSION)
