"""Whether the kernel killed something of a container for its memory, from the control group itself.

Docker tells it; podman 4 on control groups of version 1 does not. The engine removes a container's group
soon after its end, so whoever wants to know asks at once.
"""

from __future__ import annotations

from pathlib import Path

_ROOT = Path("/sys/fs/cgroup")


def record(pid: int) -> Path | None:
    """The file in which the kernel counts what it killed in the process's group; None where there is none."""
    try:
        lines = Path(f"/proc/{pid}/cgroup").read_text(encoding="ascii").splitlines()
    except (OSError, UnicodeDecodeError):
        return None
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if path == "/":
            continue  # not its own: this machine's
        if "memory" in controllers.split(","):
            return _ROOT / "memory" / path.lstrip("/") / "memory.oom_control"
        if not controllers and (_ROOT / path.lstrip("/") / "memory.events").exists():
            return _ROOT / path.lstrip("/") / "memory.events"
    return None


def killed(file: Path | None) -> bool:
    """Whether the record counts a kill; no when it is gone."""
    try:
        lines = file.read_text(encoding="ascii").splitlines() if file else []
    except OSError:
        return False
    return any(line.startswith("oom_kill ") and line != "oom_kill 0" for line in lines)
