"""How much waiting is taken on, of one client and of all."""

import os

import pytest

from kdb.model.errors import LimitsExceeded
from kdbd.bus.calls import Call
from kdbd.bus.load import MAX_CALLS, MAX_CLIENT_BYTES, MAX_WAITING_BYTES, Load


def _call(sender: str = ":1.1", size: int = 10, fds: tuple[int, ...] = ()) -> Call:
    return Call(sender, "/", None, "Set", "", [], fds, 1, True, False, 1, size)


def test_a_client_may_have_so_many_calls_waiting_and_others_still_have_theirs() -> None:
    load = Load()
    sizes = [load.take_on(_call()) for _ in range(MAX_CALLS)]
    with pytest.raises(LimitsExceeded) as refusal:
        load.take_on(_call())
    assert str(refusal.value) == (
        "1024 of your calls are not answered yet. Wait for some of the answers"
    )
    assert load.take_on(_call(":1.2")) == 10
    load.give_back(_call(), sizes[0])
    assert load.take_on(_call()) == 10


def test_all_clients_together_may_have_so_many_bytes_waiting() -> None:
    load = Load()
    large = _call(size=MAX_WAITING_BYTES)
    size = load.take_on(large)
    with pytest.raises(LimitsExceeded) as refusal:
        load.take_on(_call(":1.2", 1))
    assert str(refusal.value) == "Too much waits to be stored. Try again in a moment"
    load.give_back(large, size)
    assert load.take_on(_call(":1.2", 1)) == 1


def test_one_client_leaves_room_for_others() -> None:
    load = Load()
    quarter = _call(size=MAX_CLIENT_BYTES // 4)
    for _ in range(4):
        size = load.take_on(quarter)
    with pytest.raises(LimitsExceeded) as refusal:
        load.take_on(_call(size=1))
    assert str(refusal.value) == (
        f"{MAX_CLIENT_BYTES} bytes of your calls are not answered yet. Wait for some of the answers"
    )
    assert load.take_on(_call(":1.2", MAX_CLIENT_BYTES)) == MAX_CLIENT_BYTES
    load.give_back(quarter, size)
    assert load.take_on(_call(size=1)) == 1


def test_a_client_may_always_have_one_call_waiting_of_any_size() -> None:
    load = Load()
    load.take_on(_call(":1.2", 1))
    large = _call(size=MAX_WAITING_BYTES - 1)
    assert load.take_on(large) == MAX_WAITING_BYTES - 1


def test_one_call_is_taken_on_however_large_it_is() -> None:
    assert Load().take_on(_call(size=MAX_WAITING_BYTES + 1)) == MAX_WAITING_BYTES + 1


def test_what_comes_in_a_memory_file_counts_too() -> None:
    fd = os.memfd_create("block")
    try:
        os.ftruncate(fd, 5_000)
        assert Load().take_on(_call(size=100, fds=(fd,))) == 5_100
    finally:
        os.close(fd)
