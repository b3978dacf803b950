"""The signals that kdbd sends, as a real dbus-monitor prints them.

The scenarios of `oracle/dbus` run with the `kdb` command where it has the command already, else
with the D-Bus method that stands for it. There is one daemon on one session bus: what libelektra
sent on the system bus comes there too, and spec:/ and dir:/ are announced as well (architecture,
"Signals"). Per commit: added, changed, deleted, each in key order, each key once.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from blocks import pack_block
from bus_monitor import BusMonitor, Signal
from caller import Caller
from daemon_process import DaemonProcess

from kdb.wire import INTERFACE, OBJECT_PATH, SIGNAL_INTERFACE, SIGNAL_PATH

pytestmark = pytest.mark.needs("dbus-daemon", "dbus-monitor")

ORACLE = Path(__file__).parents[1] / "data" / "oracle" / "dbus"
APPLY = "a(saya{ss})asta{sv}"
Told = list[tuple[str, str]]


class Watched:
    """A kdbd, a client of it, and what the bus carried: step by step."""

    def __init__(self, kdbd: DaemonProcess, caller: Caller, monitor: BusMonitor) -> None:
        self.kdbd = kdbd
        self.caller = caller
        self.monitor = monitor
        self._seen = 0

    def revision(self) -> int:
        properties = "org.freedesktop.DBus.Properties"
        (revision,) = self.caller.call("Get", "ss", INTERFACE, "Revision", interface=properties)
        return int(revision[1])

    def signals(self) -> list[Signal]:
        """Answer what was signalled since the last call, commits of before this call included."""
        revision = self.revision()
        if revision:
            # PropertiesChanged is the last of each commit.
            self.monitor.wait_for(f"uint64 {revision}", member="Committed")
        found = [each for each in self.monitor.signals() if each.path in (SIGNAL_PATH, OBJECT_PATH)]
        found = [each for each in found if each.interface != "org.freedesktop.DBus.Properties"]
        news, self._seen = found[self._seen :], len(found)
        return news

    def told(self) -> Told:
        """Answer member and name of libelektra's signals since the last call."""
        return told(self.signals())


def told(signals: Sequence[Signal]) -> Told:
    found = []
    for each in signals:
        if each.interface == SIGNAL_INTERFACE:
            assert (each.path, each.destination) == (SIGNAL_PATH, "(null destination)")
            (argument,) = each.arguments
            found.append((each.member, argument.removeprefix('string "').removesuffix('"')))
    return found


@pytest.fixture
def watched(kdbd: DaemonProcess) -> Iterator[Watched]:
    """Watch all signals of a kdbd."""
    with (
        BusMonitor(kdbd.bus.address, "type='signal'") as monitor,
        Caller(kdbd.bus.address) as caller,
    ):
        yield Watched(kdbd, caller, monitor)


# The oracle


def apply(caller: Caller, put: dict[str, str], remove: Sequence[str] = ()) -> None:
    puts: list[Any] = [(name, value.encode(), {}) for name, value in put.items()]
    caller.call("Apply", APPLY, puts, list(remove), 0, {})


def run_step(watched: Watched, step: dict[str, Any]) -> None:
    """Run a recorded command; those that come later by the method that stands for them."""
    words = shlex.split(step["cmd"])
    caller = watched.caller
    match words[1:]:
        case ["meta-set", name, meta, value]:
            caller.call("SetMeta", "sss", name, meta, value)
        case ["meta-rm", name, meta]:
            caller.call("RemoveMeta", "ss", name, meta)
        case ["cp" | "mv" as command, source, target]:
            _, value, _, _ = caller.call("Get", "s", source)
            apply(caller, {target: bytes(value).decode()}, [source] if command == "mv" else [])
        case ["import", parent, "json"]:
            apply(caller, flat(parent.rstrip("/"), json.loads(step["stdin"])))
        case _:
            result = watched.kdbd.run(*words, check=False)
            assert (result.stdout, result.returncode) == (step["stdout"], step["exit"]), step["cmd"]


def flat(name: str, value: Any) -> dict[str, str]:
    if isinstance(value, str):
        return {name: value}
    found: dict[str, str] = {}
    for part, each in value.items():
        found.update(flat(f"{name}/{part}", each))
    return found


def recorded(step: dict[str, Any]) -> Told:
    signals = [*step["session"], *step["system"]]
    return [
        (each["member"], each["args"][0].removeprefix('string "').removesuffix('"'))
        for each in signals
    ]


def declaration(path: str = "") -> list[str]:
    """Answer the names that declare the mountpoint user:/m, as recorded."""
    steps = json.loads((ORACLE / "05_mount.json").read_text("utf-8"))["steps"]
    return [name for _, name in recorded(steps[0])]


ANNOUNCING = [
    f"system:/elektra/mountpoints/user:\\/m/plugins/dbus{each}"
    for each in ("", "/config", "/config/announce", "/name")
]

# By scenario and number of the step: what holds instead of what was recorded.
RULES: dict[str, dict[int, Told]] = {
    # spec:/ and dir:/ are announced too
    "02_namespaces": {
        3: [("KeyAdded", "spec:/t/a")],
        4: [("KeyAdded", "dir:/t/a")],
        6: [("KeyChanged", "dir:/t/a")],
        7: [("KeyDeleted", "dir:/t/a")],
    },
    "05_mount": {
        # Every namespace and mountpoint of a commit (elektra.md, fault 1)
        3: [("KeyChanged", "user:/m/a"), ("KeyChanged", "user:/n")],
        # Keys that vanish are part of the commit (issue: appearing and vanishing keys are commits)
        4: [("KeyDeleted", "user:/m/a"), *(("KeyDeleted", name) for name in declaration())],
    },
    # superseded: kdbd announces without a hook
    "06_no_hook": {0: [("KeyAdded", "user:/t/a")]},
    # Recorded without a hook, so that only the mountpoint's own signals came
    "07_announce_once": {
        0: [("KeyAdded", name) for name in sorted([*declaration(), *ANNOUNCING])],
    },
}


@pytest.mark.parametrize(
    "scenario",
    ["01_basic", "02_namespaces", "05_mount", "06_no_hook", "07_announce_once", "08_many"],
)
def test_scenario(watched: Watched, scenario: str) -> None:
    steps = json.loads((ORACLE / f"{scenario}.json").read_text("utf-8"))["steps"]
    for number, step in enumerate(steps):
        run_step(watched, step)
        expected = RULES.get(scenario, {}).get(number, recorded(step))
        assert watched.told() == expected, (number, step["cmd"])
    # Nothing came late
    watched.caller.call("SetString", "ss", "user:/end", "")
    assert watched.told() == [("KeyAdded", "user:/end")]


def test_the_rule_of_the_manual_shows_just_what_changed(kdbd: DaemonProcess) -> None:
    rule = "type='signal',interface='org.libelektra'"
    with BusMonitor(kdbd.bus.address, rule) as monitor, Caller(kdbd.bus.address) as caller:
        caller.call("SetString", "ss", "user:/a", "1")
        apply(caller, {"user:/b": "1", "user:/a": "2", "system:/c": ""})
        caller.call("Remove", "sb", "user:/", True)
        caller.call("SetString", "ss", "spec:/end", "")
        before = monitor.wait_for('string "spec:/end"', member="KeyAdded")
    bus_itself = [each for each in before if each.sender == "org.freedesktop.DBus"]
    assert told([each for each in before if each not in bus_itself]) == [
        ("KeyAdded", "user:/a"),
        ("KeyAdded", "user:/b"),
        ("KeyAdded", "system:/c"),
        ("KeyChanged", "user:/a"),
        ("KeyDeleted", "user:/a"),
        ("KeyDeleted", "user:/b"),
    ]


# One commit


def test_a_commit_tells_added_changed_deleted_each_in_key_order(watched: Watched) -> None:
    caller = watched.caller
    apply(caller, {f"{ns}:/{key}": "1" for ns in ("user", "system", "spec") for key in "fbd"})
    watched.signals()
    apply(
        caller,
        {
            f"{ns}:/{key}": "2"
            for ns in ("system", "user", "spec")
            for key in ("f", "b", "b/c", "b c", "z", "a", "#2", "#_10")
        },
        [f"{ns}:/d" for ns in ("user", "spec", "system")],
    )
    found = watched.signals()
    by_kind: dict[str, list[str]] = {"KeyAdded": [], "KeyChanged": [], "KeyDeleted": []}
    for namespace in ("spec", "user", "system"):
        for member, keys in (
            ("KeyAdded", ("#2", "#_10", "a", "b/c", "b c", "z")),
            ("KeyChanged", ("b", "f")),
            ("KeyDeleted", ("d",)),
        ):
            by_kind[member] += [f"{namespace}:/{key}" for key in keys]
    assert told(found) == [(member, name) for member, names in by_kind.items() for name in names]
    committed = found[-1]
    assert (committed.path, committed.interface, committed.member) == (
        OBJECT_PATH,
        INTERFACE,
        "Committed",
    )
    lists = []
    for names in by_kind.values():
        lists += ["array [", *(f'string "{name}"' for name in names), "]"]
    assert committed.arguments == (f"uint64 {watched.revision()}", *lists, "boolean true")


def test_what_changes_nothing_says_nothing(watched: Watched) -> None:
    caller = watched.caller.open()
    caller.call("SetString", "ss", "user:/a", "1")
    caller.call("SetMeta", "sss", "user:/a", "m", "1")
    revision = watched.revision()
    watched.signals()
    caller.call("SetString", "ss", "user:/a", "1")
    caller.call("Set", "saya{ss}", "user:/a", b"1", {"m": "1"})
    caller.call("SetMeta", "sss", "user:/a", "meta:/m", "1")
    caller.get("user:/")
    assert caller.put("user:/", ["user:/a", "1", {"m": "1"}, 0]) == (0, {"user:/a": revision})
    caller.call("Apply", APPLY, [("user:/a", b"1", {"m": "1"})], ["user:/none"], 0, {})
    for wrong in (("SetString", "ss", "/none", "v"), ("Remove", "sb", "user:/none", True)):
        caller.error(*wrong)
    caller.handle_error("Set", "sayah", "user:/", pack_block([["user:/a", "2", {}, 999]]), [])
    assert watched.signals() == []
    assert watched.revision() == revision


def test_a_handles_set_is_one_commit(watched: Watched) -> None:
    caller = watched.caller.open()
    caller.call("SetString", "ss", "user:/b", "1")
    caller.call("SetString", "ss", "system:/c", "1")
    base = {name: revision for name, _, _, revision in caller.state()[1]}
    caller.get("/")
    watched.signals()
    caller.put(
        "/",
        ["system:/c", None, None, base["system:/c"]],
        ["user:/b", "2", {}, base["user:/b"]],
        ["spec:/a", "1", {"m": ""}, 0],
    )
    found = watched.signals()
    assert told(found) == [
        ("KeyAdded", "spec:/a"),
        ("KeyChanged", "user:/b"),
        ("KeyDeleted", "system:/c"),
    ]
    assert [each.member for each in found].count("Committed") == 1


@pytest.mark.parametrize("count", [1_000, 1_001, 3_000])
def test_above_1000_names_committed_tells_none(watched: Watched, count: int) -> None:
    names = sorted(f"user:/many/{number:05}" for number in range(count))
    apply(watched.caller, dict.fromkeys(reversed(names), "v"))
    found = watched.signals()
    assert told(found) == [("KeyAdded", name) for name in names]
    complete = count <= 1_000
    listed = [f'string "{name}"' for name in names] if complete else []
    assert found[-1].arguments == (
        "uint64 1",
        *("array [", *listed, "]"),
        *("array [", "]") * 2,
        f"boolean {'true' if complete else 'false'}",
    )
    # And Changes tells them
    changes, more, revision = watched.caller.call("Changes", "tsu", 0, "/", 0)
    assert ([name for _, _, name in changes], more, revision) == (names, False, 1)


def test_very_long_names_do_not_keep_a_commit_from_being_told(watched: Watched) -> None:
    names = [f"user:/{number:03}{'n' * 60_000}" for number in range(200)]
    for part in range(0, 200, 50):
        apply(watched.caller, dict.fromkeys(names[part : part + 50], "v"))
    watched.signals()
    watched.caller.call("Remove", "sb", "user:/", True)
    found = watched.signals()
    assert told(found) == [("KeyDeleted", name) for name in names]
    assert found[-1].arguments[-1] == "boolean false"


def test_properties_changed_invalidates_the_revision(watched: Watched) -> None:
    watched.caller.call("SetString", "ss", "user:/a", "1")
    watched.signals()
    watched.monitor.wait_for(f'string "{INTERFACE}"', member="PropertiesChanged")
    (found,) = [each for each in watched.monitor.signals() if each.member == "PropertiesChanged"]
    assert (found.path, found.interface, found.arguments) == (
        OBJECT_PATH,
        "org.freedesktop.DBus.Properties",
        (f'string "{INTERFACE}"', "array [", "]", "array [", 'string "Revision"', "]"),
    )


def test_values_are_never_broadcast(watched: Watched) -> None:
    watched.caller.call("Set", "saya{ss}", "user:/a", b"secret-1", {"m": "secret-2"})
    watched.caller.call("SetString", "ss", "user:/a", "secret-3")
    for each in watched.signals():
        assert not any("secret" in argument for argument in each.arguments)


# Mountpoints


DUMP = "kdbOpen 2\n{}$end\n"


def dump(**keys: str) -> str:
    return DUMP.format(
        "".join(
            f"$key string {len(name)} {len(value)}\n{name}\n{value}\n"
            for name, value in keys.items()
        )
    )


def below(told_: Told, parent: str) -> Told:
    return [(member, name) for member, name in told_ if name.startswith(parent)]


def test_keys_that_a_mount_brings_and_hides_are_part_of_its_commit(watched: Watched) -> None:
    caller = watched.caller
    apply(caller, {"user:/m": "0", "user:/m/hidden": "0", "user:/m/same": "1", "user:/m/x": "0"})
    (watched.kdbd.user / "m.ecf").write_text(dump(new="1", same="1", x="1"))
    watched.signals()
    caller.call("Mount", "ssa{ss}", "user:/m", "m.ecf", {})
    found = watched.signals()
    assert below(told(found), "user:/") == [
        ("KeyAdded", "user:/m/new"),
        ("KeyChanged", "user:/m/x"),
        ("KeyDeleted", "user:/m"),
        ("KeyDeleted", "user:/m/hidden"),
    ]
    assert [each.member for each in found].count("Committed") == 1
    assert len(told(found)) == 4 + len(declaration())
    # A set says nothing of what it hides
    caller.call("SetString", "ss", "user:/m/x", "2")
    assert watched.told() == [("KeyChanged", "user:/m/x")]
    caller.call("Unmount", "s", "user:/m")
    found = watched.signals()
    assert below(told(found), "user:/") == [
        ("KeyAdded", "user:/m"),
        ("KeyAdded", "user:/m/hidden"),
        ("KeyChanged", "user:/m/x"),
        ("KeyDeleted", "user:/m/new"),
    ]
    # Changes tells the same, in the same order
    changes, _, _ = caller.call("Changes", "tsu", watched.revision() - 1, "user:/", 0)
    assert [(kind, name) for _, kind, name in changes] == [
        ("added", "user:/m"),
        ("added", "user:/m/hidden"),
        ("changed", "user:/m/x"),
        ("removed", "user:/m/new"),
    ]


def test_a_cascading_mountpoint_brings_keys_in_each_namespace(watched: Watched) -> None:
    for directory in (watched.kdbd.user, watched.kdbd.system, watched.kdbd.spec):
        (directory / "c.ecf").write_text(dump(x="1"))
    caller = watched.caller
    caller.call("Mount", "ssa{ss}", "/c", "c.ecf", {})
    keys = [each for each in watched.told() if "mountpoints" not in each[1]]
    assert keys == [("KeyAdded", "user:/c/x"), ("KeyAdded", "system:/c/x")]
    caller.call("Unmount", "s", "/c")
    keys = [each for each in watched.told() if "mountpoints" not in each[1]]
    assert keys == [("KeyDeleted", "user:/c/x"), ("KeyDeleted", "system:/c/x")]


def test_a_plain_write_to_the_declarations_mounts_too(watched: Watched) -> None:
    caller = watched.caller
    (watched.kdbd.user / "m.ecf").write_text(dump(x="1"))
    caller.call("Mount", "ssa{ss}", "user:/m", "m.ecf", {})
    keys, _, _ = caller.call("GetAll", "ssu", "system:/elektra/mountpoints", "", 0)
    caller.call("Remove", "sb", "system:/elektra/mountpoints/user:\\/m", True)
    watched.signals()
    put: list[Any] = [(name, bytes(value), meta) for name, value, meta, _ in keys]
    caller.call("Apply", APPLY, put, [], 0, {})
    assert watched.told() == [
        ("KeyAdded", "user:/m/x"),
        *(("KeyAdded", name) for name in declaration()),
    ]
    assert caller.call("GetString", "s", "user:/m/x") == ("1",)


def test_announce_once_stands_for_its_keys_only(watched: Watched) -> None:
    caller = watched.caller
    caller.call("Mount", "ssa{ss}", "user:/m", "m.ecf", {"announce": "once"})
    assert caller.call("ListMounts") == ([("user:/m", "m.ecf", {"announce": "once"})],)
    watched.signals()
    apply(caller, {"user:/m/b": "1", "user:/n": "1", "user:/m/a": "1", "user:/m": "1"})
    found = watched.signals()
    assert told(found) == [("Commit", "user:/m"), ("KeyAdded", "user:/n")]
    # The typed form tells all
    assert found[-1].arguments[1:7] == (
        "array [",
        'string "user:/m"',
        'string "user:/m/a"',
        'string "user:/m/b"',
        'string "user:/n"',
        "]",
    )
    caller.call("SetString", "ss", "user:/n", "2")
    assert watched.told() == [("KeyChanged", "user:/n")]


def test_an_edited_file_is_announced_as_one_commit(watched: Watched) -> None:
    caller = watched.caller
    apply(caller, {"user:/a": "1", "user:/b": "1"})
    caller.call("Sync")
    watched.signals()
    (watched.kdbd.user / "default.ecf").write_text(dump(b="2", c="1"))
    assert caller.call("GetString", "s", "user:/b") == ("2",)
    found = watched.signals()
    assert told(found) == [
        ("KeyAdded", "user:/c"),
        ("KeyChanged", "user:/b"),
        ("KeyDeleted", "user:/a"),
    ]
    assert [each.member for each in found].count("Committed") == 1


def test_names_of_files_that_are_no_utf8(watched: Watched) -> None:
    """They fit in no D-Bus string: handles have them, and the others are told."""
    caller = watched.caller.open()
    file = watched.kdbd.user / "default.ecf"
    data = (
        b"kdbOpen 2\n$key string 1 1\na\n1\n$key string 1 1\nb\n\xff\n"
        b"$key string 1 1\nc\n1\n$meta 1 1\nm\n\xff\n$key string 2 1\n\xffn\n1\n$end\n"
    )
    file.write_bytes(data)
    found = caller.get("user:/")
    assert found == {"user:/a": "1", "user:/b": "\udcff", "user:/c": "1", "user:/\udcffn": "1"}
    signals = watched.signals()
    assert told(signals) == [("KeyAdded", f"user:/{key}") for key in "abc"]
    assert signals[-1].arguments[-1] == "boolean false"
    changes, more, _ = caller.call("Changes", "tsu", 0, "user:/", 0)
    assert ([name for _, _, name in changes], more) == (["user:/a", "user:/b", "user:/c"], False)
    assert caller.call("List", "ssu", "user:/", "", 0) == (["user:/a", "user:/b", "user:/c"], False)
    keys, _, _ = caller.call("GetAll", "ssu", "user:/", "", 0)
    assert [(name, bytes(value)) for name, value, _, _ in keys] == [
        ("user:/a", b"1"),
        ("user:/b", b"\xff"),
    ]
    assert bytes(caller.call("Get", "s", "user:/b")[1]) == b"\xff"
    assert caller.error("GetString", "s", "user:/b").name == "Semantic"
    assert caller.error("Get", "s", "user:/c").name == "Semantic"
    # A load and a save keep them
    caller.call("SetString", "ss", "user:/d", "1")
    caller.call("Sync")
    assert file.read_bytes() == data.replace(
        b"$key string 2 1\n\xffn", b"$key string 1 1\nd\n1\n$key string 2 1\n\xffn"
    )
    # What was got may be removed
    base = {"user:/\udcffn": 1}
    caller.put("user:/", *([name, None, None, revision] for name, revision in base.items()))
    assert "user:/\udcffn" not in caller.get("user:/")


# Hooks


HOOK = "system:/elektra/hook/notification/send/plugins"


def test_the_hook_logchange_prints_what_changed(watched: Watched) -> None:
    kdbd, caller = watched.kdbd, watched.caller
    caller.call("SetString", "ss", "user:/before", "1")
    caller.call("SetString", "ss", f"{HOOK}/#0", "dbus")
    caller.call("SetString", "ss", "user:/still/before", "1")
    caller.call("SetString", "ss", f"{HOOK}/#1", "logchange")
    caller.call("SetString", "ss", "user:/a/test", "secret")
    apply(caller, {"user:/a/test": "2", "user:/b": "1", "user:/ä": ""}, ["user:/before"])
    caller.call("Remove", "sb", f"{HOOK}/#1", False)
    caller.call("SetString", "ss", "user:/after", "1")
    watched.signals()
    assert kdbd.stop() == 0
    assert kdbd.output == (
        f"added key: {HOOK}/#1\n"
        "added key: user:/a/test\n"
        "added key: user:/b\n"
        "added key: user:/ä\n"
        "changed key: user:/a/test\n"
        "removed key: user:/before\n"
    )
