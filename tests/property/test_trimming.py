"""Trimming, step by step: what files lack is told the same, whatever is gone."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from kdb.model.content import Content
from kdb.model.names import unescape
from kdbd.core.backend import Backend
from kdbd.core.commit import Caller, Commit, KeyChange
from kdbd.store.journal import Journal, finished

NAMES = [unescape(f"user:/{each}") for each in "ab"]
BACKENDS = 2


@st.composite
def histories(draw):
    """Return commits of (backend, name, whether it is stored), and what each file holds."""
    change = st.tuples(
        st.integers(min_value=0, max_value=BACKENDS - 1), st.sampled_from(NAMES), st.booleans()
    )
    commits = draw(st.lists(st.lists(change, min_size=1, max_size=3), min_size=4, max_size=9))
    held = []
    for _ in range(BACKENDS):
        written = draw(st.integers(min_value=0, max_value=len(commits)))
        following = draw(st.none() | st.integers(min_value=written, max_value=len(commits)))
        held.append((written, following))
    return commits, held, draw(st.integers(min_value=1, max_value=5))


def made(journal, commits, held):
    """Write the history; return the journal's rows of the files."""
    rows = [journal.add_backend(unescape("user:/"), "", f"/{each}") for each in range(BACKENDS)]
    backends = [Backend(row.identity, row.mountpoint) for row in rows]
    contents = {}
    written = []
    for revision, changes in enumerate(commits, start=1):
        told = []
        for which, name, stored in changes:
            new = Content(f"{revision}.{len(told)}", revision=revision)
            told.append(KeyChange(backends[which], name, contents.get((which, name)), new, stored))
            if stored:
                contents[which, name] = new
        written.append(Commit(revision, told, Caller(), "client"))
    rows = [
        replace(
            row,
            written=since,
            next_written=following,
            next_digest=None if following is None else b"n",
        )
        for row, (since, following) in zip(rows, held, strict=True)
    ]
    journal.commit(written, time=0.0, announced=len(commits), files=rows)
    return rows


def lacking(journal, rows):
    """Return what files lack, also those whose replacement turns out to be in place."""
    replaced = [finished(row) for row in rows if row.next_digest is not None]
    return [journal.unwritten(row) for row in (*rows, *replaced)]


@given(histories())
def test_what_files_lack_is_known_however_much_is_trimmed(history):
    commits, held, limit = history
    with tempfile.TemporaryDirectory() as directory:
        journal = Journal(str(Path(directory) / "journal.sqlite"))
        try:
            rows = made(journal, commits, held)
            before = lacking(journal, rows)
            steps = 0
            while journal.trim(keep_bytes=0, keep_since=1.0, limit=limit):
                steps += 1
                assert lacking(journal, rows) == before
            assert steps > 0
            assert journal.revision() == len(commits)
        finally:
            journal.close()
