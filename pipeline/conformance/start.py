"""Start a program as process 1, or as another user, inside what a launcher made: a script, run by path.

    python -I -S start.py '{"first": true, "user": 65534, "needs": ["/path"]}' serve

It imports only what a bare interpreter has. What it has to tell its launcher it prints as one line that
begins with MARK: that the program cannot be executed, or that a right had to be kept.
"""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import signal
import sys
from types import FrameType

MARK = "conformance-test: "
CLONE_NEWNS, CLONE_NEWPID = 0x00020000, 0x20000000
_MS_NOSUID, _MS_NODEV, _MS_NOEXEC = 2, 4, 8
_PR_SET_KEEPCAPS, _PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE = 8, 47, 2
_CAP_DAC_READ_SEARCH = 2
_CAPABILITY_VERSION_3 = 0x20080522
COULD_NOT_START, COULD_NOT_EXECUTE, NOT_FOUND = 125, 126, 127

libc = ctypes.CDLL(None, use_errno=True)


def tell(what: str) -> None:
    """One line for the launcher."""
    os.write(1, f"{MARK}{what}\n".encode())


def check(result: int, doing: str) -> None:
    """Raise OSError when a call of the C library failed."""
    if result != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{doing}: {os.strerror(code)}")


def reaches(user: int, paths: list[str]) -> bool:
    """Whether that user can read all the paths: asked of the kernel by a child that is the user."""
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setgid(user)
            os.setuid(user)
            os._exit(0 if all(os.access(path, os.R_OK) for path in paths) else 1)
        finally:
            os._exit(1)
    return os.waitpid(child, 0)[1] == 0


def become(user: int, needs: list[str]) -> None:
    """Give up all rights but those of `user`.

    Where the interpreter lies in a folder that only root may enter, which no image has, the right to read
    everything is kept; writing, low ports, mounting, changing owners and users are not.
    """
    for name in ("HOME", "TMPDIR"):
        if name in os.environ:
            os.chown(os.environ[name], user, user)
    reading = not reaches(user, needs)
    if reading:
        tell("kept the right to read everything: the interpreter lies where only root may look")
        check(libc.prctl(_PR_SET_KEEPCAPS, 1, 0, 0, 0), "prctl")
    os.setgroups([])
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)
    if reading:
        mask = 1 << _CAP_DAC_READ_SEARCH
        header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
        data = (ctypes.c_uint32 * 6)(mask, mask, mask, 0, 0, 0)
        check(libc.capset(header, data), "capset")
        check(libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, _CAP_DAC_READ_SEARCH, 0, 0), "prctl")


def execute(command: list[str]) -> None:
    """Become the program; returns never."""
    try:
        os.execvp(command[0], command)
    except FileNotFoundError:
        found = shutil.which(command[0])
        why = f"{found} has an interpreter that is not there" if found else "no such program on PATH"
        code = NOT_FOUND
    except OSError as error:
        why, code = str(error.strerror), COULD_NOT_EXECUTE
    tell(f"refused: `{command[0]}` cannot be executed: {why}")
    os._exit(code)


def as_process_1(then: list[str], user: int | None, needs: list[str]) -> int:
    """Run the program as process 1 of a namespace of its own; its exit code."""
    check(libc.unshare(CLONE_NEWPID | CLONE_NEWNS), "unshare")
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    child = os.fork()
    if child == 0:
        try:
            # /proc must show this namespace: programs look themselves up there.
            flags = _MS_NOSUID | _MS_NODEV | _MS_NOEXEC
            check(libc.mount(b"proc", b"/proc", b"proc", ctypes.c_ulong(flags), None), "mount /proc")
            if user is not None:
                become(user, needs)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
            execute(then)
        except BaseException as error:  # noqa: BLE001 - nothing may go on in the parent's place
            tell(f"unable: {error}")
        finally:
            os._exit(COULD_NOT_START)

    def forward(number: int, _frame: FrameType | None) -> None:
        os.kill(child, number)

    signal.signal(signal.SIGTERM, forward)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return 128 - code if code < 0 else code


def main(how: str, command: list[str]) -> int:
    """Start the command; returns only what ended as process 1."""
    wanted = json.loads(how)
    try:
        if wanted["first"]:
            return as_process_1(command, wanted["user"], wanted["needs"])
        if wanted["user"] is not None:
            become(wanted["user"], wanted["needs"])
    except OSError as error:
        tell(f"unable: {error}")
        return COULD_NOT_START
    execute(command)
    return COULD_NOT_START


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
