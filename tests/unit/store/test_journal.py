"""The journal, on real SQLite files."""

import os
import sqlite3
import stat
from dataclasses import replace
from pathlib import Path

import pytest
from core_state import content, key
from refusing_system import file_size_limit

from kdb.model.content import Content
from kdbd.core.backend import Backend
from kdbd.core.commit import Caller, Commit, KeyChange, Structure
from kdbd.store.history import HistoryChange, HistoryCommit, JournalReader
from kdbd.store.journal import BackendRow, Journal, finished

USER = key("user:/")
CALLER = Caller(":1.7", 1000, 42, "kdb")
# Every parent, as for a resumed announcement.
EVERYTHING = [bytes([which]) for which in range(1, 9)]
TABLES = ("state", "backends", "held", "kept", "keys", "commits", "changes")


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "journal.sqlite")


@pytest.fixture
def journal(path):
    made = Journal(path)
    yield made
    made.close()


@pytest.fixture
def reader(journal):
    made = JournalReader(journal.path)
    yield made
    made.close()


@pytest.fixture
def user(journal):
    return backend(journal, "user:/", path="/home/user/default.ecf")


def backend(journal, mountpoint, directory="", path="/a.ecf"):
    row = journal.add_backend(key(mountpoint), directory, path)
    return Backend(row.identity, key(mountpoint), directory)


def added(where, name, value, revision, **options):
    new = value if isinstance(value, Content) else content(value)
    return KeyChange(where, key(name), None, new._replace(revision=revision), **options)


def changed(where, name, old, new, revision, **options):
    return KeyChange(where, key(name), content(old), content(new, revision=revision), **options)


def removed(where, name, old, **options):
    return KeyChange(where, key(name), content(old), None, **options)


def commit(revision, *changes, caller=CALLER, origin="client", **options):
    return Commit(revision, list(changes), caller, origin, **options)


def write(journal, *commits, time=0.0, announced=0, files=()):
    journal.commit(commits, time=time, announced=announced, files=files)


def tables(path):
    """Return all rows of all tables."""
    connection = sqlite3.connect(path)
    try:
        return {
            name: connection.execute(f"SELECT * FROM {name} ORDER BY 1, 2").fetchall()
            for name in TABLES
        }
    finally:
        connection.close()


def history(path):
    return tables(path)["state"][0][3]


# Opening


def test_a_new_journal_holds_nothing(journal, reader):
    assert (journal.revision(), journal.announced(), journal.backends()) == (0, 0, [])
    assert reader.trimmed() == 0
    assert reader.commits(since=0, until=9) == []
    assert tables(journal.path) == {
        "state": [(1, 0, 0, 0)],
        "backends": [],
        "held": [],
        "kept": [],
        "keys": [],
        "commits": [],
        "changes": [],
    }


def test_its_form_is_version_1(journal):
    connection = sqlite3.connect(journal.path)
    assert connection.execute("PRAGMA user_version").fetchone() == (1,)
    columns = {
        name: [row[1] for row in connection.execute(f"PRAGMA table_info({name})")]
        for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")
    }
    connection.close()
    columns.pop("sqlite_sequence")
    caller = ["sender", "uid", "pid", "program"]
    assert columns == {
        "state": ["one", "announced", "trimmed", "history_bytes"],
        "backends": [
            *("identity", "mountpoint", "directory", "path", "digest", "written"),
            *("next_digest", "next_written", "next_temporary"),
        ],
        "held": ["backend", "name", "content"],
        "kept": ["backend", "name", "revision", "old"],
        "keys": ["backend", "name", "content", "revision"],
        "commits": ["revision", "time", *caller, "origin", "reason", "bytes"],
        "changes": [
            *("revision", "position", "backend", "directory", "stored", "announced"),
            *("name", "old", "new"),
        ],
    }


def test_it_is_synced_at_each_commit_and_overwrites_what_is_deleted(journal):
    asked = ("journal_mode", "synchronous", "secure_delete", "auto_vacuum")
    answers = [journal._connection.execute(f"PRAGMA {each}").fetchone()[0] for each in asked]
    full, on, incremental = 2, 1, 2
    assert answers == ["wal", full, on, incremental]


def test_only_its_owner_reads_it_whatever_the_umask(path):
    before = os.umask(0)
    try:
        journal = Journal(path)
    finally:
        os.umask(before)
    names = ["journal.sqlite", "journal.sqlite-shm", "journal.sqlite-wal"]
    directory = Path(path).parent
    assert sorted(os.listdir(directory)) == names
    assert [stat.S_IMODE((directory / each).stat().st_mode) for each in names] == [0o600] * 3
    journal.close()


def test_what_it_holds_is_there_when_it_is_opened_again(journal, user):
    write(journal, commit(1, added(user, "user:/a", "1", 1)), announced=1)
    held = tables(journal.path)
    journal.close()
    again = Journal(journal.path)
    assert (again.revision(), again.announced()) == (1, 1)
    assert again.backends() == [BackendRow(user.identity, USER, "", "/home/user/default.ecf")]
    assert list(again.keys(user.identity)) == [(key("user:/a"), content("1", revision=1))]
    again.close()
    assert tables(journal.path) == held


@pytest.mark.parametrize("version", [2, -1])
def test_another_version_is_refused_and_left_as_it_is(path, version):
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA user_version = {version}")
    connection.close()
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(sqlite3.DatabaseError) as caught:
        Journal(path)
    assert str(caught.value) == (
        f"{path} has version {version} of the journal's form; this kdbd knows 1. Use the kdbd that"
        " wrote it, or another --state-dir"
    )
    assert len(os.listdir("/proc/self/fd")) == before
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA user_version").fetchone() == (version,)
    assert connection.execute("SELECT count(*) FROM sqlite_schema").fetchone() == (0,)
    connection.close()


def test_what_is_no_database_is_refused_and_left_as_it_is(path):
    Path(path).write_bytes(b"kdbOpen 1\n" * 1_000)
    with pytest.raises(sqlite3.DatabaseError, match=r"^file is not a database$"):
        Journal(path)
    assert Path(path).read_bytes() == b"kdbOpen 1\n" * 1_000


def test_a_place_that_cannot_hold_a_journal_is_refused_as_sqlite_refuses(tmp_path):
    path = str(tmp_path / "none" / "journal.sqlite")
    with pytest.raises(sqlite3.OperationalError) as caught:
        Journal(path)
    assert str(caught.value) == f"[Errno 2] No such file or directory: '{path}'"


def test_a_journal_that_found_no_room_to_be_made_is_made_the_next_time(path):
    with file_size_limit(10_000), pytest.raises(sqlite3.OperationalError, match="disk"):
        Journal(path)
    journal = Journal(path)
    assert journal.revision() == 0
    assert tables(path)["state"] == [(1, 0, 0, 0)]
    journal.close()


# Files


def test_each_file_is_known_by_a_number_that_is_never_given_again(journal):
    one = journal.add_backend(USER, "", "/home/user/default.ecf")
    other = journal.add_backend(key("dir:/"), "/work", "/work/.dir/default.ecf")
    assert one == BackendRow(1, USER, "", "/home/user/default.ecf", b"", 0, None, None, None)
    assert other == BackendRow(2, key("dir:/"), "/work", "/work/.dir/default.ecf")
    journal.drop_backend(other.identity)
    assert journal.backends() == [one]
    again = journal.add_backend(key("dir:/"), "/work", "/work/.dir/default.ecf")
    assert again.identity == 3


def test_the_same_file_is_added_once(journal, user):
    with pytest.raises(sqlite3.IntegrityError, match=r"^UNIQUE constraint failed: backends"):
        journal.add_backend(USER, "", "/home/user/default.ecf")
    assert len(journal.backends()) == 1


def test_a_dropped_file_takes_its_keys_along_and_leaves_its_history(journal, reader, user):
    other = backend(journal, "system:/")
    write(journal, commit(1, added(user, "user:/a", "1", 1), added(other, "system:/a", "2", 1)))
    journal.drop_backend(user.identity)
    assert [row.identity for row in journal.backends()] == [other.identity]
    assert list(journal.keys(user.identity)) == []
    assert list(journal.keys(other.identity)) == [(key("system:/a"), content("2", revision=1))]
    assert reader.changes(since=0, until=1, parents=[USER]) == [
        HistoryChange(1, "", key("user:/a"), "added")
    ]


def test_what_became_known_of_files_is_noted_with_a_commit(journal, user):
    row = BackendRow(
        user.identity, USER, "", "/home/user/default.ecf", b"now", 3, b"next", 4, "/tmp.0"
    )
    other = journal.add_backend(key("system:/"), "", "/etc/default.ecf")
    write(journal, files=[row])
    assert journal.backends() == [row, other]
    write(journal, files=[finished(row)])
    assert journal.backends() == [
        BackendRow(user.identity, USER, "", "/home/user/default.ecf", b"next", 4, None, None, None),
        other,
    ]


# Commits


def test_history_and_present_state_move_together(journal, reader, user):
    work = backend(journal, "dir:/", "/work")
    write(
        journal,
        commit(1, added(user, "user:/b", "1", 1), added(work, "dir:/a", "x", 1)),
        time=10.5,
    )
    write(
        journal,
        commit(2, changed(user, "user:/b", "1", "2", 2), added(user, "user:/a", "0", 2)),
        commit(3, removed(work, "dir:/a", "x"), caller=Caller(), origin="file", reason="edited"),
        time=20.5,
        announced=1,
    )
    assert list(journal.keys(user.identity)) == [
        (key("user:/a"), content("0", revision=2)),
        (key("user:/b"), content("2", revision=2)),
    ]
    assert list(journal.keys(work.identity)) == []
    assert (journal.revision(), journal.announced()) == (3, 1)
    assert reader.commits(since=0, until=3) == [
        HistoryCommit(1, 10.5, CALLER, "client", ""),
        HistoryCommit(2, 20.5, CALLER, "client", ""),
        HistoryCommit(3, 20.5, Caller(), "file", "edited"),
    ]
    assert reader.commits(since=1, until=2) == [HistoryCommit(2, 20.5, CALLER, "client", "")]
    held = [row[2:] for row in tables(journal.path)["changes"]]
    one, two, zero, x = (b"\x92\xa1%c\x80" % each for each in b"120x")
    assert held == [
        (user.identity, "", 1, 1, key("user:/b"), None, one),
        (work.identity, "/work", 1, 1, key("dir:/a"), None, x),
        (user.identity, "", 1, 1, key("user:/b"), one, two),
        (user.identity, "", 1, 1, key("user:/a"), None, zero),
        (work.identity, "/work", 1, 1, key("dir:/a"), x, None),
    ]


@pytest.mark.parametrize(
    "held",
    [
        content(""),
        content("grün €"),
        content("line\nline"),
        content("broken \udcff\udc80"),
        content(b"\0\xff", {"binary": ""}),
        content("1", {"type": "long", "comment/#0": "said \udce4"}),
    ],
)
def test_contents_come_back_as_they_were(journal, user, held):
    write(journal, commit(1, added(user, "user:/a", held, 1)))
    write(journal, commit(2, KeyChange(user, key("user:/a"), held, None)))
    write(journal, commit(3, added(user, "user:/a", held, 3)))
    assert list(journal.keys(user.identity)) == [(key("user:/a"), held._replace(revision=3))]
    assert unwritten(journal, user, 1) == {key("user:/a"): held}


def test_names_are_kept_byte_by_byte_in_key_order(journal, user):
    names = [USER, b"\x06\0", b"\x06\0a", b"\x06\0a\0b", b"\x06\0a/b", b"\x06\0ab", b"\x06\0\xff"]
    write(
        journal,
        commit(1, *(KeyChange(user, each, None, content("", revision=1)) for each in names[::-1])),
    )
    assert [name for name, _ in journal.keys(user.identity)] == names


def test_a_key_that_only_appears_has_its_revision_kept_and_one_that_vanishes_stays(journal, user):
    write(
        journal,
        commit(1, added(user, "user:/a", "1", 1), added(user, "user:/b", "2", 1)),
    )
    write(
        journal,
        commit(
            2,
            added(user, "user:/a", "1", 2, stored=False),
            removed(user, "user:/b", "2", stored=False),
        ),
    )
    assert list(journal.keys(user.identity)) == [
        (key("user:/a"), content("1", revision=2)),
        (key("user:/b"), content("2", revision=1)),
    ]


def test_what_is_mounted_brings_its_keys_and_what_is_unmounted_takes_them_along(journal, user):
    old, new = (backend(journal, f"user:/{each}", path=f"/{each}.ecf") for each in ("o", "n"))
    write(journal, commit(1, added(old, "user:/o/a", "1", 1), added(new, "user:/n/stale", "1", 1)))
    new.tree[key("user:/n/a")] = content("2", revision=2)
    write(
        journal,
        commit(
            2,
            added(new, "user:/n/a", "2", 2, stored=False),
            structure=Structure(mounted=(new,), unmounted=(old,)),
        ),
    )
    assert [row.path for row in journal.backends()] == ["/home/user/default.ecf", "/n.ecf"]
    assert list(journal.keys(old.identity)) == []
    assert list(journal.keys(new.identity)) == [(key("user:/n/a"), content("2", revision=2))]


def test_what_is_announced_only_grows(journal, user):
    for announced, known in ((2, 2), (1, 2), (0, 2), (3, 3)):
        write(journal, announced=announced)
        assert journal.announced() == known


def test_a_commit_that_fails_leaves_nothing_of_its_batch(journal, user):
    write(journal, commit(1, added(user, "user:/a", "1", 1)), announced=1)
    before = tables(journal.path)
    row = BackendRow(user.identity, USER, "", "/home/user/default.ecf", b"x", 2, b"x", 2, "x")
    with pytest.raises(sqlite3.IntegrityError, match=r"^UNIQUE constraint failed: commits\.rev"):
        write(
            journal,
            commit(2, changed(user, "user:/a", "1", "2", 2), added(user, "user:/b", "1", 2)),
            commit(2, removed(user, "user:/b", "1")),
            announced=2,
            files=[row],
        )
    assert tables(journal.path) == before
    write(journal, commit(2, changed(user, "user:/a", "1", "3", 2)))
    assert list(journal.keys(user.identity)) == [(key("user:/a"), content("3", revision=2))]


def test_a_transaction_that_the_disk_refuses_at_its_end_leaves_nothing(journal, user):
    write(journal, commit(1, added(user, "user:/a", "1", 1)))
    before = tables(journal.path)
    size = os.path.getsize(f"{journal.path}-wal")
    with file_size_limit(size + 50_000), pytest.raises(sqlite3.OperationalError, match="disk"):
        write(journal, commit(2, added(user, "user:/b", "x" * 100_000, 2)), announced=2)
    assert tables(journal.path) == before
    write(journal, commit(2, added(user, "user:/b", "x" * 100_000, 2)))
    assert journal.revision() == 2


def test_a_transaction_that_finds_no_page_leaves_nothing(journal, user):
    before = tables(journal.path)
    pages = journal._connection.execute("PRAGMA page_count").fetchone()[0]
    journal._connection.execute(f"PRAGMA max_page_count = {pages + 2}")
    with pytest.raises(sqlite3.OperationalError, match=r"^database or disk is full$"):
        write(journal, commit(1, added(user, "user:/b", "x" * 100_000, 1)))
    with pytest.raises(sqlite3.OperationalError, match=r"^database or disk is full$"):
        journal.add_backend(USER, "", "/" + "x" * 100_000)
    assert tables(journal.path) == before


# What files hold


def unwritten(journal, where, written, held=None):
    row = BackendRow(where.identity, where.mountpoint, "", "/a.ecf", written=written, held=held)
    return journal.unwritten(row)


def test_a_file_that_is_behind_holds_what_was_there_before(journal, user):
    write(
        journal,
        commit(1, added(user, "user:/a", "1", 1), added(user, "user:/b", "1", 1)),
        commit(2, changed(user, "user:/a", "1", "2", 2), added(user, "user:/c", "1", 2)),
        commit(3, changed(user, "user:/a", "2", "3", 3), removed(user, "user:/b", "1")),
    )
    a, b, c = (key(f"user:/{each}") for each in "abc")
    assert unwritten(journal, user, 0) == {a: None, b: None, c: None}
    assert unwritten(journal, user, 1) == {a: content("1"), b: content("1"), c: None}
    assert unwritten(journal, user, 2) == {a: content("2"), b: content("1")}
    assert unwritten(journal, user, 3) == {}


def test_what_a_file_holds_otherwise_is_kept_with_the_commit_that_took_it_in(journal, user):
    a, b, c, d = (key(f"user:/{each}") for each in "abcd")
    write(journal, commit(1, *(added(user, f"user:/{each}", "1", 1) for each in "abd")))
    held = {a: content("file", {"type": "string"}), b: None, c: content("file \udcff")}
    (row,) = journal.backends()
    write(
        journal,
        commit(
            2,
            changed(user, "user:/a", "1", "merged", 2),
            changed(user, "user:/d", "1", "2", 2),
            origin="file",
        ),
        files=[replace(row, digest=b"edited", written=1, held=held)],
    )
    write(journal, commit(3, changed(user, "user:/a", "merged", "3", 3)))
    (row,) = journal.backends()
    assert row == BackendRow(user.identity, USER, "", row.path, b"edited", 1)
    assert journal.unwritten(row) == {**held, d: content("1")}


def test_a_note_that_tells_nothing_of_what_a_file_holds_keeps_what_is_known(journal, user):
    held = {key("user:/a"): content("file")}
    (row,) = journal.backends()
    write(journal, files=[replace(row, held=held)])
    write(journal, files=[replace(row, digest=b"x")])
    assert journal.unwritten(row) == held
    write(journal, files=[replace(row, held={})])
    assert journal.unwritten(row) == {}


def test_what_is_told_of_a_file_goes_before_what_the_journal_has(journal, user):
    a, b = key("user:/a"), key("user:/b")
    (row,) = journal.backends()
    write(
        journal,
        commit(1, added(user, "user:/a", "1", 1), added(user, "user:/b", "1", 1)),
        files=[replace(row, held={a: content("known")})],
    )
    assert unwritten(journal, user, 0) == {a: content("known"), b: None}
    told = {b: content("told")}
    assert unwritten(journal, user, 0, told) == {a: None, b: content("told")}
    assert told == {b: content("told")}


def test_what_a_dropped_file_held_is_dropped_too(journal, user):
    (row,) = journal.backends()
    write(journal, files=[replace(row, held={key("user:/a"): content("1")})])
    journal.drop_backend(user.identity)
    assert tables(journal.path)["held"] == []


def test_only_what_is_stored_in_that_file_is_told(journal, user):
    other = backend(journal, "system:/")
    write(
        journal,
        commit(
            1,
            added(user, "user:/a", "1", 1, stored=False),
            added(other, "system:/a", "1", 1),
            added(user, "user:/b", "1", 1, announced=False),
        ),
    )
    assert unwritten(journal, user, 0) == {key("user:/b"): None}


# The history


def test_changes_come_as_they_were_announced(journal, reader, user):
    system = backend(journal, "system:/")
    write(
        journal,
        commit(
            1,
            removed(user, "user:/z", "1"),
            changed(user, "user:/y", "1", "2", 1),
            added(user, "user:/x", "1", 1),
            added(user, "user:/hidden", "1", 1, announced=False),
            removed(system, "system:/a", "1"),
            changed(system, "system:/b", "1", "2", 1),
            added(system, "system:/c", "1", 1),
            added(user, "user:/appears", "1", 1, stored=False),
        ),
        commit(2, removed(user, "user:/x", "1")),
    )
    told = reader.changes(since=0, until=2, parents=EVERYTHING)
    expected = [
        ("added", "user:/appears"),
        ("added", "user:/x"),
        ("added", "system:/c"),
        ("changed", "user:/y"),
        ("changed", "system:/b"),
        ("removed", "user:/z"),
        ("removed", "system:/a"),
    ]
    assert told == [
        *(HistoryChange(1, "", key(name), kind) for kind, name in expected),
        HistoryChange(2, "", key("user:/x"), "removed"),
    ]
    for limit in range(len(told) + 1):
        assert reader.changes(since=0, until=2, parents=EVERYTHING, limit=limit) == told[:limit]


def test_changes_are_those_of_the_revisions_asked_for(journal, reader, user):
    for revision in range(1, 6):
        write(journal, commit(revision, added(user, f"user:/{revision}", "", revision)))
    told = reader.changes(since=1, until=3, parents=[USER])
    assert [change.revision for change in told] == [2, 3]
    assert reader.changes(since=3, until=3, parents=[USER]) == []
    assert reader.changes(since=5, until=9, parents=[USER]) == []


def test_changes_are_those_at_or_below_the_parents(journal, reader, user):
    names = ["user:/a", "user:/a/b", "user:/ab", "user:/a-b", "user:/b", "user:/"]
    write(journal, commit(1, *(added(user, each, "", 1) for each in names)))

    def below(*parents):
        told = reader.changes(since=0, until=1, parents=[key(each) for each in parents])
        return [change.name for change in told]

    assert below("user:/a") == [key("user:/a"), key("user:/a/b")]
    assert below("user:/a/b", "user:/b") == [key("user:/a/b"), key("user:/b")]
    assert below("user:/") == sorted(map(key, names))
    assert below("system:/") == []


def test_of_dir_only_what_changed_in_the_directory_is_told(journal, reader, user):
    here, there = (backend(journal, "dir:/", each) for each in ("/here", "/there"))
    write(
        journal,
        commit(
            1,
            added(here, "dir:/h", "", 1),
            added(there, "dir:/t", "", 1),
            added(user, "user:/u", "", 1),
        ),
    )

    def told(directory):
        return [
            (change.directory, change.name)
            for change in reader.changes(since=0, until=1, parents=EVERYTHING, directory=directory)
        ]

    h, t, u = ("/here", key("dir:/h")), ("/there", key("dir:/t")), ("", key("user:/u"))
    assert told(None) == [h, t, u]
    assert told("/here") == [h, u]
    assert told("/there") == [t, u]
    assert told("") == [u]


def test_who_reads_the_history_changes_nothing(reader):
    with pytest.raises(sqlite3.OperationalError, match=r"^attempt to write a readonly database$"):
        reader._connection.execute("DELETE FROM commits")


# Trimming


def spread(journal, where, count, *, announced=None):
    """Make commits at the times 1, 2, ...; return what each takes of the history."""
    for number in range(1, count + 1):
        write(
            journal,
            commit(number, added(where, f"user:/{number}", "x" * 100, number)),
            time=float(number),
            announced=number if announced is None else min(announced, number),
        )
    # The row of a commit, that of a change, a name of one digit, and a packed content.
    return 128 + 64 + len(key("user:/1")) + len(b"\x92\xd9\x64" + b"x" * 100 + b"\x80")


def changed_once(where, name, revision):
    return commit(revision, changed(where, name, str(revision - 1), str(revision), revision))


def kept(reader):
    return [each.revision for each in reader.commits(since=0, until=99)]


def in_place(journal, where, written):
    """Note that a file holds what a revision left."""
    (row,) = [each for each in journal.backends() if each.identity == where.identity]
    write(journal, files=[BackendRow(row.identity, row.mountpoint, "", row.path, b"x", written)])


def test_nothing_is_trimmed_within_the_bounds(journal, reader, user):
    size = spread(journal, user, 5)
    in_place(journal, user, 5)
    assert history(journal.path) == 5 * size
    assert journal.trim(keep_bytes=5 * size, keep_since=1.0, limit=100) is False
    assert kept(reader) == [1, 2, 3, 4, 5]
    assert reader.trimmed() == 0


def test_the_oldest_commits_go_until_the_history_is_small_enough(journal, reader, user):
    size = spread(journal, user, 5)
    in_place(journal, user, 5)
    assert journal.trim(keep_bytes=3 * size, keep_since=0.0, limit=100) is True
    assert kept(reader) == [3, 4, 5]
    assert reader.trimmed() == 2
    assert history(journal.path) == 3 * size
    assert [row[0] for row in tables(journal.path)["changes"]] == [3, 4, 5]
    assert journal.trim(keep_bytes=3 * size, keep_since=0.0, limit=100) is False


def test_commits_go_that_are_too_old(journal, reader, user):
    size = spread(journal, user, 5)
    in_place(journal, user, 5)
    assert journal.trim(keep_bytes=99 * size, keep_since=3.0, limit=100) is True
    assert kept(reader) == [3, 4, 5]
    assert reader.trimmed() == 2
    assert history(journal.path) == 3 * size


def test_the_last_commit_stays_and_the_present_keys_are_never_trimmed(journal, reader, user):
    spread(journal, user, 5)
    in_place(journal, user, 5)
    assert journal.trim(keep_bytes=0, keep_since=99.0, limit=100) is True
    assert kept(reader) == [5]
    assert journal.revision() == 5
    assert [name for name, _ in journal.keys(user.identity)] == [
        key(f"user:/{number}") for number in range(1, 6)
    ]
    assert journal.trim(keep_bytes=0, keep_since=99.0, limit=100) is False


def test_it_is_trimmed_in_small_steps(journal, reader, user):
    spread(journal, user, 6)
    in_place(journal, user, 6)
    steps = []
    while journal.trim(keep_bytes=0, keep_since=99.0, limit=2):
        steps.append((reader.trimmed(), kept(reader)))
    assert steps == [(2, [3, 4, 5, 6]), (4, [5, 6]), (5, [6])]


def test_a_large_commit_goes_in_steps_and_counts_as_trimmed_from_the_first_on(
    journal, reader, user
):
    large = [added(user, f"user:/{number}", "x" * 100, 1) for number in range(5)]
    write(journal, commit(1, *large), announced=1)
    write(journal, commit(2, added(user, "user:/5", "x" * 100, 2)), announced=2)
    size = 128 + 64 + len(key("user:/5")) + len(b"\x92\xd9\x64" + b"x" * 100 + b"\x80")
    in_place(journal, user, 2)
    steps = []
    while journal.trim(keep_bytes=0, keep_since=99.0, limit=2):
        steps.append((reader.trimmed(), kept(reader), len(tables(journal.path)["changes"])))
    assert steps == [(1, [1, 2], 4), (1, [1, 2], 2), (1, [2], 1)]
    assert history(journal.path) == size == journal.history_bytes


def test_a_step_takes_few_large_values(journal, reader, user):
    for revision in (1, 2, 3, 4):
        write(journal, commit(revision, added(user, f"user:/{revision}", "x" * 1_500_000, 1)))
    in_place(journal, user, 4)
    steps = []
    while journal.trim(keep_bytes=0, keep_since=99.0, limit=100, announced=4):
        steps.append((reader.trimmed(), kept(reader)))
    assert steps[:3] == [(1, [2, 3, 4]), (2, [3, 4]), (3, [4])]


def test_what_is_known_of_the_historys_size_is_what_the_journal_has(journal, user, path):
    size = spread(journal, user, 5)
    assert journal.history_bytes == 5 * size
    in_place(journal, user, 5)
    journal.trim(keep_bytes=3 * size, keep_since=0.0, limit=100)
    assert journal.history_bytes == 3 * size
    journal.close()
    again = Journal(path)
    assert again.history_bytes == 3 * size
    again.close()


def test_what_a_file_does_not_hold_yet_is_kept_of_the_trimmed(journal, reader, user):
    a, b, c = (key(f"user:/{each}") for each in "abc")
    write(
        journal,
        commit(1, added(user, "user:/a", "1", 1), added(user, "user:/b", "1", 1)),
        commit(2, changed(user, "user:/a", "1", "2", 2)),
        commit(3, changed(user, "user:/a", "2", "3", 3), removed(user, "user:/b", "1")),
        commit(4, added(user, "user:/b", "4", 4), changed(user, "user:/a", "3", "4", 4)),
        commit(5, added(user, "user:/c", "5", 5)),
        announced=5,
    )
    in_place(journal, user, 1)
    before = unwritten(journal, user, 1)
    assert before == {a: content("1"), b: content("1"), c: None}
    while journal.trim(keep_bytes=0, keep_since=99.0, limit=1):
        assert unwritten(journal, user, 1) == before
    assert kept(reader) == [5]
    # Of each key only what the file has of it.
    assert [row[1:3] for row in tables(journal.path)["kept"]] == [(a, 2), (b, 3)]
    in_place(journal, user, 5)
    assert unwritten(journal, user, 5) == {}
    assert journal.trim(keep_bytes=0, keep_since=99.0, limit=1) is True
    assert journal.trim(keep_bytes=0, keep_since=99.0, limit=1) is True
    assert journal.trim(keep_bytes=0, keep_since=99.0, limit=1) is False
    assert tables(journal.path)["kept"] == []


def test_of_a_file_that_is_being_replaced_both_is_kept(journal, user):
    write(
        journal,
        *[changed_once(user, "user:/a", revision) for revision in (1, 2, 3, 4, 5)],
        announced=5,
    )
    (row,) = journal.backends()
    begun = replace(row, written=1, next_digest=b"n", next_written=3, next_temporary="/t")
    write(journal, files=[begun])
    name = key("user:/a")
    assert journal.trim(keep_bytes=0, keep_since=99.0, limit=100) is True
    assert unwritten(journal, user, 1) == {name: content("1")}
    assert unwritten(journal, user, 3, held={}) == {name: content("3")}
    write(journal, files=[finished(begun)])
    assert journal.trim(keep_bytes=0, keep_since=99.0, limit=100) is True
    assert unwritten(journal, user, 3) == {name: content("3")}
    assert [row[2] for row in tables(journal.path)["kept"]] == [4]


def test_nothing_is_kept_of_a_file_that_is_dropped(journal, user):
    spread(journal, user, 3)
    assert journal.trim(keep_bytes=0, keep_since=99.0, limit=100) is True
    assert len(tables(journal.path)["kept"]) == 2
    journal.drop_backend(user.identity)
    assert tables(journal.path)["kept"] == []


def test_what_is_left_over_is_given_back_to_the_disk(journal, user):
    for revision in range(1, 25):
        value = f"{revision:02}" * 500_000
        write(journal, commit(revision, added(user, "user:/a", value, 1)), announced=revision)
    in_place(journal, user, 24)
    journal.shrink()
    full = os.path.getsize(journal.path)
    while journal.trim(keep_bytes=0, keep_since=99.0, limit=100):
        pass
    journal.shrink()
    # What is there still: the last commit, the present key, and what stays to spare.
    assert os.path.getsize(journal.path) < full / 1.5


def test_a_file_that_did_not_change_since_it_was_written_holds_nothing_up(journal, reader, user):
    system = backend(journal, "system:/")
    spread(journal, user, 3)
    in_place(journal, user, 3)
    write(journal, commit(4, added(system, "system:/a", "", 4, stored=False)), announced=4)
    assert journal.trim(keep_bytes=0, keep_since=99.0, limit=100) is True
    assert kept(reader) == [4]


def test_what_is_not_announced_stays_however_old(journal, reader, user):
    spread(journal, user, 5, announced=2)
    in_place(journal, user, 5)
    assert journal.trim(keep_bytes=0, keep_since=99.0, limit=100) is True
    assert kept(reader) == [3, 4, 5]


def test_the_revision_is_that_of_before_the_trimming(journal, user, path):
    spread(journal, user, 3)
    in_place(journal, user, 3)
    journal.trim(keep_bytes=0, keep_since=99.0, limit=100)
    journal.close()
    again = Journal(path)
    assert again.revision() == 3
    again.close()


def test_what_is_read_within_a_snapshot_is_of_one_moment(journal, reader, user):
    spread(journal, user, 5)
    in_place(journal, user, 5)
    with reader.snapshot():
        assert reader.trimmed() == 0
        assert journal.trim(keep_bytes=0, keep_since=99.0, limit=100) is True
        write(journal, commit(6, added(user, "user:/6", "", 6)))
        assert reader.trimmed() == 0
        assert kept(reader) == [1, 2, 3, 4, 5]
        told = reader.changes(since=0, until=9, parents=[USER])
        assert [change.revision for change in told] == [1, 2, 3, 4, 5]
    assert reader.trimmed() == 4
    assert kept(reader) == [5, 6]


def test_a_snapshot_ends_with_what_is_raised_within(journal, reader, user):
    def look():
        with reader.snapshot():
            reader.trimmed()
            raise KeyError

    with pytest.raises(KeyError):
        look()
    spread(journal, user, 1)
    assert kept(reader) == [1]


# On the disk


def test_shrinking_gives_the_log_back_and_loses_nothing(journal, user):
    spread(journal, user, 5)
    before = tables(journal.path)
    assert os.path.getsize(f"{journal.path}-wal") > 0
    journal.shrink()
    assert os.path.getsize(f"{journal.path}-wal") == 0
    assert tables(journal.path) == before


@pytest.mark.parametrize("secret", ["a secret value", "a long secret " * 2_000])
def test_nothing_of_a_removed_value_is_found_once_it_is_trimmed(journal, user, path, secret):
    def found():
        journal.shrink()
        names = os.listdir(os.path.dirname(path))
        assert sorted(names) == ["journal.sqlite", "journal.sqlite-shm", "journal.sqlite-wal"]
        directory = Path(path).parent
        return any(secret[:14].encode() in (directory / name).read_bytes() for name in names)

    write(journal, commit(1, added(user, "user:/secret", secret, 1)), announced=1)
    assert found()
    write(journal, commit(2, removed(user, "user:/secret", secret)), announced=2)
    assert found()
    write(journal, commit(3, added(user, "user:/other", "", 3)), announced=3)
    in_place(journal, user, 3)
    assert journal.trim(keep_bytes=0, keep_since=99.0, limit=100) is True
    assert not found()
