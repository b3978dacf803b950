"""An event loop whose time passes only when the test says so."""

from __future__ import annotations

import asyncio
import selectors

__all__ = ["VirtualLoop"]


class _Selector(selectors.SelectSelector):
    """Instead of waiting, ends the loop's run."""

    def __init__(self) -> None:
        super().__init__()
        self.loop: VirtualLoop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready and timeout != 0:
            self.loop.idle_s = timeout
            self.loop.stop()
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """Runs what is ready; ``idle_s`` is how long it would wait then, None for ever."""

    def __init__(self) -> None:
        self._now = 0.0
        self.idle_s: float | None = None
        self.failures: list[str] = []
        selector = _Selector()
        super().__init__(selector)
        selector.loop = self
        self.set_exception_handler(self._note_failure)

    def _note_failure(self, _loop: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
        self.failures.append(f"{context['message']}: {context.get('exception')!r}")

    def time(self) -> float:
        return self._now

    def settle(self) -> None:
        """Run until nothing more happens without time passing."""
        self.run_forever()

    def turn(self) -> None:
        """Run what is ready now, but nothing that comes of it."""
        self.call_soon(self.stop)
        self.run_forever()

    def pass_time(self, seconds: float) -> None:
        """Let time pass, and do what falls due."""
        until = self._now + seconds
        self.settle()
        while self.idle_s is not None and self._now + self.idle_s <= until:
            self._now += self.idle_s
            self.settle()
        self._now = until
        self.settle()
