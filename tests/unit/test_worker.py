"""One thread that does blocking work in order, with real threads."""

import asyncio
import threading

import pytest

from kdbd.worker import Worker


class Ended(BaseException):
    """What is no Exception."""


@pytest.fixture
async def worker():
    made = Worker("test-worker")
    yield made
    made.close()


async def test_calls_run_in_their_order_in_one_thread_of_that_name(worker):
    ran = []

    def work(number, *, named):
        ran.append((number, named, threading.current_thread().name))
        return number

    futures = [worker.run(work, number, named=str(number)) for number in range(100)]
    assert await asyncio.gather(*futures) == list(range(100))
    assert ran == [(number, str(number), "test-worker") for number in range(100)]


async def test_results_come_back_on_the_loop(worker):
    threads = []
    future = worker.run(threading.get_ident)
    future.add_done_callback(lambda _: threads.append(threading.get_ident()))
    assert await future != threading.get_ident()
    assert threads == [threading.get_ident()]


async def test_the_loop_goes_on_while_the_thread_is_busy(worker):
    begun, may_end = threading.Event(), threading.Event()

    def work():
        begun.set()
        return may_end.wait(60)

    future = worker.run(work)
    assert await asyncio.to_thread(begun.wait, 60)
    assert not future.done()
    may_end.set()
    assert await future is True


@pytest.mark.parametrize("error", [KeyError("x"), Ended("y")])
async def test_what_a_call_raises_is_handed_to_whoever_waits_and_work_goes_on(worker, error):
    def work():
        raise error

    failing, following = worker.run(work), worker.run(int, "7")
    with pytest.raises(type(error)) as caught:
        await failing
    assert caught.value is error
    assert await following == 7


@pytest.mark.parametrize("fails", [False, True])
async def test_a_result_that_nobody_waits_for_is_dropped(worker, fails):
    reported = []
    asyncio.get_running_loop().set_exception_handler(lambda _, told: reported.append(told))
    may_end = threading.Event()

    def work():
        may_end.wait(60)
        if fails:
            raise KeyError

    future = worker.run(work)
    future.cancel()
    may_end.set()
    assert await worker.run(int, "7") == 7
    assert future.cancelled()
    assert reported == []


async def test_closing_waits_for_all_calls_so_far_and_ends_the_thread():
    worker = Worker("test-worker")
    ran = []
    futures = [worker.run(ran.append, number) for number in range(10)]
    worker.close()
    assert ran == list(range(10))
    assert not worker._thread.is_alive()
    assert await asyncio.gather(*futures) == [None] * 10
