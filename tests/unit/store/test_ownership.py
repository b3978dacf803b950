"""Who owns a root, shown with real processes."""

import fcntl
import os
import stat
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest
from core_state import error_of

from kdb.model.errors import ResourceError
from kdbd.store.ownership import LOCK_FILE, Ownership

# Locks a root, tells how that went, and holds it until its input ends.
_OWNER = """
import sys
from kdb.model.errors import ResourceError
from kdbd.store.ownership import Ownership
ownership = Ownership()
try:
    ownership.acquire(sys.argv[1], private=True)
except ResourceError as error:
    print(error, flush=True)
else:
    print("locked", flush=True)
    sys.stdin.read()
"""

# Lets flock be a call that this kernel does not have, by seccomp(2).
_WITHOUT_FLOCK = """
import ctypes, errno, platform, struct
number = {"x86_64": 73}.get(platform.machine(), 32)
steps = [(0x20, 0, 0, 0), (0x15, 0, 1, number), (0x06, 0, 0, 0x50000 | errno.ENOSYS),
         (0x06, 0, 0, 0x7FFF0000)]
code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in steps))
filters = ctypes.create_string_buffer(struct.pack("HP", len(steps), ctypes.addressof(code)))
prctl = ctypes.CDLL(None, use_errno=True).prctl
assert prctl(38, 1, 0, 0, 0) == 0, ctypes.get_errno()
assert prctl(22, 2, ctypes.c_void_p(ctypes.addressof(filters))) == 0, ctypes.get_errno()
"""


@contextmanager
def process(root, script=_OWNER):
    """Start a process that locks a root; give it with what it told."""
    command = [sys.executable, "-c", script, root]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as started:
        try:
            yield started, started.stdout.readline().rstrip("\n")
        finally:
            started.kill()


@pytest.fixture
def ownership():
    made = Ownership()
    yield made
    made.release_all()


@pytest.fixture
def root(tmp_path):
    return str(tmp_path / "root")


def belongs(root, owner):
    return f"{root} belongs to another kdbd{owner}. Stop that one, or choose other directories"


def mode(path):
    return stat.S_IMODE(os.stat(path).st_mode)


def test_a_second_process_is_refused_and_told_the_first_ones_pid(ownership, root):
    ownership.acquire(root, private=True)
    for _ in range(2):
        # Being refused takes nothing from the owner, its name neither.
        with process(root) as (_, told):
            assert told == belongs(root, f" (process {os.getpid()})")


def test_the_owner_that_is_told_is_the_present_one(ownership, root):
    Path(root).mkdir()
    (Path(root) / LOCK_FILE).write_text("123456789012\n")
    with process(root) as (owner, told):
        assert told == "locked"
        assert error_of(lambda: ownership.acquire(root, private=True)) == (
            ResourceError,
            "C01100",
            belongs(root, f" (process {owner.pid})"),
        )


def test_the_lock_goes_with_its_process_even_by_sigkill(ownership, root):
    with process(root) as (owner, told):
        assert told == "locked"
        owner.kill()
        assert owner.wait() == -9
        ownership.acquire(root, private=True)
    assert (Path(root) / LOCK_FILE).read_text() == f"{os.getpid()}\n"


@pytest.mark.parametrize("text", ["", "no number"])
def test_an_owner_that_is_not_named_is_none_that_is_told(ownership, root, text):
    Path(root).mkdir()
    with open(Path(root) / LOCK_FILE, "w") as other:
        other.write(text)
        other.flush()
        fcntl.flock(other, fcntl.LOCK_EX)
        assert error_of(lambda: ownership.acquire(root, private=True))[2] == belongs(root, "")


def test_a_root_is_locked_once_however_often_it_is_acquired(ownership, root):
    ownership.acquire(root, private=True)
    ownership.acquire(root, private=True)
    ownership.release(root)
    with process(root) as (_, told):
        assert told == "locked"


def test_releasing_one_root_keeps_the_others(ownership, tmp_path):
    one, other = str(tmp_path / "one"), str(tmp_path / "other")
    ownership.acquire(one, private=True)
    ownership.acquire(other, private=True)
    ownership.release(one)
    ownership.release(one)
    with process(one) as (_, told):
        assert told == "locked"
    with process(other) as (_, told):
        assert told == belongs(other, f" (process {os.getpid()})")
    ownership.release_all()
    with process(other) as (_, told):
        assert told == "locked"


def test_a_root_that_was_released_can_be_acquired_again(ownership, root):
    for _ in range(2):
        ownership.acquire(root, private=True)
        ownership.release(root)


@pytest.mark.parametrize("mask", [0o000, 0o077])
@pytest.mark.parametrize(("private", "expected"), [(True, 0o700), (False, 0o755)])
def test_missing_directories_are_made_with_modes_of_their_own(
    ownership, tmp_path, private, expected, mask
):
    root = tmp_path / "new" / "deep"
    before = os.umask(mask)
    try:
        ownership.acquire(str(root), private=private)
    finally:
        os.umask(before)
    assert [mode(each) for each in (root.parent, root)] == [expected] * 2
    assert mode(root / LOCK_FILE) == 0o600


def test_a_directory_that_is_there_keeps_its_mode(ownership, tmp_path):
    tmp_path.chmod(0o750)
    ownership.acquire(str(tmp_path), private=True)
    assert mode(tmp_path) == 0o750


def test_what_cannot_be_a_root_is_refused(ownership, tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "taken" / LOCK_FILE).mkdir(parents=True)
    below = str(tmp_path / "file" / "root")
    assert error_of(lambda: ownership.acquire(below, private=True)) == (
        ResourceError,
        "C01100",
        (
            f"{below} cannot be locked: [Errno 20] Not a directory: '{below}'. kdbd serves"
            " only what it can lock"
        ),
    )
    taken = str(tmp_path / "taken")
    assert error_of(lambda: ownership.acquire(taken, private=True)) == (
        ResourceError,
        "C01100",
        (
            f"{taken} cannot be locked: [Errno 21] Is a directory: '{taken}/{LOCK_FILE}'. kdbd"
            " serves only what it can lock"
        ),
    )
    ownership.acquire(str(tmp_path), private=True)


def test_where_flock_does_not_work_no_other_lock_takes_its_place(root):
    with process(root, _WITHOUT_FLOCK + _OWNER) as (_, told):
        assert told == (
            f"{root} cannot be locked: [Errno 38] Function not implemented. kdbd serves only what"
            " it can lock"
        )
