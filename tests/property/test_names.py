"""Laws of key names."""

from hypothesis import example, given
from hypothesis import strategies as st
from key_names import from_parts

from kdb.model import names
from kdb.model.errors import InvalidName
from kdb.model.names import Namespace, escape, parts, unescape

NAMESPACES = st.sampled_from([namespace for namespace in Namespace if namespace])
# Few characters, so that what is special meets often; and any others, bytes from files too.
SPECIAL = st.text("/\\%.#_019aä:\n \x01\x7f\udc80", max_size=6)
PARTS = SPECIAL | st.text(
    st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=8
)
PATHS = st.lists(PARTS, max_size=5)
NAMES = st.builds(from_parts, NAMESPACES, PATHS)
# What may be a name or not.
TEXTS = st.builds(
    str.__add__,
    st.sampled_from(["/", "user:/", "default:/", ""]),
    st.text("/\\%.#_019a:", max_size=16),
)


@given(NAMES)
def test_what_is_printed_parses_back(name):
    assert unescape(escape(name)) == name
    assert names.canonical(escape(name)) == escape(name)


@given(NAMESPACES, PATHS)
@example(Namespace.USER, ["a\udcc3", "\udca4"])
def test_a_name_is_its_namespace_and_parts(namespace, path):
    name = from_parts(namespace, path)
    assert names.namespace(name) is namespace
    assert [part.encode(errors="surrogateescape") for part in parts(name)] == [
        part.encode(errors="surrogateescape") for part in path
    ]
    assert names.base_name(name) == (parts(name)[-1] if path else "")
    assert names.parent(name) == from_parts(namespace, path[:-1])


@given(TEXTS)
def test_a_text_is_refused_or_has_one_canonical_form(text):
    try:
        name = unescape(text)
    except InvalidName:
        return
    for other in (names.canonical(text), escape(name)):
        assert unescape(other) == name
        assert names.canonical(other) == other


@given(NAMESPACES, st.text("/\\%.#_019a:", max_size=16))
def test_names_with_nothing_special_take_a_shortcut_to_the_same_result(namespace, path):
    prefix = escape(bytes((namespace,)))
    outcomes = []
    # The slashes keep the second name from the shortcut.
    for text in (prefix + path, prefix + "///" + path):
        try:
            outcomes.append(unescape(text))
        except InvalidName:
            outcomes.append(None)
    assert outcomes[0] == outcomes[1]


@given(NAMES)
def test_a_name_prints_as_its_parts_do(name):
    printed = [escape(from_parts(Namespace.CASCADING, [part])) for part in parts(name)]
    root = escape(name[:1])
    assert escape(name) == (root[:-1] + "".join(printed) if printed else root)


@given(NAMES, NAMES)
def test_the_order_is_that_of_namespaces_then_parts(left, right):
    assert (left < right) == (order(left) < order(right))
    assert (left == right) == (order(left) == order(right))


@given(NAMES, NAMES)
def test_below_is_that_of_the_parts(name, parent):
    check_below(name, parent)


@given(NAMES, PATHS)
def test_what_is_made_below_a_name_is_below_it(parent, path):
    name = from_parts(names.namespace(parent), [*parts(parent), *path])
    check_below(name, parent)
    assert names.is_below_or_same(name, parent)
    assert parent <= name < names.end_of_subtree(parent)
    assert names.add_name(parent, "/" + names.relative(name, parent)) == name


def check_below(name, parent):
    above, below = parts(parent), parts(name)
    same_start = names.namespace(name) == names.namespace(parent) and below[: len(above)] == above
    assert names.is_below(name, parent) == (same_start and len(below) > len(above))
    assert names.is_directly_below(name, parent) == (same_start and len(below) == len(above) + 1)
    assert names.is_below_or_same(name, parent) == same_start
    assert (parent <= name < names.end_of_subtree(parent)) == same_start


@given(NAMES, NAMES)
def test_names_are_related_as_their_parts_whatever_a_cascading_namespace(name, other):
    first, second = names.related(name, other)
    assert (second, first) == names.related(other, name)
    # libelektra cannot tell a single empty part from none.
    assert [parts(first), parts(second)] == [
        () if parts(each) == ("",) else parts(each) for each in (name, other)
    ]
    cascading = Namespace.CASCADING in (names.namespace(name), names.namespace(other))
    if cascading and (parts(first) or parts(second)):
        assert first[:1] == second[:1]
    else:
        assert (first[:1], second[:1]) == (name[:1], other[:1])


@given(NAMES, PARTS)
def test_a_base_name_added_is_the_base_name_and_goes_with_the_parent(name, base):
    added = names.add_base_name(name, base)
    assert names.parent(added) == name
    assert names.base_name(added) == base
    assert names.is_directly_below(added, name)
    assert names.set_base_name(added, base) == added
    assert names.set_base_name(names.add_base_name(name, "x"), base) == added


@given(NAMES, NAMESPACES)
def test_a_path_moves_to_another_namespace_and_back(name, namespace):
    moved = names.in_namespace(name, namespace)
    assert names.namespace(moved) is namespace
    assert parts(moved) == parts(name)
    assert names.in_namespace(moved, names.namespace(name)) == name


@given(st.integers(0, 2**63 - 1), st.integers(0, 2**63 - 1))
def test_array_elements_are_in_the_order_of_their_indices(left, right):
    first, second = map(names.array_part, (left, right))
    assert (first < second) == (left < right)
    assert names.array_index(first) == left
    assert parts(unescape(f"/#{left}")) == (first,)


def order(name):
    return names.namespace(name), [part.encode(errors="surrogateescape") for part in parts(name)]
