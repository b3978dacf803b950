"""Measuring single calls: blocking sets and gets, many callers at once, signals."""

from __future__ import annotations

import select
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import count

from jeepney import message_bus

from figures import Figure, percentile
from plan import Plan
from proc import cpu_s
from raw import PLACEHOLDER, Caller, checked, swarm
from running import Running
from seeds import path_of

__all__ = ["Clock", "get_string", "rewriting", "set_string", "signal", "throughput"]

_CALLERS = 32
# Coprime to every number of keys: consecutive calls take keys that are far from each other.
_STRIDE = 7919
_MS = 1e3

Clock = Iterator[int]
"""Numbers that never repeat, so that every set changes something."""

Call = Callable[[int], object]


@contextmanager
def _setting(running: Running, keys: int, clock: Clock) -> Iterator[Call]:
    """Yield a function that sets the n-th key: by the library, or for the peers by jeepney."""
    if running.subject.is_kdbd:
        with running.database() as db:
            yield lambda n: db.set_string(_name(n, keys), f"{next(clock):012d}")
        return
    message = running.subject.set_message
    with running.connect() as connection:
        ask = connection.send_and_get_reply
        yield lambda n: checked(ask(message(n * _STRIDE % keys, f"{next(clock):012d}")))


@contextmanager
def _getting(running: Running, keys: int) -> Iterator[Call | None]:
    """Yield a function that gets the n-th key; None where the service has no such call."""
    message = running.subject.get_message
    if running.subject.is_kdbd:
        with running.database() as db:
            yield lambda n: db.get_string(_name(n, keys))
    elif message is None:
        yield None
    else:
        with running.connect() as connection:
            yield lambda n: checked(connection.send_and_get_reply(message(n * _STRIDE % keys)))


def _name(n: int, keys: int) -> str:
    return f"user:{path_of(n * _STRIDE % keys)}"


def _latency(running: Running, call: Call, plan: Plan) -> tuple[Figure, Figure]:
    """Return a call's p50 of each run, and the service's processor time for a call; both in ms."""
    numbers = count()
    medians: list[float] = []
    cpu: list[float] = []
    all_times: list[float] = []
    for _ in range(max(plan.calls // 10, 5)):
        call(next(numbers))
    for _ in range(plan.runs):
        times: list[float] = []
        before = cpu_s(running.pid)
        until = time.perf_counter() + plan.run_s
        while len(times) < plan.calls and time.perf_counter() < until:
            began = time.perf_counter()
            call(next(numbers))
            times.append((time.perf_counter() - began) * _MS)
        cpu.append((cpu_s(running.pid) - before) / len(times) * _MS)
        medians.append(percentile(times, 50))
        all_times += times
    more = {"p99": percentile(all_times, 99), "calls": float(len(all_times))}
    return Figure(tuple(medians), more), Figure(tuple(cpu))


def set_string(running: Running, keys: int, plan: Plan, clock: Clock) -> tuple[Figure, Figure]:
    """Return the time of one set, and the service's processor time for it, in ms."""
    with _setting(running, keys, clock) as call:
        return _latency(running, call, plan)


def get_string(running: Running, keys: int, plan: Plan) -> tuple[Figure, Figure] | None:
    """Return the time of one get, and the service's processor time for it, in ms."""
    with _getting(running, keys) as call:
        return None if call is None else _latency(running, call, plan)


def throughput(running: Running, keys: int, plan: Plan, clock: Clock) -> tuple[Figure, Figure]:
    """Return sets a second from 32 connections, each with a key of its own if there are enough.

    And the service's processor time for each, in ms. What the bus and these callers take is
    noted with the first.
    """
    rates: list[float] = []
    cpu: list[float] = []
    bus_cpu: list[float] = []
    own_cpu: list[float] = []
    with ExitStack() as open_callers:
        callers = []
        for number in range(_CALLERS):
            message = running.subject.set_message(number % keys, PLACEHOLDER)
            callers.append(Caller(running.bus.socket, message))
            open_callers.callback(callers[-1].close)
        swarm(callers, plan.throughput_s / 4, _values(clock))
        for _ in range(plan.runs):
            before = cpu_s(running.pid), cpu_s(running.bus.pid), time.process_time()
            done, seconds = swarm(callers, plan.throughput_s, _values(clock))
            after = cpu_s(running.pid), cpu_s(running.bus.pid), time.process_time()
            rates.append(done / seconds)
            # The calls that were in flight at the end are answered before the clock is read.
            took = [(b - a) / (done + _CALLERS) * _MS for a, b in zip(before, after, strict=True)]
            for each, value in zip((cpu, bus_cpu, own_cpu), took, strict=True):
                each.append(value)
    more = {"bus_cpu_ms": percentile(bus_cpu, 50), "callers_cpu_ms": percentile(own_cpu, 50)}
    return Figure(tuple(rates), more), Figure(tuple(cpu))


def _values(clock: Clock) -> int:
    """Return where a range of values begins that nobody else uses."""
    return 1_000_000_000 + next(clock) * 10_000_000


def signal(running: Running, keys: int, plan: Plan, clock: Clock) -> tuple[Figure, Figure]:
    """Return the time from the reply to a subscriber's signal, and from the call, in ms.

    The first is negative where the signal comes before the reply.
    """
    after_reply, after_call = [], []
    with ExitStack() as open_callers:
        message = running.subject.set_message(keys // 2, PLACEHOLDER)
        setter, subscriber = Caller(running.bus.socket, message), Caller(running.bus.socket)
        for each in (setter, subscriber):
            open_callers.callback(each.close)
        subscriber.ask(message_bus.AddMatch(running.subject.rule))
        for _ in range(plan.runs):
            pairs: list[tuple[float, float]] = []
            until = time.perf_counter() + plan.run_s
            while len(pairs) < plan.calls and time.perf_counter() < until:
                pairs.append(_one_signal(setter, subscriber, next(clock)))
            after_reply.append(percentile([pair[0] for pair in pairs], 50))
            after_call.append(percentile([pair[1] for pair in pairs], 50))
    return Figure(tuple(after_reply)), Figure(tuple(after_call))


def _one_signal(setter: Caller, subscriber: Caller, value: int) -> tuple[float, float]:
    poll = select.poll()
    poll.register(setter, select.POLLIN)
    poll.register(subscriber, select.POLLIN)
    arrived: dict[int, float] = {}
    began = time.perf_counter()
    setter.call(value)
    while len(arrived) < 2:
        for descriptor, _ in poll.poll():
            now = time.perf_counter()
            if descriptor == subscriber.fileno():
                subscriber.receive()
            elif not setter.receive():
                continue
            arrived[descriptor] = now
    signalled = arrived[subscriber.fileno()]
    return (signalled - arrived[setter.fileno()]) * _MS, (signalled - began) * _MS


def rewriting(running: Running, keys: int, plan: Plan, clock: Clock) -> Figure:
    """Return the p99 of sets one after the other while the service's file follows, in ms.

    How often kdbd's file was replaced meanwhile is noted.
    """
    file = running.files / "default.ecf"
    seen = set()
    times: list[float] = []
    with _setting(running, keys, clock) as call:
        for n in range(20):
            call(n)
        until = time.perf_counter() + plan.rewriting_s
        began = time.perf_counter()
        while began < until:
            call(len(times))
            ended = time.perf_counter()
            times.append((ended - began) * _MS)
            if running.subject.is_kdbd:
                seen.add(file.stat().st_ino)
            began = time.perf_counter()
    more = {
        "p50": percentile(times, 50),
        "p99.9": percentile(times, 99.9),
        "max": max(times),
        "calls": float(len(times)),
        "rewrites": float(max(len(seen) - 1, 0)),
    }
    return Figure((percentile(times, 99),), more)
