"""Whose turn it is of what waits to be prepared."""

from __future__ import annotations

import asyncio
from typing import Any

from kdbd.core.commit import Caller, Draft
from kdbd.jobs import Job
from kdbd.waiting import Waiting


def _job(sender: str, *, merge: bool = False) -> Job:
    loop = asyncio.new_event_loop()
    future: asyncio.Future[Any] = loop.create_future()
    loop.close()
    job = Job(lambda _: Draft([]), Caller(sender), "client", "", False, future)
    if merge:
        job.note = lambda _draft, _revision: _no_row()
    return job


def _no_row() -> Any:
    raise AssertionError


def _taken(waiting: Waiting) -> list[Job]:
    jobs = []
    while (job := waiting.first()) is not None:
        waiting.take()
        jobs.append(job)
    return jobs


def test_senders_take_turns_and_each_ones_jobs_come_in_their_order() -> None:
    waiting = Waiting()
    a = [_job(":a") for _ in range(4)]
    b = [_job(":b") for _ in range(2)]
    c = _job(":c")
    for job in (*a, *b, c):
        waiting.add(job)
    assert len(waiting) == 7
    assert set(waiting) == {*a, *b, c}
    assert _taken(waiting) == [a[0], b[0], c, a[1], b[1], a[2], a[3]]
    assert len(waiting) == 0
    assert list(waiting) == []


def test_who_comes_after_a_turn_waits_for_the_others() -> None:
    waiting = Waiting()
    a = [_job(":a") for _ in range(3)]
    waiting.add(a[0])
    waiting.add(a[1])
    waiting.take()
    b = _job(":b")
    waiting.add(b)
    waiting.add(a[2])
    assert _taken(waiting) == [a[1], b, a[2]]


def test_merges_come_first_and_then_what_is_prepared_anew() -> None:
    waiting = Waiting()
    a, b, c, d = (_job(f":{each}") for each in "abcd")
    first, second = _job("", merge=True), _job("", merge=True)
    waiting.add(c)
    waiting.add(second)
    waiting.put_back([a, first, b])
    waiting.put_back([d])
    assert len(waiting) == 4
    assert set(waiting) == {a, b, c, d, first, second}
    assert _taken(waiting) == [first, second, d, a, b, c]


def test_what_was_put_back_may_be_given_up() -> None:
    waiting = Waiting()
    a, b = _job(":a"), _job(":b")
    waiting.put_back([a, b])
    waiting.remove(a)
    assert len(waiting) == 1
    assert _taken(waiting) == [b]


def test_while_a_job_is_held_its_senders_later_ones_wait() -> None:
    waiting = Waiting()
    a = [_job(":a") for _ in range(3)]
    b = [_job(":b") for _ in range(2)]
    for job in (a[0], a[1], b[0]):
        waiting.add(job)
    waiting.take()
    assert waiting.hold(a[0])
    waiting.add(a[2])
    assert (len(waiting), set(waiting)) == (4, {*a, b[0]})
    assert waiting.first() is b[0]
    waiting.take()
    assert waiting.first() is None
    waiting.let_go(a[0])
    waiting.add(b[1])
    assert _taken(waiting) == [a[0], a[1], b[1], a[2]]
    assert len(waiting) == 0


def test_a_job_alone_is_held_and_let_go() -> None:
    waiting = Waiting()
    a = _job(":a")
    assert waiting.hold(a)
    waiting.let_go(a)
    assert _taken(waiting) == [a]


def test_nothing_is_held_while_others_are_prepared_anew() -> None:
    waiting = Waiting()
    a, b = _job(":a"), _job(":b")
    waiting.put_back([b])
    assert not waiting.hold(a)
    assert _taken(waiting) == [b]


def test_a_job_that_is_let_go_comes_after_what_is_prepared_anew() -> None:
    waiting = Waiting()
    before, a, b = _job(":a"), _job(":a"), _job(":b")
    assert waiting.hold(a)
    waiting.add(b)
    waiting.put_back([before])
    waiting.let_go(a)
    assert _taken(waiting) == [before, a, b]
    assert len(waiting) == 0
