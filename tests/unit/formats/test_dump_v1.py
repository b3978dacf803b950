"""Version 1 of the dump format is read, never written."""

import pytest

from kdb.formats import dump
from kdb.formats.dump import SharedText
from kdb.model import content, names
from kdb.model.content import Content
from kdb.model.errors import SyntacticError

USER = names.unescape("user:/")
HEAD = b"kdbOpen 1\nksNew 1\n"
KEY = b"keyNew 7 2\nuser/a\x001\0\n"
META = b"keyMeta 2 2\nm\0x\0\n"
END = b"keyEnd\nksEnd\n"


def entry(name: str, value: str | bytes = "", **meta: str) -> tuple[bytes, Content]:
    return names.unescape(name), content.make(value, meta)


def test_keys_values_and_metadata_are_read() -> None:
    data = (
        b"kdbOpen 1\nksNew 5\n"
        b"keyNew 5 1\nuser\0\0\nkeyEnd\n"
        b"keyNew 8 4\nuser:/a\0one\0\nkeyMeta 8 6\nmeta:/z\0later\0\nkeyMeta 2 1\nb\0\0\nkeyEnd\n"
        b"keyNew 9 3\nuser/bin\0\0\xff\0\nkeyMeta 7 1\nbinary\0\0\nkeyEnd\n"
        b"keyNew 9 0\nuser/nil\0\nkeyMeta 7 1\nbinary\0\0\nkeyEnd\n"
        b"keyNew 8 2\nuser/cp\0\n\0\nkeyCopyMeta 7 2\nuser/a\0z\0\nkeyEnd\n"
        b"ksEnd\n"
    )
    found = dump.read(data, USER, "f")
    assert found == [
        entry("user:/"),
        entry("user:/a", "one", b="", z="later"),
        entry("user:/bin", b"\0\xff\0", binary=""),
        entry("user:/nil", b"", binary=""),
        entry("user:/cp", "\n", z="later"),
    ]
    assert isinstance(found[1][1].meta["z"], SharedText)
    assert found[4][1].meta["z"] is found[1][1].meta["z"]


def test_a_large_file_is_read_in_slices() -> None:
    keys = b"".join(b"keyNew 10 1\nuser/%04d\0\0\nkeyEnd\n" % index for index in range(1_500))
    found: dict[bytes, Content] = {}
    data = b"kdbOpen 1\nksNew 1500\n" + keys + b"ksEnd"
    sizes = [len(found) for _ in dump.read_slices(found, data, USER, "f")]
    assert sizes == [1_000]
    assert len(found) == 1_500


def test_what_is_read_is_written_as_version_2() -> None:
    keys = dump.read(HEAD + KEY + META + END, USER, "f")
    assert b"".join(dump.write(USER, keys)) == (
        b"kdbOpen 2\n$key string 1 1\na\n1\n$meta 1 1\nm\nx\n$end\n"
    )


MALFORMED = {
    "count": (b"kdbOpen 1\n" + KEY + END, 2, "'ksNew' and the number of keys are missing"),
    "no keyEnd": (HEAD + KEY, 5, "the file is cut short: 'keyEnd' is missing"),
    "no ksEnd": (HEAD + KEY + b"keyEnd\n", 6, "the file is cut short: 'ksEnd' is missing"),
    "cut": (HEAD + b"keyNew 7 9\nuser/a\0", 4, "the file is cut short: it ends within a record"),
    "after end": (HEAD + KEY + END + KEY, 6, "text follows 'ksEnd'"),
    "unknown": (
        HEAD + b"keyOld\n" + END,
        3,
        "'keyOld' is no record of the dump format, version 1",
    ),
    "unknown in key": (
        HEAD + KEY + b"keyOld\n" + END,
        5,
        "'keyOld' is no record of the dump format, version 1",
    ),
    "length": (
        HEAD + b"keyNew 7 1\nuser/a\x001\0\n" + END,
        3,
        "a length is wrong: no newline follows the texts",
    ),
    "no nul in name": (
        HEAD + b"keyNew 6 2\nuser/a1\0\n" + END,
        3,
        "a text does not end with a NUL byte",
    ),
    "no nul in value": (
        HEAD + b"keyNew 7 1\nuser/a\x001\n" + END,
        3,
        "a text does not end with a NUL byte",
    ),
    "nul in value": (
        HEAD + b"keyNew 7 3\nuser/a\0\0\0\0\n" + END,
        3,
        "a text holds a NUL byte",
    ),
    "twice": (
        HEAD + KEY + b"keyEnd\n" + KEY + END,
        6,
        "key 'user:/a' is given twice",
    ),
    "meta twice": (HEAD + KEY + META + META + END, 7, "metadata 'm' is given twice"),
    "outside": (
        HEAD + KEY.replace(b"keyNew 7", b"keyNew 9").replace(b"user", b"system") + END,
        3,
        "key 'system:/a' is not below the mountpoint",
    ),
    "copied from nowhere": (
        HEAD + KEY + b"keyCopyMeta 7 2\nuser/b\0m\0\n" + END,
        5,
        "no earlier key 'user:/b' has the metadata 'm'",
    ),
    "large value": (
        HEAD + b"keyNew 7 16777218\nuser/a\0" + b"x" * 16777217 + b"\0\n" + END,
        3,
        "a value of 16777218 bytes is larger than 16 MiB",
    ),
}


@pytest.mark.parametrize(("data", "line", "reason"), MALFORMED.values(), ids=MALFORMED)
def test_a_malformed_file_is_an_error_that_names_file_line_and_reason(
    data: bytes, line: int, reason: str
) -> None:
    with pytest.raises(SyntacticError) as caught:
        dump.read(data, USER, "/etc/kdb/old.ecf")
    error = caught.value
    assert (error.file, error.line, error.reason) == ("/etc/kdb/old.ecf", line, reason)
    assert error.mountpoint == "user:/"


def test_every_proper_prefix_of_a_file_is_an_error() -> None:
    data = HEAD + KEY + META + END
    for size in range(1, len(data) - 1):
        with pytest.raises(SyntacticError):
            dump.read(data[:size], USER, "f")
