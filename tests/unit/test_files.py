"""The files of mounted backends: which are written before the reply."""

from __future__ import annotations

from sortedcontainers import SortedDict

from kdb.model.content import Content
from kdb.model.names import unescape
from kdbd.core.backend import Backend
from kdbd.files import SYNCHRONOUS_BYTES, UNKNOWN, BackendFile
from kdbd.store.journal import BackendRow

MOUNTPOINT = unescape("user:/m")


def _file(values: dict[str, str]) -> BackendFile:
    tree = SortedDict({unescape(f"user:/m/{name}"): Content(each) for name, each in values.items()})
    backend = Backend(1, MOUNTPOINT, tree=tree)
    return BackendFile(backend, BackendRow(1, MOUNTPOINT, "", "/m.ecf"), False, writable=True)


def test_a_small_file_is_formatted_whole() -> None:
    file = _file({"a": "1", "b": "2"})
    assert b"".join(file.chunks()) == (
        b"kdbOpen 2\n$key string 1 1\na\n1\n$key string 1 1\nb\n2\n$end\n"
    )
    assert file.small_chunks() == file.chunks()


def test_without_keys_there_is_no_file() -> None:
    assert _file({}).chunks() == []
    assert _file({}).small_chunks() == []
    gone = _file({"a": "1"})
    gone.backend.prepare(unescape("user:/m/a"), None, 1)
    assert gone.small_chunks() == []


def test_a_large_file_is_known_by_its_keys_by_what_is_formatted_or_by_its_size() -> None:
    values = _file({str(number): "v" * 1_000 for number in range(SYNCHRONOUS_BYTES // 1_000)})
    keys = _file({f"{number:05}": "" for number in range(SYNCHRONOUS_BYTES // 18 + 1)})
    assert values.small_chunks() is None
    assert keys.small_chunks() is None
    file = _file({})
    file.judge_size(UNKNOWN._replace(size=SYNCHRONOUS_BYTES + 1))
    assert not file.synchronous
    file.judge_size(UNKNOWN._replace(size=SYNCHRONOUS_BYTES))
    assert file.synchronous
    file.judge_size(None)
    assert file.synchronous
