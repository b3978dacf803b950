import os

import pytest

from kdbd.bus.outgoing import Outgoing


def drained(queue: Outgoing) -> list[bytes]:
    writes = []
    while queue:
        data, _ = queue.next_write()
        writes.append(bytes(data))
        queue.sent(len(data))
    return writes


def test_small_messages_are_joined_and_large_ones_are_not_copied() -> None:
    queue = Outgoing()
    large = bytes(200_000)
    for data in (b"a", b"b", large, b"c"):
        queue.put(data)
    assert drained(queue) == [b"ab", large, b"c"]
    assert (queue.queued_bytes, queue.put_count, queue.done_count) == (0, 4, 4)


def test_what_is_half_sent_goes_on_where_it_stopped() -> None:
    queue = Outgoing()
    queue.put(b"abc")
    queue.put(b"def")
    queue.sent(4)
    assert queue.done_count == 1
    assert drained(queue) == [b"ef"]


def test_descriptors_are_duplicated_and_go_once_with_their_message_alone() -> None:
    queue = Outgoing()
    ours = os.memfd_create("test")
    queue.put(b"a")
    queue.put(b"bcd", [ours])
    queue.put(b"e")
    assert queue.next_write() == (b"a", ())
    queue.sent(1)
    data, (own,) = queue.next_write()
    assert data == b"bcd"
    assert os.path.sameopenfile(own, ours)
    queue.sent(1)
    rest, none = queue.next_write()
    assert (bytes(rest), none) == (b"cde", ())
    queue.sent(3)
    os.close(ours)
    for fd in (ours, own):
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(fd)


def test_the_oldest_of_too_many_signals_are_dropped_and_replies_are_not() -> None:
    queue = Outgoing(max_signal_bytes=40)
    for number in range(12):
        queue.put(b"%09d." % number, is_signal=number % 2 == 0)
    assert queue.bound() == (3, 0)
    assert drained(queue) == [b"".join(b"%09d." % n for n in (1, 3, 5, 6, 7, 8, 9, 10, 11))]
    assert queue.bound() == (0, 0)


def test_the_oldest_of_too_many_replies_are_dropped_and_signals_are_not() -> None:
    queue = Outgoing(max_signal_bytes=40, max_reply_bytes=40)
    for number in range(9):
        queue.put(b"%09d." % number, is_signal=number % 2 == 0 and number < 8)
    queue.put(b"%09d." % 9)
    assert queue.bound() == (0, 3)
    assert drained(queue) == [b"".join(b"%09d." % n for n in (0, 2, 4, 6, 7, 8, 9))]


def test_a_bound_that_is_reached_drops_nothing() -> None:
    queue = Outgoing(max_signal_bytes=40, max_reply_bytes=40)
    for number in range(8):
        queue.put(bytes(10), is_signal=number < 4)
    assert queue.bound() == (0, 0)
    assert queue.queued_bytes == 80


def test_the_newest_message_and_one_that_is_half_sent_stay() -> None:
    queue = Outgoing(max_signal_bytes=10)
    for data in (b"a" * 20, b"b" * 20, b"c" * 20):
        queue.put(data, is_signal=True)
    queue.sent(1)
    assert queue.bound() == (1, 0)
    assert drained(queue) == [b"a" * 19 + b"c" * 20]


def test_another_connection_gets_the_signals_alone_and_whole() -> None:
    queue = Outgoing()
    fd = os.memfd_create("test")
    queue.put(b"signal", is_signal=True)
    queue.put(b"reply", [fd])
    queue.put(b"another", is_signal=True)
    queue.sent(3)
    queue.leave_connection()
    assert drained(queue) == [b"signalanother"]
    assert queue.put_count == queue.done_count == 3
    os.close(fd)
