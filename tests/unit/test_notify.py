"""sd_notify's protocol, on real sockets."""

import os
import socket

import pytest

from kdbd.notify import notify


@pytest.fixture
def supervisor():
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.setblocking(False)
        yield listening


@pytest.mark.parametrize("kind", ["path", "abstract"])
def test_each_message_is_one_datagram(supervisor, tmp_path, monkeypatch, kind):
    name = str(tmp_path / "notify") if kind == "path" else f"@kdbd-test-{os.getpid()}"
    supervisor.bind(name.replace("@", "\0"))
    monkeypatch.setenv("NOTIFY_SOCKET", name)
    notify("READY=1")
    notify("STOPPING=1", "STATUS=Schließt")
    assert supervisor.recv(4096) == b"READY=1"
    assert supervisor.recv(4096) == "STOPPING=1\nSTATUS=Schließt".encode()
    with pytest.raises(BlockingIOError):
        supervisor.recv(4096)


@pytest.mark.parametrize("address", [None, ""])
def test_without_a_supervisor_nothing_is_sent(monkeypatch, address):
    if address is None:
        monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    else:
        monkeypatch.setenv("NOTIFY_SOCKET", address)
    notify("READY=1")


@pytest.mark.parametrize("name", ["none", "file", "x" * 200])
def test_a_supervisor_that_does_not_listen_is_no_failure(tmp_path, monkeypatch, name):
    (tmp_path / "file").touch()
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / name))
    notify("READY=1")


def test_a_supervisor_that_is_gone_is_no_failure(supervisor, tmp_path, monkeypatch):
    supervisor.bind(str(tmp_path / "notify"))
    supervisor.close()
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    notify("READY=1")
