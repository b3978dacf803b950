"""Dump files: the oracle's byte for byte, both versions, and every way to be malformed."""

import base64
import json
from pathlib import Path

import pytest

from kdb.formats import dump
from kdb.formats.dump import SharedText
from kdb.model import content, names
from kdb.model.content import Content
from kdb.model.errors import SyntacticError

ORACLE = Path(__file__).parents[2] / "data" / "oracle" / "dump"
USER = names.unescape("user:/")
APP = names.unescape("user:/app")


def entry(name: str, value: str | bytes = "", **meta: str) -> tuple[bytes, Content]:
    return names.unescape(name), content.make(value, meta)


def written(mountpoint: bytes, entries: list[tuple[bytes, Content]]) -> bytes:
    return b"".join(dump.write(mountpoint, entries))


def oracle_entry(key: dict[str, object]) -> tuple[bytes, Content]:
    value = key.get("value", "")
    if "value_b64" in key:
        value = base64.b64decode(str(key["value_b64"]))
    elif "string_b64" in key:
        value = base64.b64decode(str(key["string_b64"])).decode("utf-8", "surrogateescape")
    elif key.get("binary"):
        value = b""
    return names.unescape(str(key["name"])), content.make(value, key["meta"])


@pytest.mark.parametrize("path", sorted(ORACLE.glob("*.json")), ids=lambda path: path.stem)
def test_a_file_of_libelektra_holds_the_recorded_keys_and_is_written_the_same(path: Path) -> None:
    recorded = json.loads(path.read_text(encoding="utf-8"))
    mountpoint = names.unescape(recorded["mountpoint"])
    keys = [oracle_entry(key) for key in recorded["keys"]]
    file = path.with_suffix(".dump")
    if not recorded["file_exists"]:
        assert keys == []
        assert not file.exists()
        return
    data = file.read_bytes()
    found = dump.read(data, mountpoint, str(file))
    assert found == keys
    assert [type(one.value) for _, one in found] == [type(one.value) for _, one in keys]
    assert [list(one.meta) for _, one in found] == [list(one.meta) for _, one in keys]
    assert written(mountpoint, found) == data


@pytest.mark.parametrize(
    ("file", "mountpoint"),
    [
        ("22_record_session.dump", "user:/elektra/record/session"),
        ("22_record_session_config.dump", "user:/elektra"),
    ],
)
def test_a_file_of_the_recording_is_written_the_same(file: str, mountpoint: str) -> None:
    data = (ORACLE / file).read_bytes()
    root = names.unescape(mountpoint)
    assert written(root, dump.read(data, root, file)) == data


def test_no_keys_make_a_header_and_an_end() -> None:
    assert written(USER, []) == b"kdbOpen 2\n$end\n"
    assert dump.read(b"kdbOpen 2\n$end\n", USER, "f") == []


@pytest.mark.parametrize("ending", [b"$end", b"$end\n", b"$end\n\n\n"])
def test_newlines_at_the_end_do_not_matter(ending: bytes) -> None:
    assert dump.read(b"kdbOpen 2\n" + ending, USER, "f") == []


def test_bytes_that_are_no_utf8_survive_in_names_values_and_metadata() -> None:
    data = (
        b"kdbOpen 2\n$key string 2 3\n\xff\xfe\n\x80ab\n$meta 1 1\n\xc3\n\xa9\n"
        b"$key string 4 0\n%\\/\xff\n\n$end\n"
    )
    found = dump.read(data, USER, "f")
    assert found == [
        (b"\x06\0\xff\xfe", Content("\udc80ab", {"\udcc3": "\udca9"})),
        (b"\x06\0%/\xff", Content("")),
    ]
    assert written(USER, found) == data


def test_a_name_may_hold_a_newline_and_a_value_the_end_mark() -> None:
    keys = [entry("user:/a\nb", "$end\n"), entry("user:/c", "\n")]
    assert dump.read(written(USER, keys), USER, "f") == keys


def test_names_that_are_not_canonical_are_understood() -> None:
    data = b"kdbOpen 2\n$key string 8 1\na//#10/.\n1\n$meta 7 1\nmeta:/x\n1\n$end\n"
    assert dump.read(data, APP, "f") == [entry("user:/app/a/#_10", "1", x="1")]


@pytest.mark.parametrize("mountpoint", ["user:/a\\/", "user:/%", "user:/a/\\..", "system:/"])
def test_a_mountpoint_may_have_any_name(mountpoint: str) -> None:
    root = names.unescape(mountpoint)
    keys = [(root, Content("1")), (names.add_base_name(root, "."), Content("2"))]
    data = b"kdbOpen 2\n$key string 0 1\n\n1\n$key string 2 1\n\\.\n2\n$end\n"
    assert written(root, keys) == data
    assert dump.read(data, root, "f") == keys


def test_a_metadata_name_may_be_empty() -> None:
    data = b"kdbOpen 2\n$key string 1 1\na\n1\n$meta 0 1\n\nz\n$meta 1 1\nm\n2\n$end\n"
    found = dump.read(data, USER, "default.ecf")
    assert found == [(names.unescape("user:/a"), content.make("1", {"": "z", "m": "2"}))]
    assert written(USER, found) == data


def test_metadata_come_in_key_order() -> None:
    data = b"kdbOpen 2\n$key string 0 0\n\n\n$meta 2 1\nb/\n1\n$meta 1 1\na\n2\n$end\n"
    [(_, found)] = dump.read(data, USER, "f")
    assert list(found.meta.items()) == [("a", "2"), ("b", "1")]


@pytest.mark.parametrize("kind", [b"binary", b"string"])
def test_a_key_is_binary_if_its_type_or_its_metadata_says_so(kind: bytes) -> None:
    meta = b"$meta 6 0\nbinary\n\n" if kind == b"string" else b""
    data = b"kdbOpen 2\n$key " + kind + b" 1 2\na\n\xff\xfe\n" + meta + b"$end\n"
    [key] = dump.read(data, USER, "f")
    assert key == entry("user:/a", b"\xff\xfe", binary="")
    more = data.replace(b"$end\n", b"$meta 4 1\narea\n1\n$end\n")
    [key] = dump.read(more, USER, "f")
    assert list(key[1].meta.items()) == [("area", "1"), ("binary", "")]


def test_shared_metadata_are_one_object_and_stay_shared_when_other_keys_change() -> None:
    data = (ORACLE / "17_copymeta.dump").read_bytes()
    keys = dict(dump.read(data, USER, "f"))
    comments = [key.meta["comment"] for key in keys.values()]
    assert all(isinstance(text, SharedText) for text in comments)
    assert all(text is comments[0] for text in comments)
    # Without the first key, the second one carries the text.
    del keys[USER]
    assert written(USER, list(keys.items())).startswith(
        b"kdbOpen 2\n$key string 4 1\ndst1\nw\n$meta 7 6\ncomment\nshared\n"
        b"$key string 4 1\ndst3\nw\n$copymeta 4 7\ndst1\ncomment\n"
    )


def test_equal_metadata_that_are_not_shared_are_written_in_full() -> None:
    keys = [entry("user:/a", m="x"), entry("user:/b", m="x")]
    assert b"$copymeta" not in written(USER, keys)


def test_a_shared_text_under_another_name_is_written_in_full() -> None:
    text = SharedText("x")
    keys = [(b"\x06\0a", Content("", {"m": text})), (b"\x06\0b", Content("", {"n": text}))]
    assert b"$copymeta" not in written(USER, keys)


def test_copied_metadata_may_be_copied_again() -> None:
    data = (
        b"kdbOpen 2\n$key string 1 0\na\n\n$meta 1 1\nm\nx\n"
        b"$key string 1 0\nb\n\n$copymeta 1 1\na\nm\n"
        b"$key string 1 0\nc\n\n$copymeta 1 1\nb\nm\n$end\n"
    )
    found = dump.read(data, USER, "f")
    assert [key.meta for _, key in found] == [{"m": "x"}] * 3
    assert written(USER, found) == data.replace(b"1 1\nb\nm\n$end", b"1 1\na\nm\n$end")


def test_a_file_is_written_in_chunks_of_whole_records() -> None:
    keys = [entry(f"user:/{index:02}", "x" * 10) for index in range(10)]
    chunks = list(dump.write(USER, keys, chunk_bytes=60))
    assert len(chunks) == 6
    assert all(chunk.startswith(b"$key") for chunk in chunks[1:-1])
    assert b"".join(chunks) == written(USER, keys)


def test_the_records_of_single_keys_make_the_file() -> None:
    data = (ORACLE / "17_copymeta.dump").read_bytes()
    writer = dump.Writer(USER)
    records = [writer.entry_bytes(*key) for key in dump.read(data, USER, "f")]
    assert b"kdbOpen 2\n" + b"".join(records) + b"$end\n" == data


def test_a_large_file_is_read_in_slices() -> None:
    keys = [entry(f"user:/{index:04}") for index in range(2_500)]
    found: dict[bytes, Content] = {}
    sizes = [len(found) for _ in dump.read_slices(found, written(USER, keys), USER, "f")]
    assert sizes == [1_000, 2_000]
    assert list(found.items()) == keys


@pytest.mark.parametrize("data", [b"", b"kdbOpen 2\n", b"kdbOpen 2\n$end\n"])
def test_a_file_without_keys(data: bytes) -> None:
    assert dump.read(data, USER, "f") == []


K = b"$key string 1 1\na\n1\n"
M = b"$meta 1 1\nm\nx\n"

MALFORMED = {
    "no dump": (b"[a]\nb=c\n", 1, "this is no dump file: it does not begin with 'kdbOpen 2'"),
    "version": (b"kdbOpen 3\n$end\n", 1, "version '3' of the dump format is unknown"),
    "version lines": (b"kdbOpen 2\r\n$end", 1, "version '2\\r' of the dump format is unknown"),
    "no end": (b"kdbOpen 2\n" + K, 5, "the file is cut short: '$end' is missing"),
    "no end, meta": (b"kdbOpen 2\n" + K + M, 8, "the file is cut short: '$end' is missing"),
    "cut name": (
        b"kdbOpen 2\n$key string 5 1\nab",
        3,
        "the file is cut short: it ends within a record",
    ),
    "cut value": (
        b"kdbOpen 2\n$key string 1 9\na\nab\n",
        5,
        "the file is cut short: it ends within a record",
    ),
    "cut newline": (
        b"kdbOpen 2\n$key string 1 2\na\nab",
        4,
        "the file is cut short: it ends within a record",
    ),
    "cut line": (b"kdbOpen 2\n$key str", 2, "'$key str' is no record of the dump format"),
    "cut meta": (
        b"kdbOpen 2\n" + K + b"$meta 1 5\nm\nx",
        7,
        "the file is cut short: it ends within a record",
    ),
    "after end": (b"kdbOpen 2\n$end\n" + K, 3, "text follows '$end'"),
    "unknown": (
        b"kdbOpen 2\n" + K + b"$foo 1\n$end\n",
        5,
        "'$foo 1' is no record of the dump format",
    ),
    "type": (
        b"kdbOpen 2\n$key text 1 1\na\n1\n$end\n",
        2,
        "'$key text 1 1' is no record of the dump format",
    ),
    "length": (
        b"kdbOpen 2\n$key string -1 1\na\n1\n$end\n",
        2,
        "'$key string -1 1' is no record of the dump format",
    ),
    "huge length": (
        b"kdbOpen 2\n$key string 1 9999999999\na\n1\n$end\n",
        2,
        "'$key string 1 9999999999' is no record of the dump format",
    ),
    "long line": (
        b"kdbOpen 2\n" + b"\xff" * 99 + b"\n$end\n",
        2,
        "'" + r"\udcff" * 80 + "…' is no record of the dump format",
    ),
    "meta length": (
        b"kdbOpen 2\n" + K + b"$meta x 1\nm\nx\n$end\n",
        5,
        "'$meta x 1' is no record of the dump format",
    ),
    "first length": (
        b"kdbOpen 2\n" + K + b"$key string 2 1\nb\n1\n$end\n",
        5,
        "the first length is wrong: no newline follows the text",
    ),
    "second length": (
        b"kdbOpen 2\n" + K + b"$key string 1 2\nb\n1\n$end\n",
        5,
        "the second length is wrong: no newline follows the text",
    ),
    "meta second length": (
        b"kdbOpen 2\n" + K + b"$meta 1 2\nm\n1\n$end\n",
        5,
        "the second length is wrong: no newline follows the text",
    ),
    "meta first": (b"kdbOpen 2\n" + M + b"$end\n", 2, "metadata comes before any key"),
    "twice": (b"kdbOpen 2\n" + K + K + b"$end\n", 5, "key 'user:/app/a' is given twice"),
    "meta twice": (b"kdbOpen 2\n" + K + M + M + b"$end\n", 8, "metadata 'm' is given twice"),
    "outside": (
        b"kdbOpen 2\n$key string 6 1\n../b/c\n1\n$end\n",
        2,
        "key 'user:/app/../b/c' is not below the mountpoint",
    ),
    "copied from nowhere": (
        b"kdbOpen 2\n" + K + b"$copymeta 1 1\nb\nm\n$end\n",
        5,
        "no earlier key 'user:/app/b' has the metadata 'm'",
    ),
    "copied what is not": (
        b"kdbOpen 2\n" + K + b"$key string 1 1\nb\n1\n$copymeta 1 1\na\nm\n$end\n",
        8,
        "no earlier key 'user:/app/a' has the metadata 'm'",
    ),
    "copied from itself": (
        b"kdbOpen 2\n" + K + M + b"$copymeta 1 1\na\nm\n$end\n",
        8,
        "no earlier key 'user:/app/a' has the metadata 'm'",
    ),
    "nul in value": (b"kdbOpen 2\n$key string 1 1\na\n\0\n$end\n", 2, "a text holds a NUL byte"),
    "nul in name": (b"kdbOpen 2\n$key string 1 1\n\0\na\n$end\n", 2, "a text holds a NUL byte"),
    "nul in meta": (
        b"kdbOpen 2\n" + K + b"$meta 1 1\nm\n\0\n$end\n",
        5,
        "a text holds a NUL byte",
    ),
    "large value": (
        b"kdbOpen 2\n$key string 1 16777217\na\n" + b"x" * 16777217 + b"\n$end\n",
        2,
        "a value of 16777217 bytes is larger than 16 MiB",
    ),
    "large meta": (
        b"kdbOpen 2\n" + K + b"$meta 1 16777217\nm\n" + b"x" * 16777217 + b"\n$end\n",
        5,
        "a value of 16777217 bytes is larger than 16 MiB",
    ),
}


@pytest.mark.parametrize(("data", "line", "reason"), MALFORMED.values(), ids=MALFORMED)
def test_a_malformed_file_is_an_error_that_names_file_line_and_reason(
    data: bytes, line: int, reason: str
) -> None:
    with pytest.raises(SyntacticError) as caught:
        dump.read(data, APP, "/etc/kdb/app.ecf")
    error = caught.value
    assert (error.file, error.line, error.reason) == ("/etc/kdb/app.ecf", line, reason)
    assert (error.mountpoint, error.configfile) == ("user:/app", "/etc/kdb/app.ecf")


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (b"$key string 2 1\n\\a\n1\n", "a key name is invalid: "),
        (b"$key string 70000 1\n" + b"x" * 70_000 + b"\n1\n", "a key name is invalid: "),
        (b"$key string 65532 1\n" + b"x" * 65_532 + b"\n1\n", "a key name is invalid: "),
        (K + b"$meta 2 1\n\\a\n1\n", "a metadata name is invalid: "),
        (K + b"$meta 65540 1\n" + b"x" * 65_540 + b"\n1\n", "a metadata name is invalid: "),
    ],
)
def test_an_invalid_name_is_an_error_that_says_why(record: bytes, reason: str) -> None:
    with pytest.raises(SyntacticError) as caught:
        dump.read(b"kdbOpen 2\n" + record + b"$end\n", APP, "f")
    assert caught.value.reason.startswith(reason)
    assert len(caught.value.reason) > len(reason)
    assert caught.value.line == (5 if record.startswith(K) else 2)


def test_the_largest_value_and_the_longest_name_are_read() -> None:
    longest = names.MAX_NAME_BYTES - len("user:/app/")
    keys = [entry("user:/app/a", "x" * (16 << 20)), entry("user:/app/" + "y" * longest)]
    assert dump.read(written(APP, keys), APP, "f") == keys


def test_every_proper_prefix_of_a_file_is_an_error() -> None:
    data = (ORACLE / "17_copymeta.dump").read_bytes()
    for size in set(range(len(data) - 1)) - {0, len(dump.HEADER)}:
        with pytest.raises(SyntacticError):
            dump.read(data[:size], USER, "f")
