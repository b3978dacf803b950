"""Laws of diffs."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from key_names import from_parts

from kdb.model import content, subtree
from kdb.model.content import Content
from kdb.model.diff import Diff
from kdb.model.names import Namespace as Ns

# Few names and contents, so that states meet in each way often.
NAMES = st.builds(
    from_parts,
    st.sampled_from([Ns.SPEC, Ns.USER, Ns.SYSTEM]),
    st.lists(st.sampled_from("ab"), max_size=2),
)
EVERYWHERE = NAMES.map(lambda name: bytes((Ns.CASCADING,)) + name[1:])
PARENTS = NAMES | EVERYWHERE
VALUES = [
    content.make("1"),
    content.make("2"),
    content.make("1", {"m": "1"}),
    content.make("1", {"m": "2", "n": "1"}),
    content.make(b"1", {"binary": ""}),
]
CONTENTS = st.builds(Content._replace, st.sampled_from(VALUES), revision=st.integers(0, 9))
STATES = st.dictionaries(NAMES, CONTENTS, max_size=8)


def same(one, other):
    """Tell whether two states are equal but for revisions."""
    return one.keys() == other.keys() and all(one[n].same_as(other[n]) for n in one)


def same_diff(one, other):
    return one.keys() == other.keys() and all(
        (a is b is None) or a.same_as(b) for n in one for a, b in zip(one[n], other[n], strict=True)
    )


def check(diff):
    assert list(diff) == sorted(diff)
    assert all(change.has_effect for change in diff.values())
    kinds = [diff.added, diff.removed, diff.modified]
    assert sum(map(len, kinds)) == len(diff)
    assert sorted(name for kind in kinds for name in kind) == list(diff)


@given(STATES, STATES)
def test_a_diff_applied_to_the_old_state_is_the_new_one(old, new):
    diff = Diff.compute(new, old)
    check(diff)
    assert same(diff.apply(old), new)
    assert same(diff.undo(new), old)
    assert same(diff.undo(diff.apply(old)), old)


@given(STATES)
def test_no_change_is_no_diff(state):
    assert not Diff.compute(state, dict(state))
    assert not Diff.compute(state, {n: c._replace(revision=99) for n, c in state.items()})


@given(STATES, STATES)
def test_the_inverse_is_the_diff_backwards(old, new):
    diff = Diff.compute(new, old)
    assert diff.inverse() == Diff.compute(old, new)
    assert diff.inverse().inverse() == diff


@given(st.lists(STATES, min_size=1, max_size=6))
def test_appended_diffs_are_the_diff_of_the_ends(states):
    session = Diff()
    for old, new in pairwise(states):
        session = session.append(Diff.compute(new, old))
        check(session)
        assert same_diff(session, Diff.compute(new, states[0]))
    assert same(session.apply(states[0]), states[-1])
    assert same(session.undo(states[-1]), states[0])


@given(STATES, STATES, STATES, STATES)
def test_append_of_consecutive_diffs_is_associative(a, b, c, d):
    one, two, three = Diff.compute(b, a), Diff.compute(c, b), Diff.compute(d, c)
    assert same_diff(one.append(two).append(three), one.append(two.append(three)))


@given(STATES, STATES)
def test_a_diff_and_its_inverse_are_nothing(old, new):
    diff = Diff.compute(new, old)
    assert not diff.append(diff.inverse())


@given(STATES, STATES, STATES)
def test_what_happened_unrecorded_keeps_the_old_of_the_session(base, recorded, later):
    """A key in the session keeps its old content, whatever it was when recording went on."""
    session = Diff.compute(recorded, base)
    after = session.append(Diff.compute(base, later))
    check(after)
    for name in session.keys() & after.keys():
        assert after[name].old is session[name].old


@given(STATES, STATES, PARENTS)
def test_cut_divides(old, new, parent):
    diff = Diff.compute(new, old)
    inside, outside = diff.cut(parent)
    covered = subtree.covers(parent)
    assert list(inside) == [name for name in diff if covered(name)]
    assert list(outside) == [name for name in diff if not covered(name)]
    assert inside.append(outside) == diff
    assert inside == Diff.compute(new, old, parent)


@given(STATES, STATES)
def test_queries_agree_with_the_contents(old, new):
    diff = Diff.compute(new, old)
    for name, (before, after) in diff.items():
        had, has = (dict(each.meta) if each else {} for each in (before, after))
        gone, fresh, changed = (
            diff.removed_meta(name), diff.added_meta(name), diff.modified_meta(name),
        )  # fmt: skip
        assert {n: t for n, t in had.items() if n not in gone} | fresh | {
            n: t for n, (_, t) in changed.items()
        } == has
        assert diff.value_changed(name) or gone or fresh or changed
