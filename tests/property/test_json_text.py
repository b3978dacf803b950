"""Laws of JSON as a format of key sets."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from key_set_strategies import key_sets, mountpoints

from kdb.formats import json_reader, json_text
from kdb.model import names
from kdb.model.content import Content
from kdb.model.errors import SyntacticError

Keys = list[tuple[bytes, Content]]

# What JSON has forms for, and what is nearly so.
typed = st.sampled_from(
    [
        Content("1.50", {"type": "double"}),
        Content("-0e+7", {"type": "double"}),
        Content("01", {"type": "double"}),
        Content("1", {"type": "boolean"}),
        Content("0", {"type": "boolean"}),
        Content("2", {"type": "boolean"}),
        Content(b"", {"binary": ""}),
        Content(b"x", {"binary": ""}),
        Content(b"", {"binary": "y"}),
        Content("", {"array": ""}),
        Content("x", {"array": ""}),
        Content("", {"array": "#0"}),
        Content(b"", {"array": "#0", "binary": ""}),
        Content(b"", {"array": "#1", "binary": ""}),
        Content(b"", {"array": "#_10", "binary": ""}),
        Content(b"x", {"array": "#1", "binary": ""}),
        Content("text"),
        Content(""),
    ]
)
telling_parts = st.sampled_from(
    ["a", "#0", "#1", "#2", "___empty_map", "meta:", ".", "meta:/m", "%", "", "a/b", "#_10"]
)
letters = st.text(
    st.characters(exclude_characters="\0", exclude_categories=("Cs",)), min_size=1, max_size=8
)
# Names that are no form of ours: not the value, nor metadata, nor escaped.
members = letters.filter(lambda text: text[0] not in "%#." and not set(text) & set("/\\"))
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    letters,
)
documents = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=12), st.dictionaries(members, inner, max_size=4)
    ),
    max_leaves=12,
)


@st.composite
def json_key_sets(draw: st.DrawFn) -> tuple[bytes, Keys]:
    """Draw a parent and a key set that comes near to what JSON has forms for."""
    parent = draw(mountpoints)
    keys = {}
    for path in draw(st.lists(st.lists(telling_parts, max_size=3), max_size=8)):
        name = parent
        for part in path:
            name = names.add_base_name(name, part)
        keys[name] = draw(typed)
    return parent, sorted(keys.items())


def written(parent: bytes, keys: Keys) -> bytes:
    text = "".join(json_text.write(parent, keys))
    return text.encode("utf-8", "backslashreplace")


def read(data: bytes, parent: bytes) -> Keys:
    entries: dict[bytes, Content] = {}
    for _ in json_reader.read_slices(entries, data, parent, "f"):
        pass
    return sorted(entries.items())


@given(st.one_of(key_sets(), json_key_sets()))
def test_reading_what_was_written_gives_the_key_set(drawn: tuple[bytes, Keys]) -> None:
    parent, keys = drawn
    data = written(parent, keys)
    json.loads(data)
    found = read(data, parent)
    assert found == keys
    assert [type(one.value) for _, one in found] == [type(one.value) for _, one in keys]
    assert [list(one.meta) for _, one in found] == [list(one.meta) for _, one in keys]
    assert written(parent, found) == data


@given(documents, st.sampled_from([None, 1]))
def test_the_json_of_others_is_written_back_as_it_was(document: Any, indent: int | None) -> None:
    data = json.dumps(document, indent=indent, ensure_ascii=indent is None).encode()
    again = written(b"\x06", read(data, b"\x06"))
    assert values(again) == values(data)


def values(data: bytes) -> Any:
    """Return a document with its numbers as they are written."""
    return json.loads(data, parse_int=str, parse_float=str)


@given(st.dictionaries(letters, letters, max_size=6))
def test_every_member_of_others_is_a_key_of_its_own(document: dict[str, str]) -> None:
    document = {
        name: text
        for name, text in document.items()
        if name not in (".", "%") and not name.startswith("meta:/")
    }
    if any(name.replace("\\", "") in document for name in document if "\\" in name):
        return  # both may be the same part, which is an error
    found = read(json.dumps(document).encode(), b"\x06")
    assert sorted(key.value for _, key in found) == sorted(document.values())
    assert {names.parent(name) for name, _ in found} <= {b"\x06"}
    assert read(written(b"\x06", found), b"\x06") == found


@given(st.binary(max_size=60))
def test_any_bytes_are_an_error_or_a_key_set(data: bytes) -> None:
    for start in (b"", b'{"', b'[{"a":'):
        try:
            found = read(start + data, b"\x06")
        except SyntacticError as error:
            if not error.reason or error.line not in range(1, (start + data).count(b"\n") + 2):
                raise
            continue
        assert all(names.is_below_or_same(name, b"\x06") for name, _ in found)
