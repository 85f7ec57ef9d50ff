"""Reach a serve process that has no network: connections made inside its network namespace.

A network-isolated container gets no network but its requests. Its namespace has a loopback of its own,
where nobody else can connect. A small helper enters that namespace, connects there when asked, and hands
the connected socket back; from then on requests flow on it as on any other. The helper ends when the
server closes its end of the pair, or ends.

This file is also that helper's program, run by path with `python -I -S`: it imports nothing of ours.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000
_READY_SECONDS = 10.0


class Unreachable(OSError):
    """Nothing accepts connections there (yet)."""


class Connector:
    """Makes connections to 127.0.0.1 in the network namespace of a process. Thread-safe.

    Args:
        pid: a process that is to have a namespace of its own.
    """

    def __init__(self, pid: int) -> None:
        _wait_for_namespace(pid)
        self._lock = threading.Lock()
        self._ours, theirs = socket.socketpair()
        self._ours.settimeout(5.0)
        with theirs:
            self._helper = subprocess.Popen(
                [sys.executable, "-I", "-S", __file__, str(pid), str(theirs.fileno())],
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                env={},
                start_new_session=True,
            )

    def connect(self, port: int) -> socket.socket:
        """A connected socket. Raises Unreachable."""
        try:
            with self._lock:
                self._ours.sendall(port.to_bytes(2, "big"))
                _, descriptors, _, _ = socket.recv_fds(self._ours, 1, 1)
        except OSError as error:
            raise Unreachable(str(error)) from None
        if not descriptors:
            raise Unreachable(f"nothing listens on port {port}")
        connected = socket.socket(fileno=descriptors[0])
        connected.settimeout(None)
        return connected

    def close(self) -> None:
        """End the helper."""
        with contextlib.suppress(OSError):
            self._ours.shutdown(socket.SHUT_RDWR)
        self._ours.close()
        try:
            self._helper.wait(5.0)
        except subprocess.TimeoutExpired:
            self._helper.kill()
            self._helper.wait()


def _wait_for_namespace(pid: int) -> None:
    """Until the process has left our network namespace."""
    deadline = time.monotonic() + _READY_SECONDS
    own = Path("/proc/self/ns/net").readlink()
    while True:
        try:
            if Path(f"/proc/{pid}/ns/net").readlink() != own:
                return
        except OSError as error:
            raise Unreachable(f"process {pid}: {error.strerror}") from None
        if time.monotonic() > deadline:
            raise Unreachable(f"process {pid} has no network namespace of its own")
        time.sleep(0.005)


def _enter(pid: int) -> None:
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    own_user = Path("/proc/self/ns/user").readlink()
    kinds = [("net", CLONE_NEWNET)]
    if Path(f"/proc/{pid}/ns/user").readlink() != own_user:
        # Its user namespace first: there, and only there, this process may enter its network.
        kinds.insert(0, ("user", CLONE_NEWUSER))
    opened = [(os.open(f"/proc/{pid}/ns/{name}", os.O_RDONLY), kind) for name, kind in kinds]
    for descriptor, kind in opened:
        if libc.setns(descriptor, kind) != 0:
            code = ctypes.get_errno()
            raise OSError(code, f"setns: {os.strerror(code)}")


def main(pid: int, descriptor: int) -> None:
    """Connect on request until the other end is closed."""
    pair = socket.socket(fileno=descriptor)
    try:
        _enter(pid)
    except (FileNotFoundError, ProcessLookupError):
        return  # the process has ended meanwhile; whoever asks finds this end closed
    while True:
        asked = pair.recv(2, socket.MSG_WAITALL)
        if len(asked) < 2:
            return
        try:
            connected = socket.create_connection(("127.0.0.1", int.from_bytes(asked, "big")), timeout=2.0)
        except OSError:
            pair.sendall(b"-")
            continue
        with connected:
            socket.send_fds(pair, [b"+"], [connected.fileno()])


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
