"""Rights are given up where there is a user for it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import serving

CONTAINERS = str(Path(serving.__file__).parents[1])


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has rights to give up")
@pytest.mark.parametrize(("user", "is_root"), [("nobody", False), ("no-such-user", True), ("", True)])
def test_root_gives_its_rights_up_where_the_image_has_a_user_for_it(user: str, is_root: bool) -> None:
    code = (
        f"import os, sys; sys.path.insert(0, {CONTAINERS!r})\n"
        f"from serving.users import become; become({user!r})\n"
        "print(os.getuid(), os.geteuid(), os.getgroups())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30
    )
    assert done.stdout.startswith("0 0") is is_root
