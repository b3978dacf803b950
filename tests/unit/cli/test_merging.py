"""What a person changed and what others changed, brought together key by key."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdb.cli.merging import conflict, merge, replaced
from kdb.model.content import Content, make

key_sets = st.dictionaries(
    st.sampled_from([b"\x06\0a", b"\x06\0b", b"\x06\0c", b"\x06\0d"]),
    st.builds(Content, st.sampled_from(["1", "2", "3"]), st.just({}), st.integers(1, 9)),
)


def values(keys):
    return {name: key.value for name, key in keys.items()}


@given(key_sets, key_sets, key_sets)
def test_every_key_is_as_who_changed_it_wants_it(base, ours, theirs):
    merged, conflicts = merge(base, ours=ours, theirs=theirs)
    for name in base.keys() | ours.keys() | theirs.keys():
        was, own, other, now = (values(each).get(name) for each in (base, ours, theirs, merged))
        if own in (was, other):
            assert now == other
        elif other == was:
            assert now == own
        else:
            assert (now, name in conflicts) == (other, True)
    assert conflicts == sorted(set(conflicts))
    resolved = replaced(merged, ours, conflicts)
    assert {name: values(resolved).get(name) for name in conflicts} == {
        name: values(ours).get(name) for name in conflicts
    }


@given(key_sets, key_sets)
def test_who_is_alone_gets_just_what_was_asked(base, ours):
    assert values(merge(base, ours=ours, theirs=base)[0]) == values(ours)
    assert merge(base, ours=base, theirs=ours) == (ours, [])
    assert merge(base, ours=ours, theirs=ours) == (ours, [])


@pytest.mark.parametrize(
    ("content", "shown"),
    [
        (None, "removed"),
        (Content("a\nb"), r"'a\nb'"),
        (make(b"\0", {"binary": ""}), r"b'\x00' with 1 metadata"),
        (Content("x" * 41), f"'{'x' * 40}'... (41 long)"),
    ],
)
def test_a_conflict_shows_each_side_on_a_line(content, shown):
    ours = {} if content is None else {b"\x06\0a": content}
    error = conflict(
        "Both", [b"\x06\0a"], base={b"\x06\0a": Content("", {}, 7)}, ours=ours, theirs={}
    )
    assert str(error) == f"Both\nuser:/a: base 7, ours {shown}, theirs removed"
