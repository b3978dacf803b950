"""Backends: what readers see, and what it will be after all that is prepared."""

from core_state import content, key, mounted

from kdb.model.names import end_of_subtree

START, END = key("user:/"), end_of_subtree(key("user:/"))
OLD, NEW, NEWER = content("1", revision=3), content("2", revision=4), content("3", revision=5)


def backend(**keys):
    return mounted(1, "user:/", {f"user:/{name}": each for name, each in keys.items()})


def name(base):
    return key(f"user:/{base}")


def seen(one):
    return dict(one.tree)


def test_a_new_backend_is_empty_and_takes_anything():
    one = mounted(7, "user:/m")
    assert (one.identity, one.mountpoint, one.directory) == (7, key("user:/m"), "")
    assert (one.announce_once, one.concealed, one.damage, one.refusal) == (False, False, None, None)
    assert (dict(one.tree), one.ahead) == ({}, {})


def test_backends_do_not_share_their_keys():
    one, other = mounted(1, "user:/"), mounted(1, "user:/")
    one.apply(name("a"), NEW, 4)
    one.prepare(name("a"), NEW, 4)
    assert (seen(other), other.ahead) == ({}, {})
    assert one != other


def test_the_range_of_a_mountpoint_ends_after_all_below_it():
    one = mounted(1, "user:/m")
    assert key("user:/m/\udcff/a") < one.end < key("user:/m\x02")


def test_names_are_those_of_the_range_in_key_order():
    one = backend(c=OLD, a=OLD, b=OLD)
    assert list(one.names(START, END)) == [name("a"), name("b"), name("c")]
    assert list(one.names(name("a"), name("c"))) == [name("a"), name("b")]
    assert one.future_names(name("a"), name("c")) == [name("a"), name("b")]


def test_without_preparation_the_future_is_the_present():
    one = backend(a=OLD)
    assert (one.future(name("a")), one.future(name("b"))) == (OLD, None)
    assert one.future_names(START, END) == [name("a")]


def test_what_is_prepared_is_seen_in_the_future_only():
    one = backend(b=OLD, c=OLD, d=OLD)
    one.prepare(name("a"), NEW, 4)
    one.prepare(name("b"), NEW, 4)
    one.prepare(name("c"), None, 4)
    one.prepare(name("z"), None, 4)
    assert seen(one) == dict.fromkeys(map(name, "bcd"), OLD)
    assert [one.future(name(each)) for each in "abcdz"] == [NEW, NEW, None, OLD, None]
    assert one.future_names(START, END) == [name("a"), name("b"), name("d")]
    assert one.future_names(name("b"), name("d")) == [name("b")]


def test_applying_lets_readers_see_and_ends_the_preparation():
    one = backend(b=OLD)
    one.prepare(name("a"), NEW, 4)
    one.prepare(name("b"), None, 4)
    one.apply(name("a"), NEW, 4)
    one.apply(name("b"), None, 4)
    assert (seen(one), one.ahead) == ({name("a"): NEW}, {})


def test_applying_keeps_what_a_later_commit_prepared():
    one = backend(a=OLD)
    one.prepare(name("a"), NEW, 4)
    one.prepare(name("a"), NEWER, 5)
    one.apply(name("a"), NEW, 4)
    assert (seen(one), one.future(name("a"))) == ({name("a"): NEW}, NEWER)
    one.apply(name("a"), NEWER, 5)
    assert (seen(one), one.ahead) == ({name("a"): NEWER}, {})


def test_removing_what_is_not_there_is_nothing():
    one = backend(a=OLD)
    one.apply(name("b"), None, 4)
    assert seen(one) == {name("a"): OLD}


def test_settling_ends_the_preparation_of_that_revision_only():
    one = backend()
    one.prepare(name("a"), NEW, 4)
    one.settle(name("a"), 5)
    one.settle(name("b"), 4)
    assert one.ahead == {name("a"): (4, NEW)}
    one.settle(name("a"), 4)
    assert (seen(one), one.ahead) == ({}, {})


def test_rebuilding_answers_the_keys_after_the_changes_and_leaves_what_readers_see():
    one = backend(a=OLD, b=OLD, c=OLD)
    rebuilt = one.rebuild(
        [
            (name("d"), NEW),
            (name("b"), NEW),
            (name("a"), None),
            (name("z"), None),
            (name("b"), NEWER),
        ]
    )
    assert list(rebuilt.items()) == [(name("b"), NEWER), (name("c"), OLD), (name("d"), NEW)]
    assert seen(one) == dict.fromkeys(map(name, "abc"), OLD)
