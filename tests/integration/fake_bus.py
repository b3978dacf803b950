"""A socket that greets as a bus does and then says what a test wants."""

from __future__ import annotations

import socket
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

__all__ = ["HELLO", "FakeBus"]


def message(kind: int, serial: int, fields: bytes, body: bytes = b"") -> bytes:
    head = bytes((ord("l"), kind, 0, 1)) + len(body).to_bytes(4, "little")
    head += serial.to_bytes(4, "little") + len(fields).to_bytes(4, "little")
    return head + fields + bytes(-len(fields) % 8) + body


def reply_serial(serial: int) -> bytes:
    return b"\5\1u\0" + serial.to_bytes(4, "little")


# The answer to the first call, a unique name.
HELLO = message(2, 1, reply_serial(1) + b"\x08\1g\0\1s\0", b"\4\0\0\0:1.1\0")


class FakeBus:
    """Answers a greeting with *greeting*, and once messages come says *then*."""

    def __init__(self, directory: Path, greeting: bytes, then: bytes = b"", hold: bool = False):
        self.path = directory / "fake"
        self.address = f"unix:path={self.path}"
        self._greeting = greeting
        self._then = then
        self._hold = hold
        self._over = threading.Event()
        self._server = socket.socket(socket.AF_UNIX)
        self._server.bind(str(self.path))
        self._server.listen()
        self._thread = threading.Thread(target=self._serve)
        self._clients: list[threading.Thread] = []

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._server.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._talk, args=(client,))
            self._clients.append(thread)
            thread.start()

    def _talk(self, client: socket.socket) -> None:
        with client:
            heard = b""
            while b"AUTH" not in heard:
                more = client.recv(4096)
                if not more:
                    return
                heard += more
            if not self._greeting:
                return
            client.sendall(self._greeting)
            while b"BEGIN\r\n" not in heard or not heard.partition(b"BEGIN\r\n")[2]:
                try:
                    more = client.recv(4096)
                except ConnectionError:
                    return
                if not more:
                    return
                if b"NEGOTIATE_UNIX_FD" in more:
                    client.sendall(b"AGREE_UNIX_FD\r\n")
                heard += more
            client.sendall(self._then)
            if self._hold:
                self._over.wait()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._over.set()
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self._thread.join()
        for thread in self._clients:
            thread.join()
