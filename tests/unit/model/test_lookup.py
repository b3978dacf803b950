"""Looking up names: the order of namespaces, what a specification changes, and what ends it."""

import pytest

from kdb.model.content import Content, make
from kdb.model.errors import SemanticError
from kdb.model.lookup import MAX_DEPTH, Found, Step, default_key, lookup
from kdb.model.names import array_part, escape, unescape


class Keys:
    """Keys by name. A specification is given by its metadata."""

    def __init__(self, keys):
        self.keys = {
            unescape(name): make("", given) if isinstance(given, dict) else Content(given)
            for name, given in keys.items()
        }
        self.asked = []

    def __call__(self, name):
        self.asked.append(name)
        return self.keys.get(name)

    def find(self, name):
        """Return the found key's name and value."""
        steps = []
        found = lookup(unescape(name), self, steps)
        self.searched = [(escape(step.name), step.found) for step in steps]
        return found and (escape(found.name), found.content.value)


def find(name, keys):
    return Keys(keys).find(name)


def test_a_name_with_a_namespace_stands_for_that_key():
    keys = Keys(
        {"user:/a": "1", "system:/a": "2", "spec:/a": {"override/#0": "/b"}, "user:/b": "3"}
    )
    assert keys.find("user:/a") == ("user:/a", "1")
    assert keys.searched == [("user:/a", True)]
    assert keys.find("dir:/a") is None
    assert keys.searched == [("dir:/a", False)]
    assert keys.find("spec:/a") == ("spec:/a", "")


def test_steps_are_collected_only_when_asked_for():
    assert lookup(unescape("user:/a"), Keys({"user:/a": "1"})) == Found(
        unescape("user:/a"), Content("1")
    )


@pytest.mark.parametrize("count", range(6))
def test_without_a_specification_the_first_namespace_wins(count):
    order = ["proc:/a", "dir:/a", "user:/a", "system:/a", "default:/a", "/a"]
    keys = Keys({name: name for name in order[count:]})
    assert keys.find("/a") == (order[count], order[count])
    assert keys.searched == [
        ("spec:/a", False),
        *((name, False) for name in order[:count]),
        (order[count], True),
    ]


def test_every_place_is_searched_before_nothing_is_found():
    keys = Keys({"user:/a": "1"})
    assert keys.find("/none") is None
    assert keys.searched == [
        ("spec:/none", False),
        ("proc:/none", False),
        ("dir:/none", False),
        ("user:/none", False),
        ("system:/none", False),
        ("default:/none", False),
        ("/none", False),
    ]


def test_roots_are_looked_up_as_other_keys():
    assert find("/", {"user:/": "root"}) == ("user:/", "root")


def test_a_default_comes_last_and_is_a_key_of_its_own():
    keys = {"spec:/a": {"default": "7", "fallback/#0": "/b"}}
    assert find("/a", keys) == ("default:/a", "7")
    assert find("default:/a", keys) == ("default:/a", "7")
    assert find("/a", {**keys, "system:/a": "1"}) == ("system:/a", "1")
    assert find("/a", {**keys, "user:/b": "2"}) == ("user:/b", "2")


def test_a_default_has_the_revision_of_its_specification():
    specification = Content("", {"default": "7", "type": "long"}, revision=12)
    found = lookup(unescape("/a"), {unescape("spec:/a"): specification}.get)
    assert found == Found(unescape("default:/a"), Content("7", revision=12))


def test_a_default_key_that_is_there_wins_over_the_metadata():
    keys = {"spec:/a": {"default": "7"}, "default:/a": "8"}
    assert find("/a", keys) == find("default:/a", keys) == ("default:/a", "8")


def test_an_empty_default_is_a_default():
    assert find("/a", {"spec:/a": {"default": ""}}) == ("default:/a", "")


@pytest.mark.parametrize("name", ["/a", "default:/a"])
def test_a_specification_without_default_makes_none(name):
    assert find(name, {"spec:/a": {"require": ""}}) is None


def test_overrides_come_before_the_own_key_and_fallbacks_after():
    keys = {
        "spec:/a": {"override/#0": "/o0", "override/#1": "/o1", "fallback/#0": "/f"},
        "user:/o1": "O1",
        "user:/a": "own",
        "user:/f": "F",
    }
    assert find("/a", {**keys, "dir:/o0": "O0"}) == ("dir:/o0", "O0")
    assert find("/a", keys) == ("user:/o1", "O1")
    del keys["user:/o1"]
    assert find("/a", keys) == ("user:/a", "own")
    del keys["user:/a"]
    assert find("/a", keys) == ("user:/f", "F")


def test_the_steps_of_a_specification_are_in_its_order():
    keys = Keys(
        {
            "spec:/a": {
                "override/#0": "user:/o",
                "namespace/#0": "system",
                "namespace/#1": "user",
                "fallback/#0": "/f",
            }
        }
    )
    assert keys.find("/a") is None
    assert keys.searched == [
        ("spec:/a", True),
        ("user:/o", False),
        ("system:/a", False),
        ("user:/a", False),
        ("spec:/f", False),
        ("proc:/f", False),
        ("dir:/f", False),
        ("user:/f", False),
        ("system:/f", False),
        ("default:/a", False),
    ]


def test_namespaces_replace_the_cascade():
    keys = {
        "spec:/a": {"namespace/#0": "system", "namespace/#1": "dir"},
        "user:/a": "u",
        "dir:/a": "d",
    }
    assert find("/a", keys) == ("dir:/a", "d")
    assert find("/a", {**keys, "system:/a": "s"}) == ("system:/a", "s")
    assert find("/a", {"spec:/a": {"namespace/#0": "system"}, "user:/a": "u"}) is None


@pytest.mark.parametrize("unknown", ["", "users", "cascading", "meta", "user:/"])
def test_an_unknown_namespace_ends_the_list(unknown):
    meta = {"namespace/#0": "system", "namespace/#1": unknown, "namespace/#2": "user"}
    assert find("/a", {"spec:/a": meta, "user:/a": "u"}) is None
    assert find("/a", {"spec:/a": meta, "user:/a": "u", "system:/a": "s"}) == ("system:/a", "s")


def test_a_namespace_may_be_that_of_defaults():
    keys = {"spec:/a": {"namespace/#0": "default", "default": "7", "fallback/#0": "/f"}}
    assert find("/a", {**keys, "user:/f": "F"}) == ("default:/a", "7")


@pytest.mark.parametrize("end", [{}, {"override/#1": ""}])
def test_links_end_at_the_first_number_that_is_missing_or_empty(end):
    keys = {"spec:/a": {"override/#0": "/x", **end, "override/#2": "/y"}, "user:/y": "Y"}
    assert find("/a", keys) is None


def test_more_than_ten_links_are_numbered_as_arrays():
    links = {f"override/{array_part(index)}": f"/x{index}" for index in range(12)}
    assert find("/a", {"spec:/a": links, "user:/x11": "11"}) == ("user:/x11", "11")


@pytest.mark.parametrize("link", ["b", "nowhere:/b", "/b\\", "/" + "b" * 65_536])
def test_a_link_that_is_no_name_finds_nothing(link):
    keys = {"spec:/a": {"override/#0": link, "override/#1": "/c"}, "user:/c": "C"}
    assert find("/a", keys) == ("user:/c", "C")


def test_a_link_may_be_a_full_name():
    keys = {"spec:/a": {"override/#0": "system:/b"}, "user:/b": "u", "user:/a": "own"}
    assert find("/a", keys) == ("user:/a", "own")
    assert find("/a", {**keys, "system:/b": "s"}) == ("system:/b", "s")


def test_links_follow_the_specification_of_what_they_name():
    keys = {
        "spec:/a": {"override/#0": "/b"},
        "spec:/b": {"override/#0": "/c", "namespace/#0": "system"},
        "user:/b": "not seen",
        "user:/a": "own",
    }
    assert find("/a", keys) == ("user:/a", "own")
    assert find("/a", {**keys, "user:/c": "C"}) == ("user:/c", "C")


def test_links_take_no_defaults_of_others():
    keys = {
        "spec:/a": {"override/#0": "/b", "fallback/#0": "/c", "default": "own"},
        "spec:/b": {"default": "b"},
        "default:/c": "c",
    }
    assert find("/a", keys) == ("default:/a", "own")


def test_a_link_to_a_default_by_its_full_name_takes_it():
    keys = {"spec:/a": {"fallback/#0": "default:/b"}, "spec:/b": {"default": "b"}}
    assert find("/a", keys) == ("default:/b", "b")


def test_loops_end_and_the_rest_is_still_searched():
    keys = Keys(
        {
            "spec:/a": {"override/#0": "/a", "override/#1": "/b"},
            "spec:/b": {"override/#0": "/a", "fallback/#0": "/b"},
            "user:/a": "own",
        }
    )
    assert keys.find("/a") == ("user:/a", "own")
    assert len(keys.asked) == len(set(keys.asked))


def test_names_linked_by_many_ways_are_looked_up_once():
    depth = MAX_DEPTH - 1
    keys = Keys(
        {
            f"spec:/{n}": {"override/#0": f"/{n + 1}", "fallback/#0": f"/{n + 1}"}
            for n in range(depth)
        }
    )
    assert keys.find("/0") is None
    assert len(keys.asked) == len(set(keys.asked))


def test_a_chain_of_links_is_bounded():
    def chain(length):
        links = {f"spec:/{n}": {"fallback/#0": f"/{n + 1}"} for n in range(length)}
        return {**links, f"user:/{length}": "end"}

    assert find("/0", chain(MAX_DEPTH)) == (f"user:/{MAX_DEPTH}", "end")
    with pytest.raises(SemanticError) as caught:
        find("/0", chain(MAX_DEPTH + 1))
    assert str(caught.value) == (
        "the look-up follows links (override/#, fallback/#) more than 32 names deep and ends at "
        "'spec:/32'; link directly"
    )


def test_patterns_are_not_expanded():
    keys = {"spec:/arr/#": {"default": "d"}, "spec:/wild/_/x": {"default": "w"}}
    assert find("/arr/#1", keys) is None
    assert find("/wild/foo/x", keys) is None


def test_a_specification_with_default_makes_a_default_key():
    specification = Content("", {"default": "7"}, revision=3)
    assert default_key(unescape("spec:/a/_/x"), specification) == Found(
        unescape("default:/a/_/x"), Content("7", revision=3)
    )
    assert default_key(unescape("spec:/a"), Content("", {"type": "any"})) is None
    assert default_key(unescape("spec:/arr/#"), specification) is None


def test_a_step_tells_name_and_outcome():
    steps = []
    lookup(unescape("user:/a"), Keys({}), steps)
    assert steps == [Step(unescape("user:/a"), found=False)]


def test_recorded_session():
    """The scenario spec_default of libelektra's kdb, step by step."""
    keys = {"spec:/sw/k": {"default": "7"}}
    assert find("/sw/k", keys) == ("default:/sw/k", "7")
    keys["user:/sw/k"] = "8"
    assert find("/sw/k", keys) == ("user:/sw/k", "8")
    keys |= {"system:/sw/k": "9", "dir:/sw/k": "10"}
    assert find("/sw/k", keys) == ("dir:/sw/k", "10")
    del keys["dir:/sw/k"], keys["user:/sw/k"]
    assert find("/sw/k", keys) == ("system:/sw/k", "9")
    keys |= {"spec:/sw/o": {"override/#0": "/sw/ov", "fallback/#0": "/sw/fb"}, "user:/sw/fb": "F"}
    assert find("/sw/o", keys) == ("user:/sw/fb", "F")
    keys |= {"user:/sw/ov": "O", "user:/sw/o": "own"}
    assert find("/sw/o", keys) == ("user:/sw/ov", "O")
    del keys["user:/sw/ov"]
    assert find("/sw/o", keys) == ("user:/sw/o", "own")
    keys |= {"spec:/sw/n": {"namespace/#0": "system"}, "user:/sw/n": "u"}
    assert find("/sw/n", keys) is None
    keys |= {"spec:/sw/r": {"require": ""}}
    assert find("/sw/r", keys) is None
