"""Making commits durable together with files, on real files and a real journal."""

import errno
import os
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest
from core_state import content, key
from refusing_system import file_size_limit

from kdbd.core.backend import Backend
from kdbd.core.commit import Caller, Commit, KeyChange, Structure
from kdbd.store.disk import RealDisk
from kdbd.store.history import JournalReader
from kdbd.store.journal import BackendRow, Journal
from kdbd.store.persist import (
    FileEdited,
    FileRefused,
    FileWrite,
    Persistence,
    Replaced,
    digest_of,
)

MOUNTPOINT = key("user:/m")
REFUSAL = OSError(errno.ENOSPC, "No space left on device")


class WatchedDisk(RealDisk):
    """A real disk that notes each step with the journal's revision then, and may do more."""

    def __init__(self, journal_path):
        super().__init__()
        self.steps = []
        self.after = {}
        self.refused = set()
        self._journal_path = journal_path

    def _note(self, step, path):
        reader = JournalReader(self._journal_path)
        revisions = [each.revision for each in reader.commits(since=0, until=99)]
        reader.close()
        self.steps.append((step, os.path.basename(path), max(revisions, default=0)))
        if step in self.refused:
            raise REFUSAL

    def stage(self, path, chunks, *, private):
        self._note("stage", path)
        temporary = super().stage(path, chunks, private=private)
        self.after.get("stage", lambda: None)()
        return temporary

    def replace(self, temporary, path):
        self._note("replace", path)
        return super().replace(temporary, path)

    def remove(self, path):
        self._note("remove", path)
        super().remove(path)

    def stat(self, path):
        if "stat" in self.refused:
            raise REFUSAL
        return super().stat(path)


@pytest.fixture
def journal(tmp_path):
    (tmp_path / "state").mkdir()
    made = Journal(str(tmp_path / "state" / "journal.sqlite"))
    yield made
    made.close()


@pytest.fixture
def disk(journal):
    return WatchedDisk(journal.path)


@pytest.fixture
def persistence(disk, journal):
    return Persistence(disk, journal)


@pytest.fixture
def files(tmp_path):
    (tmp_path / "files").mkdir()
    return tmp_path / "files"


def known(journal, path, text=None):
    """Make a file, which the journal knows as it is; return its row."""
    row = journal.add_backend(MOUNTPOINT, "", str(path))
    if text is not None:
        path.write_bytes(text)
        row = replace(row, digest=digest_of([text]))
        journal.commit((), time=0, announced=0, files=[row])
    return row


def write(disk, row, *chunks, revision=1):
    return FileWrite(row, disk.stat(row.path), chunks, revision, private=True)


def commit(revision, row, **options):
    where = Backend(row.identity, MOUNTPOINT)
    change = KeyChange(where, key("user:/m/a"), None, content("1", revision=revision))
    return Commit(revision, [change], Caller(), "client", **options)


def in_journal(journal, row):
    (found,) = [each for each in journal.backends() if each.identity == row.identity]
    return found


def in_place(row, text, revision=1):
    """Return the row of a file that holds this text since a revision."""
    return replace(
        row,
        digest=digest_of([text]) if text is not None else b"",
        written=revision,
        next_digest=None,
        next_written=None,
        next_temporary=None,
        held={},
    )


def about(row, text, temporary, revision=1):
    """Return the row of a file that is about to hold this text."""
    digest = digest_of([text]) if text is not None else b""
    return replace(row, next_digest=digest, next_written=revision, next_temporary=temporary)


def stored(row):
    """Return what the journal holds of a row."""
    return replace(row, held=None)


def persist(persistence, commits, writes, **options):
    return persistence.persist(commits, writes, time=5.0, announced=0, **options)


# Digests


def test_a_digest_is_of_the_content_however_it_is_cut():
    assert digest_of([b"ab", b"c"]) == digest_of([b"abc"])
    assert digest_of([b"abc"]).hex().startswith("ba7816bf8f01cfea414140de5dae2223")
    assert digest_of([b""]).hex().startswith("e3b0c44298fc1c149afbf4c8996fb924")
    assert digest_of([]) == b""


# Persisting


def test_files_are_staged_then_the_journal_takes_all_then_files_are_replaced(
    persistence, disk, journal, files
):
    one, other, gone = (
        known(journal, files / name, b"before") for name in ("one", "other", "gone")
    )
    writes = [write(disk, one, b"new", b" one"), write(disk, other, b"new other")]
    told = persist(persistence, [commit(1, one)], [*writes, write(disk, gone)])
    assert disk.steps == [
        ("stage", "one", 0),
        ("stage", "other", 0),
        # That a file may go is known before the journal says so.
        ("stage", "gone", 0),
        ("replace", "one", 1),
        ("replace", "other", 1),
        ("remove", "gone", 1),
    ]
    assert told == [
        Replaced(in_place(one, b"new one"), disk.stat(one.path)),
        Replaced(in_place(other, b"new other"), disk.stat(other.path)),
        Replaced(in_place(gone, None), None),
    ]
    assert {each.name: each.read_bytes() for each in files.iterdir()} == {
        "one": b"new one",
        "other": b"new other",
    }


def test_the_journal_notes_what_is_about_to_replace_what(persistence, disk, journal, files):
    row, news = known(journal, files / "one", b"before"), known(journal, files / "other")
    news = replace(news, digest=b"read anew")
    persist(persistence, [commit(1, row)], [write(disk, row, b"after")], rows=[news])
    temporary = f"{row.path}.{os.getpid()}.0.tmp"
    assert in_journal(journal, row) == about(row, b"after", temporary)
    assert in_journal(journal, news) == news
    assert list(journal.keys(row.identity)) == [(key("user:/m/a"), content("1", revision=1))]


def test_a_file_that_is_not_there_is_made(persistence, disk, journal, files):
    row = known(journal, files / "new" / "one")
    (told,) = persist(persistence, [commit(1, row)], [write(disk, row, b"text")])
    assert told == Replaced(in_place(row, b"text"), disk.stat(row.path))
    assert (files / "new" / "one").read_bytes() == b"text"


def test_without_keys_a_file_that_is_not_there_stays_away(persistence, disk, journal, files):
    row = known(journal, files / "new" / "one")
    (told,) = persist(persistence, [commit(1, row)], [write(disk, row)])
    assert told == Replaced(in_place(row, None), None)
    assert list(files.iterdir()) == []


def test_commits_without_files_touch_no_file(persistence, disk, journal, files):
    row = known(journal, files / "one", b"before")
    assert persist(persistence, [commit(1, row), commit(2, row)], []) == []
    assert disk.steps == []
    assert journal.revision() == 2


# Before the journal: nothing took place


def test_an_edited_file_stops_all_and_what_was_staged_is_discarded(
    persistence, disk, journal, files
):
    one, other = (known(journal, files / name, b"before") for name in ("one", "other"))
    writes = [write(disk, one, b"after"), write(disk, other, b"after")]
    (files / "other").write_bytes(b"edited")
    with pytest.raises(FileEdited) as caught:
        persist(persistence, [commit(1, one)], writes)
    assert caught.value.identity == other.identity
    assert {each.name: each.read_bytes() for each in files.iterdir()} == {
        "one": b"before",
        "other": b"edited",
    }
    assert journal.revision() == 0
    assert journal.backends() == [one, other]


@pytest.mark.parametrize("edit", ["made", "removed"])
def test_a_file_that_came_or_went_was_edited_too(persistence, disk, journal, files, edit):
    row = known(journal, files / "one", None if edit == "made" else b"before")
    asked = write(disk, row, b"after")
    if edit == "made":
        (files / "one").write_bytes(b"made")
    else:
        (files / "one").unlink()
    with pytest.raises(FileEdited):
        persist(persistence, [commit(1, row)], [asked])
    assert journal.revision() == 0


def test_a_file_that_finds_no_room_stops_all_and_is_named(persistence, disk, journal, files):
    one, other = (known(journal, files / name, b"before") for name in ("one", "other"))
    writes = [write(disk, one, b"after"), write(disk, other, b"x" * 400_000)]
    with file_size_limit(200_000), pytest.raises(FileRefused) as caught:
        persist(persistence, [commit(1, one)], writes)
    assert caught.value.row == other
    assert caught.value.error.errno == errno.EFBIG
    assert sorted(each.name for each in files.iterdir()) == ["one", "other"]
    assert journal.revision() == 0


@pytest.mark.parametrize("step", ["stat", "stage"])
@pytest.mark.parametrize("chunks", [(b"after",), ()])
def test_a_disk_that_refuses_stops_all(persistence, disk, journal, files, step, chunks):
    row = known(journal, files / "one", b"before")
    asked = write(disk, row, *chunks)
    disk.refused = {step}
    with pytest.raises(FileRefused) as caught:
        persist(persistence, [commit(1, row)], [asked])
    assert (caught.value.row, caught.value.error) == (row, REFUSAL)
    assert (files / "one").read_bytes() == b"before"
    assert journal.revision() == 0


def test_a_journal_that_refuses_stops_all_and_what_was_staged_is_discarded(
    persistence, disk, journal, files
):
    one, gone = (known(journal, files / name, b"before") for name in ("one", "gone"))
    journal.commit([commit(1, one)], time=0, announced=0)
    with pytest.raises(sqlite3.IntegrityError):
        persist(persistence, [commit(1, one)], [write(disk, one, b"after"), write(disk, gone)])
    assert {each.name: each.read_bytes() for each in files.iterdir()} == {
        "one": b"before",
        "gone": b"before",
    }
    assert journal.backends() == [one, gone]


def grown_log(journal, row):
    """Let the journal's log be much longer than the journal; return its size."""
    for _ in range(100):
        journal.commit((), time=0, announced=0, files=[replace(row, digest=os.urandom(32))])
    journal.commit((), time=0, announced=0, files=[row])
    size = os.path.getsize(f"{journal.path}-wal")
    assert size > 2 * os.path.getsize(journal.path)
    return size


def test_a_full_disk_is_tried_again_with_the_room_of_the_log(persistence, disk, journal, files):
    row = known(journal, files / "one", b"before")
    with file_size_limit(grown_log(journal, row)):
        (told,) = persist(persistence, [commit(1, row)], [write(disk, row, b"after")])
    assert told.error is None
    assert journal.revision() == 1
    assert (files / "one").read_bytes() == b"after"


def test_a_disk_that_stays_full_stops_all(persistence, disk, journal, files):
    row = known(journal, files / "one", b"before")
    where = Backend(row.identity, MOUNTPOINT)
    large = KeyChange(where, key("user:/m/a"), None, content("x" * 1_000_000, revision=1))
    with file_size_limit(grown_log(journal, row)), pytest.raises(sqlite3.OperationalError):
        persist(
            persistence,
            [Commit(1, [large], Caller(), "client")],
            [write(disk, row, b"after")],
        )
    assert journal.revision() == 0
    assert journal.backends() == [row]
    assert {each.name: each.read_bytes() for each in files.iterdir()} == {"one": b"before"}


# After the journal: the commits stand


def test_a_file_that_was_edited_meanwhile_is_not_replaced(persistence, disk, journal, files):
    row = known(journal, files / "one", b"before")
    disk.after["stage"] = lambda: (files / "one").write_bytes(b"edited!")
    (told,) = persist(persistence, [commit(1, row)], [write(disk, row, b"after")])
    temporary = f"{row.path}.{os.getpid()}.0.tmp"
    assert (told.row, told.stat) == (about(row, b"after", temporary), None)
    assert isinstance(told.error, FileEdited)
    assert told.error.identity == row.identity
    assert journal.revision() == 1
    assert (files / "one").read_bytes() == b"edited!"
    # While it is there, the file was edited before it could be replaced.
    assert Path(temporary).read_bytes() == b"after"
    assert persistence.settled(told.row, digest_of([b"edited!"])) == told.row


@pytest.mark.parametrize(("step", "chunks"), [("replace", (b"after",)), ("remove", ())])
def test_a_rename_that_fails_is_told_and_leaves_the_file(
    persistence, disk, journal, files, step, chunks
):
    row = known(journal, files / "one", b"before")
    asked = write(disk, row, *chunks)
    disk.refused = {step}
    (told,) = persist(persistence, [commit(1, row)], [asked])
    noted = about(row, b"after" if chunks else None, f"{row.path}.{os.getpid()}.0.tmp")
    assert told == Replaced(noted, None, REFUSAL)
    assert journal.revision() == 1
    assert in_journal(journal, row) == noted
    assert (files / "one").read_bytes() == b"before"


# In the background


def test_a_staged_file_is_put_in_its_place(persistence, disk, journal, files):
    row = known(journal, files / "one", b"before")
    asked = write(disk, row, b"after", revision=7)
    staged = persistence.stage(asked)
    assert staged == about(row, b"after", f"{row.path}.{os.getpid()}.0.tmp", 7)
    told = persistence.replace_staged(staged, asked.stat, time=1.0, announced=3)
    assert told == Replaced(in_place(row, b"after", 7), disk.stat(row.path))
    assert journal.announced() == 3
    assert in_journal(journal, row) == staged
    assert (files / "one").read_bytes() == b"after"


def test_a_staged_file_that_the_journal_refuses_is_discarded(persistence, disk, journal, files):
    row = known(journal, files / "one", b"before")
    asked = write(disk, row, b"x" * 1_000)
    staged = persistence.stage(asked)
    with file_size_limit(0), pytest.raises(sqlite3.OperationalError):
        persistence.replace_staged(staged, asked.stat, time=1.0, announced=0)
    assert {each.name: each.read_bytes() for each in files.iterdir()} == {"one": b"before"}
    assert in_journal(journal, row) == row


def left(persistence, disk, row, *chunks):
    """Let a file be staged, noted, and not replaced."""
    disk.refused = {"replace", "remove"}
    (told,) = persist(persistence, [], [write(disk, row, *chunks)])
    disk.refused = set()
    return told.row


def test_a_staged_file_goes_once_the_journal_names_another(persistence, disk, journal, files):
    row = known(journal, files / "one", b"before")
    first = left(persistence, disk, row, b"first")
    second = left(persistence, disk, first, b"second")
    assert not Path(first.next_temporary).exists()
    assert Path(second.next_temporary).read_bytes() == b"second"
    # Told again, it stays.
    persist(persistence, [], [], rows=[second])
    assert Path(second.next_temporary).exists()
    persist(persistence, [], [], rows=[stored(in_place(row, b"before"))])
    assert [each.name for each in files.iterdir()] == ["one"]


def test_a_staged_file_goes_with_its_mountpoint(persistence, disk, journal, files):
    row = known(journal, files / "one", b"before")
    noted = left(persistence, disk, row, b"after")
    unmounted = Structure(unmounted=(Backend(row.identity, MOUNTPOINT),))
    persist(persistence, [Commit(1, [], Caller(), "client", structure=Structure())], [])
    assert Path(noted.next_temporary).exists()
    persist(persistence, [Commit(2, [], Caller(), "client", structure=unmounted)], [])
    assert [each.name for each in files.iterdir()] == ["one"]
    assert journal.backends() == []


# After a crash


@pytest.fixture
def restarted(journal):
    """Return what a new process has: a disk and the journal, and nothing in memory."""
    return Persistence(RealDisk(), journal)


def test_what_was_staged_before_a_crash_is_swept(persistence, restarted, disk, journal, files):
    row = known(journal, files / "one", b"before")
    persistence.stage(write(disk, row, b"after"))
    assert restarted.finish(in_journal(journal, row)) == row
    assert {each.name: each.read_bytes() for each in files.iterdir()} == {"one": b"before"}


@pytest.mark.parametrize("before", [b"before", None])
def test_a_rename_that_a_crash_cut_off_is_finished(
    persistence, restarted, disk, journal, files, before
):
    row = known(journal, files / "one", before)
    left(persistence, disk, row, b"after")
    assert restarted.finish(in_journal(journal, row)) == in_place(row, b"after")
    assert {each.name: each.read_bytes() for each in files.iterdir()} == {"one": b"after"}


def test_a_removal_that_a_crash_cut_off_is_finished(persistence, restarted, disk, journal, files):
    row = known(journal, files / "one", b"before")
    left(persistence, disk, row)
    assert restarted.finish(in_journal(journal, row)) == in_place(row, None)
    assert list(files.iterdir()) == []


@pytest.mark.parametrize("chunks", [(b"after",), (b"before",), ()])
def test_what_was_done_before_the_crash_is_known_to_be_done(
    persistence, restarted, disk, journal, files, chunks
):
    row = known(journal, files / "one", b"before")
    persist(persistence, [commit(1, row)], [write(disk, row, *chunks)])
    assert restarted.finish(in_journal(journal, row)) == in_place(row, *(chunks or (None,)))
    assert [each.read_bytes() for each in files.iterdir()] == list(chunks)


@pytest.mark.parametrize("chunks", [(b"after",), ()])
def test_a_file_edited_before_its_rename_or_removal_stays_and_so_does_what_was_staged(
    persistence, restarted, disk, journal, files, chunks
):
    row = known(journal, files / "one", b"before")
    noted = left(persistence, disk, row, *chunks)
    (files / "one").write_bytes(b"edited")
    assert restarted.finish(in_journal(journal, row)) == noted
    assert (files / "one").read_bytes() == b"edited"
    assert Path(noted.next_temporary).read_bytes() == b"".join(chunks)
    # It goes with the note.
    persist(restarted, [], [], rows=[replace(row, digest=digest_of([b"edited"]))])
    assert [each.name for each in files.iterdir()] == ["one"]


def test_a_file_edited_after_its_rename_is_known_to_have_been_replaced(
    persistence, restarted, disk, journal, files
):
    row = known(journal, files / "one", b"before")
    persist(persistence, [commit(1, row)], [write(disk, row, b"after")])
    (files / "one").write_bytes(b"edited")
    assert restarted.finish(in_journal(journal, row)) == in_place(row, b"after")
    assert (files / "one").read_bytes() == b"edited"


def test_a_file_that_was_to_go_and_is_there_otherwise_was_made_anew(
    persistence, restarted, disk, journal, files
):
    row = known(journal, files / "one", b"before")
    persist(persistence, [commit(1, row)], [write(disk, row)])
    (files / "one").write_bytes(b"anew")
    assert restarted.finish(in_journal(journal, row)) == in_place(row, None)
    assert (files / "one").read_bytes() == b"anew"


@pytest.mark.parametrize(
    ("chunks", "staged"), [((b"after",), b"aft"), ((b"after",), None), ((), None)]
)
def test_what_is_not_staged_whole_is_dropped(
    persistence, restarted, disk, journal, files, chunks, staged
):
    row = known(journal, files / "one", b"before")
    noted = left(persistence, disk, row, *chunks)
    if staged is None:
        os.unlink(noted.next_temporary)
    else:
        Path(noted.next_temporary).write_bytes(staged)
    assert restarted.finish(in_journal(journal, row)) == row
    assert (files / "one").read_bytes() == b"before"
    # A remnant goes once the journal names it no more.
    persist(restarted, [], [], rows=[row])
    assert [each.name for each in files.iterdir()] == ["one"]


@pytest.mark.parametrize("there", [b"before", None])
def test_a_removal_that_needed_nothing_staged_is_finished(restarted, journal, files, there):
    row = known(journal, files / "one", b"before")
    journal.commit((), time=0, announced=0, files=[about(row, None, "")])
    if there is None:
        (files / "one").unlink()
    assert restarted.finish(in_journal(journal, row)) == in_place(row, None)
    assert list(files.iterdir()) == []


def test_a_rename_that_still_fails_stays_to_be_done(persistence, disk, journal, files):
    row = known(journal, files / "one", b"before")
    noted = left(persistence, disk, row, b"after")
    refusing = WatchedDisk(journal.path)
    refusing.refused = {"replace"}
    assert Persistence(refusing, journal).finish(in_journal(journal, row)) == noted
    assert (files / "one").read_bytes() == b"before"
    assert Path(noted.next_temporary).read_bytes() == b"after"


def test_a_file_that_cannot_be_read_cannot_be_told(persistence, restarted, disk, journal, files):
    row = known(journal, files / "one", b"before")
    left(persistence, disk, row, b"after")
    (files / "one").unlink()
    (files / "one").mkdir()
    with pytest.raises(OSError, match="is no regular file"):
        restarted.finish(in_journal(journal, row))


# What a digest tells of a file that was to be replaced


def test_a_file_that_was_not_to_be_replaced_is_as_it_was_known(persistence):
    row = BackendRow(1, MOUNTPOINT, "", "/one", digest=b"before")
    for digest in (b"before", b"edited", b""):
        assert persistence.settled(row, digest) is row


def test_the_digest_tells_what_became_of_a_file(persistence, files):
    staged = files / "staged"
    staged.touch()
    row = BackendRow(1, MOUNTPOINT, "", str(files / "one"), digest=b"before")
    noted = replace(row, next_digest=b"after", next_written=4, next_temporary=str(staged))
    done = replace(row, digest=b"after", written=4, held={})
    assert persistence.settled(noted, b"before") is noted
    assert persistence.settled(noted, b"after") == done
    assert persistence.settled(noted, b"edited") is noted
    staged.unlink()
    assert persistence.settled(noted, b"edited") == done
    to_go = replace(row, next_digest=b"", next_written=4, next_temporary="")
    assert persistence.settled(to_go, b"before") is to_go
    assert persistence.settled(to_go, b"") == replace(row, digest=b"", written=4, held={})
    assert persistence.settled(to_go, b"anew") == replace(row, digest=b"", written=4, held={})
