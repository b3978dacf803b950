"""A program that looks at every error, and writes again after a conflict."""

import kdb
import kdb.errors

PARENT = "user:/sw/org/queue"


def tell(key):
    error = kdb.errors.get_error(key)
    if error is None:
        print("no error,", len(kdb.errors.get_warnings(key)), "warnings")
        return
    assert isinstance(error, kdb.errors.ElektraError)
    print(error.number, error.description, error.module, repr(error.mountpoint))
    print(error.reason.splitlines()[0])
    print([error.configfile, error.file, error.line])


def increment(db):
    ks = kdb.KeySet()
    parent = kdb.Key(PARENT)
    db.get(ks, parent)
    counter = ks.lookup(f"{PARENT}/counter") or kdb.Key(f"{PARENT}/counter", "0")
    counter.value = str(int(counter.value) + 1)
    ks.append(counter)
    return ks, parent


noted = kdb.Key()
first, second = kdb.KDB(noted), kdb.KDB()
tell(noted)

print("# set before get")
parent = kdb.Key("user:/other")
try:
    first.set(kdb.KeySet(1, kdb.Key("user:/other/a")), parent)
except kdb.KDBException as error:
    text = str(error)
    print([word in text for word in ("C01320", "Interface", "mountpoint", "configfile", "module")])
tell(parent)

print("# a conflict")
mine, parent = increment(first)
theirs, other = increment(second)
theirs[f"{PARENT}/counter"].value = "10"
second.set(theirs, other)
stored = False
while not stored:
    try:
        stored = first.set(mine, parent) == 1
    except kdb.KDBException as error:
        print(kdb.errors.get_error(parent).number, error.what() == str(error))
        mine, parent = increment(first)
tell(parent)
print(mine[f"{PARENT}/counter"].value)

print("# contracts, warnings and the end")
wanted = kdb.KeySet(1, kdb.Key("system:/elektra/contract/mountglobal/gopts", ""))
try:
    kdb.KDB(wanted)
except kdb.ContractException as error:
    print(isinstance(error, kdb.KDBException), isinstance(error, kdb.Exception))
except kdb.KDBMountException:
    print("a mountpoint?")
warned = kdb.Key("/", {"warnings": "#0", "warnings/#0": "", "warnings/#0/number": "C01100"})
(warning,) = kdb.errors.get_warnings(warned)
print(isinstance(warning, kdb.errors.ElektraWarning), warning.number, repr(warning.reason))
second.close()
second.open()
print(second.get(kdb.KeySet(), PARENT))
first.close()
second.close(kdb.Key())
