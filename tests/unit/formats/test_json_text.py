"""JSON as a format of key sets: what stands for what, and where a text is wrong."""

import pytest

from kdb.formats import json_reader, json_text
from kdb.model import content, names
from kdb.model.content import Content
from kdb.model.errors import SyntacticError

PARENT = names.unescape("user:/t")

MAPPING = {
    '"text"\n': {"user:/t": Content("text")},
    "1.50\n": {"user:/t": Content("1.50", {"type": "double"})},
    "true\n": {"user:/t": Content("1", {"type": "boolean"})},
    "false\n": {"user:/t": Content("0", {"type": "boolean"})},
    "null\n": {"user:/t": Content(b"", {"binary": ""})},
    "{\n\n}\n": {},
    "[\n\n]\n": {"user:/t": Content("", {"array": ""})},
    '[\n    "x",\n    1\n]\n': {
        "user:/t": Content(b"", {"array": "#1", "binary": ""}),
        "user:/t/#0": Content("x"),
        "user:/t/#1": Content("1", {"type": "double"}),
    },
    '{\n    "a": {\n        "b": {\n\n        }\n    }\n}\n': {
        "user:/t/a/b/___empty_map": Content("")
    },
    '{\n    "___empty_map": ""\n}\n': {"user:/t/___empty_map": Content("")},
    '{\n    ".": "own",\n    "a": "below"\n}\n': {
        "user:/t": Content("own"),
        "user:/t/a": Content("below"),
    },
    '{\n    ".": "",\n    "meta:/check\\\\/range/#0": "1-10"\n}\n': {
        "user:/t": Content("", {r"check\/range/#0": "1-10"})
    },
    '{\n    ".": "AP8=",\n    "meta:/binary": ""\n}\n': {
        "user:/t": Content(b"\0\xff", {"binary": ""})
    },
    '{\n    ".": "01",\n    "meta:/type": "double"\n}\n': {
        "user:/t": Content("01", {"type": "double"})
    },
    '{\n    "#0": "x",\n    "a": "y"\n}\n': {
        "user:/t/#0": Content("x"),
        "user:/t/a": Content("y"),
    },
    '{\n    "%": "empty",\n    "\\\\..": "dots",\n    "a\\\\/b": "z"\n}\n': {
        "user:/t/%": Content("empty"),
        r"user:/t/\..": Content("dots"),
        r"user:/t/a\/b": Content("z"),
    },
    '"\\udcff\\u001f\\"\\\\ü"\n': {"user:/t": Content('\udcff\x1f"\\ü')},
}
"""Texts as they are written, and the keys that they stand for."""


def written(keys: dict[str, Content]) -> bytes:
    entries = sorted((names.unescape(name), key) for name, key in keys.items())
    return "".join(json_text.write(PARENT, entries)).encode("utf-8", "backslashreplace")


def read(data: bytes) -> dict[str, Content]:
    entries: dict[bytes, Content] = {}
    for _ in json_reader.read_slices(entries, data, PARENT, "f"):
        pass
    return {names.escape(name): key for name, key in sorted(entries.items())}


@pytest.mark.parametrize("text", MAPPING)
def test_what_stands_for_what(text: str) -> None:
    assert written(MAPPING[text]).decode() == text
    assert read(text.encode()) == MAPPING[text]


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ('{"a/b": 1}', {r"user:/t/a\/b": Content("1", {"type": "double"})}),
        ('{"": "x"}', {"user:/t/%": Content("x")}),
        ('{"..": "x"}', {r"user:/t/\..": Content("x")}),
        (r'{"a\\b": "x"}', {r"user:/t/a\\b": Content("x")}),
        (r'{"C:\\": "x"}', {r"user:/t/C:\\": Content("x")}),
        ('{"#10": "x"}', {r"user:/t/\#10": Content("x")}),
        ('{".": {"import": "x"}}', {r"user:/t/\./import": Content("x")}),
        ('{".": "x", "./sub": "y"}', {"user:/t": Content("x"), r"user:/t/.\/sub": Content("y")}),
        ('\ufeff\t{\r\n"a" : "x" } ', {"user:/t/a": Content("x")}),
        ('{"meta:/type": "x"}', {"user:/t": Content("", {"type": "x"})}),
        ('{".": 1, "meta:/m": "x"}', {"user:/t": Content("1", {"m": "x", "type": "double"})}),
        ('{".": null, "a": [[]]}', {
            "user:/t": Content(b"", {"binary": ""}),
            "user:/t/a": Content(b"", {"array": "#0", "binary": ""}),
            "user:/t/a/#0": Content("", {"array": ""}),
        }),
    ],
)  # fmt: skip
def test_the_json_of_others_is_understood(text: str, keys: dict[str, Content]) -> None:
    assert read(text.encode()) == keys


@pytest.mark.parametrize(
    ("data", "line", "reason"),
    [
        (b"", 1, "the text is cut short: it ends within a value"),
        (b'{"a": [1,\n', 2, "the text is cut short: it ends within a value"),
        (b"{\n'a': 1}", 2, "\"'a': 1}\" is no JSON"),
        (b'{"a": NaN}', 1, "'NaN}' is no JSON"),
        (b'{"a": nullx}', 1, "'nullx}' is no JSON"),
        (b'{"a": 01}', 1, "',' or '}' is missing before '1}'"),
        (b'{"a": 1\n "b": 2}', 2, "',' or '}' is missing before '\"b\": 2}'"),
        (b'["a" "b"]', 1, "',' or ']' is missing before '\"b\"]'"),
        (b'{"a" 1}', 1, "':' is missing before '1}'"),
        (b'{"a": 1,}', 1, "the name of a member is missing: it is a string"),
        (b"{1: 2}", 1, "the name of a member is missing: it is a string"),
        (b"[1,]", 1, "a value is missing before ']'"),
        (b'{".": ,}', 1, "a value is missing before ','"),
        (b'"a"\n\n"b"', 3, "'\"b\"' follows the end of the value"),
        (b'"a\nb"', 1, "a string is wrong: invalid control character at"),
        (b'["a",\n"\\x"]', 2, "a string is wrong: invalid \\escape"),
        (b'"a', 1, "a string is wrong: unterminated string starting at"),
        (b'"a\\u0000"', 1, "a value holds a NUL; remove it or make the key binary"),
        (b'{"a": 1,\n"a": 2}', 2, "key 'user:/t/a' is given twice"),
        (b'{"": 1,\n"%": 2}', 2, "key 'user:/t/%' is given twice"),
        (b'{".": 1,\n".": 2}', 2, "the value '.' of 'user:/t' is given twice"),
        (b'{"meta:/a": "", "meta:/a": ""}', 1, "the metadata 'meta:/a' are given twice"),
        (b'{"meta:/a": 1}', 1, "the value of 'meta:/a' is no string"),
        (b'{".": "?", "meta:/binary": ""}', 1, "the bytes of 'user:/t' are no base64"),
        (b'{".": "\xc3\xbc", "meta:/binary": ""}', 1, "the bytes of 'user:/t' are no base64"),
        (b'{"a":\n"\xff"}', 2, "byte 0xff is no UTF-8"),
        (b'{"%b": 1}' % (b"a" * 65_536), 1, "a key name may have 65536 bytes of UTF-8; shorten it"),
    ],
)  # fmt: skip
def test_a_wrong_text_is_an_error_with_its_line(data: bytes, line: int, reason: str) -> None:
    with pytest.raises(SyntacticError) as raised:
        read(data)
    assert (raised.value.file, raised.value.line, raised.value.reason) == ("f", line, reason)


def test_a_name_may_be_as_deep_as_names_may_be() -> None:
    keys = {"user:/t" + "/a" * 32_000: content.make("x", {"m": "v"})}
    data = written(keys)
    assert len(data) < 30_000_000
    assert read(data) == keys


def test_long_texts_are_read_and_written_in_slices() -> None:
    keys = {f"user:/t/k{number}": Content("v") for number in range(3_000)}
    entries = sorted((names.unescape(name), key) for name, key in keys.items())
    assert len(list(json_text.write(PARENT, entries))) > 1
    data = written(keys)
    found: dict[bytes, Content] = {}
    positions = list(json_reader.read_slices(found, data, PARENT, "f"))
    assert len(positions) == 3
    assert positions == sorted(positions)
    assert positions[-1] <= len(data)
    assert sorted(found.items()) == entries
