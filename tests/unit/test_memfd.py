"""Blocks in memory files."""

import os
import resource
import signal

import pytest

from kdb import memfd
from kdb.model.errors import InvalidFileDescriptor, ResourceError
from kdb.wire import MAX_BLOCK_BYTES


def is_open(fd):
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True


@pytest.mark.parametrize("data", [b"", b"1", bytes(range(256)) * 20_000])
def test_what_is_sealed_is_read_and_closed(data):
    fd = memfd.seal(data)
    assert memfd.read(fd) == data
    assert not is_open(fd)


def test_what_is_sealed_cannot_be_changed():
    fd = memfd.seal(b"1")
    with pytest.raises(PermissionError):
        os.write(fd, b"2")
    with pytest.raises(PermissionError):
        os.truncate(fd, 0)
    memfd.close(fd)


def plain_file(tmp_path):
    return os.open(tmp_path / "plain", os.O_RDWR | os.O_CREAT)


def fifo(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    return os.open(tmp_path / "fifo", os.O_RDWR)


def unsealed(tmp_path):
    return os.memfd_create("x", os.MFD_ALLOW_SEALING)


def too_large(tmp_path):
    fd = os.memfd_create("x", os.MFD_ALLOW_SEALING)
    os.truncate(fd, MAX_BLOCK_BYTES + 1)
    memfd.fcntl.fcntl(fd, memfd.fcntl.F_ADD_SEALS, 0xE)
    return fd


@pytest.mark.parametrize("make", [plain_file, fifo, unsealed, too_large])
def test_what_is_no_sealed_memfd_is_refused_and_closed(make, tmp_path):
    fd = make(tmp_path)
    with pytest.raises(InvalidFileDescriptor):
        memfd.read(fd)
    assert not is_open(fd)


def test_without_descriptors_left_it_says_so():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        with pytest.raises(ResourceError, match="no memory file"):
            memfd.seal(b"")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_without_memory_left_it_says_so_and_closes():
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    before = os.listdir("/proc/self/fd")
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, hard))
    try:
        with pytest.raises(ResourceError, match="was not written"):
            memfd.seal(bytes(100))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)
    assert os.listdir("/proc/self/fd") == before
