"""Laws of the blocks: what is packed is unpacked, and nothing else is taken."""

from hypothesis import given
from hypothesis import strategies as st
from key_names import from_parts

from kdb import wire
from kdb.dbus_errors import from_dbus_error
from kdb.match_rules import match_rules, quote_rule_value
from kdb.model.content import make
from kdb.model.diff import Change
from kdb.model.errors import BY_DBUS_NAME, InterfaceError, KDBError
from kdb.model.names import Namespace

TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)
PARTS = st.lists(TEXT, max_size=4)
NAMES = st.builds(
    from_parts, st.sampled_from([each for each in Namespace if each > Namespace.NONE]), PARTS
)
SIMPLE_META = st.dictionaries(st.sampled_from(["type", "default", "check/range", "#0"]), TEXT)
STRINGS = st.builds(make, TEXT, SIMPLE_META)
BINARIES = st.builds(
    lambda value, meta: make(value, {**meta, "binary": ""}), st.binary(), SIMPLE_META
)
CONTENTS = st.one_of(STRINGS, BINARIES)
REVISIONS = st.integers(0, 2**64 - 1)


@given(st.dictionaries(NAMES, st.tuples(CONTENTS, REVISIONS)))
def test_keys_come_back_as_they_went(keys):
    pairs = [(name, content._replace(revision=at)) for name, (content, at) in keys.items()]
    assert wire.unpack_keys(wire.pack_keys(pairs)) == pairs


@given(st.dictionaries(NAMES, st.tuples(st.none() | CONTENTS, REVISIONS)))
def test_a_set_comes_back_as_it_went(changes):
    entries = [(name, content, at) for name, (content, at) in changes.items()]
    assert wire.unpack_changes(wire.pack_changes(entries)) == entries


@given(st.dictionaries(NAMES, st.tuples(st.none() | CONTENTS, st.none() | CONTENTS)))
def test_a_diff_comes_back_as_it_went(sides):
    diff = {name: Change(*side) for name, side in sides.items()}
    assert wire.unpack_diff(wire.pack_diff(diff)) == diff


@given(st.binary(max_size=200))
def test_any_bytes_are_a_set_or_an_error_of_the_interface(data):
    try:
        changes = wire.unpack_changes(data)
    except InterfaceError:
        return
    assert wire.unpack_changes(wire.pack_changes(changes)) == changes


@given(NAMES)
def test_rules_fit_and_name_the_sender(parent):
    rules = match_rules(parent)
    assert all(len(rule.encode()) <= wire.MAX_RULE_BYTES for rule in rules)
    assert all(f"sender='{wire.BUS_NAME}'" in rule for rule in rules)


@given(TEXT)
def test_what_is_quoted_reads_back(text):
    """Read as the D-Bus specification says: a backslash escapes outside of apostrophes only."""
    read, quoted, rest = "", False, quote_rule_value(text)
    while rest:
        first, rest = rest[0], rest[1:]
        if first == "'":
            quoted = not quoted
        elif first == "\\" and not quoted:
            read, rest = read + rest[0], rest[1:]
        else:
            read += first
    assert (read, quoted) == (text, False)


@given(st.sampled_from(sorted(BY_DBUS_NAME)), TEXT)
def test_any_text_is_an_error_with_that_text(name, text):
    error = from_dbus_error(name, text)
    assert isinstance(error, KDBError)
    assert type(error) is BY_DBUS_NAME[name]
