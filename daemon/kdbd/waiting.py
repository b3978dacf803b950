"""The requests that wait to be prepared, and whose turn it is.

Rules
* Merges of edited files come before all else.
* Then comes what is to be prepared anew, in its order.
* Then the senders take turns, one request each; what one sender asked comes in its order. So a
  client that asks much, or sends large values, holds up nobody but itself.
* While a sender's job is held, its later ones wait; when it is let go, it comes before all turns.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterator, Sequence

from kdbd.jobs import Job

__all__ = ["Waiting"]


class Waiting:
    """Jobs by their turn. ``len`` counts those that are no merges."""

    __slots__ = ("_again", "_count", "_held", "_merges", "_queues")

    def __init__(self) -> None:
        self._merges: deque[Job] = deque()
        self._again: deque[Job] = deque()
        # By sender; the first has the next turn.
        self._queues: OrderedDict[str, deque[Job]] = OrderedDict()
        # By sender, the one that is held and its later ones.
        self._held: dict[str, deque[Job]] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Job]:
        yield from self._merges
        yield from self._again
        for queue in (*self._queues.values(), *self._held.values()):
            yield from queue

    def add(self, job: Job) -> None:
        """Let a job wait for its sender's turn; a merge comes first."""
        if job.note is not None:
            self._merges.append(job)
            return
        self._count += 1
        sender = job.caller.sender
        queue = self._queues.get(sender) or self._held.get(sender)
        if queue is None:
            self._queues[sender] = deque((job,))
        else:
            queue.append(job)

    def put_back(self, jobs: Sequence[Job]) -> None:
        """Let jobs that had their turn come again first, in this order."""
        again = [job for job in jobs if job.note is None]
        self._merges.extendleft(job for job in reversed(jobs) if job.note is not None)
        self._again.extendleft(reversed(again))
        self._count += len(again)

    def first(self) -> Job | None:
        """Answer the job whose turn it is."""
        if self._merges:
            return self._merges[0]
        if self._again:
            return self._again[0]
        for queue in self._queues.values():
            return queue[0]
        return None

    def take(self) -> None:
        """Let the job go whose turn it is."""
        if self._merges:
            self._merges.popleft()
            return
        self._count -= 1
        if self._again:
            self._again.popleft()
            return
        sender, queue = self._queues.popitem(last=False)
        queue.popleft()
        if queue:
            self._queues[sender] = queue

    def remove(self, job: Job) -> None:
        """Let a job go that was put back."""
        self._again.remove(job)
        self._count -= 1

    def hold(self, job: Job) -> bool:
        """Hold a job that had its turn, and all its sender's later ones; tell whether it may be.

        Not while others are to be prepared anew, of which some may be its sender's.
        """
        if self._again:
            return False
        later = self._queues.pop(job.caller.sender, deque())
        later.appendleft(job)
        self._held[job.caller.sender] = later
        self._count += 1
        return True

    def let_go(self, job: Job) -> None:
        """Let a job that was held come next, and its sender's later ones in their turn."""
        later = self._held.pop(job.caller.sender)
        later.popleft()
        # Behind what is prepared anew, of which some may have come before it.
        self._again.append(job)
        if later:
            self._queues[job.caller.sender] = later
