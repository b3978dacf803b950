"""Diffs: what libelektra recorded, the merging table cell by cell, and the queries."""

import base64
import itertools
import json
from pathlib import Path

import pytest

from kdb.model import content
from kdb.model.content import Content
from kdb.model.diff import Change, Diff, merge
from kdb.model.names import unescape

RECORDED = json.loads((Path(__file__).parents[2] / "data" / "oracle" / "diff.json").read_text())

A, B, C, D = (unescape(f"user:/{name}") for name in "abcd")
ONE, TWO, THREE = Content("1", revision=1), Content("2", revision=2), Content("3", revision=3)


def key_content(key):
    value = base64.b64decode(key["value_b64"]) if key.get("binary") else key["value"]
    return content.make(value, key["meta"])


def state(keys):
    return {unescape(key["name"]): key_content(key) for key in keys}


def recorded_diff(entry):
    """Turn a recorded diff into ours."""
    old, new = state(entry["modified_old"]), state(entry["modified_new"])
    assert old.keys() == new.keys()
    return Diff(
        {
            **{name: Change(None, added) for name, added in state(entry["added"]).items()},
            **{name: Change(removed, None) for name, removed in state(entry["removed"]).items()},
            **{name: Change(old[name], new[name]) for name in old},
        }
    )


def part_diffs(entry):
    states = [state(entry["base"]), *map(state, entry["states"])]
    return [Diff.compute(new, old) for old, new in itertools.pairwise(states)]


def in_order(names):
    return list(names) == sorted(names)


# --- as recorded


def test_all_recorded_cases_are_here():
    assert len(RECORDED) == 150


@pytest.mark.parametrize("entry", RECORDED, ids=lambda entry: str(entry["case"]))
def test_recorded_diffs_session_and_undo(entry):
    parts = part_diffs(entry)
    assert parts == [recorded_diff(part) for part in entry["part_diffs"]]
    assert all(map(in_order, parts))

    session = Diff()
    for part in parts:
        session = session.append(part)
    assert session == recorded_diff(entry["session"])
    assert in_order(session)

    base, final = state(entry["base"]), state(entry["final"])
    assert session.apply(base) == final
    assert session.undo(final) == base == state(entry["undo"])


# --- the table of kdb.model.diff, written down cell by cell

KIND = {(False, True): "added", (True, True): "modified", (True, False): "removed"}


def kind(change):
    if change is None:
        return "unchanged"
    return KIND[change.old is not None, change.new is not None]


def or_unchanged(old, new):
    return None if old.same_as(new) else Change(old, new)


CELLS = {
    ("unchanged", "added"): lambda _, part: part,
    ("unchanged", "modified"): lambda _, part: part,
    ("unchanged", "removed"): lambda _, part: part,
    ("added", "added"): lambda _, part: Change(None, part.new),
    ("added", "modified"): lambda _, part: Change(None, part.new),
    ("added", "removed"): lambda *_: None,
    ("modified", "added"): lambda session, part: or_unchanged(session.old, part.new),
    ("modified", "modified"): lambda session, part: or_unchanged(session.old, part.new),
    ("modified", "removed"): lambda session, _: Change(session.old, None),
    ("removed", "added"): lambda session, part: or_unchanged(session.old, part.new),
    ("removed", "modified"): lambda session, part: or_unchanged(session.old, part.new),
    ("removed", "removed"): lambda session, _: Change(session.old, None),
}


def test_recorded_changes_reach_all_twelve_cells():
    """Each recorded session is merged with one part left out: its recording was stopped then."""
    reached = set()
    for entry in RECORDED:
        parts = part_diffs(entry)
        for left_out in range(len(parts)):
            session = Diff()
            for part in parts[:left_out] + parts[left_out + 1 :]:
                merged = session.append(part)
                for name, change in part.items():
                    before = session.get(name)
                    cell = kind(before), kind(change)
                    assert merged.get(name) == CELLS[cell](before, change), cell
                    reached.add(cell)
                assert {n: session[n] for n in session.keys() - part.keys()} == {
                    n: merged[n] for n in merged.keys() - part.keys()
                }
                session = merged
    assert reached == CELLS.keys()
    assert len(reached) == 12


@pytest.mark.parametrize(
    ("session", "part"),
    [
        (Change(ONE, TWO), Change(None, ONE)),
        (Change(ONE, TWO), Change(TWO, ONE)),
        (Change(ONE, None), Change(None, ONE)),
        (Change(ONE, None), Change(TWO, ONE)),
        (Change(None, ONE), Change(ONE, None)),
    ],
)
def test_a_key_that_ends_as_it_began_is_unchanged(session, part):
    assert merge(session, part) is None
    assert Diff({A: session, B: session}).append(Diff({A: part})) == Diff({B: session})


def test_merging_takes_no_notice_of_revisions():
    assert merge(Change(ONE, TWO), Change(TWO, ONE._replace(revision=9))) is None


# --- computing


def test_compute_finds_each_kind():
    diff = Diff.compute({A: ONE, B: TWO, D: ONE}, {B: ONE, C: THREE, D: ONE})
    assert list(diff.items()) == [
        (A, Change(None, ONE)),
        (B, Change(ONE, TWO)),
        (C, Change(THREE, None)),
    ]
    assert diff.added == {A: ONE}
    assert diff.modified == {B: Change(ONE, TWO)}
    assert diff.removed == {C: THREE}


def test_compute_compares_value_type_and_metadata_and_no_revision():
    binary = content.make(b"1", {"binary": ""})
    described = content.make("1", {"x": "y"})
    old = {A: ONE, B: ONE, C: ONE}
    new = {A: ONE._replace(revision=9), B: binary, C: described}
    assert Diff.compute(new, old) == Diff({B: Change(ONE, binary), C: Change(ONE, described)})


@pytest.mark.parametrize(
    ("parent", "inside"),
    [
        ("user:/a", ["user:/a", "user:/a/b"]),
        ("user:/", ["user:/", "user:/a", "user:/a/b", "user:/ab"]),
        ("system:/a", ["system:/a/c"]),
        ("/a", ["spec:/a", "user:/a", "user:/a/b", "system:/a/c"]),
        ("dir:/a", []),
    ],
)
def test_a_parent_bounds_compute_and_cut(parent, inside):
    names = ["user:/a/b", "user:/", "user:/ab", "spec:/a", "system:/a/c", "user:/a"]
    new = {unescape(name): ONE for name in names}
    diff = Diff.compute(new, {}, unescape(parent))
    assert list(diff) == [unescape(name) for name in inside]
    part, rest = Diff.compute(new, {}).cut(unescape(parent))
    assert part == diff
    assert in_order(rest)
    assert rest.keys() == new.keys() - part.keys()


def test_changes_without_effect_are_no_part_of_a_diff():
    changes = {
        A: Change(ONE, ONE),
        B: Change(ONE, ONE._replace(revision=7)),
        C: Change(None, None),
    }
    assert Diff(changes) == Diff() == Diff.compute({A: ONE}, {A: ONE})
    assert not Diff(changes)


# --- the mapping and what is made of it


def test_a_diff_is_a_mapping_in_key_order():
    diff = Diff([(C, Change(None, ONE)), (A, Change(ONE, None))])
    assert list(diff) == [A, C]
    assert len(diff) == 2
    assert diff[A] == Change(ONE, None)
    assert A in diff
    assert B not in diff
    assert diff.get(B) is None
    assert repr(Diff({A: Change(ONE, None)})) == f"Diff({{{A!r}: {Change(ONE, None)!r}}})"


def test_without_leaves_out_one_change():
    diff = Diff({A: Change(ONE, None), B: Change(None, ONE)})
    assert diff.without(A) == Diff({B: Change(None, ONE)})
    assert diff.without(C) == diff


def test_inverse_takes_back():
    diff = Diff({A: Change(None, ONE), B: Change(ONE, TWO), C: Change(THREE, None)})
    assert diff.inverse() == Diff(
        {A: Change(ONE, None), B: Change(TWO, ONE), C: Change(None, THREE)}
    )
    assert diff.apply({B: ONE, C: THREE}) == {A: ONE, B: TWO}
    assert diff.undo({A: ONE, B: TWO}) == {B: ONE, C: THREE}


def test_apply_does_not_compare_what_it_replaces():
    diff = Diff({A: Change(None, ONE), B: Change(ONE, TWO), C: Change(THREE, None)})
    assert diff.apply({A: THREE}) == {A: ONE, B: TWO}


# --- queries


def test_queries_tell_values_from_metadata():
    diff = Diff(
        {
            A: Change(
                content.make("1", {"kept": "1", "gone": "2", "other": "3"}),
                content.make("1", {"kept": "1", "other": "4", "new": "5"}),
            ),
            B: Change(content.make("1", {"m": "1"}), content.make("2", {"m": "1"})),
            C: Change(content.make("1"), content.make(b"1", {"binary": ""})),
        }
    )
    assert [diff.value_changed(name) for name in (A, B, C, D)] == [False, True, True, False]
    assert diff.added_meta(A) == {"new": "5"}
    assert diff.removed_meta(A) == {"gone": "2"}
    assert diff.modified_meta(A) == {"other": ("3", "4")}
    assert diff.added_meta(D) == diff.removed_meta(D) == diff.modified_meta(D) == {}


def test_an_added_or_removed_key_counts_with_all_its_metadata():
    described, plain = content.make("1", {"m": "1"}), content.make("1")
    diff = Diff({A: Change(None, described), B: Change(described, None), C: Change(None, plain)})
    assert [diff.value_changed(name) for name in (A, B, C)] == [True, True, True]
    assert diff.added_meta(A) == {"m": "1"} == diff.removed_meta(B)
    assert diff.removed_meta(A) == {} == diff.added_meta(B)
