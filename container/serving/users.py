"""Go on as an unprivileged user: SageMaker starts containers as root, requests need no root."""

from __future__ import annotations

import os
import pwd


def become(name: str) -> None:
    """Change to the user, where this is root and the image has that user."""
    if not name or os.geteuid() != 0:
        return
    try:
        account = pwd.getpwnam(name)
    except KeyError:
        return
    os.setgroups([])
    os.setgid(account.pw_gid)
    os.setuid(account.pw_uid)
