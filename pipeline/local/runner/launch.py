"""Start one program as a container would: a stand-alone script, run by path with `python -I -S`.

The server starts this; this starts the program. Three shapes (argument `isolation`):

    namespace       own mount and process namespaces (root): /opt/ml and /opt/program are real paths
    user-namespace  the same inside a user namespace (not root)
    mapped          no namespaces: the caller has rewritten the paths; only processes are guarded

Whatever happens, nothing outlives the server: the kernel kills this process when its parent ends,
and with it the whole process namespace; in the mapped shape this process is the reaper of all its
descendants and kills them itself. The exit code is the program's, 128+N when signal N ended it.

It imports only what a bare interpreter has, because it must start in a few milliseconds and because
the program's environment is not this package's.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import select
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType

CLONE_NEWNS, CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET = 0x00020000, 0x10000000, 0x20000000, 0x40000000
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT = 1, 2, 4, 8, 32
MS_NOATIME, MS_NODIRATIME, MS_BIND, MS_MOVE, MS_REC, MS_PRIVATE, MS_RELATIME = (
    1024,
    2048,
    4096,
    8192,
    16384,
    1 << 18,
    1 << 21,
)
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
JOIN_SECONDS = 10.0
COULD_NOT_ISOLATE = 125  # the code `docker run` uses for its own failures
COULD_NOT_EXECUTE, NOT_FOUND = 126, 127


class _Kernel:
    """The few calls Python has no name for."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)

    def _check(self, result: int, doing: str) -> None:
        if result != 0:
            code = ctypes.get_errno()
            raise OSError(code, f"{doing}: {os.strerror(code)}")

    def unshare(self, flags: int) -> None:
        self._check(self._libc.unshare(flags), "unshare")

    def mount(self, source: str, target: str, kind: str | None, flags: int, data: str | None = None) -> None:
        encoded = [text.encode() if text is not None else None for text in (source, target, kind, data)]
        result = self._libc.mount(
            encoded[0], encoded[1], encoded[2], ctypes.c_ulong(flags), ctypes.c_char_p(encoded[3])
        )
        self._check(result, f"mount {source} on {target}")

    def enter(self, descriptor: int, kind: int) -> None:
        self._check(self._libc.setns(descriptor, kind), "setns")

    def die_with_parent(self, parent: int, how: int) -> None:
        """Ask for signal `how` at the parent's end; end now if it has already gone."""
        if sys.platform == "linux":
            self._check(self._libc.prctl(PR_SET_PDEATHSIG, how, 0, 0, 0), "prctl")
        if os.getppid() != parent:
            os._exit(COULD_NOT_ISOLATE)

    def adopt_orphans(self) -> None:
        if sys.platform == "linux":
            self._check(self._libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), "prctl")


def _read_only(kernel: _Kernel, target: str) -> None:
    # A remount may only add restrictions to those the underlying mount already has (they are locked
    # inside a user namespace), so its flags are read back first.
    have = os.statvfs(target).f_flag
    flags = have & (MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_NOATIME | MS_NODIRATIME)
    if have & 4096:  # ST_RELATIME, whose number is not MS_RELATIME's
        flags |= MS_RELATIME
    kernel.mount("none", target, None, MS_REMOUNT | MS_BIND | MS_RDONLY | flags)


def _opt(kernel: _Kernel, staging: str, binds: list[list[str]]) -> None:
    """Cover /opt with a tmpfs that holds what /opt already had plus `binds` [source, target, ro|rw]."""
    root = Path("/opt")
    wanted = {Path(target).relative_to(root).parts[0] for _, target, _ in binds}
    kernel.mount("tmpfs", staging, "tmpfs", MS_NOSUID | MS_NODEV, "mode=755,size=1m")
    stage = Path(staging)
    # Keep what the machine has in /opt visible: the interpreter itself may live there.
    for entry in sorted(root.iterdir()):
        if entry.name in wanted:
            continue
        copy = stage / entry.name
        if entry.is_symlink():
            copy.symlink_to(entry.readlink())
            continue
        if entry.is_dir():
            copy.mkdir()
        else:
            copy.touch()
        kernel.mount(str(entry), str(copy), None, MS_BIND | MS_REC)
    for source, target, mode in sorted(binds, key=lambda bind: bind[1]):
        place = stage / Path(target).relative_to(root)
        # Below /opt/ml the folder is the job's own: making it there is making it in the job's folder.
        place.mkdir(parents=True, exist_ok=True)
        kernel.mount(source, str(place), None, MS_BIND | MS_REC)
        if mode == "ro":
            _read_only(kernel, str(place))
    kernel.mount(staging, "/opt", None, MS_MOVE)


def _loopback_up() -> None:
    import socket
    import struct
    from fcntl import ioctl

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        up_and_running = 0x1 | 0x40
        ioctl(probe, 0x8914, struct.pack("16sH14s", b"lo", up_and_running, b""))


def _join(kernel: _Kernel, pid: int) -> None:
    """Enter the network of a program that was started the same way, as soon as it has one of its own."""
    deadline = time.monotonic() + JOIN_SECONDS
    own = Path("/proc/self/ns/net").readlink()
    while Path(f"/proc/{pid}/ns/net").readlink() == own:
        if time.monotonic() > deadline:
            raise OSError(0, f"process {pid} has no network of its own")
        time.sleep(0.005)
    kinds = [("net", CLONE_NEWNET)]
    if Path(f"/proc/{pid}/ns/user").readlink() != Path("/proc/self/ns/user").readlink():
        # Its user namespace first: there, and only there, this process may enter its network.
        kinds.insert(0, ("user", CLONE_NEWUSER))
    opened = [(os.open(f"/proc/{pid}/ns/{name}", os.O_RDONLY), kind) for name, kind in kinds]
    for descriptor, kind in opened:
        kernel.enter(descriptor, kind)
        os.close(descriptor)


def _enter(kernel: _Kernel, spec: dict[str, object]) -> None:
    """Leave the machine's mount, process (and, if asked, network) namespaces."""
    flags = CLONE_NEWNS | CLONE_NEWPID
    peer = int(spec["joins"])  # type: ignore[call-overload]
    uid, gid = os.geteuid(), os.getegid()
    is_new_user = spec["isolation"] == "user-namespace" and not peer
    if is_new_user:
        flags |= CLONE_NEWUSER
    if peer:
        _join(kernel, peer)
    elif not spec["network"]:
        flags |= CLONE_NEWNET
    kernel.unshare(flags)
    if is_new_user:
        Path("/proc/self/uid_map").write_text(f"0 {uid} 1")
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/gid_map").write_text(f"0 {gid} 1")
    kernel.mount("none", "/", None, MS_REC | MS_PRIVATE)
    _opt(kernel, str(spec["staging"]), spec["binds"])  # type: ignore[arg-type]
    if spec["hosts"]:
        kernel.mount(str(spec["hosts"]), "/etc/hosts", None, MS_BIND)
    if not spec["network"] and not peer:
        _loopback_up()


def _execute(spec: dict[str, object]) -> None:
    """Become the program; never returns."""
    command: list[str] = spec["command"]  # type: ignore[assignment]
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    try:
        os.chdir(str(spec["workdir"]))
        cores = int(spec["cores"])  # type: ignore[call-overload]
        if cores and hasattr(os, "sched_setaffinity"):
            mine = sorted(os.sched_getaffinity(0))
            if cores < len(mine):
                start = os.getpid() % len(mine)
                os.sched_setaffinity(0, (mine + mine)[start : start + cores])
        os.execvp(command[0], command)
    except FileNotFoundError:
        sys.stderr.write(f'exec: "{command[0]}": executable file not found in $PATH\n')
        code = NOT_FOUND
    except OSError as error:
        sys.stderr.write(f'exec: "{command[0]}": {error.strerror}\n')
        code = COULD_NOT_EXECUTE
    sys.stderr.flush()
    os._exit(code)


def _code(status: int) -> int:
    code = os.waitstatus_to_exitcode(status)
    return 128 - code if code < 0 else code


def _supervise(child: int) -> int:
    """Reap everything until `child` ends; its exit code. SIGTERM, blocked since the fork, goes to it."""

    def forward(number: int, _frame: FrameType | None) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, number)

    signal.signal(signal.SIGTERM, forward)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    while True:
        pid, status = os.wait()
        if pid == child:
            return _code(status)


def _fork(then: Callable[[], None]) -> int:
    # SIGTERM waits until the parent can pass it on: one sent in between would be lost.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    child = os.fork()
    if child == 0:
        try:
            then()
        except BaseException as error:  # noqa: BLE001 - nothing may fall through into the parent's code
            sys.stderr.write(f"launch: {error}\n")
            sys.stderr.flush()
        os._exit(COULD_NOT_ISOLATE)
    return child


def _program(spec: dict[str, object]) -> None:
    os.setpgid(0, 0)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    _execute(spec)


def _init(kernel: _Kernel, spec: dict[str, object], lifeline: tuple[int, int]) -> None:
    """Process 1 of the namespace: the kernel kills everything in it when this ends."""
    # Across the namespace's border the parent's id always reads as 0, so that the parent is alive
    # shows in its end of a pipe being open.
    kernel.die_with_parent(0, signal.SIGKILL)
    os.close(lifeline[1])
    if select.select([lifeline[0]], [], [], 0)[0]:
        os._exit(COULD_NOT_ISOLATE)
    kernel.mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC)
    os._exit(_supervise(_fork(lambda: _program(spec))))


def _descendants() -> list[int]:
    """All processes below this one (the mapped shape's only way to find them)."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int(entry.joinpath("stat").read_text().rpartition(")")[2].split()[1])
            except (OSError, IndexError, ValueError):
                continue  # it ended while being looked at
            children.setdefault(parent, []).append(int(entry.name))
    found, todo = [], [os.getpid()]
    while todo:
        for child in children.get(todo.pop(), []):
            found.append(child)
            todo.append(child)
    return found


def _kill_descendants(program: int) -> None:
    for _ in range(50):
        targets = _descendants() if sys.platform == "linux" else []
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(program, signal.SIGKILL)
        for pid in targets:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return
        time.sleep(0.02)


def _mapped(kernel: _Kernel, spec: dict[str, object]) -> int:
    kernel.adopt_orphans()
    child = _fork(lambda: _program(spec))

    def parent_died(_number: int, _frame: FrameType | None) -> None:
        _kill_descendants(child)
        os._exit(128 + signal.SIGKILL)

    signal.signal(signal.SIGUSR1, parent_died)
    kernel.die_with_parent(int(spec["parent"]), signal.SIGUSR1)  # type: ignore[call-overload]
    code = _supervise(child)
    _kill_descendants(child)
    return code


def main(spec: dict[str, object]) -> int:
    """Run `spec`; the program's exit code, or 125 with one line on stderr when it could not be started."""
    kernel = _Kernel()
    if spec["isolation"] == "mapped":
        return _mapped(kernel, spec)
    try:
        _enter(kernel, spec)
        # After the last change of credentials, which would clear it.
        kernel.die_with_parent(int(spec["parent"]), signal.SIGKILL)  # type: ignore[call-overload]
    except OSError as error:
        sys.stderr.write(f"launch: {error.strerror or error}\n")
        return COULD_NOT_ISOLATE
    lifeline = os.pipe()
    return _supervise(_fork(lambda: _init(kernel, spec, lifeline)))


if __name__ == "__main__":
    sys.exit(main(json.loads(sys.argv[1])))
