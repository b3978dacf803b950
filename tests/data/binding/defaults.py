"""A specification with defaults, overridden by the system, the user and the directory."""

import kdb

APP = "/sw/org/backup/#0/current"


def store(name, value=None, **metadata):
    with kdb.KDB() as db:
        ks = kdb.KeySet()
        parent = kdb.Key(name)
        db.get(ks, parent)
        ks.append(kdb.Key(name, value or "", metadata))
        db.set(ks, parent)


def show(step):
    with kdb.KDB() as db:
        ks = kdb.KeySet()
        db.get(ks, APP)
        key = ks.lookup(f"{APP}/target")
        print(step, "->", key.name.partition("/")[0], key.value)


store(f"spec:{APP}/target", default="/var/backups", type="string")
show("specified")
store(f"system:{APP}/target", "/srv/backups")
show("set by the administrator")
store(f"user:{APP}/target", "/home/me/backups")
show("set by the user")
store(f"dir:{APP}/target", "./backups")
show("set in the directory")

with kdb.KDB() as db:
    ks = kdb.KeySet()
    db.get(ks, f"dir:{APP}")
    ks.cut(kdb.Key(f"dir:{APP}"))
    db.set(ks, f"dir:{APP}")
show("removed in the directory")
print(isinstance(kdb.DB_SYSTEM, str), isinstance(kdb.DB_USER, str), isinstance(kdb.DB_HOME, str))
